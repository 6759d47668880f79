"""Quarters of a year, which compare a city with itself a year before."""

from typing import Final

import numpy as np
import numpy.typing as npt

from shotspotter_assets.quality.window import Window

QUARTER_DAYS: Final = 91
YEAR_DAYS: Final = 364
"""Whole weeks, so that the same weekdays and the same season are compared."""

MIN_INCIDENTS: Final = 30
"""Fewer in a quarter tell nothing."""


def quarter_ends(window: Window) -> npt.NDArray[np.int64]:
    """Positions in `window.known_incidents` of the last day, and of those a quarter, two quarters, ... before it.

    Only quarters that end within the judged days, in order.
    """
    days = window.known_incidents.days
    last, first = len(days) - 1, days.index(window.judged[0])
    return np.arange(last, max(first, QUARTER_DAYS - 1) - 1, -QUARTER_DAYS)[::-1]
