"""The state of an unfinished training run in one file, written atomically; arrays and JSON, no pickle."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from shotspotter_assets.models.networks.config import NetworkConfig
from shotspotter_assets.storage.fingerprints import sha256

STATE_FILE = "state.npz"


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


def write_checkpoint(
    folder: Path, key: str, state: TrainingState, variables: list[Any], best: list[np.ndarray]
) -> None:
    """Replace the checkpoint in `folder`; a process killed at any moment leaves the old one or the new one.

    Args:
        folder: Where the file lies; made if needed.
        key: Of the run, see `run_key`.
        state: All that is not a weight.
        variables: Every Keras variable of model and optimizer: weights, moments, step, learning rate, seeds.
        best: The model's weights at the best epoch.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {f"variable_{number}": variable.numpy() for number, variable in enumerate(variables)}
    arrays |= {f"best_{number}": array for number, array in enumerate(best)}
    record = json.dumps({"key": key, "state": asdict(state)}).encode()
    partial = folder / f"{STATE_FILE}.{os.getpid()}.partial"
    with partial.open("wb") as file:
        np.savez(file, record=np.frombuffer(record, dtype=np.uint8), **arrays)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(folder / STATE_FILE)


def read_checkpoint(folder: Path, key: str, variables: list[Any]) -> tuple[TrainingState, list[np.ndarray]] | None:
    """Put the checkpoint's values into `variables` and return its state and best weights.

    Returns None, and leaves the variables alone, if the checkpoint is of another run (another key).
    """
    with np.load(folder / STATE_FILE, allow_pickle=False) as arrays:
        record = json.loads(arrays["record"].tobytes())
        if record["key"] != key:
            return None
        for number, variable in enumerate(variables):
            variable.assign(arrays[f"variable_{number}"])
        best = [arrays[f"best_{number}"] for number in range(sum(name.startswith("best_") for name in arrays.files))]
    state = record["state"]
    return TrainingState(**state | {"history": [Epoch(**epoch) for epoch in state["history"]]}), best
