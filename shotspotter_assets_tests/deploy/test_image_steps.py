"""The commands of the Dockerfile that need no Docker, in a copy of the files that the image gets."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shotspotter_assets.settings import CHECKOUT
from shotspotter_assets_tests.deploy.machines import DEPLOY

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent
DOCKERFILE = (DEPLOY / "Dockerfile").read_text().replace("\\\n", "")
PYTHON = re.search(r"python:(3\.\d+)", DOCKERFILE)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that `Dockerfile.dockerignore` lets into the build."""
    folder = tmp_path_factory.mktemp("context")
    lines = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    for name in (line.removeprefix("!") for line in lines if line.startswith("!")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if (CHECKOUT / name).is_dir():
            shutil.copytree(CHECKOUT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(CHECKOUT / name, folder / name)
    return folder


def run(command: str, folder: Path) -> None:
    environ = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"}
    ran = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", command], cwd=folder, env=environ, capture_output=True, check=False
    )
    assert ran.returncode == 0, ran.stderr.decode()[-3000:]


def test_copied_files_are_in_the_context(context: Path) -> None:
    copied = [words.split()[:-1] for words in re.findall(r"^COPY (.*)", DOCKERFILE, re.MULTILINE)]
    assert [name for names in copied for name in names if not (context / name).exists()] == []


def test_the_image_gets_the_locked_packages_as_wheels(context: Path) -> None:
    [command] = re.findall(r"^RUN (uv pip compile .*? > image\.lock)", DOCKERFILE, re.MULTILINE)
    run(command.replace("uv pip compile", f"uv pip compile --python-version {PYTHON[1]}"), context)
    packages = (context / "image.lock").read_text().splitlines()
    locked = {line.split(" ;")[0] for line in (CHECKOUT / "requirements.lock").read_text().splitlines()}
    assert {package.replace("tensorflow-cpu", "tensorflow") for package in packages} <= locked
    names = {package.partition("==")[0] for package in packages}
    assert {"tensorflow-cpu", "dagster-celery", "dagster-k8s", "dagster-postgres"} <= names
    assert not names & {"pytest", "tensorflow", "mypy"}
    wheels = f"--python-version {PYTHON[1]} --python-platform linux --only-binary :all: --target wheels"
    run(f"uv pip install --quiet --dry-run --no-deps {wheels} --requirement image.lock", context)


def test_the_package_runs_from_its_folder_in_the_image(context: Path) -> None:
    [command] = re.findall(r"^RUN (uv pip install .* --target /opt/shotspotter \.)$", DOCKERFILE, re.MULTILINE)
    site = context / "opt"
    local = command.replace("/opt/venv/bin/python", sys.executable).replace("/opt/shotspotter", str(site))
    run(local.replace("--compile-bytecode", ""), context)
    [path] = re.findall(r"PATH=(\S+)", DOCKERFILE.split("ENV ", 1)[1])[:1]
    path = path.replace("/opt/shotspotter", str(site))
    run(
        f"export PYTHONPATH={site} PATH={path}; type shotspotter | grep {site}; shotspotter check-cities | grep {site}",
        Path("/"),
    )
