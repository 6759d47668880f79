import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import dagster as dg
import pytest

from shotspotter_assets.defs.requested_runs import (
    BACKFILL_TAG,
    LONG_TAG,
    SIMULATED_TAG,
    give_way,
    job_name,
    runs_under_way,
)
from shotspotter_assets.settings import CHECKOUT
from shotspotter_assets.storage.catalogue import ALERTS, PRODUCTS, SCORES, TENSORS, Asset
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.defs.chain import CITIES, resources
from shotspotter_assets_tests.installation import Installation, prepare
from shotspotter_assets_tests.instances import instance_in_memory
from shotspotter_assets_tests.ports import free_port
from shotspotter_assets_tests.waiting import wait_until


def niceness_of_run(tag: str) -> int:
    """Return the niceness of a process whose run has a tag."""
    give_way({tag: "true"})
    return os.getpriority(os.PRIO_PROCESS, 0)


@pytest.mark.parametrize(
    ("tag", "gives_way"), [(LONG_TAG, True), (SIMULATED_TAG, True), (BACKFILL_TAG, True), ("shotspotter/city", False)]
)
def test_long_and_simulated_runs_and_backfills_give_way(tag: str, *, gives_way: bool) -> None:
    with ProcessPoolExecutor(1, get_context("spawn")) as processes:
        niceness = processes.submit(niceness_of_run, tag).result()

    assert niceness == (10 if gives_way else os.getpriority(os.PRIO_PROCESS, 0))


@pytest.mark.parametrize(
    ("assets", "name"),
    [
        (ALERTS, "tiny_city_days"),
        ((*ALERTS, *PRODUCTS, *SCORES, Asset.CITY_PAGES), "tiny_city_chain"),
        ((Asset.STREET_RISK, Asset.CITY_PAGES), "tiny_city_daily"),
        ((Asset.LIVE_MODELS,), "tiny_city_training"),
        ((Asset.FOLD_MODELS,), "tiny_city_folds"),
        ((Asset.FOLD_MODELS, Asset.EVALUATION_REPORTS), "tiny_city_chain"),
        ((Asset.WALK_FORWARD_REPORTS, Asset.CITY_PAGES), "tiny_city_pages"),
    ],
)
def test_each_run_has_the_name_of_a_job(assets: tuple[Asset, ...], name: str) -> None:
    assert job_name("tiny_city", assets) == name
    chain = {dg.AssetKey(["tiny_city", asset]) for asset in assets if asset.spec.section == ""}
    job = resources("store").definitions.resolve_job_def(name).get_subset(asset_selection=chain)
    assert set(job.asset_layer.executable_asset_keys) == chain
    assert job.config_mapping is None  # resolved: Dagster refuses other partitions only now


def test_a_job_that_a_person_launched_is_under_way(tmp_path: Path) -> None:
    """`dagster job launch` selects no assets; the sensor's comparison has to see those of the job."""
    with instance_in_memory(tmp_path) as instance:
        tags = {
            "dagster/partition": "2024-03-01",
            **resources("store").definitions.resolve_job_def("tiny_city_days").run_tags,
        }
        instance.add_run(dg.DagsterRun(job_name="tiny_city_days", status=dg.DagsterRunStatus.STARTED, tags=tags))
        [run] = runs_under_way(instance, CITIES["tiny_city"])
        assert not runs_under_way(instance, CITIES["landing_city"])

    assert run.writes([Asset.GRID_TENSORS], (date(2024, 3, 1), date(2024, 3, 1)))
    assert not run.writes([Asset.GRID_TENSORS], (date(2024, 3, 2), date(2024, 3, 2)))


CITY: Final = """name: ended
time_zone: America/New_York
start: 2024-03-01
end: 2024-03-05
box: {west: -77.06, south: 38.88, east: -77.0, north: 38.93}
grid: {rows: 8, columns: 8}
source: {kind: simulated, seed: 3, alerts_per_day: 12}
"""
BACKFILL: Final = """mutation($backfill: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $backfill) {
  __typename ... on PythonError { message } ... on PartitionSetNotFoundError { message } } }"""
RUNS: Final = """{ runsOrError { ... on Runs { results { jobName status tags { key value } } } } }"""


@pytest.mark.slow
def test_a_backfill_of_a_job_builds_each_of_its_days(tmp_path: Path) -> None:
    """A job's backfill of assets with one run for all days once built only the first day, and reported success."""
    environment = prepare(tmp_path, {"ended": CITY})
    days = [f"2024-03-0{day}" for day in range(1, 5)]
    repository = {"repositoryLocationName": "shotspotter_assets", "repositoryName": "__repository__"}
    selector = {"partitionSetName": "ended_days_partition_set", "repositorySelector": repository}

    def ended() -> list[Any]:
        runs = installation.ask(RUNS)["runsOrError"]["results"]
        return runs if runs and all(run["status"] in ("SUCCESS", "FAILURE") for run in runs) else []

    with Installation(tmp_path, environment, free_port()) as installation:
        asked = installation.ask(BACKFILL, backfill={"selector": selector, "partitionNames": days})
        assert asked["launchPartitionBackfill"]["__typename"] == "LaunchBackfillSuccess", asked
        [run] = wait_until(ended)
        assert (run["jobName"], run["status"]) == ("ended_days", "SUCCESS")
        command = [sys.executable, "-m", "dagster", "job", "launch", "--job", "ended_days"]
        command += ["--tags", '{"dagster/partition": "2024-03-05"}', "--workspace", str(CHECKOUT / "workspace.yaml")]
        subprocess.run(command, cwd=tmp_path, env=environment, check=True)
        runs = wait_until(lambda: len(found := ended()) == 2 and found)
        assert {(run["jobName"], run["status"]) for run in runs} == {("ended_days", "SUCCESS")}

    store = Store(str(tmp_path / "store"))
    assert [str(day) for day in sorted(store.days_present(TENSORS, "ended"))] == [*days, "2024-03-05"]
