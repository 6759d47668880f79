from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from shotspotter_assets.__main__ import main
from shotspotter_assets_tests.cities.test_city_files import write


def check(folder: Path) -> tuple[str, list[str]]:
    """Return the line about usable cities, and the problems."""
    ran = CliRunner().invoke(main, ["check-cities", str(folder)])
    lines = ran.stderr.splitlines()
    assert ran.exit_code == (0 if all(line.startswith("Warning: ") for line in lines) else 1)
    return ran.stdout, lines


def test_a_layer_that_pages_leave_out_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "wards.geojson").write_text("{")
    write(tmp_path, layers={"districts": {"path": "wards.geojson", "name": "ward"}})
    usable, [warning] = check(tmp_path)
    assert usable == f"{tmp_path}: 1 city files can be used: washington_dc (landed files).\n"
    assert warning.startswith("Warning: City washington_dc, layers.districts: wards.geojson cannot be read: ")


def test_each_wrong_file_has_a_line(tmp_path: Path) -> None:
    write(tmp_path, name="good").rename(tmp_path / "good.yaml")
    usable = f"{tmp_path}: 1 city files can be used: good (landed files).\n"
    assert check(tmp_path) == (usable, [])
    write(tmp_path, start="01/01/2016", box=3)
    (tmp_path / "broken.yaml").write_text("- a")
    shown, [broken, washington] = check(tmp_path)
    assert shown == usable
    assert "broken.yaml: expected keys and values" in broken
    assert "box: " in washington
    assert "start: write the date as YYYY-MM-DD" in washington


@pytest.mark.parametrize(
    ("changes", "file", "says"),
    [
        ({"serves": "x"}, None, ["washington_dc.yaml: ", "serves"]),
        (
            {"acknowledged": [{"check": "points2", "first": "2020-01-01", "by": "A. Smith", "on": "2020-02-01"}]},
            None,
            ["washington_dc.yaml: acknowledged: there is no check 'points2' (allowed: share_rejected, ", ", clock)"],
        ),
        (
            {"streets": {"path": "streets.gpkg", "name": "name"}},
            ("streets.gpkg", "no streets"),
            ["City washington_dc, streets: ", "streets.gpkg cannot be read"],
        ),
        (
            {"factors": {"liquor": {"kind": "points", "path": "places.csv", "known_from": date(2013, 6, 25)}}},
            ("places.csv", "longitude,latitude\n38.9,-77.0\n"),
            ["City washington_dc, factors.liquor: ", "has nothing in the city's box"],
        ),
    ],
)
def test_city_files_are_checked(
    changes: dict[str, Any], file: tuple[str, str] | None, says: list[str], tmp_path: Path
) -> None:
    if file:
        (tmp_path / file[0]).write_text(file[1])
    write(tmp_path, **changes)
    [problem] = check(tmp_path)[1]
    assert all(part in problem for part in says)
