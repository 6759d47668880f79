"""Runs of which most rows cannot be used: a wrong time format, box or start fails them before anything is made."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from shotspotter_assets.cleaning.refusal import MIN_ROWS

from shotspotter_assets.cities.city import Box
from shotspotter_assets.sources.alert_source import SourceError
from shotspotter_assets_tests.defs.chain import CITIES, resources, run_days, with_city

HEADER = "when,lon,lat,kind,rounds,id\n"
ROWS = [
    f"2024-03-{day:02d}T12:{minute:02d}:00Z,-76.5,38.5,Single_Gunshot,1,{day}-{minute}"
    for day in range(1, 11)
    for minute in range(4)
]
SOURCE = CITIES["landing_city"].source


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    file = tmp_path / "landing" / "landing_city" / "a.csv"
    file.parent.mkdir(parents=True)
    file.write_text(HEADER + "\n".join(ROWS) + "\n")
    return file


class Town:
    """Runs over the first ten days of the landing city."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.folder, self.instance = folder, instance

    def run(self, first: str = "2024-03-01", last: str = "2024-03-10", **changes: Any) -> bool:
        on = resources(str(self.folder / "store"), str(self.folder / "landing"), with_city("landing_city", **changes))
        return run_days("landing_city", first, last, on, self.instance).success

    def files(self) -> dict[str, bytes]:
        return {
            str(path): path.read_bytes()
            for asset in ("cleaned_alerts", "grid_tensors")
            for path in (self.folder / "store" / asset).rglob("*.parquet")
        }


@pytest.fixture
def town(landing: Path, tmp_path: Path, instance: dg.DagsterInstance) -> Town:
    return Town(tmp_path, instance)


WRONG_BOX = {"box": Box(west=-75.0, south=38.0, east=-74.0, north=39.0)}


def time_format(pattern: str) -> dict[str, Any]:
    return {"source": SOURCE.model_copy(update={"time_format": pattern})}


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        (
            WRONG_BOX,
            [
                "landing_city: 40 of 40 rows",
                "40 outside_box",
                "within west -76.500, south 38.500, east",
                "Correct box.",
            ],
        ),
        (
            {"box": Box(west=38.0, south=-77.0, east=39.0, north=-76.0)},
            ["40 swapped_point", "columns.longitude and columns.latitude"],
        ),
    ],
)
def test_a_wrong_city_file_fails_the_run_and_leaves_what_was_there(
    town: Town, changes: dict[str, Any], parts: list[str]
) -> None:
    assert town.run()
    before = town.files()
    assert len(before) == 3 * 10
    with pytest.raises(ValueError, match="cannot be used, so nothing was stored") as caught:
        town.run(**changes)
    assert [part for part in parts if part not in str(caught.value)] == []
    assert "\n" not in str(caught.value)
    assert town.files() == before


def test_a_time_format_that_reads_nothing_stops_the_run_before_the_raw_alerts(town: Town) -> None:
    assert town.run()
    before = town.files()
    # Whether or not the days are those where rows without a date are filed.
    for first in ("2024-03-01", "2024-03-05"):
        with pytest.raises(SourceError, match=r"none of 40 times can be read, such as '2024-03-.*source\.time_format"):
            town.run(first, **time_format("%d.%m.%Y %H:%M"))
    assert town.files() == before


def test_a_time_format_that_reads_some_days_fails_the_run(town: Town, landing: Path) -> None:
    day_first = [
        f"{day:02d}-03-2024 12:00:{at:02d}Z,-76.5,38.5,Single_Gunshot,1,{at}" for day in (3, 13, 14) for at in range(15)
    ]
    landing.write_text(HEADER + "\n".join(day_first) + "\n")
    assert town.run(**time_format("%d-%m-%Y %H:%M:%S%z"))
    with pytest.raises(ValueError, match=r"30 of 45.*30 no_time.*13-03-2024.*time_format.*naive_times"):
        town.run(**time_format("%m-%d-%Y %H:%M:%S%z"))


def test_nothing_is_made_of_a_first_run_that_is_refused(town: Town) -> None:
    with pytest.raises(ValueError, match="cannot be used, so nothing was stored"):
        town.run(**WRONG_BOX)
    assert town.files() == {}


def test_the_city_file_may_allow_more(town: Town) -> None:
    assert town.run(**WRONG_BOX, max_share_rejected=1.0)
    with pytest.raises(ValueError, match=r"max_share_rejected \(0\.9\)"):
        town.run(**WRONG_BOX, max_share_rejected=0.9)


def test_a_bad_day_among_good_ones_and_a_few_bad_rows_pass(town: Town, landing: Path) -> None:
    far = [row.replace("-76.5", "-70.5") for row in ROWS]
    landing.write_text(HEADER + "\n".join([*far[:8], *ROWS[8:]]) + "\n")
    assert town.run()
    assert town.run("2024-03-01", "2024-03-02"), "eight rows are too few to fail a run"
    landing.write_text(HEADER + "\n".join([*far[:MIN_ROWS], *ROWS[MIN_ROWS:]]) + "\n")
    assert town.run(), "half is not most"
    landing.write_text(HEADER + "\n".join([*far[: MIN_ROWS + 1], *ROWS[MIN_ROWS + 1 :]]) + "\n")
    with pytest.raises(ValueError, match="21 of 40"):
        town.run()


def test_rows_without_a_date_are_judged_with_all_days_of_the_city(town: Town, landing: Path) -> None:
    undated = [row.replace("2024-03", "1970-01") for row in ROWS[:30]]
    landing.write_text(HEADER + "\n".join([*ROWS, *undated]) + "\n")
    with pytest.raises(ValueError, match=r"30 impossible_date.*the first is 1970-01-01.*Correct time_format"):
        town.run("2024-03-01", "2024-03-01")
    assert town.run(), "30 of 70"
    assert town.run("2024-03-01", "2024-03-01"), "the first day again: 30 of 70 with the other days"
    with pytest.raises(ValueError, match="outside_box"):
        town.run("2024-03-01", "2024-03-05", **WRONG_BOX)


def test_rows_from_before_the_start_are_no_reason_to_refuse(town: Town, landing: Path) -> None:
    earlier = [row.replace("2024-03", "2019-03") for row in ROWS]
    landing.write_text(HEADER + "\n".join([*earlier, *earlier, *ROWS[:MIN_ROWS]]) + "\n")
    assert town.run()
    assert town.run("2024-03-01", "2024-03-01"), "the day under which they are filed"
