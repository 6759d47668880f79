"""Steps that read the records of their inputs alone, beside the stock ones."""

import threading
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.execution.context.data_version_cache import DataVersionCache
from dagster._core.storage.partition_status_cache import AssetStatusCacheValue, get_and_update_asset_status_cache_value
from dagster_shared.record import copy

from shotspotter_assets.dagster_patches import input_records
from shotspotter_assets_tests.dagster_patches.test_postgres_event_log import instance_on
from shotspotter_assets_tests.postgres_server import PostgresServer

DAYS = dg.StaticPartitionsDefinition(["1", "2", "3"])


@dg.asset(partitions_def=DAYS, code_version="of the input")
def given() -> None: ...


@dg.asset(partitions_def=DAYS, deps=[given])
def made() -> None: ...


@dg.asset_check(asset=given)
def checked() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@pytest.fixture(params=["sqlite", "postgres"])
def instance(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    if request.param == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres_server")
        with instance_on(tmp_path / "home", server.new_database(), monkeypatch, batched=True) as instance:
            yield instance
        return
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text(
        "event_log_storage: {module: shotspotter_assets.dagster_patches.sqlite_event_log, "
        "class: BatchedSqliteEventLogStorage, config: {}}\n"
    )
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with dg.DagsterInstance.get() as instance:
        yield instance


def recorded(instance: dg.DagsterInstance, key: str) -> tuple[Any, Any]:
    """What a run that makes `made` from `given`, and checks it, has recorded of versions and of what was checked."""
    result = dg.materialize(
        [given, made, checked],
        selection=dg.AssetSelection.assets(made) | dg.AssetSelection.checks(checked),
        partition_key=key,
        instance=instance,
    )
    (event,) = result.asset_materializations_for_node("made")
    (evaluation,) = result.get_asset_check_evaluations()
    assert evaluation.target_materialization_data is not None
    return event.tags, evaluation.target_materialization_data.storage_id


def test_a_step_reads_no_status_and_records_what_the_stock_one_does(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in DAYS.get_partition_keys():
        assert dg.materialize([given], partition_key=key, instance=instance).success
    assert get_and_update_asset_status_cache_value(instance, given.key, DAYS) is not None
    read = []
    stock = AssetStatusCacheValue.from_db_string
    monkeypatch.setattr(AssetStatusCacheValue, "from_db_string", lambda text: read.append(text) or stock(text))
    monkeypatch.setattr(DataVersionCache, "_fetch_asset_records", input_records.STOCK)
    expected = recorded(instance, "2")
    assert any(read)
    input_records.apply()
    read.clear()
    tags, target = recorded(instance, "2")
    assert read == []
    of_the_run = {"dagster/code_version", "dagster/data_version"}
    assert {name: tag for name, tag in tags.items() if name not in of_the_run} == {
        name: tag for name, tag in expected[0].items() if name not in of_the_run
    }
    assert any(name.startswith("dagster/input_data_version") for name in tags)
    assert target == expected[1]


def test_records_are_whole_outside_and_in_other_threads(instance: dg.DagsterInstance) -> None:
    dg.materialize([given], partition_key="1", instance=instance)
    get_and_update_asset_status_cache_value(instance, given.key, DAYS)
    storage: Any = instance.event_log_storage

    def record() -> Any:
        (found,) = storage.get_asset_records([given.key])
        return found.asset_entry

    whole, elsewhere = record(), []
    with storage.without_status():
        left = record()
        thread = threading.Thread(target=lambda: elsewhere.append(record()))
        thread.start()
        thread.join()
    assert whole.cached_status is not None
    assert left == copy(whole, cached_status=None)
    assert elsewhere == [whole]
    assert record() == whole
