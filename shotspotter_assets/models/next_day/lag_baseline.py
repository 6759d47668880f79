"""What the two baselines on lag features share: scikit-learn fits them, and its models could only be stored as pickles."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from shotspotter_assets.models.fold_windows import LAG_WARM_UP_DAYS, after_warm_up
from shotspotter_assets.models.forecaster import NO_CONTEXT, Array, FitContext, require_both_labels
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.tuned_baseline import Settings, best_candidate
from shotspotter_assets.models.probability import clip_probability

Rows = npt.NDArray[np.floating]


@dataclass(frozen=True)
class LagFold:
    """Inputs and windows of one fit.

    Attributes:
        history: to the end of the validation window at least.
        inputs: shape (days, cells, features).
        train: indexes of the day axis; `validation` follows.
    """

    history: History
    inputs: Rows
    train: range
    validation: range

    def to_fit(self, days: range) -> tuple[Rows, npt.NDArray[np.bool_]]:
        """(rows, labels) of the days after the warm-up."""
        kept = after_warm_up(days, LAG_WARM_UP_DAYS)
        labels = self.history.observed[kept.start : kept.stop].ravel()
        require_both_labels(self.history, days, labels)
        return rows_of(self.inputs, kept), labels


class LagBaseline(ABC):
    """Tuned by log loss on the validation window, then fitted on training and validation days together."""

    name: ClassVar[str]

    @abstractmethod
    def inputs(self, history: History) -> Rows:
        """What is fitted on, of every day to the one that is forecast, shape (days + lead, cells, features)."""

    @abstractmethod
    def classifier(self, fold: LagFold, days: range, settings: Settings) -> Any:
        """A classifier of scikit-learn fitted on `days`."""

    @abstractmethod
    def candidates(self, fold: LagFold) -> Iterator[tuple[Settings, Array]]:
        """Each setting that is tried, with its forecasts of the validation window."""

    def fit(
        self, history: History, train: range, validation: range, context: FitContext = NO_CONTEXT
    ) -> "FittedLagBaseline":
        fold = LagFold(history, self.inputs(history), train, validation)
        # BLAS and OpenMP threads wait for each other by spinning: on a machine in use two take many times as long as one,
        # and on an idle one they save little on matrices this narrow.
        with threadpool_limits(1):
            labels = history.observed[validation.start : validation.stop]
            settings, probability = best_candidate(self.candidates(fold), labels)
            model = self.classifier(fold, range(train.start, validation.stop), settings)
        return FittedLagBaseline(self.inputs, model, settings, probability)

    def load(self, files: Mapping[str, bytes]) -> "FittedLagBaseline":
        """Not possible; see `FittedLagBaseline.files`."""
        raise NotImplementedError(f"{self.name} cannot be loaded: it cannot be stored")


@dataclass(frozen=True)
class FittedLagBaseline:
    """See `Fitted`."""

    inputs: Callable[[History], Rows]
    model: Any
    settings: Settings
    validation_probability: Array | None

    def predict(self, history: History, days: range) -> Array:
        with threadpool_limits(1):
            return clip_probability(probability_of(self.model, self.inputs(history), days))

    def files(self) -> dict[str, bytes]:
        """Not possible: a pickle could bring code of its own."""
        raise NotImplementedError("what scikit-learn fits cannot be stored without a pickle")


def rows_of(inputs: Rows, days: range) -> Rows:
    """One row a cell-day, shape (days * cells, features)."""
    return inputs[days.start : days.stop].reshape(-1, inputs.shape[2])


def probability_of(model: Any, inputs: Rows, days: range) -> Array:
    """What a classifier of scikit-learn forecasts, shape (days, cells)."""
    probability: Array = model.predict_proba(rows_of(inputs, days))[:, 1].reshape(len(days), -1)
    return probability
