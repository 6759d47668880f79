"""The deployment of `deploy/own_machines` as processes, each with a home and a temporary folder of its own, on real servers."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest
import requests
import yaml
from shotspotter_assets.rehearsal.processes import free_port

from shotspotter_assets.dagster_patches.run_launcher import process_of
from shotspotter_assets.settings import CHECKOUT
from shotspotter_assets_tests.rabbitmq_server import RabbitmqServer
from shotspotter_assets_tests.s3_server import S3Server

DEPLOY = CHECKOUT / "deploy" / "own_machines"
SERVICES: Mapping[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
WORKER = ("celery", "--app", "shotspotter_assets.dagster_patches.celery_worker", "worker", "--concurrency", "1")
PROGRAMS = Path(sys.executable).parent
SECONDS = 600  # on a quiet machine a tenth of it is enough

REPOSITORY = {"repositoryLocationName": "shotspotter_assets", "repositoryName": "__repository__"}
LAUNCH = """mutation($run: ExecutionParams!) { launchPipelineExecution(executionParams: $run) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
BACKFILL = """mutation($of: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $of) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
RUNS = "{ runsOrError { ... on Runs { results { runId status parentRunId tags { key value } } } } }"
BACKFILLS = "{ partitionBackfillsOrError { ... on PartitionBackfills { results { id status } } } }"
PARTITIONS = """{ assetNodes { assetKey { path } partitionStats {
  numMaterialized numFailed numMaterializing } } }"""


class NoAnswerError(RuntimeError):
    """The web server has answered with an error, as while the database is away."""


class Machines:
    """Code server, daemon, web server and workers; the commands are those of the Compose file, but for ports."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder, self.environment = folder, dict(environment)
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.ports = {"code": free_port(), "web": free_port()}

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
            workspace = yaml.safe_load((DEPLOY / "workspace.yaml").read_text())
            workspace["load_from"][0]["grpc_server"] |= {"host": "127.0.0.1", "port": self.ports["code"]}
            (home / "workspace.yaml").write_text(yaml.safe_dump(workspace))
        return home

    def start(self, name: str, service: str | None = None, **changed: str) -> None:
        """Start a service on a machine of that name, or a worker; some variables may be others there."""
        service = service or (name if name in SERVICES else "worker")
        command = [*WORKER, "--hostname", f"{name}@%h"] if service == "worker" else list(SERVICES[service]["command"])
        home, temporary = str(self.home(name)), str(self.folder / name / "tmp")
        own = {"DAGSTER_HOME": home, "HOME": temporary, "TMPDIR": temporary}
        changes = {"0.0.0.0": "127.0.0.1", "/opt/dagster/workspace.yaml": f"{home}/workspace.yaml"}
        changes |= {"4000": str(self.ports["code"]), "3000": str(self.ports["web"])}
        with self.log(name).open("ab") as log:
            self.running[name] = subprocess.Popen(
                [str(PROGRAMS / command[0]), *(changes.get(word, word) for word in command[1:])],
                env=self.environment | own | changed, cwd=temporary, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def start_all(self, *workers: str) -> None:
        """As Compose does: who needs the code server waits for it."""
        self.start("code")
        for name in workers:
            self.start(name)
        health = [str(PROGRAMS / "dagster"), "api", "grpc-health-check", "--port", str(self.ports["code"])]
        self.wait_for(
            lambda: subprocess.run(health, env=self.environment, capture_output=True, check=False).returncode == 0
        )
        for name in ("web", "daemon"):
            self.start(name)
        self.wait_for(lambda: self.ask(PARTITIONS)["assetNodes"])

    def signal(self, name: str, sent: signal.Signals) -> None:
        """Send a signal to all processes of a machine."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.running[name].pid, sent)

    def kill(self, name: str) -> None:
        """All processes of a machine, at once."""
        self.signal(name, signal.SIGKILL)
        self.running.pop(name).wait()

    def log(self, name: str) -> Path:
        """What a machine's process prints."""
        return self.folder / name / "log"

    @property
    def url(self) -> str:
        """Of the web server."""
        return f"http://127.0.0.1:{self.ports['web']}"

    def post(self, query: str, **variables: Any) -> requests.Response:
        """An answer of the web server."""
        return requests.post(f"{self.url}/graphql", json={"query": query, "variables": variables}, timeout=60)

    def ask(self, query: str, **variables: Any) -> Any:
        """The data of an answer of the web server."""
        answer = self.post(query, **variables).json()
        if not answer.get("data"):
            raise NoAnswerError(answer)
        return answer["data"]

    def launch(self, assets: Sequence[str], tags: Mapping[str, str], config: Mapping[str, Any] | None = None) -> str:
        """The id of a run that is asked for as in the UI."""
        run = {
            "selector": {
                **REPOSITORY, "pipelineName": "__ASSET_JOB", "assetSelection": [{"path": [asset]} for asset in assets],
                "assetCheckSelection": [],
            },
            "runConfigData": config or {}, "mode": "default",
            "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in tags.items()]},
        }  # fmt: skip
        answer = self.ask(LAUNCH, run=run)["launchPipelineExecution"]
        assert "run" in answer, answer
        return answer["run"]["runId"]

    def backfill(self, assets: Sequence[str], keys: Sequence[str]) -> str:
        """The id of a backfill that is asked for as in the UI."""
        asked = {"assetSelection": [{"path": [asset]} for asset in assets], "partitionNames": list(keys)}
        answer = self.ask(BACKFILL, of=asked)["launchPartitionBackfill"]
        assert "backfillId" in answer, answer
        return answer["backfillId"]

    def process_of(self, instance: dg.DagsterInstance, run_id: str) -> psutil.Process | None:
        """The process of a run, if it is there."""
        process = process_of(instance, run_id)
        with contextlib.suppress(psutil.NoSuchProcess):
            return None if process is None else psutil.Process(process)
        return None

    def worker_of(self, process: psutil.Process) -> str:
        """The machine of a run's process."""
        group = os.getpgid(process.pid)
        return next(name for name, machine in self.running.items() if machine.pid == group)

    def listening(self, name: str) -> set[tuple[str, int]]:
        """Addresses at which processes of a machine take connections."""
        processes = [psutil.Process(self.running[name].pid)]
        processes += processes[0].children(recursive=True)
        found = [connection for process in processes for connection in process.net_connections("inet")]
        listeners = [connection.laddr for connection in found if connection.status == psutil.CONN_LISTEN]
        return {(address.ip.removeprefix("::ffff:"), address.port) for address in listeners}

    def wait_for(self, what: Callable[[], Any], seconds: float = SECONDS, every: float = 0.2) -> Any:
        """What comes out once it is true; a server that does not answer has not answered yet."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            with contextlib.suppress(requests.RequestException, NoAnswerError):
                if found := what():
                    return found
            time.sleep(every)
        raise AssertionError(f"not within {seconds:g} s\n{self.said()}")

    def said(self) -> str:
        """The ends of all logs."""
        return "\n".join(f"--- {log}\n{log.read_text()[-3000:]}" for log in self.folder.glob("*/log"))

    @contextlib.contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """What is recorded."""
        with dg.DagsterInstance.from_config(str(self.home("test"))) as instance:
            yield instance


@contextlib.contextmanager
def machines_on(
    folder: Path, city_files: Mapping[str, str], database: str, broker: RabbitmqServer, s3: S3Server, store_root: str,
    monkeypatch: pytest.MonkeyPatch, **further: str,
) -> Iterator[Machines]:  # fmt: skip
    """Machines that share these servers and have the same city files, until the block ends; the test has their environment, too."""
    cities = folder / "cities"
    cities.mkdir()
    for name, text in city_files.items():
        (cities / f"{name}.yaml").write_text(text)
    database = database.replace("postgresql://", "postgresql+psycopg2://")
    shared = {
        **s3.environment(), "DAGSTER_DATABASE_URL": database, "CELERY_RESULTS_URL": f"db+{database}",
        "CELERY_BROKER_URL": broker.url, "DAGSTER_LOGS_BUCKET": s3.bucket, "SHOTSPOTTER_STORE": store_root,
        "SHOTSPOTTER_CITIES": str(cities), "PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": "1", **further,
    }  # fmt: skip
    for name, value in shared.items():
        monkeypatch.setenv(name, value)
    machines = Machines(folder / "machines", os.environ)
    try:
        yield machines
    finally:
        for name in list(machines.running):
            machines.kill(name)
