import os
import subprocess
import sys
import tarfile
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest
from packaging.metadata import Metadata

from docs.third_party import SBOM
from shotspotter_assets.settings import CHECKOUT

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent
ADDED_BY_BUILD = {"PKG-INFO"}


def build(folder: Path, umask: str, time_zone: str, written: str) -> Path:
    """Clone the repository into a folder, change the times of its files, and run `make build` there."""
    commands = (
        f"umask {umask}",
        f"git clone --quiet --no-hardlinks {CHECKOUT} {folder}",
        f"cd {folder}",
        f"find . -type f -not -path './.git/*' -exec touch --date {written} {{}} +",
        f"make --silent --old-file=setup build BIN={BIN}",
    )
    environ = os.environ | {"TZ": time_zone}
    subprocess.run(["bash", "-ec", "\n".join(commands)], env=environ, check=True)
    return folder / "dist"


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archives of the newest commit."""
    if not (CHECKOUT / ".git").exists():
        pytest.skip("archives are compared with what git tracks, and this folder is no clone")
    return build(tmp_path_factory.mktemp("first") / "clone", "022", "UTC", "2020-02-02T02:02:02")


def hashes(dist: Path) -> dict[str, str]:
    files = (path for path in dist.iterdir() if path.name != ".gitignore")
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in files}


def members(archive: tarfile.TarFile) -> set[str]:
    return {name.partition("/")[2] for name in archive.getnames()}


def tracked() -> set[str]:
    listed = subprocess.run(
        ["git", "ls-tree", "-r", "--name-only", "HEAD"], cwd=CHECKOUT, capture_output=True, check=True
    )
    return set(listed.stdout.decode().splitlines())


def test_two_builds_of_a_commit_are_equal(dist: Path, tmp_path: Path) -> None:
    again = build(tmp_path / "another" / "folder", "077", "Asia/Tokyo", "2024-05-05T05:05:05")
    assert hashes(again) == hashes(dist)
    assert {path.split("-")[0] for path in hashes(dist)} == {"shotspotter_assets", SBOM.name}


def test_files_that_are_not_in_the_commit_are_refused_by_name(dist: Path) -> None:
    clone = dist.parent
    (clone / "alerts_of_a_city.csv").touch()
    command = ["make", "--silent", "--old-file=setup", "build", f"BIN={BIN}"]
    ran = subprocess.run(command, cwd=clone, capture_output=True, text=True, check=False)
    (clone / "alerts_of_a_city.csv").unlink()
    assert ran.returncode != 0
    assert "alerts_of_a_city.csv" in ran.stdout
    assert [*dist.glob("*.whl")]


def test_the_archive_of_sources_holds_what_git_tracks(dist: Path) -> None:
    [archive] = dist.glob("*.tar.gz")
    with tarfile.open(archive) as sources:
        assert members(sources) == tracked() | ADDED_BY_BUILD


def test_the_wheel_holds_the_package_its_data_and_notices(dist: Path) -> None:
    [archive] = dist.glob("*.whl")
    with zipfile.ZipFile(archive) as wheel:
        packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
        notes = {name.partition(".dist-info/")[2] for name in wheel.namelist()} - {""}
        [about] = [name for name in wheel.namelist() if name.endswith("/METADATA")]
        metadata = Metadata.from_email(wheel.read(about))
        places = [name for name in wheel.namelist() if str(CHECKOUT).encode() in wheel.read(name)]
    assert packed == {name for name in tracked() if name.startswith("shotspotter_assets/")}
    assert {"sboms/sbom.cdx.json", "licenses/LICENSE", "licenses/THIRD_PARTY_NOTICES.md", "entry_points.txt"} <= notes
    assert places == []
    assert metadata.license_expression == "Apache-2.0"
    assert (metadata.description or "").startswith("# shotspotter_assets")


def test_setup_py_builds_the_same_files(dist: Path, tmp_path: Path) -> None:
    clone = dist.parent
    command = [str(BIN / "uv"), "run", "--no-project", "--with", "setuptools>=77", "python", "setup.py", "--quiet"]
    steps = ["build", "--build-base", str(tmp_path / "build"), "bdist_wheel", "--dist-dir", str(tmp_path)]
    ran = subprocess.run([*command, *steps], cwd=clone, capture_output=True, text=True, check=False)
    if "Failed to fetch" in ran.stderr:
        pytest.skip("setuptools is not installed, and no registry of packages can be reached")
    assert ran.returncode == 0, ran.stderr
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert packed == {name for name in tracked() if name.startswith("shotspotter_assets/")}
