from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from shotspotter_assets.calendar.local_time import days_between
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets_tests.automation.living_city import NAME, LivingCity, noon, row
from shotspotter_assets_tests.defs.chain import DAILY, requested_days

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
def folder(tmp_path: Path) -> Iterator[Folder]:
    folder = Folder(tmp_path / "town", START, noon(START))
    folder.write_city_file(publication="{}")
    yield folder
    folder.close()


def test_an_empty_daily_file_is_a_known_day_and_a_missing_one_is_not(folder: Folder) -> None:
    folder.write_city_file(publication="{}", more='  file_date: "%Y-%m-%d"\n')
    days = days_between(START, START + timedelta(days=23))
    for day in days[:-1]:
        folder.land_day(day, alerts=20 if day < days[-3] else 0)
    assert folder.states(days)[-4:] == ["known", "known", "known", "unknown"]
    assert (folder.lead(days[-2]), folder.lead(days[-1])) == (1, 2)


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
    assert requested_days(request) == (str(days[20]), str(days[22]))
    before = [shown(folder, "raw_alerts", day)["data_version"] for day in days[19:]]
    assert folder.run(request)
    after = [shown(folder, "raw_alerts", day)["data_version"] for day in days[19:]]
    assert [one != other for one, other in zip(before, after, strict=True)] == [False, True, True, False, False]
    assert folder.lead(days[-1]) == 3
