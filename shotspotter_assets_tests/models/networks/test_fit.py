import gc
import weakref
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import log_loss

from shotspotter_assets.models.forecaster import Choices, FitContext
from shotspotter_assets.models.forecaster_settings import NetworkSettings
from shotspotter_assets.models.networks.network_inputs import NetworkInputs

if TYPE_CHECKING:
    from shotspotter_assets.models.networks.fit import Windows

pytestmark = pytest.mark.networks
CONFIG = NetworkSettings(
    days=2, filters=2, recurrent_layers=1, epochs=12, batch_size=10, learning_rate=0.1, patience=3, plateau_patience=1
)
TRAIN = range(48)
VALIDATION = range(48, 60)
OWN_MAPS = (0, 1, 2)
GENERATOR = np.random.default_rng(3)
COVERED = GENERATOR.random((5, 6)) < 0.6
TARGETS = (GENERATOR.random((3, 5, 6, 4)) < 0.3).astype(np.float32)
LOGITS = GENERATOR.normal(size=(3, 5, 6, 4)).astype(np.float32)


def toy() -> tuple[np.ndarray, np.ndarray]:
    """Counts that blink day by day on a chessboard, with 5% noise, and a mask of all cells but one row."""
    day, kind, row, column = np.ogrid[:64, :4, :6, :6]
    noise = np.random.default_rng(0).random((64, 4, 6, 6)) < 0.05
    counts = ((((day + row + column) % 2 == 0) & (kind < 2)) ^ noise).astype(np.uint16)
    return counts, np.arange(36).reshape(6, 6) >= 6


def inputs_of(counts: np.ndarray) -> NetworkInputs:
    return NetworkInputs(counts, toy()[1], lead=1, length=CONFIG.days)


Trained = tuple[Any, Choices]  # a keras.Model and its choices


@pytest.fixture(scope="module")
def training() -> ModuleType:
    """The module that trains networks. It loads TensorFlow, which workers that only collect these tests must not."""
    from shotspotter_assets.models.networks import fit

    return fit


@pytest.fixture(scope="module")
def windows() -> "type[Windows]":
    """The batches of a training, a class of Keras."""
    from shotspotter_assets.models.networks.fit import Windows

    return Windows


def fit(config: NetworkSettings = CONFIG, **more: Any) -> Trained:
    from shotspotter_assets.models.networks.fit import fit_network

    return fit_network(inputs_of(toy()[0]), TRAIN, VALIDATION, config, OWN_MAPS, **more)


@pytest.fixture(scope="module")
def learned() -> Trained:
    return fit()


def test_best_weights_have_learned_the_toy(learned: Trained, training: ModuleType) -> None:
    counts, in_coverage = toy()
    p = training.predict_network(learned[0], inputs_of(counts), VALIDATION, 10)[:, in_coverage].astype(np.float64)
    occupied = counts[VALIDATION.start : VALIDATION.stop].transpose(0, 2, 3, 1)[:, in_coverage] > 0
    y = np.concatenate([occupied.any(axis=-1, keepdims=True), occupied[..., :3]], axis=-1)
    loss = -np.where(y, np.log(p), np.log1p(-p))
    assert loss[..., 1].mean() < 0.5 * np.log(2)
    losses = learned[1]["history"]["val_loss"]
    assert loss.mean() == pytest.approx(min(losses), rel=1e-4)
    assert losses[learned[1]["best_epoch"] - 1] == min(losses)


def test_stops_early_and_cuts_the_learning_rate(training: ModuleType) -> None:
    unstable = fit(CONFIG.model_copy(update={"learning_rate": 0.6, "epochs": 30}))
    assert len(unstable[1]["history"]["loss"]) == unstable[1]["best_epoch"] + CONFIG.patience < 30
    assert unstable[1]["history"]["learning_rate"][-1] < 0.6 * training.PLATEAU_FACTOR


def test_seed_determines_the_weights_and_neither_backups_nor_arrays_stay(tmp_path: Path, training: ModuleType) -> None:
    short = CONFIG.model_copy(update={"epochs": 1, "dropout": 0.1})
    inputs = inputs_of(toy()[0])
    held = weakref.ref(inputs)
    context = FitContext(backups=tmp_path)
    first = training.fit_network(inputs, TRAIN, VALIDATION, short, OWN_MAPS, context)
    second = fit(short, context=context)
    del inputs
    gc.collect()
    assert held() is None
    for one, other in zip(first[0].get_weights(), second[0].get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not backups_in(tmp_path)


def backups_in(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_dir()]


@pytest.mark.slow
def test_equal_trainings_at_once_do_not_share_a_backup(tmp_path: Path) -> None:
    short = CONFIG.model_copy(update={"epochs": 2})
    inner: list[Trained] = []

    def train_again(epoch: int, loss: float) -> None:
        if not inner:
            inner.append(fit(short, context=FitContext(backups=tmp_path)))

    outer = fit(short, context=FitContext(backups=tmp_path, after_epoch=train_again))
    assert [one[1]["resumed_from_epoch"] for one in (*inner, outer)] == [0, 0]
    assert not backups_in(tmp_path)


def stop(epoch: int, loss: float) -> None:
    if epoch == 3:
        raise KeyboardInterrupt


@pytest.mark.slow
def test_stopped_training_goes_on_after_its_last_epoch(learned: Trained, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(context=FitContext(backups=tmp_path, after_epoch=stop))
    other = fit(CONFIG.model_copy(update={"epochs": 1, "seed": 1}), context=FitContext(backups=tmp_path))
    assert other[1]["resumed_from_epoch"] == 0, "other settings start anew"
    epochs: list[int] = []
    resumed = fit(context=FitContext(backups=tmp_path, after_epoch=lambda epoch, _: epochs.append(epoch)))
    assert resumed[1]["resumed_from_epoch"] == 3
    assert epochs[0] == 4
    assert resumed[1]["history"]["val_loss"][0] < learned[1]["history"]["val_loss"][0]
    assert not backups_in(tmp_path)


def test_sees_the_past_only(learned: Trained, training: ModuleType) -> None:
    counts, _ = toy()
    day = range(20, 21)
    answer = training.predict_network(learned[0], inputs_of(counts), day, 10)
    future = counts.copy()
    future[20:] = 9
    np.testing.assert_array_equal(training.predict_network(learned[0], inputs_of(future), day, 10), answer)
    np.testing.assert_array_equal(training.predict_network(learned[0], inputs_of(counts[:20]), day, 10), answer)
    for past in range(20 - CONFIG.days, 20):
        changed = counts.copy()
        changed[past] = 9
        assert (training.predict_network(learned[0], inputs_of(changed), day, 10) != answer).any(), past


@pytest.mark.parametrize(
    ("change", "days", "message"),
    [({"in_coverage": np.zeros((6, 6), dtype=bool)}, CONFIG.days, "no cell"), ({"length": 6}, 6, "power of two")],
)
def test_refuses_arguments_that_do_not_fit_together(
    change: dict[str, Any], days: int, message: str, training: ModuleType
) -> None:
    inputs = replace(inputs_of(toy()[0]), **change)
    settings = CONFIG.model_copy(update={"days": days})
    with pytest.raises(ValueError, match=message):
        training.fit_network(inputs, TRAIN, VALIDATION, settings, OWN_MAPS)


def test_diverging_training_is_an_error(monkeypatch: pytest.MonkeyPatch, training: ModuleType) -> None:
    import keras

    def not_finite(targets: Any, logits: Any) -> Any:
        return keras.ops.sum(logits, axis=(1, 2, 3)) * np.nan

    monkeypatch.setattr(training, "weighted_cross_entropy", lambda *_: not_finite)
    with pytest.raises(FloatingPointError, match="epoch 1"):
        fit()


def test_training_goes_on_from_earlier_weights_and_never_gets_worse(learned: Trained) -> None:
    short = CONFIG.model_copy(update={"epochs": 1, "learning_rate": 1e-4, "seed": 5})
    after = fit(short, earlier=learned[0])[1]
    assert after["validation_loss_before"] == pytest.approx(min(learned[1]["history"]["val_loss"]), rel=1e-5)
    assert after["history"]["val_loss"][0] < 0.6 * learned[1]["history"]["val_loss"][0]
    wider = short.model_copy(update={"filters": 3})
    assert "validation_loss_before" not in fit(wider, earlier=learned[0])[1], "weights of another shape"
    spoilt, chosen = fit(short.model_copy(update={"learning_rate": 1.0}), earlier=learned[0])
    assert chosen["best_epoch"] == 0
    for one, other in zip(spoilt.get_weights(), learned[0].get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("weight", [0.1, 1.0, 10.0, 100.0])
def test_equals_the_weighted_log_loss_of_covered_cells(weight: float, training: ModuleType) -> None:
    losses = np.asarray(training.weighted_cross_entropy(COVERED, weight)(TARGETS, LOGITS))
    for sample in range(3):
        y = TARGETS[sample][COVERED].ravel()
        p = 1 / (1 + np.exp(-LOGITS[sample][COVERED].ravel()))
        weights = np.where(y == 1, weight, 1.0)
        # scikit-learn divides by the sum of weights, this loss by the number of cells.
        expected = log_loss(y, p, sample_weight=weights) * weights.mean()
        assert losses[sample] == pytest.approx(expected, rel=1e-5)


def test_uncovered_cells_have_neither_value_nor_gradient(training: ModuleType) -> None:
    import tensorflow as tf

    loss = training.weighted_cross_entropy(COVERED, 10.0)
    outside = ~COVERED[None, :, :, None]
    other = loss(np.where(outside, 1 - TARGETS, TARGETS), np.where(outside, LOGITS + 5, LOGITS))
    np.testing.assert_array_equal(other, loss(TARGETS, LOGITS))
    logits = tf.Variable(LOGITS)
    with tf.GradientTape() as tape:
        value = loss(TARGETS, logits)
    gradient = np.asarray(tape.gradient(value, logits))
    assert not gradient[:, ~COVERED].any()
    assert gradient[:, COVERED].all()


@given(st.floats(1e-6, 1 - 1e-6), st.sampled_from([0.01, 1.0, 10.0, 100.0]))
def test_undoing_the_class_weight_divides_the_odds(training: ModuleType, q: float, weight: float) -> None:
    p = float(training.undo_class_weight(np.array(q), weight))
    assert p / (1 - p) == pytest.approx(q / (1 - q) / weight, rel=1e-6)


TYPED_LAYERS = (0, 1, 2)
COUNTS = hnp.arrays(np.uint16, (9, 4, 2, 3), elements=st.integers(0, 3))
EVERYWHERE = np.ones((2, 3), dtype=bool)
ZEROS = np.zeros((9, 4, 1, 1), dtype=np.uint8)


@given(COUNTS, st.integers(1, 4), st.integers(1, 3))
def test_window_and_target_agree_with_the_counts(
    windows: "type[Windows]", counts: np.ndarray, length: int, lead: int
) -> None:
    first = length + lead - 1
    [(named, targets)] = windows(NetworkInputs(counts, EVERYWHERE, lead, length), range(9), 20, TYPED_LAYERS)
    inputs = named["frames"]
    assert len(inputs) == len(targets) == 9 - first
    for at, day in enumerate(range(first, 9)):
        window = counts[day - lead - length + 1 : day - lead + 1]
        np.testing.assert_allclose(inputs[at], np.log1p(window.transpose(0, 2, 3, 1)))
        cell = counts[day, :, 1, 2]
        assert targets[at, 1, 2].tolist() == [cell.sum() > 0, cell[0] > 0, cell[1] > 0, cell[2] > 0]


def test_rates_are_shares_of_covered_cells(windows: "type[Windows]") -> None:
    counts = np.zeros((4, 4, 1, 2), dtype=np.uint8)
    counts[2, 0] = counts[3, 1, 0, 0] = 1
    rates = windows(NetworkInputs(counts, np.array([[True, False]]), 1, 2), range(2, 4), 9, TYPED_LAYERS).rates()
    np.testing.assert_allclose(rates, [1.0, 0.5, 0.5, 0.0])


def test_seed_decides_the_order_and_every_epoch_has_another_one(windows: "type[Windows]") -> None:
    inputs = NetworkInputs(np.zeros((300, 1, 1, 1)), EVERYWHERE[:1, :1], 1, 4)
    batches = [windows(inputs, range(300), 20, (), seed) for seed in (1, 1, 2)]
    orders = [one.days.tolist() for one in batches]
    assert orders[0] == orders[1] != orders[2]
    batches[0].on_epoch_end()
    assert orders[0] != batches[0].days.tolist()
    assert sorted(orders[0]) == sorted(batches[0].days.tolist()) == list(range(4, 300))


def test_day_after_the_last_has_a_window_but_no_target(windows: "type[Windows]") -> None:
    batches = windows(NetworkInputs(ZEROS, EVERYWHERE[:1, :1], 1, 4), range(7, 10), 2)
    assert [named["frames"].shape for (named,) in batches] == [(2, 4, 1, 1, 4), (1, 4, 1, 1, 4)]


@pytest.mark.parametrize(("days", "maps"), [(range(4), ()), (range(9, 10), ()), (range(5, 11), None)])
def test_refuses_days_without_window_or_counts(
    windows: "type[Windows]", days: range, maps: tuple[int, ...] | None
) -> None:
    with pytest.raises(ValueError, match="must lie from 4"):
        windows(NetworkInputs(ZEROS, EVERYWHERE[:1, :1], 1, 4), days, 2, maps)
