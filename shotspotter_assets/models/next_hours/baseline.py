"""What the baselines of the next hours share: each is tuned by log loss and fitted for every horizon by itself."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, ClassVar, Final, Protocol

import numpy as np
import numpy.typing as npt

from shotspotter_assets.models.hourly_history import HourlyHistory
from shotspotter_assets.models.next_hours.forecaster import HORIZONS, Array, Indexes
from shotspotter_assets.models.probability import clip_probability, log_losses

FILE: Final = "baseline.json"
SCALE_STEPS: Final = 4


class FittedHorizon(Protocol):
    """A baseline fitted for one horizon: a dataclass of numbers and arrays."""

    def __call__(self, history: HourlyHistory, issues: Indexes) -> Array:
        """See `FittedHourly.predict`."""
        ...


@dataclass(frozen=True)
class FittedBaseline:
    """See `FittedHourly`."""

    name: str
    models: dict[int, FittedHorizon]
    on_train: "FittedBaseline | None" = None

    def predict(self, history: HourlyHistory, issues: Indexes, horizon: int) -> Array:
        return clip_probability(self.models[horizon](history, issues))

    def files(self) -> dict[str, bytes]:
        """The file that `HourlyBaseline.load` reads."""
        models = {horizon: asdict(model) for horizon, model in self.models.items()}  # type: ignore[call-overload]  # dataclasses, see there
        return {FILE: json.dumps(models, indent=1, default=lambda array: array.tolist()).encode()}


@dataclass(frozen=True)
class HourlyBaseline(ABC):
    """A baseline, fitted for each of `horizons` up to `max_horizon`."""

    horizons: tuple[int, ...] = HORIZONS
    name: ClassVar[str]
    max_horizon: ClassVar[int] = HORIZONS[-1]

    def fit(self, history: HourlyHistory, train: range, validation: range) -> FittedBaseline:
        horizons = [horizon for horizon in self.horizons if horizon <= self.max_horizon]
        pairs = {horizon: self._fit_horizon(Fold(history, train, validation, horizon)) for horizon in horizons}
        on_train, on_both = ({horizon: pair[at] for horizon, pair in pairs.items()} for at in (0, 1))
        return FittedBaseline(self.name, on_both, FittedBaseline(self.name, on_train))

    @classmethod
    def load(cls, files: Mapping[str, bytes]) -> FittedBaseline:
        models = json.loads(files[FILE])
        return FittedBaseline(cls.name, {int(horizon): cls._load_horizon(record) for horizon, record in models.items()})

    @abstractmethod
    def _fit_horizon(self, fold: "Fold") -> tuple[FittedHorizon, FittedHorizon]:
        """What is fitted on the training hours, and what is fitted on both windows with the same settings."""

    @classmethod
    @abstractmethod
    def _load_horizon(cls, record: dict[str, Any]) -> FittedHorizon: ...


@dataclass(frozen=True)
class Fold:
    """The hours that a baseline is tuned and fitted on for one horizon."""

    history: HourlyHistory
    train: range
    validation: range
    horizon: int

    @property
    def both(self) -> range:
        return range(self.train.start, self.validation.stop)

    @cached_property
    def issues(self) -> Indexes:
        """Issues of the validation hours (`HourlyHistory.issues`)."""
        return self.history.issues(self.validation, self.horizon)

    @cached_property
    def observed(self) -> npt.NDArray[np.bool_]:
        """Whether each cell had an alert within the horizon from `issues` on, shape (issues, cells)."""
        return self.observed_in(self.validation)

    def observed_in(self, hours: range) -> npt.NDArray[np.bool_]:
        return self._occupied[self.history.issues(hours, self.horizon)]

    def loss(self, probability: npt.NDArray[np.floating]) -> float:
        """Mean log loss of forecasts of the validation issues."""
        return float(log_losses(probability, self.observed).mean())

    @cached_property
    def _occupied(self) -> npt.NDArray[np.bool_]:
        return self.history.occupied_within(self.horizon)


def occurrence(expected: npt.NDArray[np.floating], scale: float) -> Array:
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
        scale *= positives / (occurrence(expected, scale) * times).sum()
    return scale
