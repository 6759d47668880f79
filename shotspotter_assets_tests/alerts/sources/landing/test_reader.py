import resource
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow as pa
import pytest

from shotspotter_assets.alerts.sources.alert_source import SourceError
from shotspotter_assets.alerts.sources.landing import reader
from shotspotter_assets.alerts.sources.landing.folder import LandingFolder
from shotspotter_assets.alerts.sources.landing.reader import Task, read_in_subprocess
from shotspotter_assets.cities.city import City, Limits
from shotspotter_assets.city_files import load_city
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.alerts.sources.landing.hostile_files import (
    GOOD_CSV,
    FaultyBatch,
    equal_rows,
    flipped_zip,
    workbook,
    zip_bomb,
)
from shotspotter_assets_tests.conftest import TEST_CITIES

CITY = load_city(TEST_CITIES / "landing_city.yaml")


def limited(**limits: Any) -> City:
    return CITY.model_copy(update={"limits": Limits(**limits)})


def read_all(path: Path, **limits: Any) -> dict[str, str]:
    city = limited(**limits)
    folder = LandingFolder(city.site, city.source, str(path), Store(str(path.with_name(f"{path.name}.store"))))
    return {Path(name).name: file.error or str(file.rows) for name, file in sorted(folder.refresh().files.items())}


@pytest.mark.parametrize(
    ("name", "make", "says"),
    [
        ("far.xlsx", lambda path: workbook(path, "XFD1048576"), "a defect, or more memory than limits.memory_mb"),
        ("equal.parquet", lambda path: equal_rows(path, 15_000_000), "with the 600 MB of memory that"),
        ("bomb.zip", lambda path: zip_bomb(path, 64), "cannot be read as a zip archive with one shapefile"),
        ("flipped.zip", flipped_zip, "cannot be read as a zip archive with one shapefile"),
    ],
)
def test_hostile_file_is_named(tmp_path: Path, name: str, make: Callable[[Path], Any], says: str) -> None:
    make(tmp_path / name)
    for number in range(3):
        (tmp_path / f"{number}.csv").write_text(GOOD_CSV)
        (tmp_path / f"z{number}.csv").write_text(GOOD_CSV)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = read_all(tmp_path, memory_mb=600)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
    error = found.pop(name)
    assert says in error
    assert f"City landing_city: {tmp_path}/{name}" in error
    assert list(found.values()) == ["1"] * 6


def test_a_file_of_too_many_rows_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many = tmp_path / "many.csv"
    many.write_text(GOOD_CSV * 3)
    monkeypatch.setattr(reader, "MAX_ROWS", 3)
    task = Task(str(many), datetime.now(UTC), None, many, many.with_suffix(".rows"))
    with pytest.raises(SourceError, match=r"many\.csv .*it has 5 rows"):
        reader.Batch(CITY.site, CITY.source, [task]).read(task)


def results(path: Path, fault: str, files: int, **limits: Any) -> dict[str, pa.Table | SourceError]:
    folder = path / fault
    folder.mkdir()
    names = ["faulty.csv", *(f"{number}.csv" for number in range(files))]
    for name in names:
        (folder / name).write_text(GOOD_CSV)
    city = limited(**limits)
    paths = [folder / name for name in names]
    tasks = [Task(str(path), datetime.now(UTC), None, path, path.with_suffix(".rows")) for path in paths]
    return {Path(task.path).name: rows for task, rows in read_in_subprocess(FaultyBatch(city.site, city.source, tasks))}


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("killed", r"as its reader ends \(SIGKILL\)"),
        ("aborting", r"as its reader ends \(SIGABRT\)"),
        ("hanging", r"within the 5 s that limits\.seconds allows"),
        ("greedy", r"with the 1,000 MB of memory that limits\.memory_mb allows"),
        ("odd", r"KeyError: .*nothing"),
    ],
)
def test_a_file_whose_reader_fails_is_named_and_the_others_are_read(tmp_path: Path, fault: str, says: str) -> None:
    found = results(tmp_path, fault, 10, seconds=5 if fault == "hanging" else 300, memory_mb=1000)
    error = found.pop("faulty.csv")
    assert isinstance(error, SourceError)
    with pytest.raises(SourceError, match=rf"City landing_city: .*faulty\.csv .*{says}.*out of the landing folder"):
        raise error
    assert [rows.num_rows for rows in found.values() if isinstance(rows, pa.Table)] == [1] * 10


def test_files_are_read_again_if_their_process_is_killed_from_outside(tmp_path: Path) -> None:
    found = results(tmp_path, "killed_once", 5)
    assert [rows.num_rows for rows in found.values() if isinstance(rows, pa.Table)] == [1] * 6


def test_many_small_files_share_a_process(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / f"{number}.csv").write_text(GOOD_CSV)
    with mock.patch("subprocess.Popen", wraps=subprocess.Popen) as started:
        assert list(read_all(tmp_path).values()) == ["1"] * 300
    assert started.call_count <= 1
