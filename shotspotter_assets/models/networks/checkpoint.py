"""The state of an unfinished training in one file of the store, so that any machine goes on from it; arrays and JSON."""

import io
import json
import zipfile
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any, Final

import numpy as np

from shotspotter_assets.models.networks.config import NetworkConfig
from shotspotter_assets.storage.errors import MissingObjectError
from shotspotter_assets.storage.file_names import CHECKPOINT_FILE, TRAINING_CHECKPOINTS
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.store import Dimension, Partition, Store

_DAMAGED: Final = (zipfile.BadZipFile, ValueError, KeyError, EOFError)
"""What numpy raises at a file that a power cut has left in part."""


@dataclass(frozen=True)
class Epoch:
    """One finished epoch; losses are in nats per cell of the coverage and map, class weight included."""

    epoch: int
    """Counted from 1."""
    loss: float
    validation_loss: float
    learning_rate: float
    seconds: float


@dataclass
class TrainingState:
    """What a run has come to after `epoch` finished epochs, apart from weights.

    `waited` is the number of epochs since the best validation loss, `plateau_waited` since the best or the last cut
    of the learning rate.
    """

    epoch: int = 0
    best_epoch: int = 0
    best_loss: float = float("inf")
    waited: int = 0
    plateau_waited: int = 0
    seconds: float = 0.0
    history: list[Epoch] = field(default_factory=list)

    def advance(self, epoch: Epoch) -> bool:
        """Enter a finished epoch; true if it is the best so far."""
        self.epoch = epoch.epoch
        self.seconds += epoch.seconds
        self.history.append(epoch)
        better = epoch.validation_loss < self.best_loss
        if better:
            self.best_loss, self.best_epoch = epoch.validation_loss, epoch.epoch
            self.waited = self.plateau_waited = 0
        else:
            self.waited += 1
            self.plateau_waited += 1
        return better


def run_key(
    counts: np.ndarray,
    in_coverage: np.ndarray,
    windows: tuple[range, range],
    config: NetworkConfig,
    lead: int,
    shapes: list[tuple[int, ...]],
) -> str:
    """Hash of everything that decides how a run goes on; a checkpoint with another key is of another run."""
    plan: list[Any] = [config.model_dump(), *map(repr, windows)]
    plan += [counts.shape, counts.dtype.str, in_coverage.shape, shapes]
    # Without it at lead 1, so that checkpoints of earlier versions go on.
    plan += [lead] if lead > 1 else []
    arrays = np.ascontiguousarray(counts), np.ascontiguousarray(in_coverage, dtype=np.uint8)
    return sha256(json.dumps(plan, sort_keys=True), *(array.data for array in arrays))


@dataclass(frozen=True)
class Checkpoint:
    """The place of a training's state: one file for a city's fold or day, whatever settings it is trained with."""

    store: Store
    partition: Partition

    @classmethod
    def of(cls, store: Store, city: str, dimension: Dimension, day: date) -> "Checkpoint":
        """That of the models of a fold, by its cutoff, or of a day."""
        return cls(store, Partition(TRAINING_CHECKPOINTS, city, dimension, day))

    @property
    def uri(self) -> str:
        """Where the file is, or would be."""
        return self.store.uri(self.partition, CHECKPOINT_FILE)

    def write(self, key: str, state: TrainingState, variables: list[Any], best: list[np.ndarray]) -> None:
        """Replace the file; a process killed at any moment leaves the old one or the new one.

        Args:
            key: Of the run, see `run_key`.
            state: All that is not a weight.
            variables: Every Keras variable of model and optimizer: weights, moments, step, learning rate, seeds.
            best: The model's weights at the best epoch.
        """
        arrays = {f"variable_{number}": variable.numpy() for number, variable in enumerate(variables)}
        arrays |= {f"best_{number}": array for number, array in enumerate(best)}
        record = json.dumps({"key": key, "state": asdict(state)}).encode()
        file = io.BytesIO()
        np.savez(file, record=np.frombuffer(record, dtype=np.uint8), **arrays)
        self.store.write_bytes(self.partition, CHECKPOINT_FILE, file.getvalue())

    def read(self, key: str, variables: list[Any]) -> tuple[TrainingState, list[np.ndarray]] | None:
        """Put the stored values into `variables`, and return the state and the best weights.

        Returns None, and leaves the variables alone, if there is no file, or one that is damaged or of another run.
        """
        try:
            content = self.store.read_bytes(self.partition, CHECKPOINT_FILE)
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                arrays = dict(file)
            record = json.loads(arrays["record"].tobytes())
        except (MissingObjectError, *_DAMAGED):
            return None
        if record["key"] != key:
            return None
        for number, variable in enumerate(variables):
            variable.assign(arrays[f"variable_{number}"])
        best = [arrays[f"best_{number}"] for number in range(sum(name.startswith("best_") for name in arrays))]
        state = record["state"]
        return TrainingState(**state | {"history": [Epoch(**epoch) for epoch in state["history"]]}), best

    def delete(self) -> None:
        """Remove the file, and those of the city's earlier days, whose training was given up; no error if there is none."""
        asset, city, dimension, day = vars(self.partition).values()
        given_up = {old for old in self.store.days_present(asset, city, CHECKPOINT_FILE, "date") if old < day}
        for of_day in (day, *(given_up if dimension == "date" else ())):
            self.store.delete(Partition(asset, city, dimension, of_day), CHECKPOINT_FILE)
