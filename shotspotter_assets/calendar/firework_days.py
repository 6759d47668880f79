"""The days around Independence Day and New Year, on which fireworks are taken for gunfire."""

from typing import Final

import numpy as np
import numpy.typing as npt

from shotspotter_assets.calendar.year import month_days

FIREWORK_DAYS: Final = ((7, 3), (7, 4), (7, 5), (12, 31), (1, 1))
"""(month, day of the month)."""


def is_holiday_fireworks(days: npt.NDArray[np.datetime64]) -> npt.NDArray[np.bool_]:
    """Whether each local day is one of `FIREWORK_DAYS`; same shape."""
    return np.isin(month_days(days), [month * 100 + day for month, day in FIREWORK_DAYS])
