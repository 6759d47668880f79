"""A check of a run over many days is planned once; all others are planned as by the stock."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from shotspotter_assets.dagster_patches import planned_checks
from shotspotter_assets_tests.dagster_patches.test_sqlite_event_log import (
    KEYS,
    PARTITIONS,
    check_planned,
    checked,
    dump,
)


def executions(folder: Path) -> list[tuple[Any, ...]]:
    return dump(folder)["index.db"]["asset_check_executions"]


@pytest.fixture(autouse=True)
def planned_once() -> None:
    planned_checks.apply()


def test_a_check_of_a_run_over_many_days_is_one_row_that_its_result_fills(tmp_path: Path) -> None:
    storage = SqliteEventLogStorage(str(tmp_path))
    storage.store_event_batch([check_planned(KEYS[0], PARTITIONS), checked(KEYS[0], None, passed=True)])
    assert len(executions(tmp_path)) == 1
    record = storage.get_asset_check_execution_history(dg.AssetCheckKey(KEYS[0], "rows"), limit=5)
    assert [(one.partition, one.status.value) for one in record] == [(None, "SUCCEEDED")]


@pytest.mark.parametrize("days", [None, PARTITIONS[:1]], ids=["no day", "one day"])
def test_checks_of_one_day_or_none_are_planned_as_by_the_stock(
    tmp_path: Path, days: list[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = check_planned(KEYS[0], days)
    SqliteEventLogStorage(str(tmp_path / "ours")).store_event(event)
    monkeypatch.setattr(SqlEventLogStorage, "_store_asset_check_evaluation_planned", planned_checks.STOCK)
    SqliteEventLogStorage(str(tmp_path / "stock")).store_event(event)
    assert executions(tmp_path / "ours") == executions(tmp_path / "stock") != []
