"""Hostile files, and readers that die, hang or take too much: the file is named, and the others are read."""

import resource
import time
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from pyarrow import fs

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.limits import Limits
from shotspotter_assets.cities.registry import load_city
from shotspotter_assets.cities.source_settings import LandingSource
from shotspotter_assets.sources.landing.apart import LeftRows, Result, _borrowed, _give_back, read_apart
from shotspotter_assets.sources.landing.folder import LandingFolder
from shotspotter_assets.sources.landing.one_file import LandedFile
from shotspotter_assets.sources.landing.reader_process import Task
from shotspotter_assets.sources.protocol import SourceError
from shotspotter_assets_tests.conftest import TEST_CITIES
from shotspotter_assets_tests.sources.landing.faulty_shelf import FaultyShelf
from shotspotter_assets_tests.sources.landing.hostile_files import GOOD_CSV, equal_rows, workbook, zip_bomb

CITY = load_city(TEST_CITIES / "landing_city.yaml")
UNLIMITED: dict[str, Any] = dict.fromkeys(
    ("max_rows", "max_columns", "max_cells", "max_expanded_mb", "max_ratio"), 10**15
)


def limited(**limits: Any) -> City:
    return CITY.model_copy(update={"limits": Limits(**limits)})


def looks(path: Path, **limits: Any) -> dict[str, str]:
    """By file, the days that a look finds in it, or the error."""
    folder = LandingFolder(limited(**limits), fs.LocalFileSystem(), str(path))
    found = folder.looks(sorted(folder.file_versions()[0]))
    return {
        Path(name).name: str(result) if isinstance(result, SourceError) else " ".join(map(str, result))
        for name, result in found
    }


@pytest.mark.parametrize(
    ("cell", "declared"),
    [
        ("XFD1048576", "1,048,576 rows x 16,384 columns"),
        ("Z1048576", "1,048,576 rows x 26 columns"),
        ("A99999999999", "99,999,999,999 rows x 6 columns"),
        ("ZZZZZZZZ9", "9 rows x 217,180,147,158 columns"),
    ],
)
def test_a_workbook_with_one_far_cell_is_refused_by_what_it_declares(tmp_path: Path, cell: str, declared: str) -> None:
    workbook(tmp_path / "far.xlsx", cell)
    (tmp_path / "good.csv").write_text(GOOD_CSV)
    found = looks(tmp_path)
    assert found["good.csv"] == "2024-03-02"
    assert f"City landing_city: {tmp_path}/far.xlsx declares {declared}; the limit is 20,000,000." in found["far.xlsx"]
    assert "Raise limits.max_cells in the city's file, or split the file." in found["far.xlsx"]


def test_cells_that_do_not_say_where_they_are_count_too(tmp_path: Path) -> None:
    workbook(tmp_path / "far.xlsx", "XFD1048576", places=False)
    assert "far.xlsx declares 1,048,576 rows x 16,384 columns; the limit is 20,000,000." in looks(tmp_path)["far.xlsx"]


@pytest.mark.parametrize("cell", ["XFD1048576", "Z1048576", "A99999999999", "ZZZZZZZZ9"])
def test_a_reader_that_aborts_ends_no_other_file(tmp_path: Path, cell: str) -> None:
    workbook(tmp_path / "far.xlsx", cell)
    for number in range(5):
        (tmp_path / f"good_{number}.csv").write_text(GOOD_CSV)
    found = looks(tmp_path, **UNLIMITED, memory_mb=600)
    assert {found[f"good_{number}.csv"] for number in range(5)} == {"2024-03-02"}
    assert f"City landing_city: {tmp_path}/far.xlsx" in found["far.xlsx"]
    if cell in ("XFD1048576", "Z1048576"):
        assert "more memory than limits.memory_mb of the city's file allows (600 MB)" in found["far.xlsx"]


def test_millions_of_equal_rows_in_a_small_file_are_refused(tmp_path: Path) -> None:
    equal_rows(tmp_path / "equal.parquet", 20_000_000)
    assert (tmp_path / "equal.parquet").stat().st_size < 500_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "declares 20,000,000 rows x 6 columns; the limit is 15,000,000. Raise limits.max_rows" in str(
        looks(tmp_path)
    )
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_parts_of_an_archive_that_expand_are_refused(tmp_path: Path) -> None:
    zip_bomb(tmp_path / "bomb.zip", megabytes=64)
    assert "declares 64 MB in its part 'layer.dbf', 1,0" in looks(tmp_path)["bomb.zip"]
    assert "Raise limits.max_ratio" in looks(tmp_path)["bomb.zip"]
    found = looks(tmp_path, max_ratio=10_000, max_expanded_mb=63)["bomb.zip"]
    assert "declares 64 MB in its parts; the limit is 63. Raise limits.max_expanded_mb" in found


@pytest.mark.parametrize(
    ("name", "content", "limit", "says"),
    [
        ("rows.csv", GOOD_CSV + GOOD_CSV.splitlines()[1] + "\n", {"max_rows": 1}, "2 rows x 6 columns; the limit is 1"),
        ("wide.csv", GOOD_CSV, {"max_columns": 5}, "0 rows x 6 columns; the limit is 5"),
        ("large.csv", GOOD_CSV + " " * 2**21, {"max_expanded_mb": 1}, "declares 2 MB; the limit is 1"),
        ("rows.jsonl", '{"when": 1}\n{"when": 2}\n', {"max_rows": 1}, "2 rows x 1 columns; the limit is 1"),
        (
            "rows.geojson",
            '{"features": [{"properties": {"when": 1}}, {"properties": {"when": 2}}]}',
            {"max_rows": 1},
            "2 rows x 1 columns; the limit is 1",
        ),
    ],
)
def test_every_format_has_limits(tmp_path: Path, name: str, content: str, limit: dict[str, int], says: str) -> None:
    (tmp_path / name).write_text(content)
    assert says in looks(tmp_path, **limit)[name]


def results(path: Path, fault: str, files: int, **limits: Any) -> dict[str, Result]:
    """By file, what is read by a process with a fault."""
    folder, left = path / fault, path / "left"
    folder.mkdir()
    left.mkdir()
    names = ["faulty.csv", *(f"{number}.csv" for number in range(files))]
    for name in names:
        (folder / name).write_text(GOOD_CSV)
    city = limited(**limits)
    assert isinstance(city.source, LandingSource)
    day = date(2024, 3, 2)
    tasks = [
        Task(LandedFile(str(folder / name), 1, datetime.now(UTC), "", None, city.start, (city.start, day)), day, day)
        for name in names
    ]
    shelf = FaultyShelf(fs.LocalFileSystem(), city, city.source)
    return {Path(task.file.path).name: result for task, result in read_apart(shelf, tasks, str(left))}


def rows_of(found: dict[str, Result]) -> list[int]:
    return [result.of_part(0).num_rows for result in found.values() if isinstance(result, LeftRows)]


@pytest.mark.parametrize("files", [0, 20])
@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("killed", r"cannot be read: its reader was ended \(SIGKILL\)"),
        ("aborting", r"cannot be read: its reader was ended \(SIGABRT\)"),
        ("hanging", r"it takes longer than limits\.seconds of the city's file allows \(2 s\)"),
        ("greedy", r"it takes more memory than limits\.memory_mb of the city's file allows \(1,000 MB\)"),
        ("odd", r"cannot be read \(KeyError: 'nothing'\)"),
    ],
)
def test_a_file_whose_reader_fails_is_named_and_the_others_are_read(
    tmp_path: Path, fault: str, says: str, files: int
) -> None:
    found = results(tmp_path, fault, files, seconds=2, memory_mb=1000)
    error = found.pop("faulty.csv")
    assert isinstance(error, SourceError)
    with pytest.raises(
        SourceError, match=rf"City landing_city: .*faulty\.csv .*{says}.*move it out of the landing folder"
    ):
        raise error
    assert len(found) == files
    assert rows_of(found) == [1] * files


@pytest.mark.parametrize("files", [0, 20])
def test_files_are_read_again_if_their_reader_is_killed_from_outside(tmp_path: Path, files: int) -> None:
    found = results(tmp_path, "killed_once", files)
    assert rows_of(found) == [1] * (files + 1)


def test_many_small_files_share_a_reader(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / f"{number}.csv").write_text(GOOD_CSV)
    assert len(looks(tmp_path)) == 300
    started = time.process_time()
    assert set(looks(tmp_path).values()) == {"2024-03-02"}
    assert time.process_time() - started < 1


def test_a_reader_that_was_started_with_other_keys_of_a_bucket_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    first = _borrowed()
    _give_back(first)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    second = _borrowed()
    _give_back(second)
    assert second is not first
    assert _borrowed() is second
    second.end()
