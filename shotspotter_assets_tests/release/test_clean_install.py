"""The wheel in an empty environment of each Python that it allows: the quickest demonstration, and once the whole one."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from shotspotter_assets.settings import CHECKOUT, INSTANCE
from shotspotter_assets_tests.commands.exports import export, write
from shotspotter_assets_tests.conftest import made_once
from shotspotter_assets_tests.installation import ASSETS_QUERY
from shotspotter_assets_tests.ports import free_port
from shotspotter_assets_tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

UV = str(Path(sys.executable).parent / "uv")
OWN_VERSION = ".".join(map(str, sys.version_info[:2]))
OTHER_VERSIONS = sorted({"3.11", "3.12", "3.13"} - {OWN_VERSION})


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel and its dependencies alone, and an empty working folder."""

    bin: Path
    work: Path

    @property
    def environ(self) -> dict[str, str]:
        """The environment of processes, without settings and without the checkout."""
        others = {name: value for name, value in os.environ.items() if not name.startswith("SHOTSPOTTER_")}
        return others | {"UV_LINK_MODE": "symlink", "PYTHONPATH": ""}  # links, as dependencies have gigabytes

    def run(self, *command: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
        ran = subprocess.run(command, cwd=self.work, env=self.environ, capture_output=True, text=True, check=False)
        assert ran.returncode == code, ran.stderr[-3000:]
        return ran

    def shotspotter(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        return self.run(self.bin / "shotspotter", *arguments, code=code)

    @contextmanager
    def ui(self) -> Iterator[str]:
        """Start `shotspotter ui`, and yield the address of its API; end all of its processes."""
        port = free_port()
        command = [self.bin / "shotspotter", "ui", "--port", str(port)]
        started = subprocess.Popen(command, cwd=self.work, env=self.environ, start_new_session=True)
        try:
            yield f"http://127.0.0.1:{port}/graphql"
        finally:
            os.killpg(started.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                started.wait(20)
            with suppress(ProcessLookupError):
                os.killpg(started.pid, signal.SIGKILL)
            started.wait()


def interpreter(version: str) -> str:
    """Return an interpreter of a minor version, of pyenv, on the PATH or of uv; skip the test without one."""
    if version == OWN_VERSION:
        return sys.executable
    found = next(map(str, sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}"))), None)
    if found is None:
        search = [UV, "python", "find", "--quiet", "--no-project", "--no-python-downloads", "--system", version]
        found = subprocess.run(search, capture_output=True, text=True, check=False).stdout.strip()
    if not found:
        pytest.skip(f"needs Python {version}: install it with pyenv, uv or the system's packages")
    return found


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the archive of sources, so that nothing is taken from an earlier build."""

    def make(folder: Path) -> None:
        command = [UV, "build", "--quiet", "--no-build-isolation", "--python", sys.executable, "--out-dir", str(folder)]
        subprocess.run([*command, str(CHECKOUT)], check=True)

    [built] = made_once(tmp_path_factory, "wheel", make).glob("*.whl")
    return built


def installed(version: str, wheel: Path, folder: Path) -> Installed:
    """Install the wheel, with the locked versions of its dependencies, into an empty environment."""
    environment = folder / "environment"
    work = folder / "work"
    work.mkdir()
    made = Installed(environment / "bin", work)
    made.run(UV, "venv", "--quiet", "--python", interpreter(version), environment)
    python = made.bin / "python"
    constraint = CHECKOUT / "requirements.lock"
    install = [UV, "pip", "install", "--quiet", "--python", python]
    made.run(*install, "--constraint", constraint, wheel)
    # Files of its own, as the packaged alerts are landed files, of which links are not followed.
    made.run(*install, "--reinstall", "--no-deps", "--link-mode", "copy", wheel)
    assert made.run(python, "--version").stdout.startswith(f"Python {version}.")
    listed = json.loads(made.run(UV, "pip", "list", "--python", python, "--format", "json").stdout)
    assert not {package["name"] for package in listed} & {"pytest", "ruff", "mypy"}
    return made


@pytest.mark.parametrize("version", OTHER_VERSIONS)
def test_the_wheel_stores_days_on_each_python(version: str, wheel: Path, tmp_path: Path) -> None:
    made = installed(version, wheel, tmp_path)
    shown = made.shotspotter("demo", "simulated_city", "--days-only").stdout
    assert "alerts and grids of 2023-01-01 to 2025-06-30" in shown
    assert len([*(made.work / "store" / "grid_tensors").rglob("grid.parquet")]) > 900
    assert (made.work / ".dagster_home" / "dagster.yaml").read_text() == INSTANCE.read_text()
    assert "shotspotter run CITY" in made.shotspotter("pages", code=1).stderr
    write(export(), made.work)
    assert "town.yaml is written" in made.shotspotter("new-city", "town", "alerts.csv").stdout


def assets_at(url: str) -> str:
    with suppress(requests.RequestException):
        return requests.post(url, json={"query": ASSETS_QUERY}, timeout=60).text
    return ""


def test_the_wheel_runs_the_whole_demo_and_the_ui(wheel: Path, tmp_path: Path) -> None:
    made = installed(OWN_VERSION, wheel, tmp_path)
    shown = made.shotspotter("demo").stdout
    for words in (
        "Fold 2018-10-01: 92 test days",
        "conv_lstm",
        "Sunday, 30 December 2018 by",
        "patrol units by shift",
        "Nowcast from 2018-12-30 22:30",
        "  15m ",
        "  4h ",
    ):
        assert words in shown
    likeliest = shown.partition("80% interval)\n")[2].splitlines()[0]
    assert "near " in likeliest
    assert "District" in likeliest
    [pages] = [line for line in shown.splitlines() if line.startswith("The pages for analysts")]
    overview = made.work / pages.partition(": ")[2]
    assert overview.is_file()
    assert "2018-12-30 22:30" in (overview.parents[1] / "city=washington_dc_2018" / "last_hours.html").read_text()
    with made.ui() as url:
        wait_until(lambda: "washington_dc_2018" in assets_at(url), 240, every=2.0)
