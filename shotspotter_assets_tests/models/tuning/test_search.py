from datetime import date
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml

from shotspotter_assets.city_files import CityFile
from shotspotter_assets.models.forecaster import FitContext
from shotspotter_assets.models.forecaster_registry import FORECASTERS, SEARCHED, city_settings
from shotspotter_assets.models.tuning import search
from shotspotter_assets.storage.catalogue import TRIALS
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.models.histories import CITY, TRAIN, VALIDATION, silent
from shotspotter_assets_tests.models.tuning.tasks import VALUES, task_of

BOOSTING = "residual_boosting"
FOLD = date(2021, 12, 17)


def searched(storage: str | None, trials: int, **more: Any) -> optuna.Study:
    task = task_of(BOOSTING)
    given = {"minutes": 5.0, "parallel": 1, "seed": 0} | more
    study = search.open_study(task, storage, given["seed"])
    search.search(task, study, trials, given["minutes"], given["parallel"])
    return study


def test_search_goes_on_from_its_storage(tmp_path: Path) -> None:
    place = Store(str(tmp_path)), TRIALS.named(forecaster="a", kind="trials.db"), CITY.name, FOLD
    with search.storage_url(*place) as url:
        before = [trial.params for trial in searched(url, 3).trials]
        study = searched(url, 5, parallel=2)
    assert [trial.params for trial in study.trials[:3]] == before
    assert search.trials_left(study, 7) == 2
    with search.storage_url(*place) as url:
        assert len(searched(url, 9, minutes=0).trials) == 5
    with search.storage_url(*place, "postgresql://machines") as url:
        assert url == "postgresql://machines"


def test_best_settings_are_yaml_for_the_city_file() -> None:
    task = task_of(BOOSTING)
    study = search.open_study(task, None, 0)
    for share, leaves in ((0.5, 9), (0.01, 5)):
        loss = share * study.user_attrs[search.START_LOSS]
        params = VALUES | {"leaves": leaves}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=task.space, value=loss))
    tuned = search.TunedSettings.of(task, FOLD, study)
    assert tuned.settings == VALUES
    assert tuned.loss == pytest.approx(0.01 * tuned.start_loss)
    assert tuned.gain > 0
    city = CityFile.model_validate(CITY.model_dump(mode="json") | yaml.safe_load(tuned.yaml))
    assert city_settings(city, BOOSTING).model_dump()["leaves"] == 5


def test_nothing_better_changes_nothing() -> None:
    tuned = search.TunedSettings.of(task_of(BOOSTING), FOLD, search.open_study(task_of(BOOSTING), None, 0))
    assert (tuned.settings, tuned.gain) == ({}, 0)
    assert yaml.safe_load(tuned.yaml) is None


class Curve(search.TuningTask):
    """A task whose loss is given: `filters` by epoch, and diverging where the dropout is high."""

    def loss(self, values: Any, after_epoch: Any = None) -> float:
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
    study = search.open_study(task, None, 0)
    search.search(task, study, 40, 1.0, 1)
    states = [trial.state.name for trial in study.trials]
    assert {"COMPLETE", "PRUNED", "FAIL"} <= set(states)
    pruned = [trial for trial in study.trials if trial.state.name == "PRUNED"]
    assert min(trial.params["filters"] for trial in pruned) > study.best_params["filters"]
    assert all(max(trial.intermediate_values) >= 3 for trial in pruned)


@pytest.mark.parametrize("name", SEARCHED)
def test_settings_take_the_ends_of_their_space(name: str) -> None:
    settings = FORECASTERS[name].settings
    for key, one in settings.search_space().items():
        ends = getattr(one, "choices", None) or (one.low, one.high)
        assert all(settings(**{key: end}) for end in ends)


def test_key_depends_on_settings_and_windows() -> None:
    task = task_of(BOOSTING)
    shorter = search.TuningTask(BOOSTING, task.settings, task.history, range(190), VALIDATION, FitContext())
    assert len({task.key, task_of(BOOSTING, leaves=9).key, shorter.key}) == 3
    assert task_of(BOOSTING).key == task.key


def test_validation_window_without_alerts_is_refused() -> None:
    with pytest.raises(ValueError, match=r"small_city.*folds\.validation"):
        task_of(BOOSTING, silent())
