"""The cell's climatology by hour of week: its expected number times the city's profile of the hours ahead."""

from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar

import numpy as np

from shotspotter_assets.models.hourly_history import HourlyHistory
from shotspotter_assets.models.next_hours.baseline import FittedHorizon, Fold, HourlyBaseline, burst_scale
from shotspotter_assets.models.next_hours.climatology import PSEUDO_DAYS, shrunk_frequency
from shotspotter_assets.models.next_hours.features import PROFILE_WIDTHS, hour_profile, profile_ahead
from shotspotter_assets.models.next_hours.forecaster import Array, Indexes


@dataclass(frozen=True)
class FittedHourOfWeek:
    """Expected occupied hours of each cell within the horizon (cells,), and the city's profile (168,).

    `cells` are the covered ones at the fit, as indexes of the grid. The coverage may change before the next fit: a cell that joins
    has had few alerts, and gets the least rate.
    """

    horizon: int
    cells: Indexes
    rate: Array
    profile: Array
    scale: float

    def __call__(self, history: HourlyHistory, issues: Indexes) -> Array:
        rate = np.full(history.in_coverage.size, self.rate.min())
        rate[self.cells] = self.rate
        ahead = profile_ahead(history, self.profile, self.horizon)[issues, None]
        return -np.expm1(-self.scale * rate[history.in_coverage.ravel()] * ahead)


class ClimatologyHourOfWeek(HourlyBaseline):
    """See the module."""

    name: ClassVar[str] = "climatology_hour_of_week"

    def _fit_horizon(self, fold: Fold) -> tuple[FittedHorizon, FittedHorizon]:
        def loss(settings: tuple[float, float]) -> float:
            return fold.loss(_fitted(fold, fold.train, *settings)(fold.history, fold.issues))

        best = min(product(PSEUDO_DAYS, PROFILE_WIDTHS), key=loss)
        return _fitted(fold, fold.train, *best), _fitted(fold, fold.both, *best)

    @classmethod
    def _load_horizon(cls, record: dict[str, Any]) -> FittedHourOfWeek:
        return FittedHourOfWeek(**record | {name: np.array(record[name]) for name in ("cells", "rate", "profile")})


def _fitted(fold: Fold, hours: range, pseudo_days: float, width: float) -> FittedHourOfWeek:
    """The expected number by cell times the city's profile of the hours of the week."""
    horizon = fold.horizon
    observed, issues = fold.observed_in(hours), fold.history.issues(hours, horizon)
    rate = -np.log1p(-shrunk_frequency(observed, horizon, pseudo_days))
    profile = hour_profile(fold.history, hours, width)
    level = profile_ahead(fold.history, profile, horizon)
    # All issues of one hour of the week are alike.
    _, first, times = np.unique(fold.history.clock.hour_of_week[issues], return_index=True, return_counts=True)
    scale = burst_scale(rate * level[issues[first], None], observed.sum(), times[:, None])
    return FittedHourOfWeek(horizon, np.flatnonzero(fold.history.in_coverage), rate, profile, scale)
