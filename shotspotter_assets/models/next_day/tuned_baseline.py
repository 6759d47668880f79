"""What the simple baselines share: a setting is chosen on the validation window, then all days before the cutoff count.

Each setting is judged by log loss on the validation window after learning from the training window; with the best one it
learns again from both windows together.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt

from shotspotter_assets.models.forecaster import NO_CONTEXT, Array, FitContext
from shotspotter_assets.models.history import History
from shotspotter_assets.models.probability import clip_probability, log_losses

Settings = dict[str, float]

VALIDATION_LOSS: Final = "validation_log_loss"
NO_TABLE: Final = np.zeros(0)


class TunedBaseline(ABC):
    """A forecaster that learns a table of frequencies, or none where its rates follow from the history alone."""

    name: ClassVar[str]
    file: ClassVar[str] = "baseline.json"
    table_key: ClassVar[str | None] = "table"
    """Of the table in the file; None without one."""
    grid: ClassVar[tuple[Settings, ...]] = ({},)
    """The settings that are tried."""

    def learn(self, history: History, days: range, settings: Settings) -> Array:
        return NO_TABLE

    @abstractmethod
    def forecast(self, table: Array, settings: Settings, history: History, days: range) -> Array:
        """Probabilities of `days`, from the table and the days before each, shape (days, cells)."""

    def candidates(self, history: History, train: range, validation: range) -> Iterator[tuple[Settings, Array]]:
        """Each setting that is tried, with its forecasts of the validation window."""
        for settings in self.grid:
            yield settings, self.forecast(self.learn(history, train, settings), settings, history, validation)

    def fit(
        self, history: History, train: range, validation: range, context: FitContext = NO_CONTEXT
    ) -> "FittedBaseline":
        history = history.through(validation.stop)
        labels = history.observed[validation.start : validation.stop]
        settings, probability = best_candidate(self.candidates(history, train, validation), labels)
        table = self.learn(history, range(train.start, validation.stop), settings)
        return FittedBaseline(self, table, settings, probability)

    def load(self, files: Mapping[str, bytes]) -> "FittedBaseline":
        content = json.loads(files[self.file])
        if self.table_key is None:
            return FittedBaseline(self, NO_TABLE, content)
        return FittedBaseline(self, np.array(content[self.table_key]), content["settings"])


@dataclass(frozen=True)
class FittedBaseline:
    """See `Fitted`."""

    kind: TunedBaseline
    table: Array
    settings: Settings
    validation_probability: Array | None = None

    def predict(self, history: History, days: range) -> Array:
        return clip_probability(self.kind.forecast(self.table, self.settings, history, days))

    def files(self) -> dict[str, bytes]:
        key = self.kind.table_key
        content = self.settings if key is None else {key: self.table.tolist(), "settings": self.settings}
        return {self.kind.file: json.dumps(content).encode()}


def best_candidate(
    candidates: Iterable[tuple[Settings, Array]], labels: npt.NDArray[np.bool_]
) -> tuple[Settings, Array]:
    """The settings with the least log loss on the validation window, that loss among them, and their forecasts of it."""
    best, best_loss, best_probability = Settings(), np.inf, NO_TABLE
    for settings, probability in candidates:
        loss = float(log_losses(probability, labels).mean())
        if loss < best_loss:
            best, best_loss, best_probability = settings, loss, probability
    return best | {VALIDATION_LOSS: best_loss}, clip_probability(best_probability)


def shrunk_frequency(labels: npt.NDArray[np.bool_], pseudo_days: float) -> Array:
    """Frequency of each cell with the city's mean as prior, as if seen for `pseudo_days`, shape (cells,)."""
    return (labels.sum(axis=0) + pseudo_days * labels.mean()) / (len(labels) + pseudo_days)
