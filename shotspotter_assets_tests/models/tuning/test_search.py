"""Searches by Optuna: better than the start, continued by later runs, with bad trials pruned or failed."""

from datetime import date
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml

from shotspotter_assets.cities.city import City
from shotspotter_assets.models.forecaster import FitContext
from shotspotter_assets.models.registry import FORECASTERS, TUNABLE, city_settings
from shotspotter_assets.models.tuning.search import START_LOSS, finished_trials, open_study, search, storage_url
from shotspotter_assets.models.tuning.task import TuningTask
from shotspotter_assets.models.tuning.tuned_settings import TunedSettings
from shotspotter_assets.storage.store import Partition, Store
from shotspotter_assets_tests.models.histories import CITY, TRAIN, VALIDATION, silent
from shotspotter_assets_tests.models.tuning.tasks import task_of

REGRESSION, BOOSTING = "regime_regression", "residual_boosting"


def searched(storage: str | None, trials: int, lines: list[str] | None = None, **more: Any) -> optuna.Study:
    task, given = task_of(REGRESSION), {"minutes": 5.0, "parallel": 1, "seed": 0} | more
    study = open_study(task, storage, given["seed"])
    search(task, study, trials, given["minutes"], given["parallel"], ([] if lines is None else lines).append)
    return study


def test_search_goes_on_from_its_storage(tmp_path: Path) -> None:
    place = Store(str(tmp_path)), Partition("tuned_settings", CITY.name, "fold", date(2021, 12, 17)), "a.trials.db"
    lines: list[str] = []
    with storage_url(*place) as url:
        before = [trial.params for trial in searched(url, 3).trials]
        study = searched(url, 5, lines, parallel=2)
    assert lines[0] == "3 trials of this search are stored, 2 are left"
    assert [trial.params for trial in study.trials[:3]] == before
    assert len(finished_trials(study)) == 5
    assert sum("log loss" in line for line in lines) == 2
    with storage_url(*place) as url:
        assert len(searched(url, 9, minutes=0).trials) == 5
    with storage_url(*place, "postgresql://machines") as url:
        assert url == "postgresql://machines"


def test_best_settings_are_yaml_for_the_city_file() -> None:
    task = task_of(REGRESSION)
    study = open_study(task, None, 0)
    for loss in (0.5, 0.01):
        trial = optuna.trial.create_trial(
            params={"inverse_penalties": loss / 5}, distributions=task.space, value=loss * study.user_attrs[START_LOSS]
        )
        study.add_trial(trial)
    tuned = TunedSettings.of(task, date(2021, 12, 17), study, {})
    assert tuned.settings == {"inverse_penalties": [0.002]}
    assert tuned.loss == pytest.approx(0.01 * tuned.start_loss)
    assert tuned.gain > 0
    city = City.model_validate(CITY.model_dump(mode="json") | yaml.safe_load(tuned.yaml))
    assert city_settings(city, REGRESSION).model_dump()["inverse_penalties"] == [0.002]


def test_nothing_better_changes_nothing() -> None:
    tuned = TunedSettings.of(task_of(REGRESSION), date(2021, 12, 17), open_study(task_of(REGRESSION), None, 0), {})
    assert (tuned.settings, tuned.gain) == ({}, 0)
    assert yaml.safe_load(tuned.yaml) is None


class Curve(TuningTask):
    """A task whose loss is given: `filters` by epoch, and diverging where the dropout is high."""

    def loss(self, values: Any, after_epoch: Any = None, log: Any = None) -> float:
        level = float(values.get("filters", 1))
        if values.get("dropout", 0) > 0.45:
            raise FloatingPointError("the loss is not finite")
        for epoch in range(1, 7):
            if after_epoch is not None:
                after_epoch(epoch, level / epoch)
        return level / 6


def test_bad_trials_are_pruned_and_diverging_ones_fail() -> None:
    task = task_of("conv_lstm")
    task = Curve(task.forecaster, task.settings, task.history, TRAIN, VALIDATION, FitContext())
    study = open_study(task, None, 0)
    search(task, study, 40, 1.0, 1, lambda _: None)
    states = [trial.state.name for trial in study.trials]
    assert {"COMPLETE", "PRUNED", "FAIL"} <= set(states)
    pruned = [trial for trial in study.trials if trial.state.name == "PRUNED"]
    assert min(trial.params["filters"] for trial in pruned) > study.best_params["filters"]
    assert all(max(trial.intermediate_values) >= 3 for trial in pruned)


@pytest.mark.parametrize("name", TUNABLE)
@pytest.mark.parametrize("has_shared", [False, True])
def test_settings_take_the_ends_of_their_space(name: str, has_shared: bool) -> None:
    settings = FORECASTERS[name].settings
    for key, one in settings.search_space(has_shared).items():
        ends = getattr(one, "choices", None) or (one.low, one.high)
        assert all(settings(**{key: end}) for end in ends)


def test_key_depends_on_settings_and_windows() -> None:
    task = task_of(BOOSTING)
    others = [task_of(BOOSTING, leaves=9), task_of(REGRESSION)]
    others.append(TuningTask(BOOSTING, task.settings, task.history, range(190), VALIDATION, FitContext()))
    assert len({task.key, *(other.key for other in others)}) == 4
    assert task_of(BOOSTING).key == task.key


def test_validation_window_without_alerts_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no covered cell has an alert from .* Choose a later fold"):
        task_of(REGRESSION, silent())
