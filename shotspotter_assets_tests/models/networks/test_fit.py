import gc
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from shotspotter_assets.models.forecaster import Choices, FitContext
from shotspotter_assets.models.network_settings import NetworkSettings
from shotspotter_assets.models.networks.fit import PLATEAU_FACTOR, fit_network, predict_network
from shotspotter_assets.models.networks.network_inputs import NetworkInputs

CONFIG = NetworkSettings(
    days=4, filters=2, recurrent_layers=1, epochs=12, batch_size=10, learning_rate=0.1, patience=3, plateau_patience=1
)
TRAIN, VALIDATION = range(48), range(48, 60)
OWN_MAPS = (0, 1, 2)


def toy() -> tuple[np.ndarray, np.ndarray]:
    """Counts that blink day by day on a chessboard, with 5% noise, and a mask of all cells but one row."""
    day, kind, row, column = np.ogrid[:64, :4, :6, :6]
    noise = np.random.default_rng(0).random((64, 4, 6, 6)) < 0.05
    counts = ((((day + row + column) % 2 == 0) & (kind < 2)) ^ noise).astype(np.uint16)
    return counts, np.arange(36).reshape(6, 6) >= 6


def inputs_of(counts: np.ndarray) -> NetworkInputs:
    return NetworkInputs(counts, toy()[1], lead=1, length=CONFIG.days)


Trained = tuple[keras.Model, Choices]


def fit(config: NetworkSettings = CONFIG, **more: Any) -> Trained:
    return fit_network(inputs_of(toy()[0]), TRAIN, VALIDATION, config, OWN_MAPS, **more)


@pytest.fixture(scope="module")
def learned() -> Trained:
    return fit()


def test_best_weights_have_learned_the_toy(learned: Trained) -> None:
    counts, in_coverage = toy()
    p = predict_network(learned[0], inputs_of(counts), VALIDATION, 10)[:, in_coverage].astype(np.float64)
    occupied = counts[VALIDATION.start : VALIDATION.stop].transpose(0, 2, 3, 1)[:, in_coverage] > 0
    y = np.concatenate([occupied.any(axis=-1, keepdims=True), occupied[..., :3]], axis=-1)
    loss = -np.where(y, np.log(p), np.log1p(-p))
    assert loss[..., 1].mean() < 0.5 * np.log(2)
    losses = learned[1]["history"]["val_loss"]
    assert loss.mean() == pytest.approx(min(losses), rel=1e-4)
    assert losses[learned[1]["best_epoch"] - 1] == min(losses)


def test_stops_early_and_cuts_the_learning_rate() -> None:
    unstable = fit(CONFIG.model_copy(update={"learning_rate": 0.6, "epochs": 30}))
    assert len(unstable[1]["history"]["loss"]) == unstable[1]["best_epoch"] + CONFIG.patience < 30
    assert unstable[1]["history"]["learning_rate"][-1] < 0.6 * PLATEAU_FACTOR


def test_seed_determines_the_weights_and_backups_are_deleted(tmp_path: Path) -> None:
    short = CONFIG.model_copy(update={"epochs": 1, "dropout": 0.1})
    first, second = (fit(short, context=FitContext(backups=tmp_path)) for _ in range(2))
    for one, other in zip(first[0].get_weights(), second[0].get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not list(tmp_path.iterdir())


def stop(epoch: int, loss: float) -> None:
    if epoch == 3:
        raise KeyboardInterrupt


@pytest.mark.slow
def test_stopped_training_goes_on_after_its_last_epoch(learned: Trained, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(context=FitContext(backups=tmp_path, after_epoch=stop))
    epochs: list[int] = []
    resumed = fit(context=FitContext(backups=tmp_path, after_epoch=lambda epoch, _: epochs.append(epoch)))
    assert resumed[1]["resumed_from_epoch"] == 3
    assert epochs[0] == 4
    assert resumed[1]["history"]["val_loss"][0] < learned[1]["history"]["val_loss"][0]
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_other_settings_start_anew(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(context=FitContext(backups=tmp_path, after_epoch=stop))
    assert list(tmp_path.iterdir())
    other = fit(CONFIG.model_copy(update={"epochs": 1, "seed": 1}), context=FitContext(backups=tmp_path))
    assert other[1]["resumed_from_epoch"] == 0


def test_sees_the_past_only(learned: Trained) -> None:
    counts, _ = toy()
    day = range(20, 21)
    answer = predict_network(learned[0], inputs_of(counts), day, 10)
    future = counts.copy()
    future[20:] = 9
    np.testing.assert_array_equal(predict_network(learned[0], inputs_of(future), day, 10), answer)
    np.testing.assert_array_equal(predict_network(learned[0], inputs_of(counts[:20]), day, 10), answer)
    for past in range(16, 20):
        changed = counts.copy()
        changed[past] = 9
        assert (predict_network(learned[0], inputs_of(changed), day, 10) != answer).any(), past


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": replace(inputs_of(toy()[0]), in_coverage=np.zeros((6, 6), dtype=bool))}, "no cell"),
        (
            {"settings": CONFIG.model_copy(update={"days": 6}), "inputs": replace(inputs_of(toy()[0]), length=6)},
            "power of two",
        ),
    ],
)
def test_refuses_arguments_that_do_not_fit_together(change: dict[str, Any], message: str) -> None:
    arguments = {
        "inputs": inputs_of(toy()[0]), "train": TRAIN, "validation": VALIDATION, "settings": CONFIG, "own_maps": OWN_MAPS,
    }  # fmt: skip
    with pytest.raises(ValueError, match=message):
        fit_network(**{**arguments, **change})


def test_diverging_training_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "shotspotter_assets.models.networks.fit.weighted_cross_entropy",
        lambda in_coverage, weight: lambda targets, logits: keras.ops.sum(logits, axis=(1, 2, 3)) * np.nan,
    )
    with pytest.raises(FloatingPointError, match="epoch 1"):
        fit()


def test_training_goes_on_from_earlier_weights_and_never_gets_worse(learned: Trained) -> None:
    short = CONFIG.model_copy(update={"epochs": 1, "learning_rate": 1e-4, "seed": 5})
    after = fit(short, earlier=learned[0])[1]
    assert after["validation_loss_before"] == pytest.approx(min(learned[1]["history"]["val_loss"]), rel=1e-5)
    assert after["history"]["val_loss"][0] < min(fit(short)[1]["history"]["val_loss"]) / 2
    spoilt, chosen = fit(short.model_copy(update={"learning_rate": 1.0}), earlier=learned[0])
    assert chosen["best_epoch"] == 0
    for one, other in zip(spoilt.get_weights(), learned[0].get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_weights_of_another_shape_are_not_used(learned: Trained) -> None:
    wider = CONFIG.model_copy(update={"epochs": 1, "filters": 3})
    assert "validation_loss_before" not in fit(wider, earlier=learned[0])[1]


def test_a_training_leaves_no_arrays_in_memory() -> None:
    inputs = inputs_of(toy()[0])
    held = weakref.ref(inputs)
    fit_network(inputs, TRAIN, VALIDATION, CONFIG.model_copy(update={"epochs": 1}), OWN_MAPS)
    del inputs
    gc.collect()
    assert held() is None
