from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from shotspotter_assets.geometry.grid import Box
from shotspotter_assets.sources.alert_source import SourceError
from shotspotter_assets.sources.day_table import DayTable
from shotspotter_assets_tests.defs.alerts.landing_town import CITY, LandingTown
from shotspotter_assets_tests.defs.chain import CITIES, materialize

MOMENTS = [f"2024-03-{day:02d}T12:{minute:02d}:00Z" for day in range(1, 11) for minute in range(4)]
ROWS = [f"{moment},-76.5,38.5,Single_Gunshot,1,{moment}" for moment in MOMENTS]
TURNED_BOX = {"box": Box(west=38.0, south=-77.0, east=39.0, north=-76.0)}
WRONG_BOX = {"box": Box(west=-75.0, south=38.0, east=-74.0, north=39.0)}


class Town(LandingTown):
    def held_back(self, first: int = 1, last: int = 10, **changes: Any) -> dict[int, str]:
        """Run a range; return the reasons of the days that are held back, by day of the month."""
        self.use(CITIES[CITY].model_copy(update=changes))
        self.run(first, last)
        return {day.day: entry.why for day, entry in DayTable.read(self.store, CITY).in_state("held_back").items()}


@pytest.fixture
def town(tmp_path: Path, instance: dg.DagsterInstance) -> Town:
    return Town(tmp_path, instance, *ROWS)


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        (WRONG_BOX, ["40 of 40 rows of 10 days", "40 outside_box", "within west -76.500, south 38.5", "Correct box."]),
        (TURNED_BOX, ["40 swapped_point", "columns.longitude and columns.latitude"]),
    ],
)
def test_a_wrong_city_file_holds_back_all_days(town: Town, changes: dict[str, Any], parts: list[str]) -> None:
    assert town.held_back() == {}
    found = town.held_back(**changes)
    assert list(found) == list(range(1, 11))
    assert [part for part in parts if part not in found[10]] == []
    assert "\n" not in found[10]
    assert town.held_back() == {}, "as soon as the file is corrected"


def test_a_failed_check_names_the_days_held_back(town: Town) -> None:
    town.held_back(**WRONG_BOX)
    days = ("2024-03-10", "2024-03-10")
    done = materialize(CITY, (), town.on, days=days, checks=["days_are_usable"], instance=town.instance)
    [check] = done.get_asset_check_evaluations()
    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.ERROR
    assert "2024-03-01 to 2024-03-10: 40 of 40 rows" in (check.description or "")


def test_one_day_alone_is_held_back_as_a_range_is(town: Town) -> None:
    assert list(town.held_back(4, 4, **WRONG_BOX)) == [4]
    assert not DayTable.read(town.store, CITY).is_counted([date(2024, 3, 4)]).any()


def test_an_unreadable_time_format_stops_the_run_before_the_raw_alerts(town: Town) -> None:
    town.held_back()
    source = CITIES[CITY].source.model_copy(update={"time_format": "%d.%m.%Y %H:%M"})
    for first in (1, 5):
        with pytest.raises(SourceError, match=r"none of 40 times can be read, such as '2024-03-.*source\.time_format"):
            town.held_back(first, source=source)


def test_the_city_file_may_allow_more(town: Town) -> None:
    assert town.held_back(**WRONG_BOX, max_share_rejected=1.0) == {}
    assert "max_share_rejected (0.9)" in town.held_back(**WRONG_BOX, max_share_rejected=0.9)[1]


def test_days_with_some_bad_rows_pass(town: Town) -> None:
    far = [row.replace("-76.5", "-70.5") for row in ROWS]
    town.land(*far[:2], *ROWS[2:])
    assert town.held_back() == {}, "half is not most"
    town.land(*far[:3], *ROWS[3:])
    assert list(town.held_back()) == [1]


@pytest.mark.parametrize("month", ["1970-01", "2019-03"])
def test_rows_from_before_the_start_hold_no_day_back(town: Town, month: str) -> None:
    town.land(*(row.replace("2024-03", month) for row in ROWS[:30]), *ROWS)
    assert town.held_back() == {}
    assert town.held_back(1, 1) == {}, "the day under which they are filed"
