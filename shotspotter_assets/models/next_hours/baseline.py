"""What the baselines of the next hours share.

Each is tuned by log loss on the validation window, horizon by horizon, and then fitted again on training and validation
hours together.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, Protocol

import numpy as np
import numpy.typing as npt

from shotspotter_assets.models.hourly_history import HourlyHistory
from shotspotter_assets.models.next_hours.forecaster import HORIZONS, Array, Indexes
from shotspotter_assets.models.probability import clip_probability, log_losses

SCALE_STEPS: Final = 4


class FittedHorizon(Protocol):
    """A baseline fitted for one horizon; `settings` holds what was tuned and its validation log loss."""

    @property
    def settings(self) -> Mapping[str, float]: ...

    def probability(self, history: HourlyHistory, issues: Indexes) -> Array:
        """Probability of at least one alert within the horizon, shape (issues, cells)."""
        ...


@dataclass(frozen=True)
class FittedBaseline:
    """See `FittedHourly`."""

    name: str
    models: dict[int, FittedHorizon]

    def predict(self, history: HourlyHistory, issues: Indexes, horizon: int) -> Array:
        """See `FittedHourly.predict`."""
        return clip_probability(self.models[horizon].probability(history, issues))


@dataclass(frozen=True)
class HourlyBaseline(ABC):
    """A baseline, fitted for each of `horizons` up to `max_horizon` by itself."""

    horizons: tuple[int, ...] = HORIZONS
    name: ClassVar[str]
    max_horizon: ClassVar[int] = HORIZONS[-1]

    def fit(self, history: HourlyHistory, train: range, validation: range) -> FittedBaseline:
        """See `HourlyForecaster.fit`."""
        horizons = [horizon for horizon in self.horizons if horizon <= self.max_horizon]
        models = {horizon: self._fit_horizon(Fold(history, train, validation, horizon)) for horizon in horizons}
        return FittedBaseline(self.name, models)

    @abstractmethod
    def _fit_horizon(self, fold: "Fold") -> FittedHorizon: ...


class Fold:
    """The hours that a baseline is tuned and fitted on, with what was observed within the horizon.

    Attributes:
        both: training and validation hours together.
        issues: of the validation hours (`HourlyHistory.issues`).
        observed: whether each cell had an alert within the horizon from `issues` on, shape (issues, cells).
    """

    def __init__(self, history: HourlyHistory, train: range, validation: range, horizon: int) -> None:
        self.history, self.train, self.validation, self.horizon = history, train, validation, horizon
        self.both = range(train.start, validation.stop)
        self._occupied = history.occupied_within(horizon)
        self.issues = history.issues(validation, horizon)
        self.observed = self._occupied[self.issues]

    def observed_in(self, hours: range) -> npt.NDArray[np.bool_]:
        """The same of the issues of other hours."""
        return self._occupied[self.history.issues(hours, self.horizon)]

    def loss(self, probability: npt.NDArray[np.floating]) -> float:
        """Mean log loss of forecasts of the validation issues."""
        return float(log_losses(probability, self.observed).mean())


def occurrence(expected: npt.NDArray[np.floating], scale: float = 1.0) -> Array:
    """Probability of at least one occupied hour, given the expected number: 1 - exp(-scale * expected)."""
    return -np.expm1(-scale * expected)


def burst_scale(
    expected: npt.NDArray[np.floating], positives: float, times: npt.NDArray[np.number] | float = 1.0
) -> float:
    """The scale with which `occurrence`, each counted `times`, sums to the number of `positives`.

    Alerts of a cell come in bursts, so fewer horizons have one than their mean would give.
    """
    scale = 1.0
    for _ in range(SCALE_STEPS if positives else 0):
        scale *= positives / -(np.expm1(-scale * expected) * times).sum()
    return scale
