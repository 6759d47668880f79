"""Forecasters of the next hours: fitted for several horizons together, each forecasts from any later hour.

The climatology, the frequency of each cell, is the simplest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import numpy as np

from shotspotter_assets.grid.dates import DAY_HOURS
from shotspotter_assets.models.forecaster import (
    HORIZONS,
    NO_CONTEXT,
    FitContext,
    FittedHourly,
    FittedHours,
    Forecaster,
    Numbers,
    clip_probability,
    files_of_member,
    log_losses,
    shrunk_frequency,
)
from shotspotter_assets.models.history import HourlyHistory, HourlyHistoryError
from shotspotter_assets.storage.arrays import Array, Integers

Pairs = Mapping[int, tuple[FittedHours, FittedHours]]  # fitted on training hours, and on both windows, by horizon


PSEUDO_DAYS: Final = (3, 10, 30, 100, 300)  # tried strengths of the prior of a cell's frequency, in days


class HourlyForecaster(Forecaster[HourlyHistory, FittedHourly]):
    """A way to forecast hours, fitted for each of `FitContext.horizons`."""

    def fit(
        self, history: HourlyHistory, train: range, validation: range, context: FitContext = NO_CONTEXT
    ) -> FittedHourly:
        """Choose on validation hours, fit on both; raise HourlyHistoryError for too few, ValueError for other horizons."""
        if not set(context.horizons) <= set(HORIZONS):
            raise ValueError(f"The next hours are forecast for horizons of {HORIZONS} hours, not {context.horizons}.")
        if not (train and validation):
            raise HourlyHistoryError(
                f"City {history.city.name}: {len(train)} training hours and {len(validation)} validation hours among the "
                f"{len(history)} from {history.first_day}; a coarser grid has a longer history by hour."
            )
        fits = {}
        for horizon, (on_train, on_both) in self._fit_horizons(history, train, validation, context.horizons).items():
            probability = on_train.predict(history, history.issues(validation, horizon))
            fits[horizon] = replace(on_both, validation_probability=probability)
        return FittedHourly(fits)

    def _fit_horizons(self, history: HourlyHistory, train: range, validation: range, horizons: Sequence[int]) -> Pairs:
        """Return by horizon the forecasters fitted on `train` alone and on both windows; a class without it overrides `fit`."""
        raise NotImplementedError

    def load(self, files: Mapping[str, bytes]) -> FittedHourly:
        horizons = sorted({int(name.partition("h.")[0]) for name in files})
        return FittedHourly({hours: self.fitted.load(files_of_member(f"{hours}h", files)) for hours in horizons})


def predict_all(fitted: FittedHourly, history: HourlyHistory, issue: int) -> Array:
    """Return probabilities of all fitted horizons from one hour, shape (horizons, cells)."""
    by_horizon = [fitted.predict(history, [issue], horizon)[0] for horizon in fitted.models]
    # A longer horizon holds the shorter ones.
    return np.maximum.accumulate(np.array(by_horizon), axis=0)


def forecast_from(fitted: FittedHourly, history: HourlyHistory, now: datetime) -> tuple[np.datetime64, Array]:
    """Return the end of the running hour (UTC), and `predict_all` from there, from today's alerts so far."""
    begun = history.until(now)
    return begun.starts[len(begun)], predict_all(fitted, begun, len(begun))


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
