"""A checkpoint comes back whole, only for its own run, and is not there where it is damaged."""

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from shotspotter_assets.models.networks.checkpoint import (
    Checkpoint,
    Epoch,
    TrainingState,
    run_key,
)
from shotspotter_assets.models.networks.config import NetworkConfig
from shotspotter_assets.storage.store import Store


class Variable:
    """As much of a Keras variable as a checkpoint needs."""

    def __init__(self, value: np.ndarray) -> None:
        self.value = value

    def numpy(self) -> np.ndarray:
        return self.value

    def assign(self, value: np.ndarray) -> None:
        self.value = value


def of_day(root: Path, day: int = 1) -> Checkpoint:
    return Checkpoint.of(Store(str(root)), "x", "date", date(2024, 5, day))


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
    place = of_day(tmp_path)
    place.write("key", STATE, [Variable(np.asarray(v)) for v in values], [np.float32([9])])
    empty = [Variable(np.zeros_like(value)) for value in values]
    found = place.read("key", empty)
    assert found is not None
    assert found[0] == STATE
    assert [array.tolist() for array in found[1]] == [[9.0]]
    for variable, value in zip(empty, values, strict=True):
        np.testing.assert_array_equal(variable.value, value)
        assert variable.value.dtype == value.dtype


def test_checkpoint_of_another_run_is_left_alone(tmp_path: Path) -> None:
    of_day(tmp_path).write("key", STATE, [Variable(np.ones(1))], [])
    variable = Variable(np.zeros(1))
    assert of_day(tmp_path).read("other", [variable]) is None
    assert variable.value == 0


def test_a_damaged_file_is_no_checkpoint(tmp_path: Path) -> None:
    place = of_day(tmp_path)
    assert place.read("key", []) is None
    place.write("key", STATE, [], [np.ones(10)])
    file = Path(place.uri)
    content = file.read_bytes()
    for size in (0, 10, len(content) // 2, len(content) - 1):
        file.write_bytes(content[:size])
        assert place.read("key", []) is None


def test_a_day_that_is_made_takes_those_given_up_before_it_along(tmp_path: Path) -> None:
    days = [of_day(tmp_path, number) for number in (1, 2, 3)]
    folds = [Checkpoint.of(Store(str(tmp_path)), "x", "fold", date(2024, month, 1)) for month in (1, 4)]
    for place in (*days, *folds):
        place.write("key", STATE, [], [])
    days[1].delete()
    assert [place.read("key", []) is not None for place in (*days, *folds)] == [False, False, True, True, True]
    folds[1].delete()
    assert [place.read("key", []) is not None for place in (*days, *folds)] == [False, False, True, True, False]


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
