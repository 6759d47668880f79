"""Forecasters of the next hours: fitted on windows of hours, each forecasts from any later hour."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final

import numpy as np
from pydantic import TypeAdapter

from shotspotter_assets.arrays import Array, Integers
from shotspotter_assets.models.hourly_history import HourlyHistory, HourlyHistoryError
from shotspotter_assets.models.model_files import MODEL_FILE
from shotspotter_assets.models.probability import clip_probability

HORIZONS: Final = (1, 2, 4)
"""Forecast hours ahead; at most a day."""


@dataclass(frozen=True)
class FittedHourly:
    """A fitted forecaster; `models` are dataclasses by horizon that return the probabilities of issues."""

    name: str
    models: Mapping[int, Any]
    on_train: "FittedHourly | None" = None  # fitted on the training hours alone; None after loading

    def predict(self, history: HourlyHistory, issues: Sequence[int] | Integers, horizon: int) -> Array:
        """Return the probability of an alert in the `horizon` hours from each issue on, shape (issues, cells).

        `issues` are ascending indexes of hours, to `len(history)`, the hour after the last counted one. Alerts from an
        issue on are not used for it.
        """
        at = np.asarray(issues, np.int64)
        shape = (len(at), history.alerts.shape[1])
        return clip_probability(np.broadcast_to(self.models[horizon](history, at), shape))

    def files(self) -> dict[str, bytes]:
        """Return the content by file name, for `HourlyForecaster.load`."""
        [kind] = {type(model) for model in self.models.values()}
        return {MODEL_FILE: TypeAdapter(dict[int, kind]).dump_json(dict(self.models), indent=1)}  # type: ignore[valid-type]


@dataclass(frozen=True)
class HourlyForecaster:
    """A way to forecast, fitted for each of `horizons`; `model` is the type of `FittedHourly.models`."""

    horizons: tuple[int, ...] = HORIZONS
    name: ClassVar[str]
    model: ClassVar[type[Any]]
    is_baseline: ClassVar[bool] = False
    """True for the baselines to beat."""

    def fit(self, history: HourlyHistory, train: range, validation: range) -> FittedHourly:
        """Choose on the validation hours, which follow the training hours, and fit on both; later hours are not used.

        Raises HourlyHistoryError if there is nothing to learn, ValueError if a horizon is not among `HORIZONS`.
        """
        if not set(self.horizons) <= set(HORIZONS):
            raise ValueError(f"The next hours are forecast for horizons of {HORIZONS} hours, not {self.horizons}.")
        if not (train and validation):
            raise HourlyHistoryError(
                f"City {history.city.name}: {len(train)} training hours and {len(validation)} validation hours among the "
                f"{len(history)} from {history.first_day}; a coarser grid has a longer history by hour."
            )
        pairs = self._fit_horizons(history, train, validation)
        on_train, on_both = ({horizon: pair[at] for horizon, pair in pairs.items()} for at in (0, 1))
        return FittedHourly(self.name, on_both, FittedHourly(self.name, on_train))

    def _fit_horizons(self, history: HourlyHistory, train: range, validation: range) -> dict[int, tuple[Any, Any]]:
        """Return (fitted on the training hours, fitted on both windows with its settings) by horizon."""
        raise NotImplementedError

    @classmethod
    def load(cls, files: Mapping[str, bytes]) -> FittedHourly:
        """Return the forecaster that `FittedHourly.files` stored."""
        return FittedHourly(cls.name, TypeAdapter(dict[int, cls.model]).validate_json(files[MODEL_FILE]))  # type: ignore[name-defined]


def predict_all(fitted: FittedHourly, history: HourlyHistory, issue: int) -> Array:
    """Return probabilities of all fitted horizons from one hour, shape (horizons, cells).

    A longer horizon holds the shorter ones, so no probability is less than that of a shorter horizon.
    """
    each = [fitted.predict(history, np.array([issue]), horizon)[0] for horizon in fitted.models]
    return np.maximum.accumulate(np.array(each), axis=0)


def forecast_from(fitted: FittedHourly, history: HourlyHistory, now: datetime) -> tuple[np.datetime64, Array]:
    """Return the instant at which the forecast begins, UTC, and `predict_all` from there, from today's alerts so far.

    The running hour counts as the last hour of the past; the forecast begins at its end. `now` has a zone.
    """
    begun = history.until(now)
    return begun.starts[len(begun)], predict_all(fitted, begun, len(begun))
