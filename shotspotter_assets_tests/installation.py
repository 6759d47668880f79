"""`dg dev` as `make ui` starts it, in its own processes."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Self

import psutil
import requests

from shotspotter_assets.settings import CHECKOUT
from shotspotter_assets_tests.waiting import wait_until

MAX_START_SECONDS: Final = 900.0
MAX_STOP_SECONDS: Final = 40.0  # ten on a quiet machine; others are up to four times slower
ASSETS_QUERY: Final = "{ assetNodes { assetKey { path } } }"


class Installation:
    """`dg dev` on one DAGSTER_HOME in processes of its own, as `make ui` starts it; leaving the context ends all of it."""

    def __init__(self, folder: Path, environment: Mapping[str, str], port: int) -> None:
        self.folder = folder
        self.home = environment["DAGSTER_HOME"]
        self.log = folder / "dg_dev.log"
        self.url = f"http://127.0.0.1:{port}"
        self._environment = dict(environment)
        self._port = port

    def __enter__(self) -> Self:
        self.start()
        try:
            details = {"details": lambda: self.log.read_text()[-3000:]}
            wait_until(self.answers, MAX_START_SECONDS, every=0.5, process=self.process, **details)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        command = [sys.executable, "-m", "shotspotter_assets", "lost-runs"]
        subprocess.run(command, cwd=self.folder, env=self._environment, check=True)
        command = [str(Path(sys.executable).parent / "dg"), "dev", "--host", "127.0.0.1", "--port", str(self._port)]
        command += ["--workspace", str(CHECKOUT / "shotspotter_assets" / "workspace.yaml")]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )

    def stop(self) -> None:
        """End what is left of it as a service manager does, SIGTERM and then SIGKILL."""
        left = list(self.processes())
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
        psutil.wait_procs(left, MAX_STOP_SECONDS)
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()

    def ask(self, query: str, **variables: Any) -> Any:
        sent = {"query": query, "variables": variables}
        return requests.post(f"{self.url}/graphql", json=sent, timeout=300).json()["data"]

    def answers(self) -> bool:
        with contextlib.suppress(requests.RequestException, KeyError, TypeError, ValueError):
            return bool(self.ask(ASSETS_QUERY)["assetNodes"])
        return False

    def daemons(self) -> list[psutil.Process]:
        return [found for found in self.processes() if _command(found)[1:4] == ["-m", "dagster._daemon", "run"]]

    def run_workers(self) -> list[psutil.Process]:
        return [process for process in self.processes() if "--multiprocessing-fork" in _command(process)]

    def processes(self) -> Iterator[psutil.Process]:
        for found in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if found.environ().get("DAGSTER_HOME") == self.home and found.status() != psutil.STATUS_ZOMBIE:
                    yield found


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def prepare(folder: Path, city_files: Mapping[str, str], **further: str) -> dict[str, str]:
    """Make the folders of an installation, with its city files by name: the environment of its processes."""
    home = folder / "dagster_home"
    files = folder / "cities"
    landing = folder / "landing"
    for new in (home, files, landing):
        new.mkdir(parents=True)
    shutil.copy(CHECKOUT / ".dagster_home" / "dagster.yaml", home)
    for name, text in city_files.items():
        (files / f"{name}.yaml").write_text(text)
    others = {name: value for name, value in os.environ.items() if not name.startswith("SHOTSPOTTER_")}
    return {
        **others, "DAGSTER_HOME": str(home), "SHOTSPOTTER_CITIES": str(files), "SHOTSPOTTER_LANDING": str(landing),
        "SHOTSPOTTER_STORE": str(folder / "store"), **further,
    }  # fmt: skip
