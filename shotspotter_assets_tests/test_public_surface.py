"""The public surface is written down, and changes only as the policy of `docs/public_surface.md` permits."""

import re
import tomllib
from pathlib import Path

import pytest

from docs.public_surface import PRESENT, SNAPSHOTS, broken, lines_of, surface, variables
from shotspotter_assets.settings import CHECKOUT

RELEASES = [path for path in sorted(SNAPSHOTS.iterdir()) if path != PRESENT]
PROGRAM = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"]
BEFORE = [
    "city file: end", "city file: end: string", "city file: limits", "city file: limits.seconds",
    "city file: source[alerts_api].preset = ckan", "command: fold", "column: grid_tensors/grid.parquet count int32",
]  # fmt: skip


def test_the_snapshot_is_the_present_surface() -> None:
    present = surface()
    assert lines_of(PRESENT) == present, "run python -m docs.public_surface, and review the difference"
    assert len({*present}) == len(present)


@pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.stem)
def test_nothing_left_the_surface_of_a_release_but_at_a_major_version(release: Path) -> None:
    is_major = int(PROGRAM.partition(".")[0]) > int(release.stem.partition(".")[0])
    assert is_major or broken(lines_of(release), lines_of(PRESENT)) == []


def test_the_surface_of_each_release_is_kept() -> None:
    changelog = (CHECKOUT / "CHANGELOG.md").read_text()
    released = {*re.findall(r"^## ([1-9]\d*\.\d+\.\d+) \(", changelog, re.MULTILINE)} - {PROGRAM}
    assert released <= {path.stem for path in RELEASES}, "copy present.txt to VERSION.txt at a release"


@pytest.mark.parametrize(
    "added",
    [
        "city file: new",
        "city file: limits.new",
        "city file: end: null",
        "city file requires: section.key",  # of a section that is new as well
        "command: fold --new",
        "column: grid_tensors/grid.parquet new int8",
    ],
)
def test_an_addition_is_minor(added: str) -> None:
    assert broken(BEFORE, [*BEFORE, added]) == []


@pytest.mark.parametrize("removed", BEFORE)
def test_a_removed_or_narrowed_promise_is_major(removed: str) -> None:
    assert broken(BEFORE, [line for line in BEFORE if line != removed]) == [removed]


@pytest.mark.parametrize(
    "demand", ["city file requires: end", "city file requires: limits.new", "command requires: fold X"]
)
def test_a_new_demand_on_something_that_was_there_is_major(demand: str) -> None:
    assert broken(BEFORE, [*BEFORE, demand]) == [demand]


def test_every_variable_of_the_package_is_in_the_table_of_settings() -> None:
    text = "\n".join(file.read_text() for file in sorted((CHECKOUT / "shotspotter_assets").rglob("*.py")))
    named = {*re.findall(r"SHOTSPOTTER_[A-Z_]+[A-Z]", text)}
    named |= {f"SHOTSPOTTER_{name}" for name in re.findall(r'\btext\("([A-Z_]+)"', text)}
    assert {f"variable: {name}" for name in named} <= {*variables()}
