"""The level of the last four weeks against the sixteen before them: a loss of rows that leaves no day empty."""

from typing import Final

import numpy as np
import numpy.typing as npt

from shotspotter_assets.quality.finding import Finding
from shotspotter_assets.quality.window import Window

RECENT_DAYS: Final = 28
BEFORE_DAYS: Final = 112
MIN_KNOWN: Final = 0.65
"""Share of these days that must be known and ordinary."""

YEAR_DAYS: Final = 364
PRIOR_ALERTS: Final = 60.0
"""Weight, in alerts, of no change of the season where last year's tells it."""

MAX_SEASON: Final = 1.5
"""A season's rise that is expected again at most: a larger one was fireworks, or new sensors."""

MIN_EXPECTED: Final = 20.0
"""Alerts to be expected in four weeks; fewer tell nothing."""

MIN_DEVIATION: Final = 0.14
"""Standard deviation of a level's own drift in four months, of its logarithm."""

MIN_STANDARD_ERRORS: Final = 4.0
"""Below which a level fell beyond what sound cities do: once in thirty city years; see `benchmarks/detection.py`."""


def recent_level(window: Window) -> Finding:
    """The last four weeks do not have far fewer alerts than the months before and the season tell."""
    known = window.known_alerts
    counts = np.where(known.special, np.nan, known.counts)
    compared = compare(counts)
    if compared is None:
        return Finding(True, "Too few alerts, or days that are known, to compare the last four weeks with.")
    ratio, errors = compared
    passed = errors > -MIN_STANDARD_ERRORS
    message = (
        f"The last {RECENT_DAYS} days have {ratio:.0%} of the alerts that the {BEFORE_DAYS} days before and the season tell"
        + ("." if passed else ": rows may be missing. Compare a day with the publisher, and ask for the missing rows.")
    )
    return Finding(passed, message, {"share_of_expected": round(ratio, 3), "standard_errors": round(errors, 2)})


def compare(counts: npt.NDArray[np.float64]) -> tuple[float, float] | None:
    """(the newest level as a share of what was to be expected, the logarithm of it in standard errors).

    None where too little is known.

    Args:
        counts: alerts of each day to the newest, NaN where not known or not ordinary; shape (days,).
    """
    if len(counts) < RECENT_DAYS + BEFORE_DAYS:
        return None
    now, before = counts[-RECENT_DAYS:], counts[-RECENT_DAYS - BEFORE_DAYS : -RECENT_DAYS]
    if not (_is_known(now) and _is_known(before)):
        return None
    mean, days = float(np.nanmean(before)), int(np.isfinite(now).sum())
    expected = mean * days * _season(counts[:-YEAR_DAYS])
    if expected < MIN_EXPECTED:
        return None
    spread = max(float(np.nanvar(before)) / mean, 1.0)
    received = float(np.nansum(now)) + 0.5
    variance = spread * (1 / received + 1 / float(np.nansum(before))) + MIN_DEVIATION**2
    ratio = received / (expected + 0.5)
    return ratio, float(np.log(ratio) / np.sqrt(variance))


def _season(counts: npt.NDArray[np.float64]) -> float:
    """What the same four weeks of the year before had of the level before them, shrunk to one."""
    now, before = counts[-RECENT_DAYS:], counts[-RECENT_DAYS - BEFORE_DAYS : -RECENT_DAYS]
    if not (_is_known(now) and _is_known(before)) or np.nansum(before) == 0:
        return 1.0
    alerts = float(np.nansum(now))
    ratio = float(np.nanmean(now) / np.nanmean(before))
    return min((ratio * alerts + PRIOR_ALERTS) / (alerts + PRIOR_ALERTS), MAX_SEASON)


def _is_known(counts: npt.NDArray[np.float64]) -> bool:
    return len(counts) > 0 and float(np.isfinite(counts).mean()) >= MIN_KNOWN
