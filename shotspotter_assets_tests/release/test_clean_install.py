"""The wheel in an empty environment of each Python that it allows, and its quickest demonstration."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shotspotter_assets.settings import CHECKOUT
from shotspotter_assets_tests.conftest import made_once

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

UV = str(Path(sys.executable).parent / "uv")
PYTHONS = ("3.11", "3.12", "3.13")


def interpreter(version: str) -> str:
    """Return an interpreter of a minor version on the PATH, of pyenv, or of uv; skip the test without one."""
    own = ".".join(map(str, sys.version_info[:2]))
    places = [Path(sys.base_prefix) / "bin" / f"python{version}"] if version == own else []
    places += sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}"))
    found = next((str(place) for place in places if place.is_file()), None)
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


@pytest.mark.parametrize("version", PYTHONS)
def test_the_wheel_runs_in_an_empty_environment(version: str, wheel: Path, tmp_path: Path) -> None:
    python = tmp_path / "environment" / "bin" / "python"
    work = tmp_path / "work"
    work.mkdir()
    quiet = {"UV_LINK_MODE": "symlink", "PYTHONPATH": ""}  # the environment has gigabytes
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SHOTSPOTTER_")} | quiet

    def run(*command: str | Path) -> str:
        ran = subprocess.run(command, cwd=work, env=environ, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr[-3000:]
        return ran.stdout

    run(UV, "venv", "--quiet", "--python", interpreter(version), python.parents[1])
    lock = CHECKOUT / "requirements.lock"
    run(UV, "pip", "install", "--quiet", "--python", python, "--constraint", lock, wheel)
    assert run(python, "--version").startswith(f"Python {version}.")
    installed = {
        package["name"] for package in json.loads(run(UV, "pip", "list", "--python", python, "--format", "json"))
    }
    assert "shotspotter-assets" in installed
    assert not installed & {"pytest", "ruff", "mypy"}
    shown = run(python.parent / "shotspotter", "demo", "simulated_city", "--days-only")
    assert "alerts and grids of 2023-01-01 to 2025-06-30" in shown
    assert len([*(work / "store" / "grid_tensors").rglob("grid.parquet")]) > 900
