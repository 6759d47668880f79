from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from shotspotter_assets.alerts.days.day_table import DayTable
from shotspotter_assets.alerts.sources.alert_source import SourceError
from shotspotter_assets.cities.box import Box
from shotspotter_assets.cities.local_time import days_between
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets_tests.automation.living_city import NAME, LivingCity, noon, row
from shotspotter_assets_tests.defs.chain import CITIES, DAILY, materialize, metadata_of, requested_days
from shotspotter_assets_tests.defs.daily.landing_town import CITY, LandingTown

MOMENTS = [f"2024-03-{day:02d}T12:{minute:02d}:00Z" for day in range(1, 11) for minute in range(4)]
ROWS = [f"{moment},-76.5,38.5,Single_Gunshot,1,{moment}" for moment in MOMENTS]
TURNED_BOX = {"box": Box(west=38.0, south=-77.0, east=39.0, north=-76.0)}
WRONG_BOX = {"box": Box(west=-75.0, south=38.0, east=-74.0, north=39.0)}


class Town(LandingTown):
    def held_back(self, first: int = 1, last: int = 10, **changes: Any) -> dict[int, str]:
        """Read the rows of a range; return the reasons of the days that are held back, by day of the month."""
        self.use(CITIES[CITY].model_copy(update=changes))
        self.run(first, last, assets=["raw_alerts"])
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
    assert "1 to 10 March 2024: 40 of 40 rows" in (check.description or "")


def test_one_day_alone_is_held_back_as_a_range_is(town: Town) -> None:
    assert list(town.held_back(4, 4, **WRONG_BOX)) == [4]
    assert not DayTable.read(town.store, CITY).is_counted([date(2024, 3, 4)]).any()


def test_an_unreadable_time_format_stops_the_run_before_the_raw_alerts(town: Town) -> None:
    town.held_back()
    source = CITIES[CITY].source.model_copy(update={"time_format": "%d.%m.%Y %H:%M"})
    for first in (1, 5):
        with pytest.raises(SourceError, match=r"40 .*'2024-03-.*source\.time_format"):
            town.held_back(first, source=source)


def test_the_city_file_may_allow_more(town: Town) -> None:
    assert town.held_back(**WRONG_BOX, max_share_rejected=1.0) == {}
    assert "max_share_rejected (0.9)" in town.held_back(**WRONG_BOX, max_share_rejected=0.9)[1]


def test_days_with_some_bad_rows_pass(town: Town) -> None:
    without_point = [row.replace("-76.5", "") for row in ROWS]
    town.land(*without_point[:2], *ROWS[2:])
    assert town.held_back() == {}, "half is not most"
    town.land(*without_point[:3], *ROWS[3:])
    assert "3 of 4 rows of 1 day in alerts.csv" in town.held_back()[1]


@pytest.mark.parametrize("longitude", ["-75.99", "-70.5"])
def test_rows_outside_the_box_hold_no_day_back_unless_they_are_many(town: Town, longitude: str) -> None:
    outside = [row.replace("-76.5", longitude) for row in ROWS]
    town.land(*outside[:3], *ROWS[3:])
    assert town.held_back() == {}
    town.land(*outside[:4], *ROWS[4:])
    assert town.held_back() == {}, "a day with rows outside alone is an ordinary day"
    town.land(*outside[:9], *ROWS[9:])
    assert town.held_back() == {}, "fewer than 10"
    town.land(*outside[:12], *ROWS[12:])
    assert list(town.held_back()) == [1, 2, 3], "more than a fifth of all rows: the box may be wrong"


def test_rows_of_an_offence_without_a_name_hold_no_day_back(town: Town) -> None:
    thefts = [row.replace("Single_Gunshot", "THEFT").replace("12:", "13:") for row in ROWS]
    slips = [row.replace("Single_Gunshot", "Singel Gunshot") for row in ROWS[:1]]
    town.land(*slips, *ROWS[1:2], *ROWS[4:6], *thefts)
    named = {"event_types": {"robbery": ("Robbery",)}}
    assert town.held_back(**named) == {}
    done = materialize(CITY, DAILY, town.on, days=("2024-03-01", "2024-03-10"), instance=town.instance)
    cleaned = metadata_of(done)["cleaned_alerts", "2024-03-01"]
    assert cleaned["ignored_events"].value == {"THEFT": 4}
    assert cleaned["unknown_type_spellings"].value == {"Singel Gunshot": 1}, "it resembles a gunshot type"
    checks = {check.check_name: check for check in done.get_asset_check_evaluations()}
    assert not checks["share_rejected"].passed
    assert "'THEFT' 40" in (checks["share_rejected"].description or "")
    assert town.held_back(event_types={"robbery": ("Robbery",), "theft": ("Theft",)}) == {}


@pytest.mark.parametrize("month", ["1970-01", "2019-03"])
def test_rows_from_before_the_start_hold_no_day_back(town: Town, month: str) -> None:
    town.land(*(row.replace("2024-03", month) for row in ROWS[:30]), *ROWS)
    assert town.held_back() == {}
    assert town.held_back(1, 1) == {}, "the day under which they are filed"


START = date(2024, 9, 1)


class Folder(LivingCity):
    """A city of landed files, by default without a rule of publication."""

    def land_day(self, day: date, alerts: int, days_later: int = 1) -> None:
        self.now = noon(day + timedelta(days=days_later))
        self.land(f"{day}.csv", *(row(day, at, hour=10 + at % 9) for at in range(alerts)))

    def states(self, days: list[date]) -> list[str]:
        """Return the states of days after the run of the morning after the last one."""
        self.now = noon(days[-1] + timedelta(days=1))
        assert self.run(self.tick()[0])
        return [self.table.days[day].state for day in days]

    def lead(self, day: date) -> int:
        return CityHistory.load(self.store, self.city, day).lead


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path / "town", START, noon(START))
    folder.write_city_file(publication="{}")
    return folder


def test_the_lateness_of_a_source_is_learned(folder: Folder) -> None:
    days = days_between(START, START + timedelta(days=40))
    # Three days late, and so quiet that three days of silence are plausible.
    for day in days[:-3]:
        folder.land_day(day, alerts=1, days_later=4)
    assert folder.states(days)[-4:] == ["known", "unknown", "unknown", "unknown"]
    assert folder.lead(days[-1]) == 4


def shown(folder: Folder, asset: str, day: date) -> dict[str, Any]:
    chosen = dg.AssetRecordsFilter(dg.AssetKey([NAME, asset]), asset_partitions=[str(day)])
    [record] = folder.instance.fetch_materializations(chosen, limit=1).records
    return {name: value.value for name, value in record.asset_materialization.metadata.items()}


def test_days_after_the_newest_row_are_rebuilt_once_newer_rows_come(folder: Folder) -> None:
    days = days_between(START, START + timedelta(days=23))
    for day in days[:20]:
        folder.land_day(day, alerts=20)
    assert folder.states(days)[19:] == ["known", *["unknown"] * 4]
    for asset in DAILY:
        assert shown(folder, asset, days[-1])["state"] == "unknown"
        assert str(days[19]) in shown(folder, asset, days[-1])["why_not_known"]
    history = CityHistory.load(folder.store, folder.city, days[-1])
    assert (history.last_known, history.lead, history.days[-1]) == (days[19], 5, days[19])
    assert history.daily_counts.sum() == 20 * 20

    folder.land_day(days[21], alerts=20, days_later=3)
    [request] = [one for one in folder.tick() if {key.path[-1] for key in one.asset_selection or ()} == set(DAILY)]
    assert requested_days(request) == (str(days[21]), str(days[22])), "the file of the day before is still missing"
    before = [shown(folder, "raw_alerts", day)["data_version"] for day in days[19:]]
    assert folder.run(request)
    after = [shown(folder, "raw_alerts", day)["data_version"] for day in days[19:]]
    assert [one != other for one, other in zip(before, after, strict=True)] == [False, False, True, False, False]
    assert folder.lead(days[-1]) == 3
