"""The climatology of the next hours: the frequency of each cell."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from shotspotter_assets.grid.dates import DAY_HOURS
from shotspotter_assets.models.forecaster import FittedHours
from shotspotter_assets.models.hourly_history import HourlyHistory
from shotspotter_assets.models.model_files import Numbers
from shotspotter_assets.models.next_hours.hourly_forecaster import HourlyForecaster, Pairs
from shotspotter_assets.models.probability import clip_probability, log_losses, shrunk_frequency
from shotspotter_assets.storage.arrays import Array, Integers

PSEUDO_DAYS: Final = (3, 10, 30, 100, 300)  # tried strengths of the prior of a cell's frequency, in days


@dataclass(frozen=True)
class Frequency(FittedHours):
    """The frequency of each cell at any hour, shape (cells,)."""

    frequency: Numbers

    def predict(self, history: HourlyHistory, issues: Integers) -> Array:
        return clip_probability(np.broadcast_to(self.frequency, (len(issues), history.alerts.shape[1])))


class Climatology(HourlyForecaster):
    """The frequency of the cell, shrunk to the city's mean by a chosen prior: the reference of all skill scores of hours."""

    fitted = Frequency

    def _fit_horizons(self, history: HourlyHistory, train: range, validation: range, horizons: Sequence[int]) -> Pairs:
        pairs = {}
        for horizon in horizons:
            occupied = history.occupied_within(horizon)
            windows = (train, validation, range(train.start, validation.stop))
            on_train, on_validation, on_both = (occupied[history.issues(hours, horizon)] for hours in windows)
            tried = {days: shrunk_frequency(on_train, days * DAY_HOURS / horizon) for days in PSEUDO_DAYS}
            days = min(tried, key=lambda days: log_losses(tried[days][None], on_validation).mean())
            refitted = shrunk_frequency(on_both, days * DAY_HOURS / horizon)
            pairs[horizon] = (Frequency(tried[days], chosen={}), Frequency(refitted, chosen={}))
        return pairs
