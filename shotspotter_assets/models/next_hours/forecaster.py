"""Forecasters of the next hours: fitted on windows of hours, each forecasts from any later hour."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from shotspotter_assets.models.hourly_history import HourlyHistory

Array = npt.NDArray[np.float64]
Indexes = npt.NDArray[np.int64]

HORIZONS: Final = (1, 2, 4, 6, 12)
"""Hours ahead that are forecast; at most a day."""


class FittedHourly(Protocol):
    """A fitted forecaster; `models` has one entry for each horizon that it forecasts."""

    @property
    def name(self) -> str: ...

    @property
    def models(self) -> Mapping[int, Any]: ...

    @property
    def on_train(self) -> "FittedHourly | None":
        """The forecaster fitted on the training hours alone; None after loading."""
        ...

    def predict(self, history: HourlyHistory, issues: Indexes, horizon: int) -> Array:
        """Probability of at least one alert in the `horizon` hours from each issue on, shape (issues, cells).

        Args:
            history: alerts of the hours before each issue are used, none from it on.
            issues: indexes of hours, ascending; `len(history)` is the hour after the last counted one.
            horizon: one of the fitted horizons.
        """
        ...

    def files(self) -> dict[str, bytes]:
        """Content by file name, from which `HourlyForecaster.load` makes the same forecasts."""
        ...


class HourlyForecaster(Protocol):
    """A way to forecast; its constructor takes the horizons."""

    def fit(self, history: HourlyHistory, train: range, validation: range) -> FittedHourly:
        """Tune on the validation hours, which follow the training hours, and fit on both; later hours are not used."""
        ...

    def load(self, files: Mapping[str, bytes]) -> FittedHourly:
        """The forecaster that `FittedHourly.files` stored."""
        ...


def predict_all(fitted: FittedHourly, history: HourlyHistory, issue: int) -> Array:
    """Probabilities of all fitted horizons from one hour, shape (horizons, cells).

    A longer horizon holds the shorter ones, so no probability is less than that of a shorter horizon.
    """
    each = [fitted.predict(history, np.array([issue]), horizon)[0] for horizon in fitted.models]
    return np.maximum.accumulate(np.array(each), axis=0)


def forecast_from(fitted: FittedHourly, history: HourlyHistory, now: datetime) -> tuple[np.datetime64, Array]:
    """(the instant from which is forecast, UTC; `predict_all` from there), from today's alerts so far.

    The running hour counts as the last hour of the past, with its alerts so far; the forecast begins at its end.

    Args:
        fitted: forecasts all horizons.
        history: hours up to now or later; hours that have not begun by `now` are not used.
        now: an instant with a zone.
    """
    begun = history.until(now)
    return begun.starts[len(begun)], predict_all(fitted, begun, len(begun))
