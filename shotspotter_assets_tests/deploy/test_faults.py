"""Cities on workers that share three servers alone, while all that can die does: all is made, once, as on one machine.

Four have backfills and folds that are asked for; two others live through ten days by themselves, from files that land on S3.
"""

import contextlib
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import kombu
import psutil
import psycopg2
import pytest
import yaml
from shotspotter_assets.rehearsal.cities import RehearsedCity, landed_city
from shotspotter_assets.rehearsal.drops import Drop, land, land_history

from shotspotter_assets.cities.registry import load_cities
from shotspotter_assets.definitions import build_definitions
from shotspotter_assets.models.forecaster import training_backups
from shotspotter_assets.partitions import key_of, next_cutoff, range_tags
from shotspotter_assets.settings import Settings
from shotspotter_assets.storage.file_names import ALERTS_FILE
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.defs.chain import DAILY
from shotspotter_assets_tests.deploy.machines import BACKFILLS, PARTITIONS, RUNS, Machines, machines_on
from shotspotter_assets_tests.deploy.stored import without_receipt, without_times
from shotspotter_assets_tests.deploy.town import TOWN
from shotspotter_assets_tests.postgres_server import PostgresServer
from shotspotter_assets_tests.rabbitmq_server import RabbitmqServer
from shotspotter_assets_tests.s3_server import S3Server

CITIES = [f"town_{letter}" for letter in "abcd"]
FIRST, CUTOFF = date(2023, 8, 20), date(2023, 10, 1)
LAST = next_cutoff(CUTOFF) - timedelta(days=1)
DAYS = [FIRST + timedelta(days=at) for at in range((LAST - FIRST).days + 1)]
NETWORK = {"days": 4, "recurrent_layers": 2, "filters": 4, "epochs": 60, "patience": 60, "batch_size": 10}
TRAINING = {"ops": {"fold_models": {"config": {"models": ["conv_lstm"], "settings": {"conv_lstm": NETWORK}}}}}
REPORT = {"ops": {"evaluation_reports": {"config": {"horizons": [], "types": False}}}}
FOLD = ("fold_models", "evaluation_reports")

LIVE_CITIES = ["live_a", "live_b"]
"""Four take twice as long, and are killed at no other moments."""
LIVE_DAYS, HISTORY_DAYS = 10, 21
"""After the days of the history, whose last one is forecast from too."""
MORNING = ("live_models", "risk_forecasts", "street_risk", "patrol_plans")
LIVE = (*MORNING, "forecast_scores")
S3_AWAY_S, POSTGRES_AWAY_S = 5, 5
"""Before the server is started again; that of S3 takes a quarter of a minute to answer."""
UNDER_WAY = {"QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING"}


@pytest.fixture
def machines(
    tmp_path: Path, postgres_server: PostgresServer, rabbitmq_server: RabbitmqServer, s3_server: S3Server,
    s3_store_root: str, monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Machines]:  # fmt: skip
    files = {name: TOWN.format(name=name, first=FIRST, last=LAST, seed=seed) for seed, name in enumerate(CITIES)}
    database = postgres_server.new_database()
    with machines_on(tmp_path, files, database, rabbitmq_server, s3_server, s3_store_root, monkeypatch) as machines:
        yield machines


@dataclass(frozen=True)
class LiveCities:
    """Cities whose files land on S3 day by day, on machines of which nobody asks for anything."""

    machines: Machines
    cities: list[RehearsedCity]
    days: list[date]
    """The first one is the last of the history."""
    landing: Path
    """A copy of what has landed."""
    land: Callable[[], None]
    """Put what is new in the copy on S3."""


@pytest.fixture
def live(
    tmp_path: Path, postgres_server: PostgresServer, rabbitmq_server: RabbitmqServer, s3_server: S3Server,
    s3_store_root: str, monkeypatch: pytest.MonkeyPatch,
) -> Iterator[LiveCities]:  # fmt: skip
    # Of the days that conditions look back on, whatever the hour.
    last = datetime.now(UTC).date() - timedelta(days=2)
    days = [last - timedelta(days=at) for at in range(LIVE_DAYS, -1, -1)]
    first = days[0] - timedelta(days=HISTORY_DAYS - 1)
    cities = [landed_city(name, first, last) for name in LIVE_CITIES]
    files = {city.name: yaml.safe_dump(city.file | {"shared": False}, sort_keys=False) for city in cities}
    copy, root, landed = tmp_path / "landing", f"{s3_store_root}_landing", set[Path]()

    def put() -> None:
        for path in sorted(path for path in copy.rglob("*.csv") if path not in landed):
            key = f"{root.removeprefix(f's3://{s3_server.bucket}/')}/{path.relative_to(copy)}"
            s3_server.client().put_object(Bucket=s3_server.bucket, Key=key, Body=path.read_bytes())
            landed.add(path)

    with machines_on(
        tmp_path, files, postgres_server.new_database(), rabbitmq_server, s3_server, s3_store_root, monkeypatch,
        SHOTSPOTTER_LANDING=root,
    ) as machines:  # fmt: skip
        yield LiveCities(machines, cities, days, copy, put)


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
        """Whether the network has a backup of an epoch at least."""
        return any(training_backups().glob("*/*.json")) and self.is_under_way(run.run_id)

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
@pytest.mark.timeout(2400)  # minutes, but on a machine that others use
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
        for city in CITIES:
            machines.launch(["evaluation_reports"], {"dagster/partition": key_of(city, CUTOFF)}, REPORT)
        machines.wait_for(deployment.is_all_over)
        refuse_what_is_not_shown_as_it_is(deployment, lost)
        assert Counter(run["status"] for run in deployment.shown_runs())["SUCCESS"] == 3 * len(CITIES)
        backfills = machines.ask(BACKFILLS)["partitionBackfillsOrError"]["results"]
        assert [backfill["status"] for backfill in backfills] == ["COMPLETED_SUCCESS"] * len(CITIES)
        refuse_other_numbers(machines, dict.fromkeys(DAILY, len(CITIES) * len(DAYS)) | dict.fromkeys(FOLD, len(CITIES)))
        refuse_what_was_recorded_twice(instance, (*DAILY, *FOLD))
        machine_folders_hold_nothing(machines)
    refuse_what_is_left_in_the_broker(rabbitmq_server)
    refuse_differences(objects(s3_server, s3_store_root), towns_on_one_machine(tmp_path / "alone"))


@pytest.mark.slow
@pytest.mark.timeout(3600)  # minutes, but on a machine that others use
def test_ten_days_are_made_by_themselves_once_though_all_that_can_die_does(
    live: LiveCities, postgres_server: PostgresServer, rabbitmq_server: RabbitmqServer, s3_server: S3Server,
    s3_store_root: str, tmp_path: Path,
) -> None:  # fmt: skip
    machines = live.machines
    machines.start_all("worker_1", "worker_2")
    store = Store(s3_store_root, s3_server.client(), patience_s=60)
    with machines.instance() as instance:
        deployment = Deployment(machines, instance, store)
        faults = faults_of_live_days(deployment, postgres_server, s3_server, rabbitmq_server)
        for number, day in enumerate(live.days):
            for city in live.cities:
                if number == 0:
                    land_history(live.landing, city, day - timedelta(days=HISTORY_DAYS - 1), day)
                else:
                    land(live.landing, city, Drop(day, "daily"))
            fault = faults.get(number, contextlib.nullcontext())
            with fault:
                live.land()
            # The first forecast has no day to be scored by before it.
            machines.wait_for(
                lambda day=day, assets=MORNING if number == 0 else LIVE: is_made(deployment, day, assets), every=1.0
            )
        refuse_what_is_not_shown_as_it_is(deployment, set())
        cities = len(LIVE_CITIES)
        numbers = dict.fromkeys(DAILY, cities * (HISTORY_DAYS + LIVE_DAYS)) | dict.fromkeys(
            MORNING, cities * (LIVE_DAYS + 1)
        )
        refuse_other_numbers(machines, numbers | {"forecast_scores": cities * LIVE_DAYS}, but="city_pages")
        refuse_what_was_recorded_twice(instance, (*DAILY, *LIVE))
        machine_folders_hold_nothing(machines)
    made = objects(s3_server, s3_store_root)
    refuse_differences(*map(without_receipt, (made, live_days_on_one_machine(live, tmp_path / "alone"))))


def is_made(deployment: Deployment, day: date, assets: Sequence[str]) -> bool:
    """Whether a day is made of all cities, and nothing is under way."""
    made = [deployment.instance.get_materialized_partitions(dg.AssetKey(asset)) for asset in assets]
    return all(key_of(city, day) in of_asset for city in LIVE_CITIES for of_asset in made) and deployment.is_all_over()


def faults_of_live_days(
    deployment: Deployment, postgres: PostgresServer, s3: S3Server, broker: RabbitmqServer
) -> dict[int, contextlib.AbstractContextManager[None]]:
    """What goes wrong around the landing of a day's files, by the number of the day."""
    machines = deployment.machines

    def process_under_way() -> psutil.Process:
        return deployment.next_of(list(LIVE_CITIES), lambda _, run: deployment.is_under_way(run.run_id))[1]

    @contextlib.contextmanager
    def killed_daemon() -> Iterator[None]:
        yield
        process_under_way()
        machines.kill("daemon")
        machines.start("daemon")

    @contextlib.contextmanager
    def crashed_database() -> Iterator[None]:
        yield
        process_under_way()
        postgres.crash(POSTGRES_AWAY_S)

    @contextlib.contextmanager
    def killed_worker() -> Iterator[None]:
        yield
        process = process_under_way()
        machines.kill(machines.worker_of(process))
        machines.start("worker_3")

    @contextlib.contextmanager
    def store_away() -> Iterator[None]:
        yield
        process_under_way()
        s3.kill()
        time.sleep(S3_AWAY_S)
        s3.start()

    @contextlib.contextmanager
    def broker_away() -> Iterator[None]:
        broker.kill()
        yield
        queued = dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED])
        machines.wait_for(
            lambda: (
                "re-submitting the run into the queue"
                in told(deployment.instance, deployment.instance.get_runs(queued))
            )
        )
        broker.start()

    return {2: killed_daemon(), 3: crashed_database(), 5: killed_worker(), 7: store_away(), 8: broker_away()}


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


def told(instance: dg.DagsterInstance, runs: Sequence[dg.DagsterRun]) -> str:
    return "".join(
        entry.message
        for run in runs
        for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
    )


def refuse_what_is_not_shown_as_it_is(deployment: Deployment, lost: set[str]) -> None:
    """Runs in the UI: what was lost is shown as failed and was made again, and all else is well."""
    runs = deployment.shown_runs()
    failed = {run["runId"] for run in runs if run["status"] == "FAILURE"}
    assert lost <= failed
    assert {run["status"] for run in runs} <= {"FAILURE", "SUCCESS"}
    assert [run for run in runs if len(again(run, runs)) != (run["runId"] in failed)] == []


def refuse_other_numbers(machines: Machines, made: Mapping[str, int], but: str = "") -> None:
    """Partitions in the UI: so many of each asset are made, and none has failed."""
    for node in machines.ask(PARTITIONS)["assetNodes"]:
        [name], shown = node["assetKey"]["path"], node["partitionStats"]
        if name != but:
            assert shown == {"numMaterialized": made.get(name, 0), "numFailed": 0, "numMaterializing": 0}, name


def refuse_what_was_recorded_twice(instance: dg.DagsterInstance, assets: Sequence[str]) -> None:
    """A run that was lost may have recorded what it could not end; its retry makes that again, and nobody else does."""
    parents = {run.run_id: run.parent_run_id for run in instance.get_runs()}
    for asset in assets:
        made: dict[str, list[str]] = {}
        for record in instance.fetch_materializations(dg.AssetKey(asset), limit=1000, ascending=True).records:
            made.setdefault(record.partition_key, []).append(record.run_id)
        for partition, runs in made.items():
            assert [parents[run] for run in runs[1:]] == runs[:-1], (asset, partition)


def refuse_what_is_left_in_the_broker(broker: RabbitmqServer) -> None:
    with kombu.Connection(broker.url) as connection:
        assert connection.default_channel.queue_declare("dagster", passive=True).message_count == 0


def refuse_differences(made: Mapping[str, bytes], alone: Mapping[str, bytes]) -> None:
    """What two deployments have stored is the same, but for times."""
    made, alone = map(without_times, (made, alone))
    assert made.keys() == alone.keys()
    assert [name for name in made if made[name] != alone[name]] == []


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


@contextlib.contextmanager
def one_machine(root: Path, landing: Path) -> Iterator[Callable[..., None]]:
    """What makes assets in this process on a local folder."""
    cities = load_cities(Path(os.environ["SHOTSPOTTER_CITIES"]))
    job = build_definitions(Settings(cities, str(root), str(landing))).resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.ephemeral() as instance:

        def make(*assets: str, **how: Any) -> None:
            subset = job.get_subset(asset_selection={dg.AssetKey(asset) for asset in assets})
            assert subset.execute_in_process(instance=instance, **how).success

        yield make


def stored(root: Path) -> dict[str, bytes]:
    """All that is in a local store, by path, but for locks, of which S3 has none."""
    paths = {str(path.relative_to(root)): path for path in root.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in paths.items() if not name.startswith(".locks/")}


def towns_on_one_machine(root: Path) -> dict[str, bytes]:
    """What is stored of the backfills and folds."""
    with one_machine(root, root) as make:
        for name in CITIES:
            make(*DAILY, tags=range_tags(name, FIRST, LAST))
            make("fold_models", partition_key=key_of(name, CUTOFF), run_config=TRAINING)
            make("evaluation_reports", partition_key=key_of(name, CUTOFF), run_config=REPORT)
    return stored(root)


def live_days_on_one_machine(live: LiveCities, root: Path) -> dict[str, bytes]:
    """What is stored of the live days, made one after the other of the same files."""
    landing = root.with_name("landing_alone")
    with one_machine(root, landing) as make:
        for number, day in enumerate(live.days):
            for city in live.cities:
                first = day if number else day - timedelta(days=HISTORY_DAYS - 1)
                if number:
                    land(landing, city, Drop(day, "daily"))
                else:
                    land_history(landing, city, first, day)
                make(*DAILY, tags=range_tags(city.name, first, day))
                make(*(LIVE if number else MORNING), partition_key=key_of(city.name, day))
    return stored(root)
