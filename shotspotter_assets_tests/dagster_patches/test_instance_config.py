"""The instance that the repository ships: `.dagster_home/dagster.yaml` and `.env`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.instance.config import PoolGranularity

from shotspotter_assets.dagster_patches.sqlite_event_log import BatchedSqliteEventLogStorage

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the two files that decide about the instance, and nothing else."""
    (tmp_path / ".dagster_home").mkdir()
    for name in (".env", ".dagster_home/dagster.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_the_shipped_configuration_is_what_the_readme_says(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = checkout / ".dagster_home"
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with dg.DagsterInstance.get() as instance:
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


def test_commands_in_the_checkout_find_it_without_an_export(checkout: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "DAGSTER_HOME"}
    environment |= {"PWD": str(checkout), "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, "-m", "dagster", "instance", "info"],
        cwd=checkout, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert f"base_dir: {checkout}/.dagster_home/history/" in run.stdout
    assert "class: BatchedSqliteEventLogStorage" in run.stdout
    assert (checkout / ".dagster_home/history/runs/index.db").exists()


def test_a_storage_without_a_place_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    with pytest.raises(ValueError, match="DAGSTER_HOME is not set"):
        BatchedSqliteEventLogStorage.from_config_value(None, {})
