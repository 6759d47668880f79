"""Two workers on PostgreSQL, RabbitMQ and S3, one of which is killed: every partition is stored once, none is missing."""

from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from shotspotter_assets.defs.partitions import range_tags
from shotspotter_assets.storage.catalogue import ALERTS
from shotspotter_assets_tests.deploy.machines import PARTITIONS, RUNS, TOWN, Machines, machines_on
from shotspotter_assets_tests.postgres_server import PostgresServer
from shotspotter_assets_tests.rabbitmq_server import RabbitmqServer
from shotspotter_assets_tests.s3_server import S3Server

CITIES = ("town_a", "town_b", "town_c")
FIRST = date(2023, 7, 1)
DAYS = 40
LAST = FIRST + timedelta(days=DAYS - 1)
RANGE = range_tags(FIRST, LAST)
OVER = {"SUCCESS": len(CITIES), "FAILURE": 1}  # the lost run and its retry included
COMPLETE = {"numMaterialized": DAYS, "numFailed": 0, "numMaterializing": 0}


def shown_runs(machines: Machines) -> list[dict[str, Any]]:
    return machines.ask(RUNS)["runsOrError"]["results"]


def recorded_days(instance: dg.DagsterInstance, city: str, asset: str) -> list[str]:
    """Return the days that all runs recorded, in order and repeated where two runs recorded them."""
    records = instance.fetch_materializations(dg.AssetKey([city, asset]), limit=1000).records
    return sorted(record.partition_key or "" for record in records)


def stored_days(server: S3Server, root: str) -> Counter[tuple[str, str]]:
    bucket, _, prefix = root.removeprefix("s3://").partition("/")
    pages = server.client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
    names = [item["Key"].removeprefix(f"{prefix}/") for page in pages for item in page.get("Contents", [])]
    folders = {tuple(part.split("=")[-1] for part in name.split("/")[:3]) for name in names if "/date=" in name}
    return Counter((asset, city) for asset, city, _ in folders if asset in ALERTS)


@pytest.mark.slow
@pytest.mark.timeout(4500)  # a minute or two on an idle machine
def test_every_partition_is_complete_once_after_a_worker_is_killed(
    tmp_path: Path, postgres_server: PostgresServer, rabbitmq_server: RabbitmqServer, s3_server: S3Server,
    s3_store_root: str, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    files = {name: TOWN.format(name=name, first=FIRST, last=LAST, seed=seed) for seed, name in enumerate(CITIES)}
    database = postgres_server.new_database()
    with (
        machines_on(tmp_path, files, database, rabbitmq_server, s3_server, s3_store_root, monkeypatch) as machines,
        machines.instance() as instance,
    ):
        machines.start_all("worker_1", "worker_2")
        city_of = {machines.launch(city, ALERTS, RANGE): city for city in CITIES}

        def steps(run_id: str, event: dg.DagsterEventType) -> set[str]:
            logs = instance.all_logs(run_id, of_type=event)
            return {log.step_key.split("__")[-1] for log in logs if log.step_key}

        def half_done() -> tuple[str, str] | None:
            for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
                worker = machines.worker_of(instance, run.run_id)
                if worker and steps(run.run_id, dg.DagsterEventType.STEP_SUCCESS):
                    return run.run_id, worker
            return None

        lost, worker = machines.wait_for(half_done, every=0.05)
        machines.kill(worker)
        machines.start("worker_3")
        machines.wait_for(lambda: Counter(run["status"] for run in shown_runs(machines)) == OVER)

        [failure] = [run for run in shown_runs(machines) if run["status"] == "FAILURE"]
        [retry] = [run for run in shown_runs(machines) if run["parentRunId"] == lost]
        assert (failure["runId"], retry["status"]) == (lost, "SUCCESS")
        days = [(FIRST + timedelta(days=at)).isoformat() for at in range(DAYS)]
        recorded = {(asset, city): recorded_days(instance, city, asset) for asset in ALERTS for city in CITIES}
        started = steps(lost, dg.DagsterEventType.STEP_START)
        done = steps(lost, dg.DagsterEventType.STEP_SUCCESS)
        assert started >= done >= {ALERTS[0]}
        for asset in started - done:  # killed between the record of its days and that of its success, it runs again
            recorded[asset, city_of[lost]] = sorted(set(recorded[asset, city_of[lost]]))
        assert recorded == dict.fromkeys(recorded, days)
        shown = {
            tuple(node["assetKey"]["path"]): node["partitionStats"] for node in machines.ask(PARTITIONS)["assetNodes"]
        }
        assert [shown[city, asset] for city in CITIES for asset in ALERTS] == [COMPLETE] * len(CITIES) * len(ALERTS)
    assert stored_days(s3_server, s3_store_root) == dict.fromkeys(recorded, DAYS)
