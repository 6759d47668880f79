"""The days on which fireworks are taken for gunfire, known ahead of time."""

from typing import Final

import numpy as np
import numpy.typing as npt

FIREWORK_DAYS: Final = ((7, 3), (7, 4), (7, 5), (12, 31), (1, 1))
"""(month, day of month) of the days around Independence Day and New Year."""


def is_holiday_fireworks(days: npt.NDArray[np.datetime64]) -> npt.NDArray[np.bool_]:
    """Whether each local day is one of `FIREWORK_DAYS`; same shape as `days`."""
    days = days.astype("datetime64[D]")
    months = days.astype("datetime64[M]")
    month = months.astype(np.int64) % 12 + 1
    day_of_month = (days - months.astype("datetime64[D]")).astype(np.int64) + 1
    return np.isin(month * 100 + day_of_month, [month * 100 + day for month, day in FIREWORK_DAYS])
