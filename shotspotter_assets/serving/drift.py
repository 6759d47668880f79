"""Drift of a city's alerts: the last 28 days compared with blocks of 28 days of the year before them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.stats import median_abs_deviation

from shotspotter_assets.calendar.dates import is_holiday_fireworks
from shotspotter_assets.calendar.local_time import day_axis
from shotspotter_assets.cities.city import City

BLOCK_DAYS: Final = 28
BLOCKS: Final = 13
"""Blocks of the year before."""
DRIFT_DAYS: Final = BLOCK_DAYS * (BLOCKS + 1)
MIN_BLOCKS: Final = 6
"""Minimum of blocks before the last one for a verdict."""
MAX_Z: Final = 3.5
"""Modified z-score from which a block is an outlier (Iglewicz and Hoaglin 1993, How to Detect and Handle Outliers)."""
MIN_MIX_CHANGE: Final = 0.1
MAX_SHARE_OUTSIDE: Final = 0.1
"""Share of the last block's alerts outside the covered cells above which the coverage has drifted."""
MIN_ALERTS_OUTSIDE: Final = 10


@dataclass(frozen=True)
class Outlier:
    """Whether the last block's value is an outlier among the blocks; `usual` is the median of the blocks before."""

    drifted: bool
    decided: bool
    """False where there are too few blocks for a verdict."""
    recent: float
    usual: float
    z: float | None


@dataclass(frozen=True)
class Drift:
    """Drift of the number of alerts a day, of their types and of their places."""

    rate: Outlier
    mix: dict[str, Outlier]
    """Shares of the forecast types in the alerts, by name of the type."""
    alerts_outside: int
    """Alerts of the last block outside the cells that are forecast."""
    share_outside: float
    drifted: bool
    reasons: tuple[str, ...]


def drift_of(counts: npt.NDArray[np.integer], first_day: date, in_coverage: npt.NDArray[np.bool_], city: City) -> Drift:
    """Drift of the last 28 days; firework days are left out.

    A value of the last block is an outlier if it lies more than 3.5 robust standard deviations (1.4826 times the median
    absolute deviation, and at least the deviation by chance) from the median of the blocks before. The seasons are among the
    blocks, so that an ordinary summer is no drift.

    Args:
        counts: shape (days, layers, rows, columns); the last `DRIFT_DAYS` to the scored day, or fewer.
        first_day: local day of `counts[0]`.
        in_coverage: cells that are forecast, shape (rows, columns).
    """
    days, codes = day_axis(first_day, len(counts)), list(city.forecast_codes)
    alerts = counts[:, codes].sum(axis=(2, 3), dtype=np.int64)
    ordinary = ~is_holiday_fireworks(days)
    ends = range(len(days), BLOCK_DAYS - 1, -BLOCK_DAYS)[: BLOCKS + 1]
    blocks = [np.flatnonzero(ordinary[end - BLOCK_DAYS : end]) + end - BLOCK_DAYS for end in ends]
    totals = np.array([alerts[block].sum(axis=0) for block in blocks]).reshape(len(blocks), len(codes))
    rates = totals.sum(axis=1) / np.maximum([len(block) for block in blocks], 1)
    rate = _outlier(rates, lambda usual: np.sqrt(max(usual, 1e-9) / BLOCK_DAYS))
    shares, recent = totals / np.maximum(totals.sum(axis=1, keepdims=True), 1), max(int(totals[:1].sum()), 1)
    mix = {
        city.type_names[code]: _outlier(
            shares[:, at], lambda usual: np.sqrt(max(usual * (1 - usual), 1e-3) / recent), MIN_MIX_CHANGE
        )
        for at, code in enumerate(codes)
    }
    cell_alerts = counts[-BLOCK_DAYS:, codes].sum(axis=(0, 1), dtype=np.int64)
    outside, total = int(cell_alerts[~in_coverage].sum()), int(cell_alerts.sum())
    share_outside = outside / total if total else 0.0
    recently = f"in the last {BLOCK_DAYS} days"
    reasons = (
        [f"{rate.recent:.2f} alerts a day {recently}, {rate.usual:.2f} in the year before."] if rate.drifted else []
    )
    reasons += [
        f"Share of {name}: {share.recent:.0%} {recently}, {share.usual:.0%} in the year before."
        for name, share in mix.items()
        if share.drifted
    ]
    if outside >= MIN_ALERTS_OUTSIDE and share_outside > MAX_SHARE_OUTSIDE:
        reasons.append(
            f"{share_outside:.0%} of the alerts of the last {BLOCK_DAYS} days lie outside the cells that are forecast."
        )
    return Drift(rate, mix, outside, share_outside, bool(reasons), tuple(reasons))


def _outlier(
    values: npt.NDArray[np.float64], deviation_by_chance: Callable[[float], float], min_change: float = 0.0
) -> Outlier:
    """Whether the first value is an outlier among the others; not decided where there are few."""
    if len(values) <= MIN_BLOCKS:
        return Outlier(False, False, float(values[0]) if len(values) else 0.0, 0.0, None)
    recent, usual = float(values[0]), float(np.median(values[1:]))
    robust = float(median_abs_deviation(values[1:], scale="normal"))
    z = (recent - usual) / max(robust, float(deviation_by_chance(usual)))
    return Outlier(abs(z) > MAX_Z and abs(recent - usual) >= min_change, True, recent, usual, z)
