"""Four cities on workers that share three servers alone, while all that can die does: all is made, once, as on one machine."""

import contextlib
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import kombu
import psutil
import psycopg2
import pytest

from shotspotter_assets.cities.registry import load_cities
from shotspotter_assets.definitions import build_definitions
from shotspotter_assets.partitions import key_of, range_tags
from shotspotter_assets.settings import Settings
from shotspotter_assets.storage.file_names import ALERTS_FILE, CHECKPOINT_FILE, TRAINING_CHECKPOINTS
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.defs.chain import DAILY
from shotspotter_assets_tests.deploy.machines import BACKFILLS, PARTITIONS, RUNS, Machines, machines_on
from shotspotter_assets_tests.deploy.stored import without_times
from shotspotter_assets_tests.deploy.town import TOWN
from shotspotter_assets_tests.postgres_server import PostgresServer
from shotspotter_assets_tests.rabbitmq_server import RabbitmqServer
from shotspotter_assets_tests.s3_server import S3Server

CITIES = [f"town_{letter}" for letter in "abcd"]
FIRST, LAST = date(2023, 8, 20), date(2023, 9, 30)
DAYS = [FIRST + timedelta(days=at) for at in range((LAST - FIRST).days + 1)]
CUTOFF = LAST + timedelta(days=1)
LIVE_DAYS = [LAST + timedelta(days=at + 1) for at in range(2)]
LIVE = ("live_models", "risk_forecasts", "street_risk", "patrol_plans", "forecast_scores")
CITY_FILE = TOWN + "patrol: {{shifts: [{{name: day, start: 6, end: 18, units: 2}}]}}\n"
NETWORK = {"days": 4, "recurrent_layers": 2, "filters": 4, "epochs": 60, "patience": 60, "batch_size": 10}
TRAINING = {"ops": {"fold_models": {"config": {"models": ["conv_lstm"], "settings": {"conv_lstm": NETWORK}}}}}
S3_AWAY_S, POSTGRES_AWAY_S = 5, 5
"""Before the server is started again; that of S3 takes a quarter of a minute to answer."""
UNDER_WAY = {"QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING"}


@pytest.fixture
def machines(
    tmp_path: Path, postgres_server: PostgresServer, rabbitmq_server: RabbitmqServer, s3_server: S3Server,
    s3_store_root: str, monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Machines]:  # fmt: skip
    files = {
        name: CITY_FILE.format(name=name, first=FIRST, last=LIVE_DAYS[-1], seed=seed)
        for seed, name in enumerate(CITIES)
    }
    database = postgres_server.new_database()
    with machines_on(tmp_path, files, database, rabbitmq_server, s3_server, s3_store_root, monkeypatch) as machines:
        yield machines


@dataclass(frozen=True)
class Deployment:
    """What can be asked of it."""

    machines: Machines
    instance: dg.DagsterInstance
    store: Store

    def next_of(
        self, cities: list[str], is_half: Callable[[str, dg.DagsterRun], bool]
    ) -> tuple[dg.DagsterRun, psutil.Process]:
        """A run of one of the cities in the middle of its work, and its process; the city is taken off the list."""

        def look() -> tuple[dg.DagsterRun, psutil.Process] | None:
            for run in self.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
                city = city_of(run.tags)
                process = self.machines.process_of(self.instance, run.run_id)
                if city in cities and process is not None and is_half(city, run):
                    cities.remove(city)
                    return run, process
            return None

        return self.machines.wait_for(look, every=0.05)

    def is_half_made(self, city: str, run: dg.DagsterRun) -> bool:
        """Whether a backfill has stored alerts, and has asset by asset still to go."""
        return bool(self.store.days_present("raw_alerts", city, ALERTS_FILE)) and self.is_under_way(run.run_id)

    def is_in_training(self, city: str, run: dg.DagsterRun) -> bool:
        """Whether the state of the network is stored after an epoch at least."""
        stored = self.store.days_present(TRAINING_CHECKPOINTS, city, CHECKPOINT_FILE, "fold")
        return bool(stored) and self.is_under_way(run.run_id)

    def is_under_way(self, run_id: str) -> bool:
        run = self.instance.get_run_by_id(run_id)
        return run is not None and not run.is_finished

    def shown_runs(self) -> list[dict[str, Any]]:
        """The runs, as the UI shows them."""
        return [run | {"tags": tags(run)} for run in self.machines.ask(RUNS)["runsOrError"]["results"]]

    def is_all_over(self) -> bool:
        """Whether no run is left, nor is to be made again."""
        runs = self.shown_runs()
        return not any(
            run["status"] in UNDER_WAY
            or (
                run["status"] == "FAILURE" and run["tags"].get("dagster/will_retry") != "false" and not again(run, runs)
            )
            for run in runs
        )


def tags(run: Mapping[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in run["tags"]}


def again(run: Mapping[str, Any], runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The runs that were made in place of a run."""
    return [other for other in runs if other["parentRunId"] == run["runId"]]


def city_of(tags: Mapping[str, str]) -> str:
    return (tags.get("dagster/asset_partition_range_start") or tags["dagster/partition"]).partition("|")[0]


@pytest.mark.slow
@pytest.mark.timeout(1800)  # five minutes, but on a machine that others use
def test_all_is_made_once_though_all_that_can_die_does(
    machines: Machines, postgres_server: PostgresServer, rabbitmq_server: RabbitmqServer, s3_server: S3Server,
    s3_store_root: str, tmp_path: Path,
) -> None:  # fmt: skip
    machines.start_all("worker_1", "worker_2")
    assert {name: machines.listening(name) for name in machines.running} == {
        "code": {("127.0.0.1", machines.ports["code"])}, "web": {("127.0.0.1", machines.ports["web"])},
        "daemon": set(), "worker_1": set(), "worker_2": set(),
    }, "ports that the Compose file does not know"  # fmt: skip
    store = Store(s3_store_root, s3_server.client(), patience_s=60)
    with machines.instance() as instance:
        deployment = Deployment(machines, instance, store)
        lost = {
            *backfills_with_each_server_away(deployment, postgres_server, s3_server, rabbitmq_server),
            *folds_with_a_killed_and_a_cut_off_worker(deployment, s3_server, s3_store_root),
        }
        live_days_with_the_daemon_killed_and_the_broker_away(deployment, rabbitmq_server)
        refuse_what_is_not_shown_as_it_is(deployment, lost)
        refuse_what_was_recorded_twice(instance)
        machine_folders_hold_nothing(machines)
    with kombu.Connection(rabbitmq_server.url) as connection:
        assert connection.default_channel.queue_declare("dagster", passive=True).message_count == 0
    made, alone = map(without_times, (objects(s3_server, s3_store_root), on_one_machine(tmp_path / "alone")))
    assert made.keys() == alone.keys()
    assert [name for name in made if made[name] != alone[name]] == []


def backfills_with_each_server_away(
    deployment: Deployment, postgres: PostgresServer, s3: S3Server, broker: RabbitmqServer
) -> list[str]:
    """The runs that were surely lost."""
    machines = deployment.machines
    for city in CITIES:
        machines.backfill(DAILY, [key_of(city, day) for day in DAYS])
    cities = list(CITIES)
    killed, process = deployment.next_of(cities, deployment.is_half_made)
    machines.kill(machines.worker_of(process))
    machines.start("worker_3")

    deployment.next_of(cities, deployment.is_half_made)
    crash_in_the_middle_of_an_event(postgres, os.environ["DAGSTER_DATABASE_URL"])

    deployment.next_of(cities, deployment.is_half_made)
    s3.kill()
    time.sleep(S3_AWAY_S)
    s3.start()

    deployment.next_of(cities, deployment.is_half_made)
    broker.kill()
    broker.start()
    machines.wait_for(deployment.is_all_over)
    return [killed.run_id]


def crash_in_the_middle_of_an_event(server: PostgresServer, url: str) -> None:
    """Every process that records something at this moment loses its connection in the middle of it."""
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'event_logs'::regclass"
    with contextlib.closing(psycopg2.connect(url.replace("+psycopg2", ""))) as connection:
        cursor, until = connection.cursor(), time.monotonic() + 60
        cursor.execute("LOCK TABLE event_logs IN EXCLUSIVE MODE")
        while cursor.execute(waiting) or cursor.fetchone() == (0,):
            assert time.monotonic() < until, "nobody has recorded anything"
            time.sleep(0.2)
        server.crash(POSTGRES_AWAY_S)


def folds_with_a_killed_and_a_cut_off_worker(deployment: Deployment, s3: S3Server, root: str) -> list[str]:
    """The two runs that were lost."""
    machines, instance = deployment.machines, deployment.instance
    for city in CITIES:
        machines.launch(["fold_models"], {"dagster/partition": key_of(city, CUTOFF)}, TRAINING)
    cities = list(CITIES)
    killed, process = deployment.next_of(cities, deployment.is_in_training)
    machines.kill(machines.worker_of(process))
    machines.start("worker_4")
    cut_off, process = deployment.next_of(cities, deployment.is_in_training)
    worker = machines.worker_of(process)
    machines.signal(worker, signal.SIGSTOP)
    machines.start("worker_5")
    machines.wait_for(deployment.is_all_over)
    for run in (killed, cut_off):
        [other] = [other for other in instance.get_runs() if other.parent_run_id == run.run_id]
        assert any("resuming after epoch" in entry.message for entry in instance.all_logs(other.run_id)), (
            "no checkpoint"
        )

    shown, stored = deployment.shown_runs(), versions(s3, root)
    machines.signal(worker, signal.SIGCONT)
    machines.wait_for(lambda: not process.is_running())
    assert deployment.shown_runs() == shown
    assert versions(s3, root) == stored, "it has written something"
    [failure] = instance.all_logs(cut_off.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    assert "writes nothing any more" in failure.get_dagster_event().step_failure_data.error.to_string()
    return [killed.run_id, cut_off.run_id]


def live_days_with_the_daemon_killed_and_the_broker_away(deployment: Deployment, broker: RabbitmqServer) -> None:
    machines, instance = deployment.machines, deployment.instance
    first, second = LIVE_DAYS
    runs = [machines.launch([*DAILY, *LIVE], {"dagster/partition": key_of(city, first)}) for city in CITIES]
    machines.wait_for(
        lambda: any(run.is_finished for run in instance.get_runs(dg.RunsFilter(run_ids=runs))), every=0.05
    )
    machines.kill("daemon")
    machines.start("daemon")
    machines.wait_for(deployment.is_all_over)

    broker.kill()
    runs = [machines.launch([*DAILY, *LIVE], {"dagster/partition": key_of(city, second)}) for city in CITIES]
    machines.wait_for(
        lambda: (
            "re-submitting the run into the queue" in told(instance, runs)
            and {run.status for run in instance.get_runs(dg.RunsFilter(run_ids=runs))} == {dg.DagsterRunStatus.QUEUED}
        )
    )
    broker.start()
    machines.wait_for(deployment.is_all_over)
    assert {run.status for run in instance.get_runs(dg.RunsFilter(run_ids=runs))} == {dg.DagsterRunStatus.SUCCESS}


def told(instance: dg.DagsterInstance, runs: list[str]) -> str:
    return "".join(
        entry.message for run in runs for entry in instance.all_logs(run, of_type=dg.DagsterEventType.ENGINE_EVENT)
    )


def refuse_what_is_not_shown_as_it_is(deployment: Deployment, lost: set[str]) -> None:
    """Runs, backfills and partitions in the UI: what was lost is shown as failed and was made again, and all else is well."""
    runs = deployment.shown_runs()
    failed = {run["runId"] for run in runs if run["status"] == "FAILURE"}
    assert lost <= failed
    assert {run["status"] for run in runs} == {"FAILURE", "SUCCESS"}
    assert [run for run in runs if len(again(run, runs)) != (run["runId"] in failed)] == []
    assert Counter(run["status"] for run in runs)["SUCCESS"] == len(CITIES) * (2 + len(LIVE_DAYS))
    backfills = deployment.machines.ask(BACKFILLS)["partitionBackfillsOrError"]["results"]
    assert [backfill["status"] for backfill in backfills] == ["COMPLETED_SUCCESS"] * len(CITIES)
    days = (
        {name: len(DAYS) + len(LIVE_DAYS) for name in DAILY} | dict.fromkeys(LIVE, len(LIVE_DAYS)) | {"fold_models": 1}
    )
    for node in deployment.machines.ask(PARTITIONS)["assetNodes"]:
        [name], shown = node["assetKey"]["path"], node["partitionStats"]
        assert shown == {
            "numMaterialized": len(CITIES) * days.get(name, 0), "numFailed": 0, "numMaterializing": 0
        }, name  # fmt: skip


def refuse_what_was_recorded_twice(instance: dg.DagsterInstance) -> None:
    """A run that was lost may have recorded what it could not end; its retry makes that again, and nobody else does."""
    parents = {run.run_id: run.parent_run_id for run in instance.get_runs()}
    for asset in (*DAILY, "fold_models", *LIVE):
        made: dict[str, list[str]] = {}
        for record in instance.fetch_materializations(dg.AssetKey(asset), limit=1000, ascending=True).records:
            made.setdefault(record.partition_key, []).append(record.run_id)
        for partition, runs in made.items():
            assert [parents[run] for run in runs[1:]] == runs[:-1], (asset, partition)


def machine_folders_hold_nothing(machines: Machines) -> None:
    """A machine's home, which is in a read-only image, stays as it was; elsewhere it has left caches, and no data."""
    for home in machines.folder.glob("*/home"):
        assert {path.name for path in home.iterdir()} == {"dagster.yaml", "workspace.yaml"}, home
    left = [path.name for path in machines.folder.glob("*/tmp/**/*") if path.suffix in (".parquet", ".db", ".partial")]
    assert left == []


def listed(server: S3Server, root: str) -> Iterator[dict[str, Any]]:
    bucket, _, prefix = root.removeprefix("s3://").partition("/")
    pages = server.client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
    return (item for page in pages for item in page.get("Contents", []))


def versions(server: S3Server, root: str) -> set[tuple[str, str, Any]]:
    """When each object was written, and with what."""
    return {(item["Key"], item["ETag"], item["LastModified"]) for item in listed(server, root)}


def objects(server: S3Server, root: str) -> dict[str, bytes]:
    """All that is in the store on S3, by path."""
    client, bucket = server.client(), server.bucket
    start = len(root.removeprefix(f"s3://{bucket}/")) + 1
    return {
        item["Key"][start:]: client.get_object(Bucket=bucket, Key=item["Key"])["Body"].read()
        for item in listed(server, root)
    }


def on_one_machine(root: Path) -> dict[str, bytes]:
    """The same, made in this process on a local folder."""
    cities = load_cities(Path(os.environ["SHOTSPOTTER_CITIES"]))
    job = build_definitions(Settings(cities, str(root), "landing")).resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.ephemeral() as instance:

        def make(*assets: str, checks: set[dg.AssetCheckKey] | None = None, **how: Any) -> None:
            keys = {dg.AssetKey(asset) for asset in assets}
            subset = job.get_subset(asset_selection=keys, asset_check_selection=checks)
            assert subset.execute_in_process(instance=instance, **how).success

        for name in CITIES:
            make(*DAILY, tags=range_tags(name, FIRST, LAST))
            make("fold_models", partition_key=key_of(name, CUTOFF), run_config=TRAINING)
            for day in LIVE_DAYS:
                make(*DAILY, *LIVE, checks=set(), partition_key=key_of(name, day))  # as they are launched above
    paths = [path for path in root.rglob("*") if path.is_file()]
    files = {str(path.relative_to(root)): path.read_bytes() for path in paths}
    return {name: content for name, content in files.items() if not name.startswith(".locks/")}  # S3 has none
