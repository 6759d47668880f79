import hashlib
import json
import shutil
from datetime import date
from pathlib import Path

import dagster as dg
import numpy as np
import pyarrow.parquet as pq
import pytest
from markupsafe import escape

from shotspotter_assets.defs.panel import rounded
from shotspotter_assets.evaluation.fold_report import FoldReport
from shotspotter_assets.evaluation.score_rows import ScoreTable
from shotspotter_assets.evaluation.walk_forward_report import WalkForwardReport
from shotspotter_assets.models.trained_models import FoldRecord
from shotspotter_assets.storage.catalogue import (
    CITY_PICTURE,
    CITY_SCORES,
    FOLD_COUNTS,
    FOLD_FORECASTS,
    FOLD_MODEL,
    FOLD_PICTURE,
    FOLD_RECORD,
    FOLD_SCORES,
    HEADLINES,
    MODEL_CARD,
    PAGE,
    STATUS,
)
from shotspotter_assets.storage.errors import MissingObjectError, MissingPartitionsError
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_file import ALL_CITIES
from shotspotter_assets_tests.defs.chain import (
    CITIES,
    ReportedFold,
    copy_days,
    materialize,
    metadata_of,
    report_fold,
    resources,
    run_days,
    run_fold,
    with_city,
)
from shotspotter_assets_tests.evaluation.cities import fold_record
from shotspotter_assets_tests.evaluation.forecasts import counts_table, forecasts_table, with_column
from shotspotter_assets_tests.s3_server import S3Server

CITY = "tiny_city"
FOLD = "2024-01-01"
BASELINES = {
    "never", "city_mean", "historical_mean", "persistence", "ew_kde", "ewma", "logistic_regression", "gradient_boosting",
}  # fmt: skip


def test_from_raw_alerts_to_the_report_on_s3(
    instance: dg.DagsterInstance, tiny_city_days: Path, s3_server: S3Server, s3_store_root: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    s3_server.use(monkeypatch)
    cities = with_city(CITY, serves="residual_boosting", time_precision="day")
    on = resources(s3_store_root, cities=cities)
    client = s3_server.client()
    bucket, prefix = s3_store_root.removeprefix("s3://").split("/")
    patterns = ("format.json", "grid_tensors/*/*/*", "raw_alerts/*/_days.parquet")
    for file in (file for pattern in patterns for file in tiny_city_days.glob(pattern)):
        client.upload_file(str(file), bucket, f"{prefix}/{file.relative_to(tiny_city_days)}")
    assert run_days(CITY, "2024-03-01", "2024-03-31", on, instance).success
    trained = run_fold("fold_models", CITY, FOLD, on, instance, {"models": ["residual_boosting"]})
    reported = run_fold("evaluation_reports", CITY, FOLD, on, instance)
    check_report(Store(s3_store_root, client), trained, reported, {"residual_boosting"}, {"alert_counts"})


def test_a_trial_of_a_forecaster_leaves_the_fold_complete(
    tmp_path: Path, instance: dg.DagsterInstance, tiny_city_days: Path
) -> None:
    root = copy_days(tiny_city_days, tmp_path / "store", "2024-03-31")
    on = resources(str(root), cities=with_city(CITY, serves="residual_boosting", time_precision="day"))
    assert run_fold("fold_models", CITY, FOLD, on, instance, {"models": ["city_mean"]}).success
    record = FoldRecord.load(Store(str(root)), CITY, date(2024, 1, 1))
    assert {"residual_boosting", "city_mean"} <= set(record.models)
    assert run_fold("evaluation_reports", CITY, FOLD, on, instance).success
    result = materialize(CITY, ["walk_forward_reports"], on, instance=instance, checks=())
    [row] = [
        row for row in Store(str(root)).read_table(HEADLINES, CITY).to_pylist() if row["last"] == date(2024, 3, 31)
    ]
    assert (row["tested_days"], row["issued_days"], row["gain"]) == (91, 0, None)
    shown = metadata_of(result)["walk_forward_reports", None]["headline_scores"].records[0].data
    assert shown == rounded(row | {"last": "2024-03-31"})


def check_models(store: Store, trained: dg.ExecuteInProcessResult, models: set[str]) -> None:
    """Assert that the fold's record lists its windows, its models and their stored files."""
    cutoff = date(2024, 1, 1)
    record = json.loads(store.read_bytes(FOLD_RECORD, CITY, cutoff))
    assert (record["train"], record["validation"]) == (["2023-07-01", "2023-12-03"], ["2023-12-04", "2023-12-31"])
    assert set(record["models"]) == BASELINES | models
    assert "conv_lstm" not in models or record["config"]["settings"]["conv_lstm"]["filters"] == 2
    for name, model in record["models"].items():
        assert model["files"]
        for file, digest in model["files"].items():
            content = store.read_bytes(FOLD_MODEL.named(model=name, file=file), CITY, cutoff)
            assert hashlib.sha256(content).hexdigest() == digest
    [event] = trained.get_asset_materialization_events()
    assert event.partition == FOLD


def check_report(
    store: Store,
    trained: dg.ExecuteInProcessResult,
    reported: dg.ExecuteInProcessResult,
    models: set[str],
    beside: set[str],
) -> None:
    """Assert that the fold is stored with `models`, and others `beside` them, and reported with those models."""
    check_models(store, trained, models | beside)
    cutoff = date(2024, 1, 1)
    report = FoldReport.load(store, CITY, cutoff)
    scores = ScoreTable.load(store, FOLD_SCORES, CITY, cutoff)
    assert set(scores.models()) == BASELINES | models
    assert (report.train_days, report.validation_days, report.test_days) == (156, 28, 91)
    forecasts = store.read_table(FOLD_FORECASTS, CITY, cutoff)
    assert forecasts.num_rows == report.test_days * report.covered_cells
    assert set(forecasts.column_names) == {"date", "row", "column", "observed"} | BASELINES | models
    observed = forecasts["observed"].to_numpy()
    assert report.base_rate == pytest.approx(observed.mean())
    for name in scores.models():
        p = forecasts[name].to_numpy()
        loss = scores.value("log_loss", name)
        assert loss == pytest.approx(-np.mean(observed * np.log(p) + (1 - observed) * np.log1p(-p)))
    assert scores.value("gain_nats_per_positive", "historical_mean") == 0
    [event] = reported.get_asset_materialization_events()
    metadata = event.step_materialization_data.materialization.metadata
    assert {row.data["model"] for row in metadata["accuracy"].records} == models | {"never", "always"}
    for plot in ("forecast", "reliability", "alerts_by_type"):
        assert store.read_bytes(FOLD_PICTURE.named(plot=plot), CITY, cutoff).startswith(b"\x89PNG")
        assert metadata[plot].value.startswith(f"![{plot}](data:image/png;base64,iVBOR")


def test_the_launchpad_sets_the_windows_of_a_fold(
    tmp_path: Path, instance: dg.DagsterInstance, tiny_city_days: Path
) -> None:
    root = copy_days(tiny_city_days, tmp_path / "store", "2024-03-31")
    changes = {"start": date(2022, 10, 1), "serves": "residual_boosting", "time_precision": "day"}
    on = resources(str(root), cities=with_city(CITY, **changes))
    assert run_days(CITY, "2022-10-01", "2023-06-30", on, instance).success
    windows = {"train": "1y", "validation": "10%"}
    run_fold("fold_models", CITY, FOLD, on, instance, {"models": ["city_mean"], "folds": windows})
    run_fold("evaluation_reports", CITY, FOLD, on, instance)
    store = Store(str(root))
    cutoff = date(2024, 1, 1)
    record = FoldRecord.load(store, CITY, cutoff)
    report = FoldReport.load(store, CITY, cutoff)
    assert (record.train[0], record.validation[0]) == (date(2022, 11, 21), date(2023, 11, 21))
    assert record.config["folds"] == windows
    assert (report.train_days, report.validation_days, report.test_days) == (365, 41, 91)
    with pytest.raises(ValueError, match=r"tiny_city: folds\.train \(5y\) .*folds\.validation \(15%\) .*1\.3 years"):
        run_fold("fold_models", CITY, FOLD, on, instance, {"folds": {"train": "5y"}})
    config = {"evaluation_reports": {"folds": {"test": "1y"}}}
    with pytest.raises(MissingPartitionsError, match=r"275 .*772"):
        materialize(CITY, ["evaluation_reports"], on, partition_key=FOLD, config=config, instance=instance)


def test_reports_open_as_one_data_set(reported_fold: Path) -> None:
    import duckdb
    import polars as pl

    reports = reported_fold / "evaluation_reports"
    hours = pl.scan_parquet(f"{reports}/**/hourly_forecasts.parquet").collect()
    assert set(hours["horizon"]) == {4}
    assert {"next_hours", "climatology", "self_exciting"} < set(hours.columns)
    types = pl.scan_parquet(f"{reports}/**/type_forecasts.parquet").collect()
    for name in ("type_regression", "trailing_mix"):
        np.testing.assert_allclose(sum(types[f"{name}_{code}"].to_numpy() for code in range(3)), 1)
    pattern = f"{reports}/**/forecasts.parquet"
    table = f"read_parquet('{pattern}', hive_partitioning=true)"
    [(city, fold, rows)] = duckdb.sql(f"select city, fold, count(*) from {table} group by all").fetchall()
    assert (city, str(fold)) == (CITY, FOLD)
    assert pl.scan_parquet(pattern, hive_partitioning=True).select("fold").collect().height == rows


FOLDS = [date(2024, 1, 1), date(2024, 4, 1)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(str(tmp_path / "store"))
    for seed, cutoff in enumerate(FOLDS):
        store.write_table(FOLD_FORECASTS, forecasts_table(cutoff, 91, (8, 8), seed=seed, stack=0.7), CITY, cutoff)
        store.write_table(FOLD_COUNTS, counts_table(cutoff, 91), CITY, cutoff)
        changes = {"city": CITY, "cutoff": cutoff, "train": (date(2023, 7, 1), date(2023, 12, 3))}
        fold_record(CITIES[CITY]).model_copy(update=changes).write_after(store, {})
    return store


def run(
    tmp_path: Path, instance: dg.DagsterInstance, **changes: str
) -> tuple[dg.ExecuteInProcessResult, dg.AssetMaterialization, dg.AssetCheckEvaluation]:
    on = resources(str(tmp_path / "store"), cities=with_city(CITY, **changes))
    result = materialize(CITY, ["walk_forward_reports"], on, instance=instance)
    [event] = result.get_asset_materialization_events()
    [check] = result.get_asset_check_evaluations()
    return result, event.step_materialization_data.materialization, check


def test_a_better_forecast_is_served(tmp_path: Path, instance: dg.DagsterInstance, store: Store) -> None:
    _, made, check = run(tmp_path, instance)
    report = WalkForwardReport.load(store, CITY)
    scores = ScoreTable.load(store, CITY_SCORES, CITY)
    assert report.folds == FOLDS
    assert report.verdict.served == made.metadata["served"].value == "stack"
    card = store.read_bytes(MODEL_CARD, CITY).decode()
    assert made.metadata["model_card"].value == card
    assert card.startswith("# Model card: next-day alert forecast of tiny_city")
    for plot in ("timeline", "reliability", "gain_by_fold"):
        assert store.read_bytes(CITY_PICTURE.named(plot=plot), CITY).startswith(b"\x89PNG")
        assert made.metadata[plot].value.startswith(f"![{plot}](data:image/png;base64,iVBOR")
    rows = {record.data["model"]: record.data for record in made.metadata["scores"].records}
    assert set(rows) == set(scores.models())
    assert rows["stack"]["low"] == pytest.approx(report.verdict.gain.low, abs=1e-5)
    decided = [(row.data["model"], row.data["weight"]) for row in made.metadata["accuracy"].records]
    assert decided[0] == ("stack", 1)
    assert {("never", 10), ("always", 100)} < set(decided)
    assert (check.passed, check.blocking) == (True, False)
    assert check.description.startswith("Verdict: better. stack is served. ")


@pytest.mark.parametrize(
    ("times", "of", "outcome"),
    [(1, "truth", "better"), (1, "historical_mean", "not worse, not shown to be better"), (10, "truth", "worse")],
)
def test_all_places_repeat_one_verdict(
    tmp_path: Path, instance: dg.DagsterInstance, store: Store, times: int, of: str, outcome: str
) -> None:
    for cutoff in FOLDS:
        table = store.read_table(FOLD_FORECASTS, CITY, cutoff)
        changed = np.clip(times * table[of].to_numpy(), 1e-4, 0.99)
        store.write_table(FOLD_FORECASTS, with_column(table, "stack", changed), CITY, cutoff)
    _, report, check = run(tmp_path, instance)
    assert (check.passed, check.blocking, check.severity) == (outcome == "better", False, dg.AssetCheckSeverity.WARN)
    assert check.metadata["served"].value == report.metadata["served"].value
    made = materialize(CITY, ["city_pages"], resources(str(tmp_path / "store")), instance=instance)
    [pages] = made.asset_materializations_for_node(f"{CITY}__city_pages")
    status = json.loads(store.read_bytes(STATUS, CITY))
    stated = [report.metadata["verdict"], check.metadata["verdict"], pages.metadata["verdict"]]
    assert [one.value for one in stated] == [outcome] * 3
    assert status["verdict"] == outcome
    card = store.read_bytes(MODEL_CARD, CITY).decode()
    assert f"**{outcome}**" in card
    badge = f"</i>{outcome.capitalize()}</span>"
    for city, file in ((CITY, "track_record.html"), (ALL_CITIES, "index.html")):
        html = store.read_bytes(PAGE.named(file=file), city).decode()
        assert html.count(badge) == html.count('class="light ') == 1
    for reason in status["verdict_reasons"]:
        assert reason in check.description
        assert reason in card
        assert str(escape(reason)) in store.read_bytes(PAGE.named(file="track_record.html"), CITY).decode()


def test_missing_forecasts_and_reports_are_named(tmp_path: Path, instance: dg.DagsterInstance, store: Store) -> None:
    with pytest.raises(ValueError, match=r"tiny_city.*2024-01-01.*conv_lstm"):
        run(tmp_path, instance, serves="conv_lstm")
    for cutoff in FOLDS:
        store.delete(FOLD_FORECASTS, CITY, cutoff)
    _, made, check = run(tmp_path, instance)
    assert made.metadata["note"].value.startswith("No fold has an evaluation report of gunfire. Materialize")
    assert not check.passed


@pytest.fixture(scope="module")
def network_fold(tiny_city_days: Path, tmp_path_factory: pytest.TempPathFactory) -> ReportedFold:
    """The fold with a network too; not to be changed."""
    root = tmp_path_factory.mktemp("network_fold") / "store"
    return report_fold(tiny_city_days, root, ["conv_lstm", "residual_boosting"])


@pytest.mark.slow
def test_from_raw_alerts_to_the_report_with_a_network(network_fold: ReportedFold) -> None:
    root, trained, reported = network_fold
    # All that serves is in the fold, and what the report compares with.
    beside = {"alert_counts", "hourly_stack", "climatology", "gunshot_types"}
    check_report(Store(str(root)), trained, reported, {"conv_lstm", "residual_boosting"}, beside)


@pytest.mark.slow
def test_missing_and_stale_inputs_are_named(
    tmp_path: Path, instance: dg.DagsterInstance, tiny_city_days: Path, network_fold: ReportedFold
) -> None:
    copy_days(tiny_city_days, tmp_path / "short", "2023-12-15")
    with pytest.raises(MissingPartitionsError, match=r"16 .*2023-12-16.*tiny_city/grid_tensors"):
        run_fold("fold_models", CITY, FOLD, resources(str(tmp_path / "short")), instance)
    on = resources(str(copy_days(tiny_city_days, tmp_path / "store", "2024-03-31")))
    settings = {"conv_lstm": {"days": 64, "recurrent_layers": 2}}
    with pytest.raises(ValueError, match="184 days"):
        run_fold("fold_models", CITY, FOLD, on, instance, {"models": ["conv_lstm"], "settings": settings})
    with pytest.raises(MissingObjectError, match=r"fold_models.*record\.json.*tiny_city.*2024-01-01"):
        run_fold("evaluation_reports", CITY, FOLD, on, instance)

    shutil.copytree(network_fold.root / "fold_models", tmp_path / "store" / "fold_models", dirs_exist_ok=True)
    grids = tmp_path / "store" / "grid_tensors" / "city=tiny_city"
    day = grids / "date=2023-11-01" / "grid.parquet"
    other = grids / "date=2023-11-02" / "grid.parquet"
    content = day.read_bytes()
    day.write_bytes(other.read_bytes())
    with pytest.raises(ValueError, match="fold_models for tiny_city 2024-01-01"):
        run_fold("evaluation_reports", CITY, FOLD, on, instance)
    day.write_bytes(content)
    model = (
        tmp_path
        / "store"
        / "fold_models"
        / "city=tiny_city"
        / "target=gunfire"
        / "fold=2024-01-01"
        / "conv_lstm.network_0.keras"
    )
    model.write_bytes(model.read_bytes()[:-1])
    with pytest.raises(ValueError, match="fold_models"):
        run_fold("evaluation_reports", CITY, FOLD, on, instance)


@pytest.mark.slow
def test_a_network_forecasts_types(network_fold: ReportedFold) -> None:
    [file] = network_fold.root.glob("evaluation_reports/**/type_forecasts.parquet")
    types = pq.read_table(file)
    np.testing.assert_allclose(sum(types[f"conv_lstm_{code}"].to_numpy() for code in range(3)), 1)
