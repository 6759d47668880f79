"""The place of a day in its year."""

from typing import Final

import numpy as np
import numpy.typing as npt

YEAR_DAYS: Final = 365.2425
"""Mean length of a year of the Gregorian calendar."""


def days_of_year(days: npt.NDArray[np.datetime64]) -> npt.NDArray[np.int64]:
    """Days since 1 January of each day's year; same shape."""
    days = days.astype("datetime64[D]")
    return (days - days.astype("datetime64[Y]").astype("datetime64[D]")).astype(np.int64)


def month_days(days: npt.NDArray[np.datetime64]) -> npt.NDArray[np.int64]:
    """Each day's month * 100 + day of the month, 101 to 1231; same shape."""
    months, day_of_month = _months(days)
    return (months.astype(np.int64) % 12 + 1) * 100 + day_of_month.astype(np.int64) + 1


def same_date_last_year(days: npt.NDArray[np.datetime64]) -> npt.NDArray[np.datetime64]:
    """The day with the same month and day one year earlier; same shape. Of 29 February it is 1 March."""
    months, day_of_month = _months(days)
    first_of_month: npt.NDArray[np.datetime64] = (months - np.timedelta64(12, "M")).astype("datetime64[D]")
    return first_of_month + day_of_month


def _months(days: npt.NDArray[np.datetime64]) -> tuple[npt.NDArray[np.datetime64], npt.NDArray[np.timedelta64]]:
    months = days.astype("datetime64[M]")
    return months, days.astype("datetime64[D]") - months.astype("datetime64[D]")
