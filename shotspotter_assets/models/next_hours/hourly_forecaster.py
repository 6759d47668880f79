"""Forecasters of the next hours: fitted for several horizons together, each forecasts from any later hour."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np

from shotspotter_assets.arrays import Array, Integers
from shotspotter_assets.models.forecaster import HORIZONS, NO_CONTEXT, Choices, FitContext, Fitted, Forecaster
from shotspotter_assets.models.hourly_history import HourlyHistory, HourlyHistoryError
from shotspotter_assets.models.model_files import files_of_member, files_of_members

Pairs = Mapping[int, tuple[Fitted, Fitted]]  # forecasters fitted on training hours, and on both windows, by horizon


@dataclass(frozen=True)
class FittedHourly:
    """Forecasters of one kind by horizon, in hours."""

    models: Mapping[int, Any]  # `Fitted`

    def predict(self, history: HourlyHistory, issues: Sequence[int] | Integers, horizon: int) -> Array:
        """Return the probability of an alert in the `horizon` hours from each of ascending `issues` on, shape (issues, cells)."""
        return self.models[horizon].predict(history, np.asarray(issues, np.int64))

    @property
    def chosen(self) -> Choices:
        """Choices by horizon."""
        return {f"{horizon}h": model.chosen for horizon, model in self.models.items()}

    def files(self) -> dict[str, bytes]:
        """Return the files; those of a horizon start with it."""
        return files_of_members({f"{horizon}h": model for horizon, model in self.models.items()})


class HourlyForecaster(Forecaster):
    """A way to forecast hours, fitted for each of `FitContext.horizons`."""

    def fit(
        self, history: HourlyHistory, train: range, validation: range, context: FitContext = NO_CONTEXT
    ) -> FittedHourly:
        """Choose on validation hours, fit on both; raise HourlyHistoryError for too few, ValueError for other horizons."""
        if not set(context.horizons) <= set(HORIZONS):
            raise ValueError(f"The next hours are forecast for horizons of {HORIZONS} hours, not {context.horizons}.")
        if not (train and validation):
            found = f"{len(train)} training hours and {len(validation)} validation hours"
            among = f"among the {len(history)} from {history.first_day}; a coarser grid has a longer history by hour"
            raise HourlyHistoryError(f"City {history.city.name}: {found} {among}.")
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
        return FittedHourly({at: self.fitted.load(files_of_member(f"{at}h", files)) for at in horizons})


def predict_all(fitted: FittedHourly, history: HourlyHistory, issue: int) -> Array:
    """Return probabilities of all fitted horizons from one hour, shape (horizons, cells)."""
    each = [fitted.predict(history, [issue], horizon)[0] for horizon in fitted.models]
    # A longer horizon holds the shorter ones.
    return np.maximum.accumulate(np.array(each), axis=0)


def forecast_from(fitted: FittedHourly, history: HourlyHistory, now: datetime) -> tuple[np.datetime64, Array]:
    """Return the end of the running hour (UTC), and `predict_all` from there, from today's alerts so far."""
    begun = history.until(now)
    return begun.starts[len(begun)], predict_all(fitted, begun, len(begun))
