"""The public surface is written down, and changes only as the policy of `docs/public_surface.md` permits."""

import re
import tomllib
from pathlib import Path

import pytest

from docs.public_surface import PRESENT, SNAPSHOTS, broken, lines_of, retired_keys, surface, unexplained, variables
from shotspotter_assets.cities.retired import RETIRED, Retired
from shotspotter_assets.settings import CHECKOUT
from shotspotter_assets.storage.store_format import FORMAT_VERSION

RELEASES = [path for path in sorted(SNAPSHOTS.iterdir()) if path != PRESENT]
PROGRAM = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"]
FORMATS = {"0.2.0": 1, "1.0.0": 2}  # formats of the stores of releases
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
    left = unexplained(lines_of(release), lines_of(PRESENT), PROGRAM)
    keys = [line for line in left if line.startswith("city file: ")]
    assert keys == [], "a key needs an entry in shotspotter_assets/cities/retired.py"
    assert is_major or left == []


def test_the_surface_of_each_release_is_kept() -> None:
    changelog = (CHECKOUT / "CHANGELOG.md").read_text()
    released = {*re.findall(r"^## (\d+\.\d+\.\d+) \(", changelog, re.MULTILINE)} - {"0.1.0"}
    assert released == {path.stem for path in RELEASES}, "copy present.txt to VERSION.txt at a release"


def test_stored_fields_and_columns_change_only_with_the_format() -> None:
    assert {release.stem for release in RELEASES} <= FORMATS.keys(), "name the format of each release"
    for release in RELEASES:
        if FORMATS[release.stem] == FORMAT_VERSION:
            changed = {*read_back(release)} ^ {*read_back(PRESENT)}
            assert not changed, f"programs of {release.stem} cannot read this: increase FORMAT_VERSION, and convert"


def read_back(snapshot: Path) -> list[str]:
    """The lines about files that programs read again; pages are only written."""
    return [line for line in lines_of(snapshot) if re.match(r"(field|column): (?!city_pages/)", line)]


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


@pytest.mark.parametrize(
    ("line", "retired"),
    [
        ("city file: limits.seconds", "limits.seconds"),
        ("city file: source[alerts_api].preset = ckan", "*source*.preset = ckan"),
    ],
)
def test_a_key_leaves_the_surface_only_after_its_warning(line: str, retired: str) -> None:
    after = [kept for kept in BEFORE if kept != line]
    entry = {retired: Retired("remove it", refused_from="2.0.0", warned_since="1.3.0")}
    assert unexplained(BEFORE, after, "2.0.0", {}) == [line]
    assert unexplained(BEFORE, after, "1.9.0", entry) == [line]
    assert unexplained(BEFORE, after, "2.0.0", entry) == []


def test_a_narrowed_key_that_stays_is_not_explained_by_an_entry() -> None:
    after = [kept for kept in BEFORE if kept != "city file: end: string"]
    entry = {"end": Retired("remove it", refused_from="2.0.0", warned_since="1.3.0")}
    assert unexplained(BEFORE, after, "2.0.0", entry) == ["city file: end: string"]


def test_retired_keys_were_warned_about_in_the_major_version_before() -> None:
    for name, part in RETIRED.items():
        assert re.fullmatch(r"\d+\.0\.0", part.refused_from), name
        if part.refused_from != "1.0.0":  # nothing was promised before
            assert int(part.warned_since.partition(".")[0]) == int(part.refused_from.partition(".")[0]) - 1, name


def test_the_page_lists_the_retired_keys() -> None:
    page = (CHECKOUT / "docs" / "public_surface.md").read_text()
    assert retired_keys() in page, "paste what python -m docs.public_surface --retired prints"


def test_every_variable_of_the_package_is_in_the_table_of_settings() -> None:
    text = "\n".join(file.read_text() for file in sorted((CHECKOUT / "shotspotter_assets").rglob("*.py")))
    named = {*re.findall(r"SHOTSPOTTER_[A-Z_]+[A-Z]", text)}
    named |= {f"SHOTSPOTTER_{name}" for name in re.findall(r'\btext\("([A-Z_]+)"', text)}
    assert {f"variable: {name}" for name in named} <= {*variables()}
