"""The reference of all skill scores of the next hours: the frequency of the cell at any hour, shrunk to the city's mean."""

from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from shotspotter_assets.calendar.weekdays import DAY_HOURS
from shotspotter_assets.models.hourly_history import HourlyHistory
from shotspotter_assets.models.next_hours.baseline import FittedHorizon, Fold, HourlyBaseline
from shotspotter_assets.models.next_hours.forecaster import Array, Indexes

PSEUDO_DAYS: Final = (3, 10, 30, 100, 300)
"""Strengths of the prior that are tried, in days of the city's mean."""


@dataclass(frozen=True)
class FittedFrequency:
    """The frequency of each cell, shape (cells,), at any hour."""

    frequency: Array

    def __call__(self, history: HourlyHistory, issues: Indexes) -> Array:
        return np.broadcast_to(self.frequency, (len(issues), len(self.frequency)))


class Climatology(HourlyBaseline):
    """See the module."""

    name: ClassVar[str] = "climatology"

    def _fit_horizon(self, fold: Fold) -> tuple[FittedHorizon, FittedHorizon]:
        observed, horizon = fold.observed_in(fold.train), fold.horizon
        days = min(PSEUDO_DAYS, key=lambda days: fold.loss(shrunk_frequency(observed, horizon, days)[None]))
        on_both = shrunk_frequency(fold.observed_in(fold.both), horizon, days)
        return FittedFrequency(shrunk_frequency(observed, horizon, days)), FittedFrequency(on_both)

    @classmethod
    def _load_horizon(cls, record: dict[str, Any]) -> FittedFrequency:
        return FittedFrequency(np.array(record["frequency"]))


def shrunk_frequency(observed: npt.NDArray[np.bool_], horizon: int, pseudo_days: float) -> Array:
    """Share of horizons with an alert, shrunk to the city's mean by a prior of `pseudo_days` days of it, shape (cells,)."""
    pseudo = pseudo_days * DAY_HOURS / horizon
    return (observed.sum(axis=0) + pseudo * observed.mean()) / (len(observed) + pseudo)
