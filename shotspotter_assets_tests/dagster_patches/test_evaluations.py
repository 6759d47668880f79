"""What automation has evaluated is stored compressed, and forgotten after a week."""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._serdes import serialize_value

from shotspotter_assets.dagster_patches import evaluations
from shotspotter_assets_tests.defs.chain import DEFINITIONS

KEY = dg.AssetKey("cleaned_alerts")


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance with stored schedules."""
    evaluations.apply()
    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        yield instance


@pytest.fixture
def evaluated(instance: dg.DagsterInstance) -> Any:
    """What a look at the conditions of the tests' cities says of one asset."""
    results = dg.evaluate_automation_conditions(
        DEFINITIONS, instance, dg.AssetSelection.assets(KEY), evaluation_time=datetime(2024, 3, 20, 12, tzinfo=UTC)
    ).results
    return next(result for result in results if result.key == KEY).serializable_evaluation.with_run_ids(set())


def database(instance: dg.DagsterInstance) -> sqlite3.Connection:
    return sqlite3.connect(Path(instance.root_directory, "schedules", "schedules.db"))


def stored_ids(instance: dg.DagsterInstance) -> list[int]:
    storage = instance.schedule_storage
    assert storage is not None
    return [record.evaluation_id for record in storage.get_auto_materialize_asset_evaluations(KEY, limit=100)]


def test_an_evaluation_takes_a_twentieth_and_reads_as_it_was(instance: dg.DagsterInstance, evaluated: Any) -> None:
    storage = instance.schedule_storage
    assert storage is not None
    storage.add_auto_materialize_asset_evaluations(1, [evaluated])
    ((body,),) = database(instance).execute("select asset_evaluation_body from asset_daemon_asset_evaluations")
    assert len(body) < len(serialize_value(evaluated)) / 20
    (record,) = storage.get_auto_materialize_asset_evaluations(KEY, limit=1)
    assert record.get_evaluation_with_run_ids() == evaluated


def test_an_evaluation_that_was_stored_before_can_be_read(instance: dg.DagsterInstance, evaluated: Any) -> None:
    storage = instance.schedule_storage
    assert storage is not None
    storage.add_auto_materialize_asset_evaluations(1, [evaluated])
    with database(instance) as connection:
        body = serialize_value(evaluated)
        connection.execute("update asset_daemon_asset_evaluations set asset_evaluation_body = ?", [body])
    (record,) = storage.get_auto_materialize_asset_evaluations(KEY, limit=1)
    assert record.get_evaluation_with_run_ids() == evaluated


def test_an_evaluation_is_forgotten_after_a_week(instance: dg.DagsterInstance, evaluated: Any) -> None:
    storage = instance.schedule_storage
    assert storage is not None
    now = datetime.now(UTC)
    for days in range(1, 31):
        storage.add_auto_materialize_asset_evaluations(days, [evaluated])
        with database(instance) as connection:
            written = (now - timedelta(days=days, minutes=-1)).strftime("%Y-%m-%d %H:%M:%S")
            connection.execute(
                "update asset_daemon_asset_evaluations set create_timestamp = ? where evaluation_id = ?",
                [written, days],
            )
    # As the daemon asks after each look.
    storage.purge_asset_evaluations(before=(now - timedelta(days=30)).timestamp())
    assert sorted(stored_ids(instance)) == [1, 2, 3, 4, 5, 6, 7]
