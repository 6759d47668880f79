"""A city that starts at another city's models: which of them, what is recorded of it, and what is said where there are none."""

import json
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from shotspotter_assets.models.stored_models import ModelMismatchError, NoPretrainedModelError, read_record
from shotspotter_assets.serving.record import ServingRecord
from shotspotter_assets.storage.store import Partition, Store
from shotspotter_assets_tests.defs.chain import copy_days, materialize, resources, run_fold, with_city
from shotspotter_assets_tests.evaluation.forecasts import forecasts_table

CITY, OTHER = "tiny_city", "washington_dc"
FOLD, DAY = date(2024, 1, 1), date(2024, 1, 20)
REGRESSION = {"models": ["regime_regression"]}


@pytest.fixture(scope="module")
def trained(tiny_city_days: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the tiny city's days and its fold, fitted on its own."""
    root = copy_days(tiny_city_days, tmp_path_factory.mktemp("trained") / "store", str(DAY))
    with dg.DagsterInstance.ephemeral(tempdir=str(root.parent)) as instance:
        assert run_fold("fold_models", CITY, str(FOLD), resources(str(root)), instance, REGRESSION).success
    return root


@pytest.fixture
def root(trained: Path, tmp_path: Path) -> Path:
    """A copy of that store."""
    shutil.copytree(trained, tmp_path / "store")
    return tmp_path / "store"


def on_store(root: Path) -> dict[str, Any]:
    """The resources, where the city's file names another city to start at."""
    return resources(str(root), cities=with_city(CITY, pretrained=OTHER))


def give_other_city(root: Path, cutoff: str) -> Path:
    """The other city's fold: the files of the tiny city's own."""
    folder = root / "fold_models" / f"city={OTHER}" / f"fold={cutoff}"
    shutil.copytree(root / "fold_models" / f"city={CITY}" / f"fold={FOLD}", folder)
    return folder


def test_a_fold_starts_at_the_latest_model_that_could_be_known(root: Path, instance: dg.DagsterInstance) -> None:
    store = Store(str(root))
    alone = read_record(store, CITY, FOLD).models["regime_regression"]
    assert "pretrained" not in alone.settings
    for cutoff in ("2023-07-01", "2023-10-01", "2024-04-01"):
        give_other_city(root, cutoff)
    assert run_fold("fold_models", CITY, str(FOLD), on_store(root), instance, REGRESSION).success
    started = read_record(store, CITY, FOLD).models["regime_regression"]
    assert started.settings["pretrained"] == {"from": f"{OTHER}|2023-10-01", "used": True}
    assert started.files != alone.files

    # The card of a city says where its forecast starts.
    table = forecasts_table(FOLD, 91, (8, 8), regime_regression=0.7)
    store.write_table(Partition("evaluation_reports", CITY, "fold", FOLD), "forecasts.parquet", table)
    config = {"ops": {"walk_forward_reports": {"config": {"candidate": "regime_regression"}}}}
    on = on_store(root)
    assert materialize(["walk_forward_reports"], on, instance=instance, partition_key=CITY, run_config=config).success
    report = Partition("walk_forward_reports", CITY)
    assert json.loads(store.read_bytes(report, "report.json"))["pretrained"] == {str(FOLD): f"{OTHER}|2023-10-01"}
    card = store.read_bytes(report, "model_card.md").decode()
    assert f"Fold {FOLD}: shrunk towards the model of {OTHER}|2023-10-01" in card


def test_without_such_a_model_the_error_says_what_to_do(root: Path, instance: dg.DagsterInstance) -> None:
    on = on_store(root)
    later = give_other_city(root, "2024-04-01")
    says = rf"City {CITY}, {FOLD}: it starts at {OTHER}.*by then.*cutoff no later than {FOLD}"
    with pytest.raises(NoPretrainedModelError, match=says):
        run_fold("fold_models", CITY, str(FOLD), on, instance, REGRESSION)
    shutil.move(later, later.parent / "fold=2023-10-01")
    record = later.parent / "fold=2023-10-01" / "record.json"
    whole = record.read_text()
    record.write_text(whole.replace('"regime_regression": {', '"conv_lstm": {'))
    with pytest.raises(
        NoPretrainedModelError, match=rf"no fold_models with residual_boosting in its latest one, {OTHER}"
    ):
        run_fold("fold_models", CITY, str(FOLD), on, instance, REGRESSION)
    record.write_text(whole)
    [file] = record.parent.glob("regime_regression.*")
    file.write_text(file.read_text() + " ")
    with pytest.raises(ModelMismatchError, match=rf"regime_regression of {OTHER}\|2023-10-01"):
        run_fold("fold_models", CITY, str(FOLD), on, instance, REGRESSION)


def test_live_models_start_there_too(root: Path, instance: dg.DagsterInstance) -> None:
    give_other_city(root, "2024-01-01")
    result = materialize(
        ["live_models"],
        on_store(root),
        instance=instance,
        partition_key=f"{CITY}|{DAY}",
        run_config={"ops": {"live_models": {"config": {"validation_days": 28}}}},
    )
    assert result.success
    models = ServingRecord.load(Store(str(root)), CITY, DAY).models
    settings = models["stack"].settings
    assert settings["pretrained"] == {"from": f"{OTHER}|2024-01-01", "used": True}
    assert "pretrained" not in settings["members"]["ewma"]
