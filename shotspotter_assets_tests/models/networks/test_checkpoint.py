"""A checkpoint comes back whole, only for its own run, and survives a write that was cut off."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shotspotter_assets.models.networks.checkpoint import (
    STATE_FILE,
    Epoch,
    TrainingState,
    read_checkpoint,
    run_key,
    write_checkpoint,
)
from shotspotter_assets.models.networks.config import NetworkConfig


class Variable:
    """As much of a Keras variable as a checkpoint needs."""

    def __init__(self, value: np.ndarray) -> None:
        self.value = value

    def numpy(self) -> np.ndarray:
        return self.value

    def assign(self, value: np.ndarray) -> None:
        self.value = value


STATE = TrainingState(
    epoch=2,
    best_epoch=1,
    best_loss=0.1234567890123456789,
    waited=1,
    plateau_waited=1,
    seconds=3.5,
    history=[Epoch(1, 0.1, 0.2, 1e-3, 1.5), Epoch(2, 1 / 3, 0.3, 1e-3, 2.0)],
)


def test_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    values = [np.float32([0.1, 0.2]), np.int64(7), np.uint32([1, 2])]
    write_checkpoint(tmp_path / "run", "key", STATE, [Variable(np.asarray(v)) for v in values], [np.float32([9])])
    empty = [Variable(np.zeros_like(value)) for value in values]
    found = read_checkpoint(tmp_path / "run", "key", empty)
    assert found is not None
    assert found[0] == STATE
    assert [array.tolist() for array in found[1]] == [[9.0]]
    for variable, value in zip(empty, values, strict=True):
        np.testing.assert_array_equal(variable.value, value)
        assert variable.value.dtype == value.dtype
    assert [path.name for path in (tmp_path / "run").iterdir()] == [STATE_FILE]


def test_checkpoint_of_another_run_is_left_alone(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, "key", STATE, [Variable(np.ones(1))], [])
    variable = Variable(np.zeros(1))
    assert read_checkpoint(tmp_path, "other", [variable]) is None
    assert variable.value == 0


def test_write_that_was_cut_off_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_checkpoint(tmp_path, "key", STATE, [], [])
    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", lambda file, **arrays: file.write(b"half") and 1 / 0)
        with pytest.raises(ZeroDivisionError):
            write_checkpoint(tmp_path, "key", TrainingState(epoch=3), [], [])
    found = read_checkpoint(tmp_path, "key", [])
    assert found is not None
    assert found[0].epoch == 2


def test_the_key_depends_on_data_mask_ranges_settings_and_shapes() -> None:
    counts, in_coverage = np.arange(8).reshape(2, 1, 2, 2), np.ones((2, 2), dtype=bool)
    other_counts, other_covered = counts.copy(), in_coverage.copy()
    other_counts[1, 0, 1, 1], other_covered[0, 0] = 0, False
    run: dict[str, Any] = {
        "counts": counts,
        "in_coverage": in_coverage,
        "windows": (range(1), range(1, 2)),
        "config": NetworkConfig(),
        "lead": 1,
        "shapes": [(2,)],
    }
    changes: list[tuple[str, Any]] = [
        ("counts", other_counts),
        ("in_coverage", other_covered),
        ("windows", (range(2), range(1, 2))),
        ("windows", (range(1), range(2, 3))),
        ("config", NetworkConfig(seed=1)),
        ("lead", 2),
        ("shapes", [(3,)]),
    ]
    keys = {run_key(**run)}
    for name, value in changes:
        keys.add(run_key(**{**run, name: value}))
    assert len(keys) == 1 + len(changes)
    assert run_key(**run) == run_key(**{**run, "counts": counts.copy()})
