import json
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from shotspotter_assets.evaluation import plots
from shotspotter_assets.evaluation.estimates import table_gain
from shotspotter_assets.evaluation.fold_report import (
    LEADS,
    FoldReport,
    fold_forecasts,
    fold_leads,
    fold_pictures,
    fold_report,
    fold_rows,
    own_models,
)
from shotspotter_assets.evaluation.fold_tables import FoldWindow, hour_forecasts, type_forecasts
from shotspotter_assets.evaluation.forecasts_table import (
    cells_of,
    forecasts_table,
    model_names,
    observed_of,
    periods_of,
    pool_tables,
    without_firework_days,
)
from shotspotter_assets.evaluation.score_rows import TYPES, ScoreTable, type_rows
from shotspotter_assets.evaluation.scores import score_table
from shotspotter_assets.forecasts.training import train_fold
from shotspotter_assets.grid.dates import dates_of
from shotspotter_assets.models.city_history import covered_mask
from shotspotter_assets.models.forecaster import FitContext, log_losses
from shotspotter_assets.models.forecaster_registry import BASELINES, forecaster, hourly_forecaster
from shotspotter_assets.models.gunshot_types import GunshotTypes
from shotspotter_assets.models.history import History
from shotspotter_assets.models.trained_models import (
    FoldRecord,
    ModelFiles,
    TrainedModel,
    TrainedModels,
    read_models,
    write_models,
)
from shotspotter_assets.storage.catalogue import FOLD_MODEL
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.evaluation import cities
from shotspotter_assets_tests.evaluation.forecasts import random_table
from shotspotter_assets_tests.models.hours import COVERED, TEST, TRAIN, VALIDATION, counts, history, stored

NETWORK = "conv_lstm"
NAME = "regime_regression"
CELLS = int(cities.COVERED.sum())
CITY = cities.square_city()


def trained(*names: str, **changes: Any) -> tuple[FoldRecord, ModelFiles, History]:
    """Return a fold trained on the first days of a city, and the history to its last test day."""
    grid = counts()
    windows = (cities.TRAIN, cities.VALIDATION)
    days = stored(grid)
    before = stored(grid[: cities.TEST.start * 24])
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


def report_of(given: dict[str, Any]) -> tuple[FoldReport, ScoreTable, pa.Table]:
    return fold_report(FoldWindow.of(given["record"], given["history"]), given["probability"])


def test_the_own_models_and_every_baseline_forecast_the_test_days(
    tmp_path: Path, fold, caplog: pytest.LogCaptureFixture
) -> None:
    record, files, history = fold
    store = Store(str(tmp_path))
    write_models(store, FOLD_MODEL, record, files)
    models = read_models(store, FOLD_MODEL, record, record.cutoff)
    with caplog.at_level("INFO"):
        forecasts = fold_forecasts(models, FoldWindow.of(record, history))
    assert list(forecasts) == [NAME, *BASELINES]
    assert own_models(record) == [NAME]
    assert all(forecast.shape == (40, len(record.covered)) for forecast in forecasts.values())
    expected = forecaster(NAME).load(files[NAME]).predict(history, cities.TEST)
    np.testing.assert_array_equal(forecasts[NAME], expected)
    assert caplog.messages[0] == f"made_up_city {record.cutoff}: forecasting 40 days with {NAME}"


def test_members_of_a_combination_are_forecast_and_trained_once() -> None:
    record, files, history = trained("stack", stack={"members": ["ewma", "regime_regression"]})
    assert not {"ewma", "regime_regression"} & set(record.models)
    forecasts = fold_forecasts(TrainedModels.load(files), FoldWindow.of(record, history))
    assert list(forecasts) == ["stack", "regime_regression", *BASELINES]
    alone = forecaster("ewma").fit(history, cities.TRAIN, cities.VALIDATION).predict(history, cities.TEST)
    np.testing.assert_allclose(forecasts["ewma"], alone, rtol=1e-9)


def test_longer_leads_use_no_later_day_and_lead_one_is_the_forecast(fold) -> None:
    record, files, history = fold
    models = TrainedModels.load(files)
    window = FoldWindow.of(record, history)
    forecasts = fold_forecasts(models, window)
    losses = fold_leads(models, window, forecasts)
    by_lead = {lead: losses.filter(pc.field("lead") == lead) for lead in LEADS}
    assert all((dates_of(table) == window.days).all() for table in by_lead.values())
    own = log_losses(forecasts[record.served][window.known], window.observed).sum(axis=1)
    np.testing.assert_allclose(by_lead[1]["loss"], own)
    np.testing.assert_array_equal(by_lead[14]["positives"], window.observed.sum(axis=1))
    counts = history.counts.copy()
    counts[-14:] = 9  # the last test day may use none of the last 14 days at lead 14
    other = replace(window, history=replace(history, counts=counts))
    unchanged = fold_leads(models, other, forecasts).filter(pc.field("lead") == 14)
    np.testing.assert_allclose(unchanged["loss"], by_lead[14]["loss"])


def test_models_of_other_counts_or_with_other_files_are_refused(tmp_path: Path, fold) -> None:
    record, files, history = fold
    stale = record.model_copy(update={"data_sha256": "of other counts"})
    with pytest.raises(ValueError, match=rf"fold_models.*made_up_city {record.cutoff}"):
        fold_forecasts(TrainedModels.load(files), FoldWindow.of(stale, history))
    with pytest.raises(ValueError, match=NAME):
        read_models(Store(str(tmp_path)), FOLD_MODEL, record, record.cutoff)


def test_report_and_table_hold_forecasts_and_outcomes():
    given = arguments()
    report, scores, table = report_of(given)
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
        given = arguments()
        known = np.ones(cities.TEST.stop, dtype=bool)
        known[unknown] = False
        given["history"].counts[unknown] = fill
        given["history"] = replace(given["history"], is_known=known)
        return given["history"], *report_of(given)

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
    assert set(fold_pictures(FoldWindow.of(record, history), table)) == {"forecast", "reliability", "alerts_by_type"}


@pytest.mark.parametrize("first", ["never", NETWORK])
def test_the_map_of_the_network_stands_beside_the_first_model(monkeypatch: pytest.MonkeyPatch, first: str) -> None:
    drawn = []
    monkeypatch.setattr(plots, "as_png", drawn.append)
    given = arguments()
    models = {first: TrainedModel(chosen={}, files={}, seconds_to_train=1.0)}
    window = FoldWindow.of(cities.fold_record(CITY, models=models), given["history"])
    fold_pictures(window, report_of(given)[2])
    titles = [[axes.get_title().partition(":")[0] for axes in figure.axes if axes.get_title()] for figure in drawn]
    assert titles[0] == [*dict.fromkeys((first, NETWORK)), "Observed"]
    assert titles[2] == list(CITY.type_names.values())


def test_alerts_outside_the_coverage_do_not_count():
    given = arguments()
    given["history"].counts[:, :, ~cities.COVERED] = 3
    assert report_of(given)[0] == report_of(arguments())[0]


def test_keeps_the_models_that_all_folds_have():
    more = {"conv_lstm": np.full(200, 0.1)}
    pooled = pool_tables([random_table(date(2021, 4, 1), 20, 10, **more), random_table(date(2021, 5, 1), 20, 10)])
    assert model_names(pooled) == ["network", "historical_mean"]


def test_refuses_nothing_and_overlapping_folds():
    with pytest.raises(ValueError, match="No forecasts"):
        pool_tables([])
    with pytest.raises(ValueError, match="2021-04-10"):
        pool_tables([random_table(date(2021, 4, 1), 10, 5), random_table(date(2021, 4, 10), 10, 5)])


def test_leaves_firework_days_out():
    forecasts = random_table(date(2021, 7, 1), 7, 10)
    kept = without_firework_days(forecasts)
    assert [day.day for day in kept["date"].unique().to_pylist()] == [1, 2, 6, 7]
    losses = log_losses(kept["network"].to_numpy(), kept["observed"].to_numpy() == 1)
    assert score_table(kept)["network"]["log_loss"] == pytest.approx(losses.mean())
    assert score_table(forecasts)["network"]["log_loss"] != pytest.approx(losses.mean())
    assert score_table(without_firework_days(random_table(date(2021, 7, 3), 3, 10))) == {}


def test_rows_are_in_the_order_of_periods_and_cells():
    in_coverage = np.array([[False, True], [True, True]])
    days = np.array(["2021-05-01", "2021-05-02"], dtype="datetime64[D]")
    observed = np.array([[True, False, False], [False, False, True]])
    p = np.arange(6).reshape(2, 3) / 10
    table = forecasts_table(days, np.nonzero(in_coverage), observed, {"model": p}, hours=np.array([22, 1]), horizon=4)
    assert table.column_names == ["date", "hour", "horizon", "row", "column", "observed", "model"]
    assert list(zip(*(axis.tolist() for axis in cells_of(table)), strict=True)) == 2 * [(0, 1), (1, 0), (1, 1)]
    assert (dates_of(table) == np.repeat(days, 3)).all()
    assert [str(period) for period in np.unique(periods_of(table))] == ["2021-05-01T22", "2021-05-02T01"]
    assert observed_of(table).tolist() == [True, False, False, False, False, True]
    assert table["model"].to_pylist() == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])
    assert table.schema.field("date").type == pa.date32()
    assert set(table["horizon"].to_pylist()) == {4}


def test_blocks_of_hours_with_their_alerts() -> None:
    context = FitContext(horizons=(2, 4))
    hourly = {
        name: hourly_forecaster(name).fit(history(), TRAIN, VALIDATION, context)
        for name in ("hourly_stack", "climatology")
    }
    table = hour_forecasts(history(), hourly, TEST, [4, 2])
    cells = int(COVERED.sum())
    of_four = table.filter([horizon == 4 for horizon in table["horizon"].to_pylist()])
    assert len(of_four) == 40 * 6 * cells
    assert len(table) == 40 * (6 + 12) * cells
    assert set(of_four["hour"].to_pylist()) == {0, 4, 8, 12, 16, 20}
    assert of_four["date"][0].as_py() == date(2021, 11, 17)
    first = history().hour_at(datetime.fromisoformat("2021-11-17T05:00:00+00:00"))
    came = counts()[first : first + 4].sum(axis=(0, 1))[COVERED] > 0
    np.testing.assert_array_equal(of_four["observed"].to_numpy()[:cells].astype(bool), came)
    assert table["self_exciting"].null_count == 0
    assert table_gain(of_four, "next_hours", "climatology").low > 0
    fewer = hour_forecasts(history(), hourly, TEST, [2], apart=4).to_pandas()
    assert fewer.groupby("hour").size().to_dict() == dict.fromkeys(range(0, 24, 2), 20 * cells)
    assert fewer.groupby("date")["hour"].nunique().eq(6).all()
    with pytest.raises(ValueError, match=r"\(1, 2, 4\).*\[3\]"):
        hour_forecasts(history(), hourly, TEST, [3])


def test_types_of_the_alerts_that_came() -> None:
    types = GunshotTypes.fit(history(), TRAIN, VALIDATION)
    forecasts = type_forecasts(types, {}, history(), stored(counts()).daily(COVERED), TEST)
    assert len(forecasts) == counts()[TEST.start : TEST.stop, :3][:, :, COVERED].sum()
    for name in ("type_regression", "trailing_mix"):
        total = sum(forecasts[f"{name}_{code}"].to_numpy() for code in range(3))
        np.testing.assert_allclose(total, 1)
    # Types differ by place, which the recent mix of the whole city does not know.
    assert ScoreTable(type_rows([forecasts])).gain("trailing_mix", "type_regression", TYPES).low > 0
