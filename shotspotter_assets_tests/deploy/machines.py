"""The services of `deploy/own_machines` as processes on real servers, each with its own home and temporary folder."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import dagster as dg
import pytest
import requests
import yaml

from shotspotter_assets.settings import CHECKOUT
from shotspotter_assets_tests.ports import free_port
from shotspotter_assets_tests.rabbitmq_server import RabbitmqServer
from shotspotter_assets_tests.s3_server import S3Server
from shotspotter_assets_tests.waiting import wait_until

DEPLOY: Final = CHECKOUT / "deploy" / "own_machines"
SERVICES: Final[Mapping[str, Any]] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
PROGRAMS: Final = Path(sys.executable).parent
MAX_WAIT_S: Final = 1800  # a thirtieth of it suffices on an idle machine
TOWN: Final = """
name: {name}
time_zone: America/New_York
start: {first}
end: {last}
box: {{west: -77.06, south: 38.88, east: -77.0, north: 38.93}}
grid: {{rows: 8, columns: 8}}
source: {{kind: simulated, seed: {seed}, alerts_per_day: 12}}
"""
LAUNCH: Final = """mutation($run: ExecutionParams!) { launchPipelineExecution(executionParams: $run) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
RUNS: Final = "{ runsOrError { ... on Runs { results { runId status parentRunId tags { key value } } } } }"
PARTITIONS: Final = """{ assetNodes { assetKey { path } partitionStats {
  numMaterialized numFailed numMaterializing } } }"""


def launch(
    ask: Callable[..., Any], city: str, assets: Sequence[str], tags: Mapping[str, str],
    location: str = "shotspotter_assets",
) -> str:  # fmt: skip
    """Launch a run of a city's assets as the UI does; return its id."""
    keys = [{"path": [city, asset]} for asset in assets]
    job = {
        "repositoryLocationName": location, "repositoryName": "__repository__", "pipelineName": "__ASSET_JOB",
        "assetSelection": keys, "assetCheckSelection": [],
    }  # fmt: skip
    listed = [{"key": key, "value": value} for key, value in tags.items()]
    run = {"selector": job, "runConfigData": {}, "mode": "default", "executionMetadata": {"tags": listed}}
    answer = ask(LAUNCH, run=run)["launchPipelineExecution"]
    assert "run" in answer, answer
    return answer["run"]["runId"]


class NoAnswerError(RuntimeError):
    """The web server answered with an error, as while the database is away."""


class Machines:
    """Code server, daemon, web server and workers, started with the commands of the Compose file on free ports."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.environment = dict(environment)
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.ports = {"code": free_port(), "web": free_port()}

    def home(self, name: str, *, monitoring: bool = True) -> Path:
        """Return the home of a machine; monitoring polls more often than in `deploy/own_machines`."""
        home = self.folder / name / "home"
        if not home.exists():
            home.mkdir(parents=True)
            (self.folder / name / "tmp").mkdir()
            settings = yaml.safe_load((DEPLOY / "dagster.yaml").read_text())
            settings["run_monitoring"] |= {"enabled": monitoring, "poll_interval_seconds": 4}
            (home / "dagster.yaml").write_text(yaml.safe_dump(settings))
            workspace = yaml.safe_load((DEPLOY / "workspace.yaml").read_text())
            workspace["load_from"][0]["grpc_server"] |= {"host": "127.0.0.1", "port": self.ports["code"]}
            (home / "workspace.yaml").write_text(yaml.safe_dump(workspace))
        return home

    def start(self, name: str, service: str | None = None, **changed: str) -> None:
        """Start a service, or a worker of that name; `changed` replaces environment variables."""
        service = service or (name if name in SERVICES else "worker")
        home = str(self.home(name, monitoring=service != "worker"))
        temporary = str(self.folder / name / "tmp")
        own = {"DAGSTER_HOME": home, "HOME": temporary, "TMPDIR": temporary}
        changes = {"0.0.0.0": "127.0.0.1", "/opt/dagster/workspace.yaml": f"{home}/workspace.yaml"}
        changes |= {"4000": str(self.ports["code"]), "3000": str(self.ports["web"])}
        program, *words = SERVICES[service]["command"]
        if service == "worker":
            words += ["--hostname", f"{name}@%h"]  # in containers, host names differ
        with self.log(name).open("ab") as log:
            self.running[name] = subprocess.Popen(
                [str(PROGRAMS / program), *(changes.get(word, word) for word in words)],
                env=self.environment | own | changed, cwd=temporary, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def start_all(self, *workers: str) -> None:
        """Start everything; daemon and web server wait for the code server, as in the Compose file."""
        for name in ("code", *workers):
            self.start(name)
        health = [str(PROGRAMS / "dagster"), "api", "grpc-health-check", "--port", str(self.ports["code"])]
        how = {"env": self.environment, "capture_output": True}
        self.wait_for(lambda: subprocess.run(health, check=False, **how).returncode == 0)
        for name in ("web", "daemon"):
            self.start(name)
        self.wait_for(lambda: self.ask(PARTITIONS)["assetNodes"])

    def kill(self, name: str) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.running[name].pid, signal.SIGKILL)
        self.running.pop(name).wait()

    def log(self, name: str) -> Path:
        return self.folder / name / "log"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['web']}"

    def post(self, query: str, **variables: Any) -> requests.Response:
        return requests.post(f"{self.url}/graphql", json={"query": query, "variables": variables}, timeout=300)

    def ask(self, query: str, **variables: Any) -> Any:
        answer = self.post(query, **variables).json()
        if not answer.get("data"):
            raise NoAnswerError(answer)
        return answer["data"]

    def launch(self, city: str, assets: Sequence[str], tags: Mapping[str, str]) -> str:
        return launch(self.ask, city, assets, tags)

    def worker_of(self, instance: dg.DagsterInstance, run_id: str) -> str | None:
        """Return the machine whose process executes the run, or None while no process has reported itself."""
        for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
            if found := re.search(r"Started process for run \(pid: (\d+)\)", entry.get_dagster_event().message or ""):
                with contextlib.suppress(ProcessLookupError):
                    group = os.getpgid(int(found[1]))
                    return next((name for name, machine in self.running.items() if machine.pid == group), None)
        return None

    def wait_for(self, probe: Callable[[], Any], seconds: float = MAX_WAIT_S, every: float = 0.2) -> Any:
        return wait_until(
            probe, seconds, every=every, ignored=(requests.RequestException, NoAnswerError),
            details=lambda: "\n".join(f"--- {log}\n{log.read_text()[-3000:]}" for log in self.folder.glob("*/log")),
        )  # fmt: skip

    @contextlib.contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        with dg.DagsterInstance.from_config(str(self.home("test"))) as instance:
            yield instance


@contextlib.contextmanager
def machines_on(
    folder: Path, city_files: Mapping[str, str], database: str, broker: RabbitmqServer, s3: S3Server, store_root: str,
    monkeypatch: pytest.MonkeyPatch, **further: str,
) -> Iterator[Machines]:  # fmt: skip
    """Yield machines that share these servers and city files; the test process gets their environment, too."""
    cities = folder / "cities"
    cities.mkdir()
    for name, text in city_files.items():
        (cities / f"{name}.yaml").write_text(text)
    database = database.replace("postgresql://", "postgresql+psycopg2://")
    shared = {
        **s3.environment(), "DAGSTER_DATABASE_URL": database, "CELERY_RESULTS_URL": f"db+{database}",
        "CELERY_BROKER_URL": broker.url, "DAGSTER_LOGS_BUCKET": s3.bucket, "SHOTSPOTTER_STORE": store_root,
        "SHOTSPOTTER_CITIES": str(cities), "PYTHONPATH": f"{CHECKOUT}{os.pathsep}{DEPLOY}", "OMP_NUM_THREADS": "1",
        **further,
    }  # fmt: skip
    for name, value in shared.items():
        monkeypatch.setenv(name, value)
    machines = Machines(folder / "machines", os.environ)
    try:
        yield machines
    finally:
        for name in list(machines.running):
            machines.kill(name)
