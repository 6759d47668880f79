"""What a next-day forecaster is: fitted on windows of days, it forecasts any later day from the days before it."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Protocol

import numpy as np
import numpy.typing as npt

from shotspotter_assets.models.history import History

Array = npt.NDArray[np.float64]

WARM_UP_DAYS: Final = 60
"""First days of all history that nothing is fitted on, as their rates rest on a few days."""


class Fitted(Protocol):
    """A fitted forecaster.

    Attributes:
        settings: what was chosen and how well it did on the validation window, as JSON values.
        validation_probability: forecasts of the validation window by the model fitted on the training window alone,
            float64, shape (validation days, cells); None after loading, as it is not kept.
    """

    @property
    def settings(self) -> dict[str, Any]: ...

    @property
    def validation_probability(self) -> Array | None: ...

    def predict(self, history: History, days: range) -> Array:
        """Probability of at least one alert of the forecast types, float64, shape (days, cells).

        Args:
            history: its coverage must be that of the fit.
            days: indexes of its day axis, the day after the last counted one at most. Of each day's own counts, and of
                those after it, nothing is used.
        """
        ...

    def files(self) -> dict[str, bytes]:
        """Content by file name, from which the forecaster's `load` makes the same forecasts."""
        ...


class Forecaster(Protocol):
    """A way to forecast; its settings are its constructor's arguments."""

    name: ClassVar[str]

    def fit(self, history: History, train: range, validation: range, start: Any = None) -> Fitted:
        """Fit on `train`, choose and calibrate on `validation`, which follows it.

        Args:
            history: at least to the end of `validation`; later days are not looked at.
            train: indexes of the day axis.
            validation: see `train`.
            start: what to go on from: for a network the same forecaster fitted on an earlier window, for the regression
                and what starts at it another city's regression (`regime_regression.Pretrained`). Others do not use it.
        """
        ...

    def load(self, files: Mapping[str, bytes]) -> Fitted:
        """What `files` of a fitted one gave."""
        ...


def through(history: History, stop: int) -> History:
    """The history up to before day `stop`, so that a fit cannot see what comes after its windows."""
    late = None if history.late is None else history.late[:stop]
    return type(history)(history.city, history.first_day, history.counts[:stop], history.covered, late)
