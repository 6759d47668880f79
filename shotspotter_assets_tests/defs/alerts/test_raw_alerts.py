import os
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import pytest

from shotspotter_assets.storage.catalogue import RAW_ROWS
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.defs.chain import DAILY, resources, run_days, stale_days

HEADER = "when,lon,lat,kind,rounds,id\n"
ROWS = [
    "2024-03-02T12:00:00Z,-76.5,38.5,Single_Gunshot,1,a",
    "2024-03-03T12:00:00Z,-76.5,38.5,Single_Gunshot,1,b",
    "2024-03-03T12:00:00Z,-76.5,38.5,Single_Gunshot,1,b",
    "2024-03-04T12:00:00Z,,38.5,Single_Gunshot,1,c",
]
DAYS = [f"2024-03-0{day}" for day in range(1, 6)]


class Town:
    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.file = folder / "landing" / "landing_city" / "alerts.csv"
        self.file.parent.mkdir(parents=True)
        self.store = Store(str(folder / "store"))
        self.resources = resources(str(folder / "store"), str(folder / "landing"))
        self.instance = instance

    def land(self, rows: list[str], at: datetime) -> None:
        self.file.write_text(HEADER + "\n".join(rows) + "\n")
        os.utime(self.file, (at.timestamp(), at.timestamp()))

    def run(self, assets: Sequence[str] = DAILY) -> None:
        assert run_days("landing_city", DAYS[0], DAYS[-1], self.resources, self.instance, assets=assets).success

    def stale(self, asset: str) -> list[str]:
        return stale_days(self.resources, self.instance, "landing_city", asset, DAYS)

    def read(self) -> list[dict]:
        table = self.store.read_present(RAW_ROWS, "landing_city", date(2024, 3, 1), date(2024, 3, 5))
        return [] if table is None else table.to_pylist()


@pytest.fixture
def town(tmp_path: Path, stored_instance: dg.DagsterInstance) -> Town:
    return Town(tmp_path, stored_instance)


FIRST = datetime(2024, 3, 6, tzinfo=UTC)
LATER = datetime(2024, 3, 9, tzinfo=UTC)


def test_equal_rows_make_nothing_stale(town: Town) -> None:
    town.land(ROWS, FIRST)
    town.run()
    assert town.stale("cleaned_alerts") == town.stale("grid_tensors") == []
    town.land(ROWS[::-1], LATER)
    town.run(assets=["raw_alerts"])
    assert town.stale("cleaned_alerts") == []
    assert {row["received_at"] for row in town.read()} == {FIRST}


def test_a_corrected_and_a_late_row_make_their_own_days_stale(town: Town) -> None:
    town.land(ROWS, FIRST)
    town.run()
    relabelled = ROWS[0].replace("Single_Gunshot", "Multiple_Gunshots")
    late = "2024-03-05T12:00:00Z,-76.5,38.5,Single_Gunshot,1,d"
    town.land([relabelled, *ROWS[1:], late], LATER)
    town.run(assets=["raw_alerts"])
    assert town.stale("cleaned_alerts") == ["2024-03-02", "2024-03-05"]
    received = {row["source_id"]: row["received_at"] for row in town.read()}
    assert received == {"a": LATER, "b": FIRST, "c": FIRST, "d": LATER}
    town.run(assets=["cleaned_alerts"])
    assert town.stale("cleaned_alerts") == []
    assert town.stale("grid_tensors") == ["2024-03-02", "2024-03-05"]


def test_a_repair_that_changes_no_alert_stops_at_the_cleaned_alerts(town: Town) -> None:
    town.land(ROWS, FIRST)
    town.run()
    town.land(ROWS[:2] + ROWS[3:], LATER)
    town.run(assets=["raw_alerts"])
    assert town.stale("cleaned_alerts") == ["2024-03-03"]
    town.run(assets=["cleaned_alerts"])
    assert town.stale("grid_tensors") == []


def test_a_file_that_is_tidied_away_or_spoiled_does_not_empty_its_days(town: Town) -> None:
    town.land(ROWS, FIRST)
    town.run()
    stored = town.read()
    town.file.rename(town.file.with_name("moved.part"))
    late = "2024-03-05T12:00:00Z,-76.5,38.5,Single_Gunshot,1,d"
    town.file = town.file.with_name("late.csv")
    town.land([late], LATER)
    town.run(assets=["raw_alerts"])
    assert town.stale("cleaned_alerts") == ["2024-03-05"]
    assert town.read()[:-1] == stored


def test_a_damaged_file_of_the_store_is_rebuilt(town: Town) -> None:
    town.land(ROWS, FIRST)
    town.run()
    [path] = (town.file.parents[2] / "store" / "raw_alerts").glob("*/date=2024-03-02/alerts.parquet")
    path.write_bytes(b"PAR1 and nothing")
    town.run()
    assert [row["source_id"] for row in town.read()] == ["a", "b", "b", "c"]
