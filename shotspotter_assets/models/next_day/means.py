"""The historical mean and the exponentially weighted mean of each cell."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar, Final

import numpy as np

from shotspotter_assets.models.forecaster import Array, through
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.lag_features import exponential_mean
from shotspotter_assets.models.probability import clip_probability, log_losses

PSEUDO_DAYS: Final = (1, 3, 10, 30, 100, 300, 1000)
HALF_LIVES: Final = (30, 60, 120, 180, 360, 720)
WEIGHT_STEPS: Final = 10
FILE: Final = "mean.json"


@dataclass(frozen=True)
class FittedHistoricalMean:
    """See `Fitted`. `frequency` has one probability per cell."""

    frequency: Array
    settings: dict[str, Any]
    validation_probability: Array | None = None

    def predict(self, history: History, days: range) -> Array:
        """See `Fitted.predict`: every day alike."""
        return clip_probability(np.broadcast_to(self.frequency, (len(days), len(self.frequency))))

    def files(self) -> dict[str, bytes]:
        """See `Fitted.files`."""
        return {FILE: json.dumps({"frequency": self.frequency.tolist(), "settings": self.settings}).encode()}


class HistoricalMeanForecaster:
    """Frequency per cell, drawn towards the city's mean as if by `pseudo_days` days of it (a Beta prior)."""

    name: ClassVar[str] = "historical_mean"

    def fit(self, history: History, train: range, validation: range, start: Any = None) -> FittedHistoricalMean:
        """See `Forecaster.fit`."""
        observed = through(history, validation.stop).observed

        def frequency(days: range, pseudo_days: float) -> Array:
            labels = observed[days.start : days.stop]
            return (labels.sum(axis=0) + pseudo_days * labels.mean()) / (len(days) + pseudo_days)

        labels = observed[validation.start : validation.stop]
        losses = {pseudo: float(log_losses(frequency(train, pseudo), labels).mean()) for pseudo in PSEUDO_DAYS}
        best = min(losses, key=losses.__getitem__)
        settings = {"pseudo_days": best, "validation_log_loss": losses[best]}
        of_validation = clip_probability(np.broadcast_to(frequency(train, best), labels.shape))
        return FittedHistoricalMean(frequency(range(train.start, validation.stop), best), settings, of_validation)

    def load(self, files: Mapping[str, bytes]) -> FittedHistoricalMean:
        """See `Forecaster.load`."""
        content = json.loads(files[FILE])
        return FittedHistoricalMean(np.array(content["frequency"]), content["settings"])


@dataclass(frozen=True)
class FittedExponentialMean:
    """See `Fitted`. The settings are all there is: the rates follow from the history."""

    settings: dict[str, Any]
    validation_probability: Array | None = None

    def predict(self, history: History, days: range) -> Array:
        """See `Fitted.predict`."""
        parts = _parts(history, self.settings["half_life_days"], days)
        return clip_probability(_mix(parts, [self.settings[name] for name in ("recent", "history", "city")]))

    def files(self) -> dict[str, bytes]:
        """See `Fitted.files`."""
        return {FILE: json.dumps(self.settings).encode()}


class ExponentialMeanForecaster:
    """Mixture of a cell's exponentially weighted rate, its mean over all history, and the city's weighted rate."""

    name: ClassVar[str] = "ewma"

    def fit(self, history: History, train: range, validation: range, start: Any = None) -> FittedExponentialMean:
        """See `Forecaster.fit`."""
        history = through(history, validation.stop)
        labels = history.observed[validation.start : validation.stop]
        settings: dict[str, Any] = {"validation_log_loss": np.inf}
        for half_life in HALF_LIVES:
            parts = _parts(history, half_life, validation)
            for recent, past in product(range(WEIGHT_STEPS + 1), repeat=2):
                weights = [recent / WEIGHT_STEPS, past / WEIGHT_STEPS, (WEIGHT_STEPS - recent - past) / WEIGHT_STEPS]
                if weights[2] < 0:
                    continue
                loss = float(log_losses(_mix(parts, weights), labels).mean())
                if loss < settings["validation_log_loss"]:
                    settings = {"half_life_days": half_life, "validation_log_loss": loss} | dict(
                        zip(("recent", "history", "city"), weights, strict=True)
                    )
        return FittedExponentialMean(settings, FittedExponentialMean(settings).predict(history, validation))

    def load(self, files: Mapping[str, bytes]) -> FittedExponentialMean:
        """See `Forecaster.load`."""
        return FittedExponentialMean(json.loads(files[FILE]))


def _parts(history: History, half_life: float, days: range) -> list[Array]:
    # A day more, so that the day after the last counted one can be asked for; nothing of it enters its own row.
    daily = np.concatenate([history.observed, np.zeros((1, int(history.covered.sum())))]).astype(np.float64)
    wanted = slice(days.start, days.stop)
    recent = exponential_mean(daily, half_life)[wanted]
    return [recent, exponential_mean(daily, np.inf)[wanted], recent.mean(axis=1, keepdims=True)]


def _mix(parts: list[Array], weights: list[float]) -> Array:
    return sum((weight * part for weight, part in zip(weights, parts, strict=True)), start=np.zeros(1))
