"""The whole system in processes of its own, as `make ui` starts it, on a folder of a test."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import psutil
import requests

from shotspotter_assets.rehearsal.processes import free_port

ROOT = Path(__file__).parents[1]
REPOSITORY = {"repositoryLocationName": "shotspotter_assets", "repositoryName": "__repository__"}

RUNS = "{ runsOrError { ... on Runs { results { runId status tags { key value } } } } }"
TICKS = """query($of: SensorSelector!) { sensorOrError(sensorSelector: $of) { ... on Sensor { sensorState {
  ticks(limit: 50) { status timestamp skipReason error { message } } } } } }"""
LAUNCH = """mutation($run: ExecutionParams!) { launchPipelineExecution(executionParams: $run) {
  ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""


class RunningSystem:
    """`dg dev` on a home, cities, a store and landing folders below one folder; leaving the context ends all of it."""

    def __init__(self, folder: Path, cities: Mapping[str, str], environment: Mapping[str, str] | None = None) -> None:
        """`cities` are the texts of their files, by name."""
        self.folder, self.home, self.landing = folder, folder / "home", folder / "landing"
        for made in (self.home, self.landing, folder / "cities"):
            made.mkdir()
        shutil.copy(ROOT / ".dagster_home" / "dagster.yaml", self.home)
        for name, text in cities.items():
            (folder / "cities" / f"{name}.yaml").write_text(text)
            (self.landing / name).mkdir()
        others = {name: value for name, value in os.environ.items() if not name.startswith("SHOTSPOTTER_")}
        self._environment = {
            **others, "DAGSTER_HOME": str(self.home), "SHOTSPOTTER_CITIES": str(folder / "cities"), "PYTHONPATH": str(ROOT),
            "SHOTSPOTTER_STORE": str(folder / "store"), "SHOTSPOTTER_LANDING": str(self.landing), **(environment or {}),
        }  # fmt: skip
        self._port = free_port()
        self.log = folder / "dg_dev.log"

    def __enter__(self) -> Self:
        command = [
            str(Path(sys.executable).parent / "dg"), "dev", "--workspace", str(ROOT / "workspace.yaml"),
            "--host", "127.0.0.1", "--port", str(self._port),
        ]  # fmt: skip
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self.wait_for(lambda: self.ask("{ assetNodes { id } }")["assetNodes"], seconds=240)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(30)
        for left in self._processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                left.kill()
        self.process.wait()

    def ask(self, query: str, **variables: Any) -> Any:
        """The data of a GraphQL answer."""
        sent = {"query": query, "variables": variables}
        return requests.post(f"http://127.0.0.1:{self._port}/graphql", json=sent, timeout=60).json()["data"]

    def runs(self) -> dict[str, str]:
        """Status of the newest run of each partition, or first one of a range."""
        found = {}
        for run in reversed(self.ask(RUNS)["runsOrError"]["results"]):
            tags = {tag["key"]: tag["value"] for tag in run["tags"]}
            found[tags.get("dagster/partition") or tags.get("dagster/asset_partition_range_start")] = run["status"]
        return found

    def ticks(self, sensor: str) -> list[dict[str, Any]]:
        """The newest ticks of a sensor."""
        answer = self.ask(TICKS, of={**REPOSITORY, "sensorName": sensor})
        return answer["sensorOrError"]["sensorState"]["ticks"]

    def launch(self, asset: str, city: str, day: str) -> None:
        """Ask for a run as the UI does."""
        tags = {"dagster/partition": f"{city}|{day}", "dagster/partition/city": city, "dagster/partition/date": day}
        run = {
            "selector": {
                **REPOSITORY, "pipelineName": "__ASSET_JOB", "assetSelection": [{"path": [asset]}], "assetCheckSelection": [],
            },
            "runConfigData": {}, "mode": "default",
            "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in tags.items()]},
        }  # fmt: skip
        assert "run" in self.ask(LAUNCH, run=run)["launchPipelineExecution"]

    def code_servers(self) -> list[psutil.Process]:
        """The processes that hold the code, behind their proxy."""
        return [found for found in self._processes() if found.cmdline()[1:5] == ["-m", "dagster", "api", "grpc"]]

    def daemon(self) -> psutil.Process:
        """The daemon."""
        [found] = [
            process for process in self._processes() if process.cmdline()[1:4] == ["-m", "dagster._daemon", "run"]
        ]
        return found

    def wait_for(self, what: Callable[[], Any], seconds: float) -> Any:
        """What comes out once it is true; an answer that fails is no answer yet."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            with contextlib.suppress(requests.RequestException, KeyError, TypeError, ValueError):
                if found := what():
                    return found
            time.sleep(0.5)
        raise AssertionError(f"not within {seconds:g} s; {self.log} ends with\n{self.log.read_text()[-3000:]}")

    def _processes(self) -> Iterator[psutil.Process]:
        """All processes of this home that still run."""
        for found in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if found.environ().get("DAGSTER_HOME") == str(self.home) and found.status() != psutil.STATUS_ZOMBIE:
                    yield found


def kill(process: psutil.Process) -> None:
    """SIGKILL: it can report nothing and tidy up nothing."""
    process.send_signal(signal.SIGKILL)
