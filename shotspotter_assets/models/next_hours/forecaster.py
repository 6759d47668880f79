"""What a forecaster of the next hours is: fitted on windows of hours, it forecasts from any later hour."""

from collections.abc import Mapping
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

    def predict(self, history: HourlyHistory, issues: Indexes, horizon: int) -> Array:
        """Probability of at least one alert in the `horizon` hours from each issue on, shape (issues, cells).

        Args:
            history: alerts of the hours before each issue are used, none from it on.
            issues: indices of hours, ascending; `len(history)` is the hour after the last counted one.
            horizon: one of the fitted horizons.
        """
        ...


class HourlyForecaster(Protocol):
    """A way to forecast; its settings are its constructor's arguments, `horizons` first."""

    def fit(self, history: HourlyHistory, train: range, validation: range) -> FittedHourly:
        """Tune on the validation hours, which follow the training hours, and fit on both; later hours are not used."""
        ...
