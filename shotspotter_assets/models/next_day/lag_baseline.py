"""What the two baselines on lag features share: tuned on the validation window, then fitted on both windows, stored as text."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from shotspotter_assets.models.fold_windows import LAG_WARM_UP_DAYS, after_warm_up
from shotspotter_assets.models.forecaster import (
    INPUTS_ERROR,
    NO_CONTEXT,
    Array,
    FitContext,
    OtherInputsError,
    require_both_labels,
)
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.cell_days import FitSample, SomeCells, days_at_once, fit_sample
from shotspotter_assets.models.next_day.lag_features import LagFeatures, lag_features, lag_features_of_rows
from shotspotter_assets.models.next_day.tuned_baseline import Settings, best_candidate
from shotspotter_assets.models.probability import clip_probability

Rows = npt.NDArray[np.floating]


@dataclass(frozen=True)
class LagFold:
    """What one fit is made on.

    Attributes:
        history: to the end of the validation window at least.
        names: of the features.
        inputs: what the model takes of the features, of all days before that end, shape (days, cells, features), or of
            `sample`, shape (rows, features).
        sample: the cell-days of the fit; None where it takes all.
        validation_features: of every covered cell.
        train: indexes of the day axis; `validation` follows.
    """

    history: History
    names: tuple[str, ...]
    inputs: Rows
    sample: FitSample | None
    validation_features: LagFeatures
    train: range
    validation: range

    def to_fit(self, days: range) -> tuple[Rows, npt.NDArray[np.bool_], Array | None]:
        """(rows, labels, weights of the rows, None for 1) of the days after the warm-up."""
        kept = after_warm_up(days, LAG_WARM_UP_DAYS)
        if self.sample is None:
            labels, weight = self.history.observed[kept.start : kept.stop].ravel(), None
            rows = rows_of(self.inputs[kept.start : kept.stop])
        else:
            at = slice(*np.searchsorted(self.sample.day, [kept.start, kept.stop]))
            rows, labels, weight = self.inputs[at], self.sample.observed[at], self.sample.sample_weight[at]
        require_both_labels(self.history, days, labels)
        return rows, labels, weight


class LagModel(Protocol):
    """A fitted model of lag features."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the features that it was fitted on."""
        ...

    def probability(self, rows: Rows) -> Array:
        """Of at least one alert, shape (rows,)."""
        ...

    def files(self) -> dict[str, bytes]:
        """Content by file name."""
        ...


class LagBaseline(ABC):
    """Tuned by log loss on the validation window, then fitted on training and validation days together."""

    name: ClassVar[str]

    @abstractmethod
    def inputs(self, features: LagFeatures) -> Rows:
        """What the model takes of the features, of their shape."""

    @abstractmethod
    def fit_model(self, fold: LagFold, days: range, settings: Settings) -> LagModel:
        """Fitted on `days`."""

    @abstractmethod
    def load_model(self, files: Mapping[str, bytes]) -> LagModel:
        """The model that `LagModel.files` gave."""

    @abstractmethod
    def candidates(self, fold: LagFold) -> Iterator[tuple[Settings, Array]]:
        """Each setting that is tried, with its forecasts of the validation window."""

    @property
    def file(self) -> str:
        """Name of the file with what was chosen."""
        return f"{self.name}.json"

    def fit(
        self, history: History, train: range, validation: range, context: FitContext = NO_CONTEXT
    ) -> "FittedLagBaseline":
        history = history.through(validation.stop)
        fold = self._fold(history, train, validation)
        # BLAS and OpenMP threads wait for each other by spinning: on a machine in use two take many times as long as one,
        # and on an idle one they save little on matrices this narrow.
        with threadpool_limits(1):
            labels = history.observed[validation.start : validation.stop]
            settings, probability = best_candidate(self.candidates(fold), labels)
            model = self.fit_model(fold, range(train.start, validation.stop), settings)
        return FittedLagBaseline(self, model, settings, probability)

    def _fold(self, history: History, train: range, validation: range) -> LagFold:
        sample = fit_sample(history, validation.stop)
        if sample is None:
            features = lag_features(history, range(validation.stop))
            of_validation = replace(features, values=features.values[validation.start :])
        else:
            stop, at = np.array([validation.stop]), SomeCells(history, *sample.rows)
            features = history.kept("lag_features_of_sample", stop, lambda: lag_features_of_rows(history, at))
            of_validation = lag_features(history, validation)
        return LagFold(history, features.names, self.inputs(features), sample, of_validation, train, validation)

    def probability(self, model: LagModel, features: LagFeatures, history: History) -> Array:
        """Of every covered cell on the days of the features, shape (days, cells)."""
        parts = [
            model.probability(rows_of(self.inputs(replace(features, values=features.values[days]))))
            for days in days_at_once(np.arange(len(features.values)), history)
        ]
        return np.concatenate(parts).reshape(features.values.shape[:2])

    def load(self, files: Mapping[str, bytes]) -> "FittedLagBaseline":
        return FittedLagBaseline(self, self.load_model(files), json.loads(files[self.file]))


@dataclass(frozen=True)
class FittedLagBaseline:
    """See `Fitted`."""

    kind: LagBaseline
    model: LagModel
    settings: Settings
    validation_probability: Array | None = None

    def predict(self, history: History, days: range) -> Array:
        """See `Fitted.predict`.

        Raises:
            OtherInputsError: an earlier version fitted it, on other features.
        """
        features = lag_features(history, days)
        if features.names != self.model.names:
            raise OtherInputsError(f"A stored {self.kind.name} {INPUTS_ERROR}")
        with threadpool_limits(1):
            return clip_probability(self.kind.probability(self.model, features, history))

    def files(self) -> dict[str, bytes]:
        return {**self.model.files(), self.kind.file: json.dumps(self.settings).encode()}


def rows_of(inputs: Rows) -> Rows:
    """One row a cell-day, shape (rows, features)."""
    return inputs.reshape(-1, inputs.shape[-1])
