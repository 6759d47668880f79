"""The reference of all skill scores of the next hours: what happens in the cell at any hour."""

from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt

from shotspotter_assets.calendar.weekdays import DAY_HOURS
from shotspotter_assets.models.hourly_history import HourlyHistory
from shotspotter_assets.models.next_hours.baseline import FittedHorizon, Fold, HourlyBaseline
from shotspotter_assets.models.next_hours.forecaster import Array, Indexes

PSEUDO_DAYS: Final = (3, 10, 30, 100, 300)
"""Strengths of the prior that are tried, in days of the city's mean."""


@dataclass(frozen=True)
class FittedClimatology:
    """One frequency for each cell, shape (cells,)."""

    frequency: Array
    settings: dict[str, float]

    def probability(self, history: HourlyHistory, issues: Indexes) -> Array:
        """See `FittedHorizon.probability`."""
        return np.broadcast_to(self.frequency, (len(issues), len(self.frequency)))


class Climatology(HourlyBaseline):
    """The frequency of the cell, shrunk towards the city's mean."""

    name: ClassVar[str] = "climatology"

    def _fit_horizon(self, fold: Fold) -> FittedHorizon:
        observed = fold.observed_in(fold.train)
        losses = {days: fold.loss(shrunk_frequency(observed, fold.horizon, days)[None]) for days in PSEUDO_DAYS}
        days = min(losses, key=losses.__getitem__)
        frequency = shrunk_frequency(fold.observed_in(fold.both), fold.horizon, days)
        return FittedClimatology(frequency, {"pseudo_days": days, "validation_log_loss": losses[days]})


def shrunk_frequency(observed: npt.NDArray[np.bool_], horizon: int, pseudo_days: float) -> Array:
    """Share of horizons with an alert, shrunk towards the city's mean with `pseudo_days` days of it as a prior; (cells,)."""
    pseudo = pseudo_days * DAY_HOURS / horizon
    return (observed.sum(axis=0) + pseudo * observed.mean()) / (len(observed) + pseudo)
