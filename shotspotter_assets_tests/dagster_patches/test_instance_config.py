"""The instance of a checkout: `.dagster_home/dagster.yaml`, and the `.env` that `make setup` writes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.instance.config import PoolGranularity

from shotspotter_assets.dagster_patches.instance import PatchedInstance
from shotspotter_assets.dagster_patches.sqlite_event_log import BatchedSqliteEventLogStorage

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the two files that decide about the instance, as `make setup` leaves them, and nothing else."""
    folder = tmp_path / "checkout"
    (folder / ".dagster_home").mkdir(parents=True)
    shutil.copy(ROOT / ".dagster_home/dagster.yaml", folder / ".dagster_home/dagster.yaml")
    subprocess.run(["make", "--silent", "--file", str(ROOT / "Makefile"), ".env"], cwd=folder, check=True)
    return folder


def test_the_shipped_configuration_is_what_the_readme_says(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = checkout / ".dagster_home"
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with dg.DagsterInstance.get() as instance:
        assert isinstance(instance, PatchedInstance)
        storage = instance.event_log_storage
        assert isinstance(storage, BatchedSqliteEventLogStorage)
        assert Path(storage.path_for_shard("index")) == home / "history/runs/index.db"
        assert not instance.telemetry_enabled
        assert not instance.nux_enabled
        assert instance.run_monitoring_enabled
        assert instance.run_monitoring_settings["free_slots_after_run_end_seconds"] == 10
        concurrency = instance.get_concurrency_config()
        assert concurrency.pool_config.default_pool_limit == 1
        assert concurrency.pool_config.pool_granularity is PoolGranularity.RUN
        assert concurrency.run_queue_config
        assert concurrency.run_queue_config.max_concurrent_runs == 2
        for kind in (InstigatorType.SENSOR, InstigatorType.AUTO_MATERIALIZE):
            kept_days = {status.name: days for status, days in instance.get_tick_retention_settings(kind).items()}
            assert kept_days == {"STARTED": -1, "SKIPPED": 1, "FAILURE": 30, "SUCCESS": 90}
        # the code server comes back within half a minute, and a run may meet several such deaths
        assert concurrency.run_queue_config.max_user_code_failure_retries == 10
        assert concurrency.run_queue_config.user_code_failure_retry_delay == 15


def test_an_exported_home_wins(checkout: Path, tmp_path: Path) -> None:
    home = tmp_path / "another_home"
    home.mkdir()
    shutil.copy(ROOT / ".dagster_home/dagster.yaml", home)

    def said(command: list[str], **exported: str) -> str:
        environment = {key: value for key, value in os.environ.items() if key != "DAGSTER_HOME"}
        environment |= {"PYTHONPATH": str(ROOT), **exported}
        run = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
        return run.stdout

    info = [sys.executable, "-m", "dagster", "instance", "info"]
    make = ["make", "--file", str(ROOT / "Makefile"), "--print-data-base", "--dry-run"]
    assert f"$DAGSTER_HOME: {home}\n" in said(info, DAGSTER_HOME=str(home))
    assert f"DAGSTER_HOME = {home}\n" in said(make, DAGSTER_HOME=str(home))
    for exported in ({}, {"DAGSTER_HOME": ""}):
        assert f"DAGSTER_HOME := {checkout / '.dagster_home'}\n" in said(make, **exported)


def test_commands_in_the_checkout_find_it_without_an_export(checkout: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "DAGSTER_HOME"}
    environment |= {"PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, "-m", "dagster", "instance", "info"],
        cwd=checkout, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert f"base_dir: {checkout}/.dagster_home/history/" in run.stdout
    assert "class: BatchedSqliteEventLogStorage" in run.stdout
    assert (checkout / ".dagster_home/history/runs/index.db").exists()


def test_opening_the_instance_patches_the_process_whatever_the_storage(checkout: Path) -> None:
    home = checkout / ".dagster_home"
    shipped = yaml.safe_load((home / "dagster.yaml").read_text())
    del shipped["event_log_storage"]
    (home / "dagster.yaml").write_text(yaml.safe_dump(shipped))
    code = """
import os
import dagster as dg
from dagster._core.definitions.partitions.mapping import time_window
from dagster._core.execution.plan import execute_step
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
with dg.DagsterInstance.get() as instance:
    print(type(instance.event_log_storage).__name__, os.environ["DAGSTER_EVENT_BATCH_SIZE"])
print(time_window._offsetted_datetime.__module__)
print(execute_step._get_output_asset_events.__module__)
print(SqlEventLogStorage._store_asset_check_evaluation_planned.__module__)
"""
    environment = {key: value for key, value in os.environ.items() if key != "DAGSTER_EVENT_BATCH_SIZE"}
    environment |= {"DAGSTER_HOME": str(home), "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=checkout, env=environment, capture_output=True, text=True, check=True
    )
    patches = "shotspotter_assets.dagster_patches"
    assert run.stdout.splitlines() == [
        "SqliteEventLogStorage 500",
        f"{patches}.window_memory",
        f"{patches}.partition_versions",
        f"{patches}.planned_checks",
    ]


def test_a_storage_without_a_place_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    with pytest.raises(ValueError, match="DAGSTER_HOME is not set"):
        BatchedSqliteEventLogStorage.from_config_value(None, {})
