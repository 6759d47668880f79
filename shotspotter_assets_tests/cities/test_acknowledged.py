from datetime import date
from pathlib import Path

import pytest

from shotspotter_assets.city_files import CityFileError, load_city
from shotspotter_assets_tests.cities.test_city_files import write

ENTRIES = """
acknowledged:
  - {check: unusual_days, first: 2023-07-01, last: 2023-07-31, by: A. Smith, on: 2026-11-29, note: sensors were down}
  - {file: november.csv, by: A. Smith, on: 2026-11-29}
"""


def test_entries_are_read_as_they_are_written(tmp_path: Path) -> None:
    file = write(tmp_path)
    file.write_text(file.read_text() + ENTRIES)
    city = load_city(file)
    assert city.acknowledged_files == {"november.csv"}
    days, landed = city.acknowledged
    assert str(days) == "Acknowledged by A. Smith on 2026-11-29: sensors were down"
    assert str(landed) == "Acknowledged by A. Smith on 2026-11-29"
    assert [days.holds(date(2023, *at)) for at in ((6, 30), (7, 1), (7, 31), (8, 1))] == [False, True, True, False]
    assert not landed.holds(date(2023, 7, 1))


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("{check: points, by: A, on: 2026-11-29}", "write either check with first (and last), or file"),
        ("{first: 2023-07-01, by: A, on: 2026-11-29}", "write either check with first (and last), or file"),
        ("{file: a.csv, check: points, by: A, on: 2026-11-29}", "write either check with first (and last), or file"),
        (
            "{check: points, first: 2023-07-02, last: 2023-07-01, by: A, on: 2026-11-29}",
            "last (2023-07-01) must not be before first (2023-07-02)",
        ),
        ("{file: in/a.csv, by: A, on: 2026-11-29}", "'in/a.csv' must be the name of a file, without folders"),
        ("{file: a.csv, by: A, on: yesterday}", "write the date as YYYY-MM-DD"),
        ("{file: a.csv, on: 2026-11-29}", "is missing"),
    ],
)
def test_wrong_entries_are_explained_in_one_line(entry: str, reason: str, tmp_path: Path) -> None:
    file = write(tmp_path)
    file.write_text(f"{file.read_text()}\nacknowledged: [{entry}]\n")
    with pytest.raises(CityFileError) as caught:
        load_city(file)
    assert "acknowledged.0" in str(caught.value)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
