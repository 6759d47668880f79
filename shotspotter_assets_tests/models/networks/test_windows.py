"""Windows hold the days before the target day only, targets the occupancy of that day."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from shotspotter_assets.models.networks.windows import WindowBatches, Windows, shuffled

COUNTS = hnp.arrays(np.uint16, (9, 4, 2, 3), elements=st.integers(0, 3))


@given(COUNTS, st.integers(1, 4), st.data())
def test_window_and_target_cell_by_cell(counts: np.ndarray, length: int, data: st.DataObject) -> None:
    day = data.draw(st.integers(length, 8))
    windows = Windows(counts, length)
    inputs, targets = windows.inputs(np.array([day]))[0], windows.targets(np.array([day]))[0]
    for row, column in np.ndindex(2, 3):
        for back in range(1, length + 1):
            np.testing.assert_allclose(inputs[length - back, row, column], np.log1p(counts[day - back, :, row, column]))
        cell = counts[day, :, row, column]
        assert targets[row, column].tolist() == [cell.sum() > 0, cell[0] > 0, cell[1] > 0, cell[2] > 0]


def test_untyped_alerts_are_in_the_first_map_only() -> None:
    counts = np.zeros((3, 4, 1, 1), dtype=np.uint8)
    counts[2, 3] = 1
    assert Windows(counts, 2).targets(np.array([2])).ravel().tolist() == [1, 0, 0, 0]


def test_frames_are_kept_once() -> None:
    windows = Windows(np.zeros((500, 4, 6, 6), dtype=np.uint16), 16)
    assert windows.frames.nbytes == 500 * 6 * 6 * 4 * 4
    assert windows.frames.flags.c_contiguous


def test_rates_are_taken_on_covered_cells() -> None:
    counts = np.zeros((4, 4, 1, 2), dtype=np.uint8)
    counts[2, 0] = counts[3, 1, 0, 0] = 1
    in_coverage = np.array([[True, False]])
    np.testing.assert_allclose(Windows(counts, 2).rates(np.array([2, 3]), in_coverage), [1.0, 0.5, 0.5, 0.0])


@given(st.integers(0, 2**32 - 1), st.integers(0, 10_000))
def test_order_is_a_permutation_that_depends_on_seed_and_epoch_alone(seed: int, epoch: int) -> None:
    days = np.arange(16, 300)
    order = shuffled(days, seed, epoch)
    assert sorted(order.tolist()) == days.tolist()
    np.testing.assert_array_equal(order, shuffled(days, seed, epoch))
    assert order.tolist() != shuffled(days, seed, epoch + 1).tolist()
    assert order.tolist() != shuffled(days, seed + 1, epoch).tolist()


@pytest.mark.parametrize(("days", "known"), [([], True), ([3], True), ([9], True), ([10], False)])
def test_refuses_days_without_window_or_counts(days: list[int], known: bool) -> None:
    with pytest.raises(ValueError, match="9 days"):
        Windows(np.zeros((9, 4, 1, 1), dtype=np.uint8), 4).checked_days(days, "forecast", known)


def test_day_after_the_last_can_be_forecast() -> None:
    windows = Windows(np.zeros((9, 4, 1, 1), dtype=np.uint8), 4)
    assert windows.inputs(windows.checked_days([9], "forecast", known=False)).shape == (1, 4, 1, 1, 4)


def test_refuses_counts_of_another_shape() -> None:
    with pytest.raises(ValueError, match="3 layers or more"):
        Windows(np.zeros((9, 2, 1, 1)), 4)


@pytest.mark.parametrize("value", [-1.0, np.nan])
def test_refuses_what_is_no_count(value: float) -> None:
    counts = np.zeros((9, 4, 1, 1))
    counts[3, 2] = value
    with pytest.raises(ValueError, match="negative or NaN"):
        Windows(counts, 4)


def test_batches_are_the_windows_in_order() -> None:
    counts = np.random.default_rng(0).poisson(0.5, (20, 4, 2, 3)).astype(np.uint16)
    windows, days = Windows(counts, 4), np.array([9, 4, 19, 7, 12])
    batches = WindowBatches(windows, days, 2)
    assert [len(batches[index][0]) for index in range(len(batches))] == [2, 2, 1]
    np.testing.assert_array_equal(np.concatenate([batch[0] for batch in batches]), windows.inputs(days))
    np.testing.assert_array_equal(np.concatenate([batch[1] for batch in batches]), windows.targets(days))
    assert len(WindowBatches(windows, days, 5, with_targets=False)[0]) == 1
