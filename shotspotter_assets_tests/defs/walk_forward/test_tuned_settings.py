"""Searches of settings in the chain, on a small simulated city, on a local path and on S3."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from shotspotter_assets.evaluation.fold_report import FoldReport
from shotspotter_assets.evaluation.report_files import fold_partition
from shotspotter_assets.markdown import plain
from shotspotter_assets.models.registry import NotTunableError, UnknownForecasterError
from shotspotter_assets.models.stored_models import read_record
from shotspotter_assets.models.tuning.search import NoTrialsError
from shotspotter_assets.models.tuning.trials import Trial
from shotspotter_assets.models.tuning.tuned_settings import (
    journal_of,
    read_tuned,
    tuned_file,
    tuned_folds,
    tuned_partition,
)
from shotspotter_assets.storage.file_names import FOLD_FORECASTS_FILE, REPORT_FILE
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.defs.chain import copy_days, materialize, resources, run_fold, with_city
from shotspotter_assets_tests.s3_server import S3Server

CITY, FOLD = "tiny_city", date(2024, 1, 1)
REGRESSION = "regime_regression"
NETWORK = "residual_conv_lstm"


def tune(root: str, instance: dg.DagsterInstance, **config: Any) -> dg.ExecuteInProcessResult:
    return materialize(
        ["tuned_settings"],
        resources(root),
        instance=instance,
        partition_key=f"{CITY}|{FOLD}",
        run_config={"ops": {"tuned_settings": {"config": {"forecaster": REGRESSION} | config}}},
    )


def test_a_search_from_the_launchpad_and_one_that_goes_on(
    tmp_path: Path, instance: dg.DagsterInstance, tiny_city_days: Path
) -> None:
    root = copy_days(tiny_city_days, tmp_path / "store", "2023-12-31")
    result = tune(str(root), instance, trials=10)
    [event] = result.get_asset_materialization_events()
    metadata = event.step_materialization_data.materialization.metadata
    store = Store(str(root))
    tuned = read_tuned(store, CITY, FOLD, REGRESSION)
    assert tuned_folds(store, CITY, REGRESSION) == [FOLD]
    assert (tuned.forecaster, tuned.trials, tuned.stopped, tuned.failed) == (REGRESSION, 10, 0, 0)
    # Not a day from the cutoff on.
    assert tuned.validation_last == date(2023, 12, 31)
    assert tuned.loss <= tuned.start_loss
    assert metadata["settings"].value == tuned.settings
    assert metadata["best_trials"].value.records[0].data["log loss"] == pytest.approx(tuned.loss, rel=1e-3)
    folder = root / "tuned_settings" / f"city={CITY}" / f"fold={FOLD}"
    for picture in ("history", "importance", "parallel_coordinates"):
        assert metadata[picture].value.startswith(f"![{picture}](data:image/png;base64,iVBOR")
        assert (folder / f"{REGRESSION}.{picture}.png").read_bytes().startswith(b"\x89PNG")

    before = json.loads((folder / f"{REGRESSION}.trials.json").read_text())["trials"]
    tune(str(root), instance, trials=12)
    after = json.loads((folder / f"{REGRESSION}.trials.json").read_text())["trials"]
    assert (after[:10], len(after)) == (before, 12)
    # No further, but with what is there.
    tune(str(root), instance, trials=50, minutes=0)
    assert read_tuned(store, CITY, FOLD, REGRESSION).trials == 12


@pytest.mark.slow
def test_the_search_of_a_network_keeps_its_epochs(
    tmp_path: Path, instance: dg.DagsterInstance, tiny_city_days: Path
) -> None:
    root = copy_days(tiny_city_days, tmp_path / "store", "2023-12-31")
    result = tune(str(root), instance, forecaster=NETWORK, trials=1, settings={NETWORK: {"epochs": 2}})
    [event] = result.get_asset_materialization_events()
    metadata = event.step_materialization_data.materialization.metadata
    assert metadata["learning_curves"].value.startswith("![learning_curves](data:image/png;base64,iVBOR")
    stored = Store(str(root)).read_table(tuned_partition(CITY, FOLD), f"{NETWORK}.epochs.parquet")
    [trial] = json.loads(
        (root / "tuned_settings" / f"city={CITY}" / f"fold={FOLD}" / f"{NETWORK}.trials.json").read_text()
    )["trials"]
    assert stored["validation_loss"].to_pylist() == trial["epochs"]
    assert stored["epoch"].to_pylist() == [1, 2]


def test_what_cannot_be_searched_is_refused(tmp_path: Path, instance: dg.DagsterInstance, tiny_city_days: Path) -> None:
    root = copy_days(tiny_city_days, tmp_path / "store", "2023-12-31")
    with pytest.raises(UnknownForecasterError, match="no forecaster 'boosting'"):
        tune(str(root), instance, forecaster="boosting")
    with pytest.raises(NotTunableError, match="stack has no settings"):
        tune(str(root), instance, forecaster="stack")
    with pytest.raises(NoTrialsError, match=f"{REGRESSION} of {CITY}: no trial is finished, and 0 minutes"):
        tune(str(root), instance, minutes=0)
    with pytest.raises(dg.DagsterInvalidConfigError, match="trials"):
        tune(str(root), instance, trials="many")


def test_machines_that_share_a_store_on_s3_lose_no_trial(s3_server: S3Server, s3_store_root: str) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def add(machine: int) -> None:
        journal = journal_of(Store(s3_store_root, s3_server.client(), patience_s=30), CITY, FOLD, REGRESSION)
        for at in range(6):
            journal.add("search", Trial(values={"a": machine}, state="complete", loss=0.1, seconds=at))

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(add, range(3)))
    kept = journal_of(Store(s3_store_root, s3_server.client()), CITY, FOLD, REGRESSION)
    assert sorted((trial.values["a"], trial.seconds) for trial in kept.read("search")) == [
        (machine, at) for machine in range(3) for at in range(6)
    ]
    assert kept.read("another search") == []


def test_tuned_settings_are_tried_beside_the_others_and_come_into_force_by_a_later_fold(
    tmp_path: Path, instance: dg.DagsterInstance, tiny_city_days: Path
) -> None:
    root = copy_days(tiny_city_days, tmp_path / "store", "2024-03-31")
    on, store = resources(str(root)), Store(str(root))
    tune(str(root), instance, trials=6)
    found = read_tuned(store, CITY, FOLD, REGRESSION)
    if not found.settings:  # on another machine the first trial may be the best one
        store.write_bytes(
            tuned_partition(CITY, FOLD),
            tuned_file(REGRESSION),
            found.model_copy(update={"settings": {"shared_variance": 1e-2}}).model_dump_json().encode(),
        )
    settings = read_tuned(store, CITY, FOLD, REGRESSION).settings
    stack = {"models": ["stack"]}
    city = with_city(CITY, forecasters={"stack": {"members": [REGRESSION, "historical_mean"]}})
    on = resources(str(root), cities=city)
    trained = run_fold("fold_models", CITY, str(FOLD), on, instance, stack)
    record = read_record(store, CITY, FOLD)
    assert list(record.models) == ["stack", f"{REGRESSION}_tuned"]
    assert (record.tuned[REGRESSION].in_force, record.tuned[REGRESSION].settings) == (False, settings)
    [event] = trained.get_asset_materialization_events()
    words = event.step_materialization_data.materialization.metadata["tuned"].value
    assert f"{plain(REGRESSION)} that were tuned before 2024-01-01 are not in force" in words

    assert run_fold("evaluation_reports", CITY, str(FOLD), on, instance).success
    report = FoldReport.model_validate_json(store.read_bytes(fold_partition(CITY, FOLD), REPORT_FILE))
    assert {"stack", REGRESSION, f"{REGRESSION}_tuned"} < set(report.models)
    assert report.models[REGRESSION].log_loss != report.models[f"{REGRESSION}_tuned"].log_loss

    # As if the tuned settings had been better in the test window.
    table = store.read_table(fold_partition(CITY, FOLD), FOLD_FORECASTS_FILE)
    best = table["true_intensity"]
    table = table.set_column(table.column_names.index(f"{REGRESSION}_tuned"), f"{REGRESSION}_tuned", best)
    store.write_table(fold_partition(CITY, FOLD), FOLD_FORECASTS_FILE, table)
    later = date(2024, 4, 1)
    assert run_fold("fold_models", CITY, str(later), on, instance, stack).success
    record = read_record(store, CITY, later)
    assert list(record.models) == ["stack", f"{REGRESSION}_as_set"]
    assert (record.tuned[REGRESSION].in_force, record.tuned[REGRESSION].judged_on) == (True, [FOLD])

    judged = {"ops": {"walk_forward_reports": {"config": {"candidate": "stack"}}}}
    result = materialize(["walk_forward_reports"], on, instance=instance, partition_key=CITY, run_config=judged)
    [event] = result.get_asset_materialization_events()
    metadata = event.step_materialization_data.materialization.metadata
    assert "are in force: on 1 later fold they gained +" in metadata["tuned"].value
    assert "are in force: on 1 later fold they gained +" in metadata["model_card"].value
