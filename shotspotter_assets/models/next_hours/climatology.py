"""The climatology of the next hours: the frequency of each cell."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from shotspotter_assets.arrays import Array, Booleans, Integers
from shotspotter_assets.calendar.dates import DAY_HOURS
from shotspotter_assets.models.forecaster import Fitted
from shotspotter_assets.models.hourly_history import HourlyHistory
from shotspotter_assets.models.model_files import Numbers
from shotspotter_assets.models.next_hours.hourly_forecaster import HourlyForecaster
from shotspotter_assets.models.probability import clip_probability, log_losses

PSEUDO_DAYS: Final = (3, 10, 30, 100, 300)
"""Tried strengths of the prior of a cell's frequency, in days of the city's mean."""


@dataclass(frozen=True)
class Frequency(Fitted):
    """The frequency of each cell at any hour, shape (cells,)."""

    frequency: Numbers

    def predict(self, history: HourlyHistory, issues: Integers) -> Array:
        return clip_probability(np.broadcast_to(self.frequency, (len(issues), history.alerts.shape[1])))


class Climatology(HourlyForecaster):
    """The frequency of the cell, shrunk to the city's mean by a chosen prior: the reference of all skill scores of hours."""

    name = "climatology"
    fitted = Frequency

    def _fit_horizons(
        self, history: HourlyHistory, train: range, validation: range, horizons: Sequence[int]
    ) -> dict[int, tuple[Frequency, Frequency]]:
        return {horizon: _frequencies(history, train, validation, horizon) for horizon in horizons}


def _frequencies(history: HourlyHistory, train: range, validation: range, horizon: int) -> tuple[Frequency, Frequency]:
    occupied, both = history.occupied_within(horizon), range(train.start, validation.stop)
    on_train, checked, on_both = (occupied[history.issues(hours, horizon)] for hours in (train, validation, both))
    days = min(
        PSEUDO_DAYS, key=lambda days: log_losses(_shrunk_frequency(on_train, horizon, days)[None], checked).mean()
    )
    fitted, fitted_on_both = (
        Frequency(_shrunk_frequency(part, horizon, days), chosen={"pseudo_days": days}) for part in (on_train, on_both)
    )
    return fitted, fitted_on_both


def _shrunk_frequency(observed: Booleans, horizon: int, pseudo_days: float) -> Array:
    pseudo = pseudo_days * DAY_HOURS / horizon
    return (observed.sum(axis=0) + pseudo * observed.mean()) / (len(observed) + pseudo)
