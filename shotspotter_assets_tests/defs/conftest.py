"""Shared by the tests of the chain: an instance for one test, and stores of the tiny city that are made once."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import dagster as dg
import pytest

from shotspotter_assets.defs.event_log import BatchedSqliteEventLogStorage
from shotspotter_assets_tests.conftest import made_once
from shotspotter_assets_tests.defs.chain import TINY_NETWORK, resources, run_fold, with_city
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


class ReportedFold(NamedTuple):
    root: Path
    trained: dg.ExecuteInProcessResult
    reported: dg.ExecuteInProcessResult


@pytest.fixture(scope="session")
def reported_fold(tiny_city_days: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the tiny city's fold of 1 January 2024 and its report with a shorter horizon; not to be changed."""

    def make(folder: Path) -> None:
        report_fold(tiny_city_days, folder / "store", ["residual_boosting"])

    return made_once(tmp_path_factory, "reported_fold", make) / "store"


def report_fold(days: Path, root: Path, models: list[str]) -> ReportedFold:
    """Train the fold of the tiny city with some models in a copy of its days, and report it with a shorter horizon."""
    shutil.copytree(days, root)
    with instance_in_memory(root.parent) as instance:
        on = resources(str(root), cities=with_city("tiny_city", serves="residual_boosting"))
        fold = ("tiny_city", "2024-01-01")
        trained = run_fold("fold_models", *fold, on, instance, TINY_NETWORK | {"models": models})
        return ReportedFold(root, trained, run_fold("evaluation_reports", *fold, on, instance, horizons=[4]))
