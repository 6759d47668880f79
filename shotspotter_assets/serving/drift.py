"""Whether a city's alerts have drifted: the last 28 days against blocks of 28 days of the year before them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt

from shotspotter_assets.calendar.firework_days import is_holiday_fireworks
from shotspotter_assets.calendar.local_time import day_axis
from shotspotter_assets.cities.city import City

BLOCK_DAYS: Final = 28
BLOCKS: Final = 13
"""Of the year before."""
DRIFT_DAYS: Final = BLOCK_DAYS * (BLOCKS + 1)
MIN_BLOCKS: Final = 6
"""Blocks of the year before below which drift is not judged."""
MAX_Z: Final = 3.5
"""Modified z-score from which a block is an outlier (Iglewicz and Hoaglin 1993, How to Detect and Handle Outliers)."""
ROBUST_DEVIATION: Final = 1.4826
"""Standard deviation of a normal distribution per median absolute deviation."""
MIN_MIX_CHANGE: Final = 0.1
MAX_SHARE_OUTSIDE: Final = 0.1
"""Share of the last block's alerts outside the covered cells from which the coverage has drifted."""
MIN_ALERTS_OUTSIDE: Final = 10


@dataclass(frozen=True)
class Outlier:
    """Whether the last block's value is an outlier; `usual` is the median of the blocks before."""

    drifted: bool
    decided: bool
    """Whether there are blocks enough to tell."""
    recent: float
    usual: float
    z: float | None


@dataclass(frozen=True)
class MixDrift:
    """Shares of the forecast types in the alerts, by name of the type."""

    drifted: bool
    types: dict[str, Outlier]


@dataclass(frozen=True)
class CoverageDrift:
    """Alerts of the last block outside the cells that are forecast."""

    drifted: bool
    alerts_outside: int
    share_outside: float


@dataclass(frozen=True)
class Drift:
    """Drift of the number of alerts a day, of their types and of where they lie."""

    rate: Outlier
    mix: MixDrift
    coverage: CoverageDrift
    drifted: bool
    reasons: tuple[str, ...]


def drift_of(counts: npt.NDArray[np.integer], first_day: date, in_coverage: npt.NDArray[np.bool_], city: City) -> Drift:
    """Drift of the last 28 days; firework days are left out.

    A value of the last block is an outlier if it lies more than 3.5 robust standard deviations (1.4826 times the median
    absolute deviation, at least what chance alone gives) from the median of the blocks. The seasons are among the blocks,
    so that an ordinary summer is no drift.

    Args:
        counts: shape (days, layers, rows, columns); the last `DRIFT_DAYS` to the scored day, or fewer.
        first_day: local day of `counts[0]`.
        in_coverage: cells that are forecast, shape (rows, columns).
    """
    days = day_axis(first_day, len(counts))
    alerts = counts[:, list(city.forecast_codes)].sum(axis=(2, 3), dtype=np.int64)
    ordinary = ~is_holiday_fireworks(days)
    bounds = [(len(days) - BLOCK_DAYS * (back + 1), len(days) - BLOCK_DAYS * back) for back in range(BLOCKS + 1)]
    blocks = [alerts[start:stop][ordinary[start:stop]] for start, stop in bounds if start >= 0]
    rate, mix = _rate_drift(blocks), _mix_drift(blocks, city)
    cell_alerts = counts[-BLOCK_DAYS:, list(city.forecast_codes)].sum(axis=(0, 1), dtype=np.int64)
    outside, total = int(cell_alerts[~in_coverage].sum()), int(cell_alerts.sum())
    share_outside = outside / total if total else 0.0
    has_moved = outside >= MIN_ALERTS_OUTSIDE and share_outside > MAX_SHARE_OUTSIDE
    coverage = CoverageDrift(has_moved, outside, share_outside)
    reasons = []
    if rate.drifted:
        reasons.append(
            f"{rate.recent:.2f} alerts a day in the last {BLOCK_DAYS} days, {rate.usual:.2f} in the year before."
        )
    reasons += [
        f"Share of {name}: {share.recent:.0%} in the last {BLOCK_DAYS} days, {share.usual:.0%} in the year before."
        for name, share in mix.types.items()
        if share.drifted
    ]
    if coverage.drifted:
        reasons.append(
            f"{share_outside:.0%} of the alerts of the last {BLOCK_DAYS} days lie outside the cells that are forecast."
        )
    return Drift(rate, mix, coverage, bool(reasons), tuple(reasons))


def _rate_drift(blocks: Sequence[npt.NDArray[np.int64]]) -> Outlier:
    rates = np.array([block.sum() / max(len(block), 1) for block in blocks])
    chance = np.sqrt(max(np.median(rates[1:]), 1e-9) / BLOCK_DAYS) if len(rates) > 1 else 1.0
    return _outlier(rates, min_deviation=chance)


def _mix_drift(blocks: Sequence[npt.NDArray[np.int64]], city: City) -> MixDrift:
    names = [city.type_names[code] for code in city.forecast_codes]
    totals = [block.sum(axis=0) for block in blocks]
    shares = np.array([total / max(total.sum(), 1) for total in totals]).reshape(len(totals), len(names))
    types = {}
    for at, name in enumerate(names):
        usual = float(np.median(shares[1:, at])) if len(shares) > 1 else 0.0
        chance = np.sqrt(max(usual * (1 - usual), 1e-3) / max(totals[0].sum(), 1)) if totals else 1.0
        outlier = _outlier(shares[:, at], min_deviation=chance)
        is_large = abs(outlier.recent - outlier.usual) >= MIN_MIX_CHANGE
        types[name] = replace(outlier, drifted=outlier.drifted and is_large)
    return MixDrift(any(outlier.drifted for outlier in types.values()), types)


def _outlier(values: npt.NDArray[np.float64], min_deviation: float) -> Outlier:
    """Whether the first value is an outlier among the others; not decided where there are few."""
    if len(values) <= MIN_BLOCKS:
        return Outlier(False, False, float(values[0]) if len(values) else 0.0, 0.0, None)
    recent, usual = float(values[0]), float(np.median(values[1:]))
    deviation = max(ROBUST_DEVIATION * float(np.median(np.abs(values[1:] - usual))), float(min_deviation))
    z = (recent - usual) / deviation
    return Outlier(abs(z) > MAX_Z, True, recent, usual, z)
