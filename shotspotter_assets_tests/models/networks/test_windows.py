import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from shotspotter_assets.models.networks.network_inputs import NetworkInputs
from shotspotter_assets.models.networks.windows import Windows

TYPED_LAYERS = (0, 1, 2)
COUNTS = hnp.arrays(np.uint16, (9, 4, 2, 3), elements=st.integers(0, 3))
EVERYWHERE = np.ones((2, 3), dtype=bool)
ZEROS = np.zeros((9, 4, 1, 1), dtype=np.uint8)


@given(COUNTS, st.integers(1, 4), st.integers(1, 3))
def test_window_and_target_agree_with_the_counts(counts: np.ndarray, length: int, lead: int) -> None:
    first = length + lead - 1
    [(named, targets)] = Windows(NetworkInputs(counts, EVERYWHERE, lead, length), range(9), 20, TYPED_LAYERS)
    inputs = named["frames"]
    assert len(inputs) == len(targets) == 9 - first
    for at, day in enumerate(range(first, 9)):
        window = counts[day - lead - length + 1 : day - lead + 1]
        np.testing.assert_allclose(inputs[at], np.log1p(window.transpose(0, 2, 3, 1)))
        cell = counts[day, :, 1, 2]
        assert targets[at, 1, 2].tolist() == [cell.sum() > 0, cell[0] > 0, cell[1] > 0, cell[2] > 0]


def test_rates_are_shares_of_covered_cells() -> None:
    counts = np.zeros((4, 4, 1, 2), dtype=np.uint8)
    counts[2, 0] = counts[3, 1, 0, 0] = 1
    rates = Windows(NetworkInputs(counts, np.array([[True, False]]), 1, 2), range(2, 4), 9, TYPED_LAYERS).rates()
    np.testing.assert_allclose(rates, [1.0, 0.5, 0.5, 0.0])


def test_seed_decides_the_order_and_every_epoch_has_another_one() -> None:
    inputs = NetworkInputs(np.zeros((300, 1, 1, 1)), EVERYWHERE[:1, :1], 1, 4)
    batches = [Windows(inputs, range(300), 20, (), seed) for seed in (1, 1, 2)]
    orders = [one.days.tolist() for one in batches]
    assert orders[0] == orders[1] != orders[2]
    batches[0].on_epoch_end()
    assert orders[0] != batches[0].days.tolist()
    assert sorted(orders[0]) == sorted(batches[0].days.tolist()) == list(range(4, 300))


def test_day_after_the_last_has_a_window_but_no_target() -> None:
    batches = Windows(NetworkInputs(ZEROS, EVERYWHERE[:1, :1], 1, 4), range(7, 10), 2)
    assert [named["frames"].shape for (named,) in batches] == [(2, 4, 1, 1, 4), (1, 4, 1, 1, 4)]


@pytest.mark.parametrize(("days", "maps"), [(range(4), ()), (range(9, 10), ()), (range(5, 11), None)])
def test_refuses_days_without_window_or_counts(days: range, maps: tuple[int, ...] | None) -> None:
    with pytest.raises(ValueError, match="must lie from 4"):
        Windows(NetworkInputs(ZEROS, EVERYWHERE[:1, :1], 1, 4), days, 2, maps)
