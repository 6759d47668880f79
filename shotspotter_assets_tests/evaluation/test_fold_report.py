import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shotspotter_assets.calendar.dates import dates_of
from shotspotter_assets.evaluation import plots
from shotspotter_assets.evaluation.fold_report import fold_forecasts, fold_pictures, fold_report, fold_rows, own_models
from shotspotter_assets.models.city_history import covered_mask
from shotspotter_assets.models.forecaster import FitContext
from shotspotter_assets.models.forecaster_registry import BASELINES, forecaster
from shotspotter_assets.models.history import History
from shotspotter_assets.models.records import FoldRecord, TrainedModel
from shotspotter_assets.models.trained_models import ModelFiles, TrainedModels, read_models, write_models
from shotspotter_assets.serving.training import train_fold
from shotspotter_assets.storage.catalogue import FOLD_MODEL
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.evaluation import cities
from shotspotter_assets_tests.models.hours import counts, stored

NETWORK, NAME = "conv_lstm", "regime_regression"
CELLS = int(cities.COVERED.sum())
CITY = cities.square_city()


def trained(*names: str, **changes: Any) -> tuple[FoldRecord, ModelFiles, History]:
    """Return a fold trained on the first days of a city, and the history to its last test day."""
    grid, windows = counts(), (cities.TRAIN, cities.VALIDATION)
    days, before = stored(grid), stored(grid[: cities.TEST.start * 24])
    context = FitContext(changes=changes)
    record, files = train_fold(before, days.days[cities.TEST.start], windows, names, context=context, config={})
    return record, files, days.daily(covered_mask(record.covered, days.city.shape))


@pytest.fixture(scope="module")
def fold() -> tuple[FoldRecord, ModelFiles, History]:
    return trained(NAME)


def arguments() -> dict[str, Any]:
    random = np.random.default_rng(0)
    mean = np.broadcast_to(random.uniform(0.01, 0.2, CELLS), (40, CELLS))
    network = random.uniform(0, 0.3, (40, CELLS)).astype(np.float32)
    return {
        "record": cities.fold_record(CITY, models={NETWORK: TrainedModel(chosen={}, files={}, seconds_to_train=12.5)}),
        "history": History(CITY, cities.FIRST_DAY, cities.counts(), cities.COVERED),
        "probability": {NETWORK: network, "never": np.full((40, CELLS), 1e-6), "historical_mean": mean},
    }


def test_the_own_models_and_every_baseline_forecast_the_test_days(tmp_path: Path, fold) -> None:
    record, files, history = fold
    store, lines = Store(str(tmp_path)), []
    write_models(store, FOLD_MODEL, record, files)
    models = read_models(store, FOLD_MODEL, record, record.cutoff)
    forecasts = fold_forecasts(models, record, history, lines.append)
    assert list(forecasts) == [NAME, *BASELINES]
    assert own_models(record) == [NAME]
    assert all(forecast.shape == (40, len(record.covered)) for forecast in forecasts.values())
    expected = forecaster(NAME).load(files[NAME]).predict(history, cities.TEST)
    np.testing.assert_array_equal(forecasts[NAME], expected)
    assert lines[0] == f"made_up_city {record.cutoff}: forecasting 40 days with {NAME}"


def test_members_of_a_combination_are_forecast_and_trained_once() -> None:
    record, files, history = trained("stack", stack={"members": ["ewma", "regime_regression"]})
    assert not {"ewma", "regime_regression"} & set(record.models)
    forecasts = fold_forecasts(TrainedModels.load(files), record, history, print)
    assert list(forecasts) == ["stack", "regime_regression", *BASELINES]
    alone = forecaster("ewma").fit(history, cities.TRAIN, cities.VALIDATION).predict(history, cities.TEST)
    np.testing.assert_allclose(forecasts["ewma"], alone, rtol=1e-9)


def test_models_of_other_counts_or_with_other_files_are_refused(tmp_path: Path, fold) -> None:
    record, files, history = fold
    stale = record.model_copy(update={"data_sha256": "of other counts"})
    with pytest.raises(ValueError, match=rf"materialize fold_models for made_up_city {record.cutoff} again"):
        fold_forecasts(TrainedModels.load(files), stale, history, print)
    with pytest.raises(ValueError, match=NAME):
        read_models(Store(str(tmp_path)), FOLD_MODEL, record, record.cutoff)


def test_report_and_table_hold_forecasts_and_outcomes():
    given = arguments()
    report, scores, table = fold_report(**given)
    json.dumps(report.model_dump(mode="json"), allow_nan=False)
    assert report.cutoff == date(2021, 11, 17)
    assert (report.train_days, report.validation_days, report.test_days) == (260, 60, 40)
    alerts = cities.counts()[cities.TEST.start :].astype(int)
    assert report.covered_cells == CELLS
    assert report.alerts == alerts.sum()  # this city has no alert outside its coverage
    assert report.base_rate == pytest.approx((alerts.sum(axis=1) > 0).sum() / (40 * CELLS))
    assert scores.value("seconds_to_train", NETWORK) == 12.5
    assert scores.value("seconds_to_train", "never") is None
    assert fold_rows(scores)[0]["model"] == "historical_mean"

    assert len(table) == 40 * CELLS
    line = table.slice(7 * CELLS + 4, 1).to_pylist()[0]
    row, column = (int(axis[4]) for axis in np.nonzero(cities.COVERED))
    assert (line["date"], line["row"], line["column"]) == (date(2021, 11, 24), row, column)
    assert line["observed"] == int(alerts[7, :, row, column].sum() > 0)
    assert line[NETWORK] == pytest.approx(float(given["probability"][NETWORK][7, 4]))


def test_unknown_test_days_are_not_scored():
    def reported(fill: int, unknown: list[int]) -> tuple:
        given, known = arguments(), np.ones(cities.TEST.stop, dtype=bool)
        known[unknown] = False
        given["history"].counts[unknown] = fill
        given["history"] = replace(given["history"], is_known=known)
        return given["history"], *fold_report(**given)

    unknown = [cities.TEST.start + 3, cities.TEST.start + 20]
    history, report, scores, table = reported(0, unknown)
    _, *expected, expected_table = reported(9, unknown)
    assert [report, scores] == expected
    assert table.equals(expected_table)
    assert report.test_days == 38
    days = np.datetime64(cities.FIRST_DAY) + np.delete(np.array(cities.TEST), [3, 20])
    np.testing.assert_array_equal(np.unique(dates_of(table)), days)
    whole = reported(0, [])[-1]
    assert table.equals(whole.filter(pa.array(np.isin(dates_of(whole), days))))
    record = cities.fold_record(CITY, models={NETWORK: TrainedModel(chosen={}, files={}, seconds_to_train=1.0)})
    assert set(fold_pictures(record, history, table)) == {"forecast", "reliability", "alerts_by_type"}


@pytest.mark.parametrize("first", ["never", NETWORK])
def test_the_map_of_the_network_stands_beside_the_first_model(monkeypatch: pytest.MonkeyPatch, first: str) -> None:
    drawn = []
    monkeypatch.setattr(plots, "as_png", drawn.append)
    given = arguments()
    models = {first: TrainedModel(chosen={}, files={}, seconds_to_train=1.0)}
    fold_pictures(cities.fold_record(CITY, models=models), given["history"], fold_report(**given)[2])
    titles = [[axes.get_title().partition(":")[0] for axes in figure.axes if axes.get_title()] for figure in drawn]
    assert titles[0] == [*dict.fromkeys((first, NETWORK)), "Observed"]
    assert titles[2] == list(CITY.type_names.values())


def test_alerts_outside_the_coverage_do_not_count():
    given = arguments()
    given["history"].counts[:, :, ~cities.COVERED] = 3
    assert fold_report(**given)[0] == fold_report(**arguments())[0]
