from datetime import date
from pathlib import Path

import dagster as dg
import numpy as np
import pytest

from shotspotter_assets.evaluation.score_rows import ScoreTable
from shotspotter_assets.evaluation.walk_forward_report import WalkForwardReport
from shotspotter_assets.storage.catalogue import CITY_PICTURE, CITY_SCORES, FOLD_FORECASTS, MODEL_CARD
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.defs.chain import CITIES, materialize, resources
from shotspotter_assets_tests.evaluation.cities import fold_record
from shotspotter_assets_tests.evaluation.forecasts import forecasts_table, with_column

CITY = "tiny_city"
FOLDS = [date(2024, 1, 1), date(2024, 4, 1)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(str(tmp_path / "store"))
    for seed, cutoff in enumerate(FOLDS):
        store.write_table(FOLD_FORECASTS, forecasts_table(cutoff, 91, (8, 8), seed=seed, stack=0.7), CITY, cutoff)
        changes = {"city": CITY, "cutoff": cutoff, "train": (date(2023, 7, 1), date(2023, 12, 3))}
        fold_record(CITIES[CITY]).model_copy(update=changes).write_after(store, {})
    return store


def run(
    tmp_path: Path, instance: dg.DagsterInstance, candidate: str | None = None
) -> tuple[dg.ExecuteInProcessResult, dg.AssetMaterialization, dg.AssetCheckEvaluation]:
    config = {"walk_forward_reports": {"candidate": candidate}} if candidate else None
    on = resources(str(tmp_path / "store"))
    result = materialize(CITY, ["walk_forward_reports"], on, instance=instance, config=config)
    [event] = result.get_asset_materialization_events()
    [check] = result.get_asset_check_evaluations()
    return result, event.step_materialization_data.materialization, check


def test_a_better_forecast_is_served(tmp_path: Path, instance: dg.DagsterInstance, store: Store) -> None:
    _, made, check = run(tmp_path, instance)
    report, scores = WalkForwardReport.load(store, CITY), ScoreTable.load(store, CITY_SCORES, CITY)
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
    assert check.description.startswith("stack is served. ")


def test_a_worse_forecast_warns_and_the_run_goes_on(tmp_path: Path, instance: dg.DagsterInstance, store: Store) -> None:
    for cutoff in FOLDS:
        table = store.read_table(FOLD_FORECASTS, CITY, cutoff)
        worse = np.clip(10 * table["truth"].to_numpy(), 0, 0.99)
        store.write_table(FOLD_FORECASTS, with_column(table, "stack", worse), CITY, cutoff)
    result, made, check = run(tmp_path, instance)
    assert result.success
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.description.startswith("historical_mean is served. ")
    assert "Worse than the best simple method, historical_mean (-" in check.description
    assert check.metadata["served"].value == made.metadata["served"].value == "historical_mean"


def test_missing_forecasts_and_reports_are_named(tmp_path: Path, instance: dg.DagsterInstance, store: Store) -> None:
    with pytest.raises(ValueError, match=r"tiny_city, fold 2024-01-01: no forecast of conv_lstm"):
        run(tmp_path, instance, candidate="conv_lstm")
    for cutoff in FOLDS:
        store.delete(FOLD_FORECASTS, CITY, cutoff)
    with pytest.raises(ValueError, match=r"tiny_city: no fold has an evaluation report\. Materialize"):
        run(tmp_path, instance)
