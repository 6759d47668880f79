from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import pytest

from shotspotter_assets.alerts.days.day_table import DayTable
from shotspotter_assets.storage.catalogue import RAW_ROWS, Asset
from shotspotter_assets.storage.lineage import read_lineage
from shotspotter_assets_tests.defs.chain import stale_days
from shotspotter_assets_tests.defs.daily.landing_town import CITY, LandingTown

ROWS = [
    "2024-03-02T12:00:00Z,-76.5,38.5,Single_Gunshot,1,a",
    "2024-03-03T12:00:00Z,-76.5,38.5,Single_Gunshot,1,b",
    "2024-03-03T12:00:00Z,-76.5,38.5,Single_Gunshot,1,b",
    "2024-03-04T12:00:00Z,,38.5,Single_Gunshot,1,c",
]
LATE = "2024-03-05T12:00:00Z,-76.5,38.5,Single_Gunshot,1,d"
DAYS = [f"2024-03-0{day}" for day in range(1, 6)]
FIRST = datetime(2024, 3, 6, tzinfo=UTC)
LATER = datetime(2024, 3, 9, tzinfo=UTC)


class Town(LandingTown):
    def stale(self, asset: str) -> list[str]:
        return stale_days(self.on, self.instance, CITY, asset, DAYS)

    def not_current(self) -> list[str]:
        """The days that automation would grid again: those with other rows, and the days after them."""
        table = DayTable.read(self.store, CITY)
        grids = read_lineage(self.store, Asset.GRID_TENSORS, CITY)
        return [day for day in DAYS if grids[day].made_from != table.made_from(date.fromisoformat(day))]

    def read(self) -> list[dict]:
        return self.store.read_window(RAW_ROWS, CITY, date(2024, 3, 1), date(2024, 3, 5)).to_pylist()


@pytest.fixture
def town(tmp_path: Path, stored_instance: dg.DagsterInstance) -> Town:
    """The city with all of its days stored."""
    town = Town(tmp_path, stored_instance)
    town.land(*ROWS, at=FIRST)
    town.run()
    return town


def test_equal_rows_make_nothing_stale(town: Town) -> None:
    assert town.stale("cleaned_alerts") == town.stale("grid_tensors") == []
    town.land(*ROWS[::-1], at=LATER)
    town.run(assets=["raw_alerts"])
    assert town.stale("cleaned_alerts") == []
    assert {row["received_at"] for row in town.read()} == {FIRST}


def test_a_corrected_and_a_late_row_make_their_own_days_stale(town: Town) -> None:
    relabelled = ROWS[0].replace("Single_Gunshot", "Multiple_Gunshots")
    town.land(relabelled, *ROWS[1:], LATE, at=LATER)
    town.run(assets=["raw_alerts"])
    assert town.stale("cleaned_alerts") == ["2024-03-02", "2024-03-05"]
    received = {row["source_id"]: row["received_at"] for row in town.read()}
    assert received == {"a": LATER, "b": FIRST, "c": FIRST, "d": LATER}
    town.run(assets=["cleaned_alerts"])
    assert town.stale("cleaned_alerts") == []
    assert town.stale("grid_tensors") == ["2024-03-02", "2024-03-03", "2024-03-05"] == town.not_current()


def test_the_ui_shows_the_days_that_the_lineage_has_for_outdated(town: Town) -> None:
    town.land(*ROWS[:2], *ROWS[3:], at=LATER)
    town.run(assets=["raw_alerts"])
    assert town.stale("cleaned_alerts") == ["2024-03-03"]
    town.run(assets=["cleaned_alerts"])
    assert town.stale("grid_tensors") == ["2024-03-03", "2024-03-04"] == town.not_current()
    town.run(assets=["grid_tensors"])
    assert town.stale("grid_tensors") == [] == town.not_current()


def test_a_file_that_is_tidied_away_does_not_empty_its_days(town: Town) -> None:
    stored = town.read()
    town.file.rename(town.file.with_name("moved.part"))
    town.file = town.file.with_name("late.csv")
    town.land(LATE, at=LATER)
    town.run(assets=["raw_alerts"])
    assert town.stale("cleaned_alerts") == ["2024-03-05"]
    assert town.read()[:-1] == stored


def test_a_damaged_file_of_the_store_is_rebuilt(town: Town) -> None:
    Path(town.store.uri(RAW_ROWS, CITY, date(2024, 3, 2))).write_bytes(b"PAR1 and nothing")
    town.run()
    assert [row["source_id"] for row in town.read()] == ["a", "b", "b", "c"]
