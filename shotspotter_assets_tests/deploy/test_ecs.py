"""Runs as tasks of a stand-in of ECS: larger where they train, ended in the UI, killed and made again; all as on one machine."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg2
import pytest
from dagster_graphql import DagsterGraphQLClient, DagsterGraphQLClientError
from shotspotter_assets.rehearsal.processes import free_port

from shotspotter_assets.cities.registry import load_cities
from shotspotter_assets.definitions import build_definitions
from shotspotter_assets.partitions import key_of, range_tags
from shotspotter_assets.settings import CHECKOUT, Settings
from shotspotter_assets.storage.file_names import ALERTS_FILE, GRID_FILE
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.defs.chain import DAILY
from shotspotter_assets_tests.deploy.stand_in_of_aws import FOLDER, Agent, StandIn, stand_in
from shotspotter_assets_tests.deploy.stored import without_times
from shotspotter_assets_tests.deploy.town import TOWN
from shotspotter_assets_tests.postgres_server import PostgresServer
from shotspotter_assets_tests.s3_server import S3Server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore:Using variable_values:DeprecationWarning"),  # Dagster's client, of its library
]

CITIES = ("east", "west")
FIRST, DAYS = date(2023, 7, 1), 40
LAST = FIRST + timedelta(days=DAYS - 1)
FORECAST = ("live_models", "risk_forecasts")
MAX_OVERRIDES = 8192
"""Characters that ECS takes."""
PROGRAMS = Path(sys.executable).parent


class Deployment:
    """Code server, daemon, web server and agent, each with what `deploy/aws` gives it; addresses alone are others."""

    def __init__(self, folder: Path, aws: StandIn, agent: Agent, local: dict[str, str]) -> None:
        self.folder, self.aws, self.agent, self.local = folder, aws, agent, local
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, task: str, changes: Mapping[str, str]) -> None:
        """Start the process of a task definition, with other words in its command."""
        [container] = self.aws.task_definition(task)["containerDefinitions"]
        command = [changes.get(word, word) for word in container["command"]]
        with (self.folder / f"{task}.log").open("wb") as log:
            process = subprocess.Popen(
                [str(PROGRAMS / command[0]), *command[1:]], cwd=self.folder, stdout=log, stderr=log, start_new_session=True,
                env=self.aws.container_environment(task) | self.local,
            )  # fmt: skip
        self.processes.append(process)

    def stop(self) -> None:
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def wait_for(self, what: Callable[[], Any], seconds: float = 240) -> Any:
        """What comes out once it is true."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if found := what():
                return found
            time.sleep(0.1)
        said = "\n".join(f"--- {log}\n{log.read_text()[-2500:]}" for log in self.folder.glob("*.log"))
        raise AssertionError(f"not within {seconds:g} s\n{said}")


@pytest.fixture
def deployment(
    tmp_path: Path,
    postgres_server: PostgresServer,
    s3_server: S3Server,
    s3_store_root: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Deployment]:
    files, home = tmp_path / "cities", tmp_path / "home"
    files.mkdir()
    home.mkdir()
    for seed, name in enumerate(CITIES):
        (files / f"{name}.yaml").write_text(TOWN.format(name=name, first=FIRST, last=LAST, seed=seed))
    instance = (FOLDER / "dagster.yaml").read_text()
    assert "poll_interval_seconds: 30" in instance
    (home / "dagster.yaml").write_text(instance.replace("poll_interval_seconds: 30", "poll_interval_seconds: 3"))
    port = free_port()
    workspace = (FOLDER / "workspace.yaml").read_text()
    assert "port: 4000" in workspace
    (home / "workspace.yaml").write_text(workspace.replace("port: 4000", f"port: {port}"))

    for name, value in s3_server.environment().items():
        monkeypatch.setenv(name, value)
    with stand_in() as aws:
        web = aws.container_environment("web")
        database = database_of(postgres_server, web["DAGSTER_DATABASE_USER"])
        local = {
            **s3_server.environment(), **aws.environment("ecs", "ec2", "secrets_manager", "cloudwatch_logs"),
            "DAGSTER_HOME": str(home), "DAGSTER_DATABASE_HOST": "127.0.0.1", "DAGSTER_DATABASE_NAME": database,
            "DAGSTER_DATABASE_PORT": str(postgres_server.port), "PGSSLMODE": "disable", "DAGSTER_CODE_HOST": "127.0.0.1",
            "DAGSTER_LOGS_BUCKET": s3_server.bucket, "SHOTSPOTTER_STORE": s3_store_root, "SHOTSPOTTER_CITIES": str(files),
            "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path), "PYTHONPATH": str(CHECKOUT),
            "OMP_NUM_THREADS": "1", "DAGSTER_DISABLE_TELEMETRY": "1",
        }  # fmt: skip
        for name, value in (web | local).items():
            monkeypatch.setenv(name, value)
        with Agent(aws, tmp_path, local) as agent:
            deployment = Deployment(tmp_path, aws, agent, local)
            deployment.start("code", {"4000": str(port), "0.0.0.0": "127.0.0.1"})
            try:
                yield deployment
            finally:
                deployment.stop()


def database_of(server: PostgresServer, user: str) -> str:
    """The name of an empty database that this user owns."""
    url = server.new_database()
    name = url.rpartition("/")[2]
    with contextlib.closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (user,))
        if cursor.fetchone() is None:
            cursor.execute(f'CREATE ROLE "{user}" LOGIN')
        cursor.execute(f'ALTER DATABASE "{name}" OWNER TO "{user}"')
    return name


def test_runs_are_tasks_that_are_made_again_when_they_are_killed(
    deployment: Deployment, s3_server: S3Server, s3_store_root: str, tmp_path: Path
) -> None:
    home, port = Path(deployment.local["DAGSTER_HOME"]), free_port()
    workspace = {"/opt/dagster/aws/workspace.yaml": str(home / "workspace.yaml")}
    deployment.start("web", {**workspace, "3000": str(port), "0.0.0.0": "127.0.0.1"})
    deployment.start("daemon", workspace)
    web = DagsterGraphQLClient("127.0.0.1", port)
    store = Store(s3_store_root, s3_server.client())

    def launch(assets: Sequence[str], tags: dict[str, str]) -> str:
        """As from the UI, once it answers and has loaded the code."""

        def launched() -> str | None:
            with contextlib.suppress(DagsterGraphQLClientError):
                return web.submit_job_execution(
                    "__ASSET_JOB", "shotspotter_assets", "__repository__", tags=tags, asset_selection=list(assets)
                )
            return None

        return deployment.wait_for(launched)

    with dg.DagsterInstance.from_config(str(home)) as instance:

        def half_made(run_id: str, city: str) -> dg.DagsterRun | None:
            run = instance.get_run_by_id(run_id)
            assert run is not None
            assert not run.is_finished, "the run was done before it was found"
            return run if store.days_present("raw_alerts", city, ALERTS_FILE) else None

        def made_after(run_id: str) -> dg.DagsterRun | None:
            """The run that was made in place of this one, once it is done."""
            runs = [run for run in instance.get_runs() if run.parent_run_id == run_id]
            return runs[0] if runs and runs[0].is_finished else None

        def finished(run_id: str) -> dg.DagsterRun | None:
            run = instance.get_run_by_id(run_id)
            return run if run is not None and run.is_finished else None

        def task_of(run: dg.DagsterRun) -> int:
            return deployment.agent.processes[run.tags["ecs/task_arn"]].pid

        killed = launch(DAILY, range_tags(CITIES[0], FIRST, LAST))
        os.killpg(task_of(deployment.wait_for(lambda: half_made(killed, CITIES[0]))), signal.SIGKILL)
        assert LAST not in store.days_present("grid_tensors", CITIES[0], GRID_FILE)

        ended = launch(DAILY, range_tags(CITIES[1], FIRST, LAST))
        task = task_of(deployment.wait_for(lambda: half_made(ended, CITIES[1])))
        # Held until the agent, which looks every 0.2 s, has told it to end: it would be done first on a fast machine.
        os.killpg(task, signal.SIGSTOP)
        web.terminate_run(ended)
        time.sleep(1)
        os.killpg(task, signal.SIGCONT)
        assert deployment.wait_for(lambda: finished(ended)).status is dg.DagsterRunStatus.CANCELED
        again = launch(DAILY, range_tags(CITIES[1], FIRST, LAST))

        assert deployment.wait_for(lambda: made_after(killed)).is_success
        assert instance.get_run_by_id(killed).status is dg.DagsterRunStatus.FAILURE
        [failure] = instance.all_logs(killed, of_type=dg.DagsterEventType.RUN_FAILURE)
        assert "exit code 137" in failure.message
        assert deployment.wait_for(lambda: finished(again)).is_success

        days = [launch(FORECAST, {"dagster/partition": key_of(city, LAST)}) for city in CITIES]
        assert all(deployment.wait_for(lambda run_id=run_id: finished(run_id)).is_success for run_id in days)
        assert len(instance.get_runs()) == 6, "a run that was ended is not made again"

        sizes = {}
        for run in instance.get_runs():
            [task] = deployment.aws.client("ecs").describe_tasks(
                cluster=deployment.aws.outputs["ClusterName"], tasks=[run.tags["ecs/task_arn"]]
            )["tasks"]
            assert task["capacityProviderName"] == "FARGATE"
            sizes[run.run_id] = (task["overrides"].get("cpu"), task["overrides"].get("memory"))
    assert {sizes.pop(run_id) for run_id in days} == {("4096", "16384")}
    assert set(sizes.values()) == {(None, None)}, "the size of the task definition"
    assert max(len(json.dumps(overrides)) for overrides in deployment.agent.overrides) < MAX_OVERRIDES

    made, alone = map(without_times, (objects(s3_server, s3_store_root), on_one_machine(tmp_path / "alone")))
    assert made.keys() == alone.keys()
    assert [name for name in made if made[name] != alone[name]] == []
    assert len(made) >= 3 * len(CITIES) * DAYS


def objects(server: S3Server, root: str) -> dict[str, bytes]:
    """All that the assets have stored on S3, by path."""
    bucket, prefix = root.removeprefix("s3://").split("/", 1)
    client = server.client()
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    names = {key: key.removeprefix(f"{prefix}/") for key in keys}
    return {
        name: client.get_object(Bucket=bucket, Key=key)["Body"].read()
        for key, name in names.items()
        if name.startswith((*DAILY, *FORECAST))
    }


def on_one_machine(root: Path) -> dict[str, bytes]:
    """The same, made in this process on a local folder."""
    cities = load_cities(Path(os.environ["SHOTSPOTTER_CITIES"]))
    job = build_definitions(Settings(cities, str(root), "landing")).resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.ephemeral() as instance:
        for name in cities:
            subset = job.get_subset(asset_selection={dg.AssetKey(asset) for asset in DAILY})
            assert subset.execute_in_process(instance=instance, tags=range_tags(name, FIRST, LAST)).success
            subset = job.get_subset(asset_selection={dg.AssetKey(asset) for asset in FORECAST})
            assert subset.execute_in_process(instance=instance, partition_key=key_of(name, LAST)).success
    found = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    return {name: content for name, content in found.items() if name.startswith((*DAILY, *FORECAST))}
