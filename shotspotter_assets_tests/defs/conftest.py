"""Shared by the tests of the chain: instances for one test."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from shotspotter_assets.defs.event_log import BatchedSqliteEventLogStorage
from shotspotter_assets_tests.instances import instance_in_memory


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with instance_in_memory(tmp_path / "instance") as instance:
        yield instance


@pytest.fixture
def stored_instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance in a folder, as schedules need it, with the event log of the shipped `dagster.yaml`."""
    (tmp_path / "home").mkdir()
    log = {
        "module": BatchedSqliteEventLogStorage.__module__, "class": BatchedSqliteEventLogStorage.__name__,
        "config": {"base_dir": str(tmp_path / "home" / "runs")},
    }  # fmt: skip
    with dg.instance_for_test(temp_dir=str(tmp_path / "home"), overrides={"event_log_storage": log}) as instance:
        yield instance
