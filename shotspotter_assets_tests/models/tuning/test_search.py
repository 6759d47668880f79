"""A search on a small city: what is tried, what is kept, what ends it."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from threading import Event

import keras
import numpy as np
import pytest

from shotspotter_assets.models.forecaster import FitContext, TrainingStoppedError
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.regime_regression import RegimeRegressionForecaster
from shotspotter_assets.models.probability import log_losses
from shotspotter_assets.models.registry import forecaster
from shotspotter_assets.models.tuning.search import (
    Budget,
    NoTrialsError,
    SearchFailedError,
    best_of,
    next_values,
    search,
    stop_rule,
)
from shotspotter_assets.models.tuning.space import is_active
from shotspotter_assets.models.tuning.trials import NothingToTuneError, Trial, TuningTask
from shotspotter_assets.models.tuning.tuned_settings import TunedSettings
from shotspotter_assets_tests.models.histories import CITY, COVERED, FIRST_DAY, TRAIN, VALIDATION, history
from shotspotter_assets_tests.models.tuning.tasks import FOLD, journal, past, task_of

REGRESSION, BOOSTING, NETWORK = "regime_regression", "residual_boosting", "residual_conv_lstm"


def nothing(_: str) -> None:
    """No log."""


def made_up(task: TuningTask, losses: list[float | None]) -> list[Trial]:
    """Finished trials with these losses; None is a stopped one."""
    trials: list[Trial] = []
    for loss in losses:
        values = next_values(task, trials, [], seed=0)
        state = "stopped" if loss is None else "complete"
        trials.append(Trial(values=values, state=state, loss=loss, seconds=1.0))
    return trials


def test_the_first_trial_is_of_the_settings_as_they_are_and_losses_are_those_of_the_forecaster(tmp_path: Path) -> None:
    task, lines = task_of(REGRESSION), []
    finished = search(task, journal(tmp_path, REGRESSION), Budget(4, 10), 0, lines.append)
    assert [trial.values == {} for trial in finished] == [True, False, False, False]
    observed = past().observed[VALIDATION.start : VALIDATION.stop]
    for trial in (finished[0], finished[2]):
        changes = {name: [value] for name, value in trial.values.items()}
        fitted = forecaster(REGRESSION, type(task.settings)(**changes)).fit(past(), TRAIN, VALIDATION)
        assert trial.loss == pytest.approx(log_losses(fitted.validation_probability, observed).mean())
    best = best_of(finished)
    assert lines[-1].startswith(f"trial 4/4: log loss {finished[3].loss:.6f}, best so far {best.loss:.6f} (trial ")
    assert lines[-1].endswith("at most 0.0 min left")
    tuned = TunedSettings.of(task, FOLD, finished, {})
    assert tuned.settings == {name: [value] for name, value in best.values.items()}
    assert (tuned.trials, tuned.start_loss, tuned.loss) == (4, finished[0].loss, best.loss)
    assert tuned.gain == pytest.approx((tuned.start_loss - tuned.loss) * observed.size / observed.sum())
    assert (tuned.train_last, tuned.validation_last) == (past().days()[199].item(), past().days()[259].item())


def test_the_search_finds_what_is_better() -> None:
    task = task_of(BOOSTING)

    def loss(values: dict) -> float:
        return (np.log(values["leaves"] / 20) ** 2 + np.log(values["learning_rate"] / 0.2) ** 2) + values["goss"]

    def tried(seed: int) -> float:
        trials = [Trial(values={}, state="complete", loss=9.0, seconds=1.0)]
        for _ in range(40):
            values = next_values(task, trials, [], seed)
            trials.append(Trial(values=values, state="complete", loss=loss(values), seconds=1.0))
        later = [trial.loss or 0.0 for trial in trials[25:]]
        return float(np.median(later) - np.median([loss(values) for values in at_random(seed)]))

    def at_random(seed: int) -> list[dict]:
        start = [Trial(values={}, state="complete", loss=9.0, seconds=1.0)]
        return [next_values(task, start, [], seed * 100 + number) for number in range(40)]

    assert all(tried(seed) < -0.3 for seed in (1, 2))


def test_a_setting_with_a_condition_is_tried_only_under_it() -> None:
    task = task_of(BOOSTING)
    trials = made_up(task, [*np.linspace(1, 2, 15), None, None])
    assert {trial.values["goss"] for trial in trials[1:]} == {False, True}
    for trial in trials[1:]:
        for name, parameter in task.space.items():
            assert (name in trial.values) == is_active(parameter, trial.values)
            assert name not in trial.values or parameter.contains(trial.values[name])


def test_running_trials_are_not_tried_twice() -> None:
    task = task_of(BOOSTING)
    trials = made_up(task, [1.0, 2.0])
    first = next_values(task, trials, [], 0)
    second = next_values(task, trials, [first], 0)
    assert first != second
    assert next_values(task, trials, [], 1) != first


def test_a_search_that_is_killed_goes_on_with_every_finished_trial_and_ends_as_an_uninterrupted_one(
    tmp_path: Path,
) -> None:
    script = textwrap.dedent(
        f"""
        from shotspotter_assets.models.tuning.search import Budget, search
        from shotspotter_assets_tests.models.tuning.tasks import journal, task_of

        log = lambda line: print(line, flush=True)
        search(task_of({REGRESSION!r}), journal({str(tmp_path / "killed")!r}, {REGRESSION!r}), Budget(500, 60), 5, log)
        """
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("trial 10/"):
                os.kill(process.pid, signal.SIGKILL)
                break
    task = task_of(REGRESSION)
    kept = journal(tmp_path / "killed", REGRESSION).read(task.key)
    assert len(kept) >= 10
    lines: list[str] = []
    total = Budget(len(kept) + 4, 10)
    finished = search(task, journal(tmp_path / "killed", REGRESSION), total, 5, lines.append)
    assert lines[0] == f"{len(kept)} finished trials of this search are there"
    assert finished[: len(kept)] == kept
    whole = search(task, journal(tmp_path / "whole", REGRESSION), total, 5, nothing)
    assert [trial.values for trial in finished] == [trial.values for trial in whole]
    assert [trial.loss for trial in finished] == pytest.approx([trial.loss for trial in whole], abs=1e-12)


def test_a_search_with_other_data_or_settings_begins_anew(tmp_path: Path) -> None:
    finished = search(task_of(REGRESSION), journal(tmp_path, REGRESSION), Budget(2, 10), 0, nothing)
    assert len(finished) == 2
    others = (
        task_of(REGRESSION, history(seed=3).through(VALIDATION.stop)),
        task_of(REGRESSION, inverse_penalties=[0.1]),
        TuningTask(REGRESSION, task_of(REGRESSION).settings, past(), range(190), range(190, 260), FitContext()),
    )
    assert len({task.key for task in (task_of(REGRESSION), *others)}) == 4
    assert journal(tmp_path, REGRESSION).read(others[0].key) == []


def compared_with() -> list[Trial]:
    """Finished trials of a network that were better than any other."""
    return [
        Trial(
            values={"epochs": 8, "learning_rate": 2e-3} if number else {},
            state="complete",
            loss=0.01,
            epochs=[0.01] * 8,
            seconds=number,
        )
        for number in range(4)
    ]


def test_a_trial_is_stopped_by_its_epochs_where_half_of_the_others_were_better_by_then() -> None:
    task = task_of(NETWORK, epochs=8)
    rule = stop_rule(task, compared_with(), None, Event())
    for losses in ([0.3], [0.3, 0.2], [0.3, 0.2, 0.009]):
        rule(losses)
    with pytest.raises(TrainingStoppedError, match="after epoch 3 it was worse than half of the trials before"):
        rule([0.3, 0.2, 0.1])
    # Too few to compare with.
    stop_rule(task, compared_with()[1:], None, Event())([0.3, 0.2, 0.1])
    with pytest.raises(TrainingStoppedError, match="the time was up"):
        stop_rule(task, [], time.monotonic() - 1, Event())([0.3])
    given_up = Event()
    given_up.set()
    with pytest.raises(TrainingStoppedError, match="given up"):
        stop_rule(task, [], None, given_up)([0.3])


@pytest.mark.slow
def test_the_trial_of_a_network_is_stopped_by_its_epochs(tmp_path: Path) -> None:
    task, kept = task_of(NETWORK, epochs=8), journal(tmp_path, NETWORK)
    for one in compared_with():
        kept.add(task.key, one)
    lines: list[str] = []
    finished = search(task, kept, Budget(5, 10), 0, lines.append)
    last = finished[-1]
    assert (last.state, last.loss) == ("stopped", None)
    assert len(last.epochs) == 3
    assert all(0.05 < loss < 1 for loss in last.epochs)
    assert "worse than half of the trials before" in last.reason
    assert any(line.startswith("trial 5: epoch 1/") for line in lines)
    assert "trial 5/5: stopped (" in lines[-1]


def test_settings_that_make_a_network_diverge_are_a_failed_trial_but_not_as_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "shotspotter_assets.models.networks.fit.weighted_cross_entropy",
        lambda in_coverage, weight: lambda targets, logits: keras.ops.sum(logits, axis=(1, 2, 3)) * np.nan,
    )
    task, kept = task_of("conv_lstm"), journal(tmp_path, "conv_lstm")
    with pytest.raises(SearchFailedError, match="starts at cannot be fitted: loss is not finite in epoch 1"):
        search(task, kept, Budget(3, 1), 0, nothing)
    assert kept.read(task.key) == []
    trial = task.run({"learning_rate": 0.01}, lambda _: None, nothing)
    assert (trial.state, trial.loss) == ("failed", None)
    assert "lower the learning rate" in trial.reason
    start = Trial(values={}, state="complete", loss=0.2, seconds=1.0)
    assert best_of([start, trial]) == start


def test_forecasts_that_are_not_numbers_are_a_failed_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    no_number = np.full((len(VALIDATION), COVERED.sum()), np.nan)
    monkeypatch.setattr(RegimeRegressionForecaster, "validate", lambda *_: no_number)
    trial = task_of(REGRESSION).run({}, lambda _: None, nothing)
    assert (trial.state, trial.loss) == ("failed", None)
    assert trial.reason == "1,680 of 1,680 forecasts of the validation window are not numbers"


def test_a_validation_window_without_an_alert_is_refused() -> None:
    silent = past().counts.copy()
    silent[VALIDATION.start :] = 0
    says = r"City small_city: no covered cell has an alert from 2021-10-18 to 2021-12-16.*larger validation_share"
    with pytest.raises(NothingToTuneError, match=says):
        task_of(REGRESSION, History(CITY, FIRST_DAY, silent, COVERED))


def test_no_minutes_take_what_is_there_and_refuse_where_nothing_is(tmp_path: Path) -> None:
    task, kept = task_of(REGRESSION), journal(tmp_path, REGRESSION)
    with pytest.raises(NoTrialsError, match="regime_regression of small_city: no trial is finished"):
        search(task, kept, Budget(5, 0), 0, nothing)
    search(task, kept, Budget(2, 10), 0, nothing)
    assert len(search(task, kept, Budget(5, 0), 0, nothing)) == 2


def test_time_ends_a_search_before_its_trials_do(tmp_path: Path) -> None:
    began = time.monotonic()
    finished = search(task_of(REGRESSION), journal(tmp_path, REGRESSION), Budget(10**6, 0.05), 0, nothing)
    assert time.monotonic() - began < 30
    assert 1 <= len(finished) < 1000


def test_parallel_trials_and_those_of_other_runs_are_all_kept(tmp_path: Path) -> None:
    task, kept = task_of(BOOSTING), journal(tmp_path, BOOSTING)
    finished = search(task, kept, Budget(7, 10, parallel=3), 0, nothing)
    assert len(finished) == 7
    assert finished == kept.read(task.key)
    other = Trial(values=finished[1].values, state="complete", loss=0.5, seconds=3.0)
    assert kept.add(task.key, other)[-1] == other
    # The answer to a write was lost, and it is made again.
    assert len(kept.add(task.key, other)) == 8
