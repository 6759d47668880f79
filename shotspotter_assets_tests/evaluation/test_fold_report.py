import json
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shotspotter_assets.evaluation.evaluated_fold import EvaluatedFold
from shotspotter_assets.evaluation.fold_report import ForecastShapeError, fold_report
from shotspotter_assets.evaluation.scores import SCORE_DEFINITIONS
from shotspotter_assets.models.forecaster import ModelForecast
from shotspotter_assets.models.history import History
from shotspotter_assets_tests.evaluation.cities import COVERED, FIRST_DAY, TEST, counts, fold_record, made_up_city
from shotspotter_assets_tests.evaluation.forecasts import score_days

NETWORK = "conv_lstm"
CELLS = int(COVERED.sum())
CITY = made_up_city("washington_dc")


def arguments() -> dict[str, Any]:
    random = np.random.default_rng(0)
    mean = np.broadcast_to(random.uniform(0.01, 0.2, CELLS), (40, CELLS))
    network = random.uniform(0, 0.3, (40, CELLS)).astype(np.float32)
    return {
        "fold": EvaluatedFold(fold_record(CITY, {"filters": 8}), History(CITY, FIRST_DAY, counts(), COVERED)),
        "models": {
            NETWORK: ModelForecast(network, seconds=12.5),
            "true_intensity": ModelForecast(np.zeros((40, CELLS))),
            "never": ModelForecast(np.full((40, CELLS), 1e-6)),
            "historical_mean": ModelForecast(mean, {"pseudo_days": 10}, 0.1),
        },
    }


def test_report_and_table_say_what_was_forecast_and_what_came():
    given = arguments()
    report, table = fold_report(**given)
    json.dumps(report.model_dump(mode="json"), allow_nan=False)
    assert list(report.models) == [NETWORK, "true_intensity", "never", "historical_mean"]
    assert report.city == "washington_dc"
    assert report.fold == date(2021, 11, 17)
    assert (report.train_days, report.validation_days, report.test_days) == (260, 60, 40)
    assert (report.train_first, report.train_last) == (date(2021, 1, 1), date(2021, 9, 17))
    assert (report.test_first, report.test_last) == (date(2021, 11, 17), date(2021, 12, 26))
    assert report.config == {"filters": 8}
    alerts = counts()[TEST.start :].astype(int)
    assert report.covered_cells == CELLS
    assert report.alerts == alerts.sum()  # this city has no alert outside its coverage
    assert report.base_rate == pytest.approx((alerts.sum(axis=1) > 0).sum() / (40 * CELLS))
    network = report.models[NETWORK]
    assert set(vars(network)) == {*SCORE_DEFINITIONS, "seconds_to_train"}
    assert network.seconds_to_train == 12.5
    assert report.models["true_intensity"].seconds_to_train is None
    assert report.models["historical_mean"].gain_nats_per_positive == 0
    assert report.model_settings["historical_mean"] == {"pseudo_days": 10}

    assert table.schema.field("date").type == pa.date32()
    assert table.schema.field("row").type == table.schema.field("column").type == pa.int16()
    assert table.schema.field("observed").type == pa.int8()
    assert all(table.schema.field(name).type == pa.float64() for name in report.models)
    assert len(table) == 40 * CELLS
    line = table.slice(7 * CELLS + 4, 1).to_pylist()[0]
    row, column = (int(axis[4]) for axis in np.nonzero(COVERED))
    assert (line["date"], line["row"], line["column"]) == (date(2021, 11, 24), row, column)
    assert line["observed"] == int(alerts[7, :, row, column].sum() > 0)
    assert line[NETWORK] == pytest.approx(float(given["models"][NETWORK].probability[7, 4]))


def test_scores_can_be_computed_again_from_the_table():
    given = arguments()
    report, table = fold_report(**given)
    observed = counts()[TEST.start :].max(axis=1)[:, COVERED] > 0
    assert (table["observed"].to_numpy().reshape(observed.shape) == observed).all()
    reference = table["historical_mean"].to_numpy().reshape(observed.shape)
    for name, scores in report.models.items():
        again = score_days(table[name].to_numpy().reshape(observed.shape), observed, reference)
        assert vars(scores) == vars(again) | {"seconds_to_train": scores.seconds_to_train}


def test_alerts_outside_the_coverage_do_not_count():
    given = arguments()
    expected, _ = fold_report(**given)
    given = arguments()
    given["fold"].history.counts[:, :, ~COVERED] = 3
    assert fold_report(**given)[0] == expected


def test_refuses_a_forecast_of_another_shape():
    given = arguments()
    given["models"][NETWORK] = ModelForecast(np.zeros((39, CELLS)))
    with pytest.raises(
        ForecastShapeError, match=r"washington_dc, fold 2021-11-17: the forecast of conv_lstm has shape \(39"
    ):
        fold_report(**given)
