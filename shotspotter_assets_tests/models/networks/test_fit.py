"""Training on a toy that can be learned: better, repeatable, resumable after SIGKILL, and blind to the future."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import shotspotter_assets
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.models.networks.checkpoint import Checkpoint
from shotspotter_assets.models.networks.config import NetworkConfig
from shotspotter_assets.models.networks.fit import (
    TrainedNetwork,
    TrainingDivergedError,
    fit_network,
    predict_network,
)
from shotspotter_assets.models.networks.keras_files import load_model, save_model
from shotspotter_assets_tests.s3_server import S3Server

# A learning rate far too high makes every branch run: cuts of the rate, early stopping, going back to best weights.
CONFIG = NetworkConfig(
    days=4,
    filters=2,
    recurrent_layers=1,
    dropout=0.1,
    epochs=12,
    batch_size=10,
    learning_rate=0.6,
    patience=3,
    plateau_patience=1,
)
TRAIN, VALIDATION = range(48), range(48, 60)


def toy() -> tuple[np.ndarray, np.ndarray]:
    """Counts that blink day by day on a chessboard, with 5% noise, and a mask of all cells but one row."""
    day, kind, row, column = np.ogrid[:64, :4, :6, :6]
    noise = np.random.default_rng(0).random((64, 4, 6, 6)) < 0.05
    counts = ((((day + row + column) % 2 == 0) & (kind < 2)) ^ noise).astype(np.uint16)
    return counts, np.arange(36).reshape(6, 6) >= 6


def place(root: str) -> Checkpoint:
    return Checkpoint.of(StoreResource(root=root).open(), "x", "fold", date(2024, 1, 1))


def fit(root: Path | str, config: NetworkConfig = CONFIG, lines: list[str] | None = None) -> TrainedNetwork:
    return fit_network(*toy(), TRAIN, VALIDATION, config, place(str(root)), ([] if lines is None else lines).append)


def assert_same(first: TrainedNetwork, second: TrainedNetwork) -> None:
    for one, other in zip(first.model.get_weights(), second.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    for one_epoch, other_epoch in zip(first.history, second.history, strict=True):
        assert replace(one_epoch, seconds=0) == replace(other_epoch, seconds=0)
    assert first.best_epoch == second.best_epoch


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> TrainedNetwork:
    return fit(tmp_path_factory.mktemp("uninterrupted"))


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> TrainedNetwork:
    config = CONFIG.model_copy(update={"dropout": 0.0, "learning_rate": 0.1, "plateau_patience": 3})
    return fit(tmp_path_factory.mktemp("learned"), config)


def test_learns_the_toy(learned: TrainedNetwork) -> None:
    counts, in_coverage = toy()
    p = predict_network(learned.model, counts, VALIDATION, CONFIG)[:, in_coverage][..., 1]
    y = counts[VALIDATION.start : VALIDATION.stop, 0][:, in_coverage] > 0
    loss = -np.where(y, np.log(p), np.log1p(-p)).mean()
    assert loss < 0.5 * np.log(2)
    assert learned.history[learned.best_epoch - 1].validation_loss == min(
        epoch.validation_loss for epoch in learned.history
    )


def test_best_weights_are_given_back(learned: TrainedNetwork) -> None:
    counts, in_coverage = toy()
    p = predict_network(learned.model, counts, VALIDATION, CONFIG)[:, in_coverage].astype(np.float64)
    occupied = counts[VALIDATION.start : VALIDATION.stop].transpose(0, 2, 3, 1)[:, in_coverage] > 0
    y = np.concatenate([occupied.any(axis=-1, keepdims=True), occupied[..., :3]], axis=-1)
    loss = -np.where(y, np.log(p), np.log1p(-p)).mean()
    assert loss == pytest.approx(learned.history[learned.best_epoch - 1].validation_loss, rel=1e-4)


def test_same_seed_gives_the_same_weights(uninterrupted: TrainedNetwork, tmp_path: Path) -> None:
    # A toy of this size repeats even without op determinism; on a 36 x 36 grid only with it.
    assert CONFIG.deterministic
    assert_same(uninterrupted, fit(tmp_path))


def test_stops_early_with_the_best_weights_after_cuts_of_the_learning_rate(uninterrupted: TrainedNetwork) -> None:
    losses = [epoch.validation_loss for epoch in uninterrupted.history]
    assert losses.index(min(losses)) + 1 == uninterrupted.best_epoch
    assert len(losses) == uninterrupted.best_epoch + CONFIG.patience < CONFIG.epochs
    rates = [epoch.learning_rate for epoch in uninterrupted.history]
    # Every epoch that is not better is followed by a cut, as plateau_patience is 1.
    better = [loss <= min(losses[: place + 1]) for place, loss in enumerate(losses)]
    np.testing.assert_allclose(
        np.array(rates[1:]) / rates[:-1], [1.0 if good else CONFIG.plateau_factor for good in better[:-1]], rtol=1e-6
    )


CHILD = """
import os, signal, sys
from shotspotter_assets.models.networks.windows import Windows
from shotspotter_assets_tests.models.networks.test_fit import CONFIG, TRAIN, VALIDATION, place, toy
from shotspotter_assets.models.networks.fit import fit_network

finished, asked, targets = [], [], Windows.targets

def counting_targets(self, days):
    asked.append(len(finished))
    if asked.count(2) == 6:
        os.kill(os.getpid(), signal.SIGKILL)
    return targets(self, days)

Windows.targets = counting_targets
fit_network(*toy(), TRAIN, VALIDATION, CONFIG, place(sys.argv[1]), finished.append)
"""


def test_run_killed_in_the_middle_of_an_epoch_ends_elsewhere_like_an_uninterrupted_one(
    uninterrupted: TrainedNetwork, s3_server: S3Server, s3_store_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3_server.environment().items():
        monkeypatch.setenv(name, value)
    root = str(Path(shotspotter_assets.__file__).parents[1])
    killed = subprocess.run(
        [sys.executable, "-c", CHILD, s3_store_root],
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    lines: list[str] = []
    resumed = fit(s3_store_root, lines=lines)
    assert resumed.resumed_from_epoch == 2
    assert "resuming after epoch 2" in lines[0]
    assert "epoch 3/12" in lines[1]
    assert_same(uninterrupted, resumed)
    place(s3_store_root).delete()
    assert place(s3_store_root).read("", []) is None


def test_finished_run_comes_back_without_training_and_another_seed_starts_anew(
    uninterrupted: TrainedNetwork, tmp_path: Path
) -> None:
    config = CONFIG.model_copy(update={"epochs": 1, "seed": 1})
    first = fit(tmp_path, config)
    lines: list[str] = []
    assert_same(first, fit(tmp_path, config, lines))
    assert len(lines) == 1
    assert first.history[0].loss != uninterrupted.history[0].loss
    other = fit(tmp_path, config.model_copy(update={"seed": 2}), lines)
    assert other.resumed_from_epoch == 0
    assert len(other.history) == 1


def test_sees_the_past_only(learned: TrainedNetwork) -> None:
    counts, _ = toy()
    day = 20
    answer = predict_network(learned.model, counts, [day], CONFIG)
    future = counts.copy()
    future[day:] = 9
    np.testing.assert_array_equal(predict_network(learned.model, future, [day], CONFIG), answer)
    np.testing.assert_array_equal(predict_network(learned.model, counts[:day], [day], CONFIG), answer)
    for past in range(day - CONFIG.days, day):
        changed = counts.copy()
        changed[past] = 9
        assert (predict_network(learned.model, changed, [day], CONFIG) != answer).any(), past


def test_saved_network_answers_the_same(learned: TrainedNetwork) -> None:
    counts, _ = toy()
    again = load_model(save_model(learned.model))
    np.testing.assert_array_equal(
        predict_network(again, counts, range(10, 65), CONFIG),
        predict_network(learned.model, counts, range(10, 65), CONFIG),
    )
    assert not any(isinstance(layer, keras.layers.Lambda) for layer in again.layers)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train": range(50)}, "overlap"),
        ({"train": range(3)}, "training days"),
        ({"validation": range(60, 65)}, "validation days"),
        ({"in_coverage": np.ones((6, 6))}, "boolean"),
        ({"in_coverage": np.zeros((6, 6), dtype=bool)}, "no cell"),
        ({"config": NetworkConfig(days=6)}, "power of two"),
    ],
)
def test_refuses_what_does_not_fit_together(change: dict[str, Any], message: str) -> None:
    counts, in_coverage = toy()
    arguments = {
        "counts": counts,
        "in_coverage": in_coverage,
        "train": TRAIN,
        "validation": VALIDATION,
        "config": CONFIG,
        "checkpoint": None,
        "progress": print,
    }
    with pytest.raises(ValueError, match=message):
        fit_network(**{**arguments, **change})


def test_a_training_that_diverges_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "shotspotter_assets.models.networks.fit.weighted_cross_entropy",
        lambda in_coverage, weight: lambda targets, logits: keras.ops.sum(logits, axis=(1, 2, 3)) * np.nan,
    )
    with pytest.raises(TrainingDivergedError, match="epoch 1"):
        fit(tmp_path)
    assert not list(tmp_path.iterdir())
