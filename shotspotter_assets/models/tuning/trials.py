"""One trial, and the journal of those that are finished: a file in the store, to which any machine may add.

The journal is all that a search remembers, so that one whose process is killed goes on with every trial that had finished.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from time import monotonic
from typing import Any, Literal, cast

import numpy as np
from pydantic import BaseModel, ConfigDict

from shotspotter_assets.models.forecaster import FitContext, TrainingStoppedError, Tunable
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.settings import ForecasterSettings
from shotspotter_assets.models.probability import log_losses
from shotspotter_assets.models.records import counts_sha256
from shotspotter_assets.models.registry import forecaster
from shotspotter_assets.models.tuning.space import Space, Value, as_settings, searched
from shotspotter_assets.storage.errors import MissingObjectError
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.store import Partition, Store


class NothingToTuneError(ValueError):
    """The validation window has no alert, so that settings cannot be told apart by it."""


class Trial(BaseModel):
    """A finished trial."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    values: dict[str, Value]
    """Of the search space; empty for the settings without any search."""
    state: Literal["complete", "stopped", "failed"]
    """A stopped one was not worth going on with, by its epochs."""
    loss: float | None
    """Log loss of the validation window in nats per cell-day; None unless complete."""
    epochs: list[float] = []
    """Validation loss after each epoch of a network."""
    seconds: float
    reason: str = ""
    """Of the stop or failure."""


@dataclass(frozen=True)
class TuningTask:
    """What is tuned: a forecaster on the windows before a fold's cutoff.

    Attributes:
        forecaster: its name.
        settings: which a trial changes: those of the city's file.
        history: to the end of `validation`.
        train: indexes of the history's days; `validation` follows.
        context: of the fits; it has no checkpoint, as a trial begins anew.

    Raises:
        NothingToTuneError: no covered cell has an alert in the validation window.
    """

    forecaster: str
    settings: ForecasterSettings
    history: History
    train: range
    validation: range
    context: FitContext

    def __post_init__(self) -> None:
        if not self._observed.any():
            first, last = (self.history.days()[day] for day in (self.validation.start, self.validation.stop - 1))
            raise NothingToTuneError(
                f"City {self.history.city.name}: no covered cell has an alert from {first} to {last}, the validation window, so "
                "that settings cannot be told apart by it. Choose a later fold or a larger validation_share."
            )

    @property
    def _observed(self) -> Any:
        return self.history.observed[self.validation.start : self.validation.stop]

    @cached_property
    def space(self) -> Space:
        """What is searched."""
        return searched(type(self.settings).search, self.context.shared is not None)

    @cached_property
    def key(self) -> str:
        """A hash of all that a trial's loss follows from, but for its values; trials of another key are of another search."""
        shared = self.context.shared
        parts: list[Any] = [
            self.forecaster,
            self.settings.model_dump(),
            {name: repr(one) for name, one in self.space.items()},
        ]
        parts += [repr(self.train), repr(self.validation), self.history.lead, shared and shared.origin]
        parts += [self.history.data_sha256(), counts_sha256(self.history.in_coverage.astype(np.uint8))]
        return sha256(json.dumps(parts, sort_keys=True))[:16]

    def run(
        self, values: Mapping[str, Value], after_epoch: Callable[[list[float]], None], log: Callable[[str], None]
    ) -> Trial:
        """Fit on the training window with some values of the space, and judge the forecasts of the validation window.

        Args:
            values: of the search space; none for the settings as they are.
            after_epoch: is given the validation losses of a network after each of its epochs, and may raise a
                TrainingStoppedError.
            log: is told of the epochs.
        """
        epochs: list[float] = []

        def heard(_: int, loss: float) -> None:
            epochs.append(loss)
            after_epoch(epochs)

        changed = self.settings.model_dump() | as_settings(self.space, values)
        built = cast(Tunable, forecaster(self.forecaster, type(self.settings).model_validate(changed)))
        context = replace(self.context, after_epoch=heard, log=log)
        began = monotonic()
        try:
            probability = built.validate(self.history, self.train, self.validation, context)
        except TrainingStoppedError as stop:
            return self._ended(values, "stopped", None, epochs, began, str(stop))
        except _failures() as error:
            return self._ended(values, "failed", None, epochs, began, str(error))
        wrong = int((~np.isfinite(probability)).sum())
        if wrong:
            why = f"{wrong:,} of {probability.size:,} forecasts of the validation window are not numbers"
            return self._ended(values, "failed", None, epochs, began, why)
        loss = float(log_losses(probability, self._observed).mean())
        return self._ended(values, "complete", loss, epochs, began)

    @property
    def positives(self) -> int:
        """Cell-days with an alert in the validation window."""
        return int(self._observed.sum())

    @property
    def cell_days(self) -> int:
        """Covered cell-days of the validation window."""
        return int(self._observed.size)

    @staticmethod
    def _ended(
        values: Mapping[str, Value],
        state: Literal["complete", "stopped", "failed"],
        loss: float | None,
        epochs: list[float],
        began: float,
        reason: str = "",
    ) -> Trial:
        seconds = monotonic() - began
        return Trial(values=dict(values), state=state, loss=loss, epochs=epochs, seconds=seconds, reason=reason)


def _failures() -> tuple[type[Exception], ...]:
    """What settings can do wrong, so that the search goes on with others."""
    from lightgbm.basic import LightGBMError

    return FloatingPointError, LightGBMError


class Journal(BaseModel):
    """The finished trials of a search, in the order in which they finished."""

    model_config = ConfigDict(frozen=True)

    key: str
    """See `TuningTask.key`."""
    trials: list[Trial] = []


@dataclass(frozen=True)
class TrialStore:
    """Where the journal of a forecaster's search is: one file for a city's fold."""

    store: Store
    partition: Partition
    file: str

    def read(self, key: str) -> list[Trial]:
        """The finished trials of the search with that key; none where the file is of another search."""
        try:
            return _of_key(self.store.read_bytes(self.partition, self.file), key).trials
        except MissingObjectError:
            return []

    def add(self, key: str, trial: Trial) -> list[Trial]:
        """Add a finished trial, and return all of the search; those of several machines are all kept."""
        journals: list[Journal] = []

        def change(content: bytes | None) -> bytes:
            before = _of_key(content, key)
            # S3 may call again after the answer to a write was lost.
            trials = before.trials if trial in before.trials else [*before.trials, trial]
            journals.append(Journal(key=key, trials=trials))
            return journals[-1].model_dump_json(indent=1).encode()

        with self.store.alone(self.partition.asset, self.partition.city):
            self.store.update_bytes(self.partition, self.file, change)
        return journals[-1].trials


def _of_key(content: bytes | None, key: str) -> Journal:
    empty = Journal(key=key)
    if content is None:
        return empty
    journal = Journal.model_validate_json(content)
    return journal if journal.key == key else empty
