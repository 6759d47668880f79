from pathlib import Path

import numpy as np
import pytest

from shotspotter_assets.evaluation.evaluated_fold import EvaluatedFold
from shotspotter_assets.evaluation.fold_forecasts import StaleModelError, fold_forecasts
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.baselines import fit_baselines
from shotspotter_assets.models.next_day.settings import StackSettings
from shotspotter_assets.models.records import TrainedModel, files_sha256
from shotspotter_assets.models.registry import BASELINES, forecaster
from shotspotter_assets.models.stored_models import ModelMismatchError, model_partition, read_models, write_models
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.evaluation.cities import (
    COVERED,
    FIRST_DAY,
    TEST,
    TRAIN,
    VALIDATION,
    counts,
    fold_record,
    made_up_city,
)

CITY = made_up_city()
HISTORY = History(CITY, FIRST_DAY, counts(), COVERED)
TRUTH = {"true_intensity": np.full((len(TEST), int(COVERED.sum())), 0.1)}
NAME = "regime_regression"


@pytest.fixture(scope="module")
def trained() -> tuple[TrainedModel, dict[str, bytes]]:
    fitted = forecaster(NAME).fit(HISTORY, TRAIN, VALIDATION)
    files = fitted.files()
    return TrainedModel(settings={"chosen": 1}, files=files_sha256(files), seconds_to_train=2.0), files


def test_the_truth_the_own_models_and_every_baseline_forecast_the_test_days(tmp_path: Path, trained) -> None:
    model, files = trained
    store, record, lines = Store(str(tmp_path)), fold_record(CITY, models={NAME: model}), []
    write_models(store, model_partition(CITY.name, record.fold), {NAME: files}, record.model_dump_json())
    forecasts = fold_forecasts(read_models(store, record), EvaluatedFold(record, HISTORY), TRUTH, lines.append)
    assert list(forecasts) == ["true_intensity", NAME, *BASELINES]
    assert all(forecast.probability.shape == (40, COVERED.sum()) for forecast in forecasts.values())
    expected = forecaster(NAME).load(files).predict(HISTORY, TEST)
    np.testing.assert_array_equal(forecasts[NAME].probability, expected)
    assert (forecasts[NAME].settings, forecasts[NAME].seconds) == ({"chosen": 1}, 2.0)
    assert (forecasts["true_intensity"].settings, forecasts["true_intensity"].seconds) == (None, None)
    assert "pseudo_days" in forecasts["historical_mean"].settings
    assert lines[0] == f"made_up|{record.fold}: forecasting 40 days with {NAME}"
    assert lines[-1] == f"baseline {len(BASELINES)} of {len(BASELINES)}: {BASELINES[-1]}"


def test_baselines_that_a_combination_holds_are_taken_from_it() -> None:
    settings = StackSettings(members=("ewma", "logistic_regression"))
    fitted = forecaster("stack", settings).fit(HISTORY, TRAIN, VALIDATION)
    files = fitted.files()
    model = TrainedModel(settings={}, files=files_sha256(files), seconds_to_train=2.0)
    record = fold_record(CITY, models={"stack": model})
    forecasts = fold_forecasts({"stack": files}, EvaluatedFold(record, HISTORY), {}, print)
    assert list(forecasts) == ["stack", *BASELINES]
    for name, expected in fit_baselines(HISTORY, TRAIN, VALIDATION, TEST).items():
        np.testing.assert_allclose(forecasts[name].probability, expected.probability, rtol=1e-9)
        assert forecasts[name].settings == expected.settings
        assert (forecasts[name].seconds is None) == (name in settings.members)


def test_models_of_other_counts_or_with_other_files_are_refused(tmp_path: Path, trained) -> None:
    model, files = trained
    stale = fold_record(CITY, models={NAME: model}, data_sha256="of other counts")
    with pytest.raises(StaleModelError, match=r"materialise fold_models for made_up\|2021-11-17 again"):
        fold_forecasts({NAME: files}, EvaluatedFold(stale, HISTORY), {}, print)
    with pytest.raises(ModelMismatchError, match=NAME):
        read_models(Store(str(tmp_path)), fold_record(CITY, models={NAME: model}))
