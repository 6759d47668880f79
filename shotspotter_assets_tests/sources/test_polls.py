"""Polls of landing folders and live sources, compared with a store that runs have written."""

import os
import time
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from shotspotter_assets.sources.polls import LOOK_BACK_DAYS, Poll
from shotspotter_assets.sources.unreadable import Unreadable, read_unreadable, unreadable_versions, write_unreadable

from shotspotter_assets.calendar.local_time import days_between, rows_of_days
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.publication import Publication
from shotspotter_assets.sources import polls
from shotspotter_assets.sources.alert_source import AlertSource
from shotspotter_assets.sources.known_days import KNOWN, mark_states
from shotspotter_assets.sources.receive import receive
from shotspotter_assets.sources.registry import Access, Arrival, open_sources
from shotspotter_assets.sources.schema import RAW_SCHEMA
from shotspotter_assets.storage.store import Store

FIRST, LAST = date(2024, 3, 1), date(2024, 3, 20)
SOURCE = {"kind": "landing", "settle_seconds": 0, "columns": {"time": "when", "longitude": "lon", "latitude": "lat"}}


def a_city(*sources: dict[str, object], **settings: object) -> City:
    return City.model_validate(
        {
            "name": "dale",
            "time_zone": "America/New_York",
            "start": FIRST,
            "end": LAST,
            "box": {"west": -77.0, "south": 38.0, "east": -76.0, "north": 39.0},
            "source": sources[0],
            "other_sources": sources[1:],
            **settings,
        }
    )


HISTORY = a_city(SOURCE | {"folder": "history"})
DAILY_AND_HISTORY = a_city(
    SOURCE | {"folder": "daily", "file_date": "%Y-%m-%d"}, SOURCE | {"folder": "history", "settle_seconds": 3600}
)


class Town:
    """A city with a store, a landing root and the cursor of its sensor."""

    def __init__(self, root: Path, city: City, readers: list[AlertSource] | None = None) -> None:
        self.root, self.city, self.store = root / "landing", city, Store(str(root / "store"))
        self.known: dict[str, str] = {}
        self._readers = readers

    def land(self, name: str, *days: str, hours_old: float = 3) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("when,lon,lat\n" + "".join(f"{day}T17:00:00Z,-76.5,38.5\n" for day in days))
        return rest(path, hours_old)

    def readers(self) -> list[AlertSource]:
        left_out = unreadable_versions(self.store, "dale")
        return self._readers or open_sources(self.city, Access(str(self.root), {}, None, left_out))

    def poll(self) -> Poll:
        arrival: Arrival = "landed" if self._readers is None else "polled"
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(polls, "open_sources", lambda city, access: self.readers())
            found = polls.poll(self.city, arrival, Access("", {}), self.known, self.store)
        self.known = dict(found.files)
        return found

    def make(self, first: str, last: str, state: str = "") -> None:
        """Store the days as a run does, those without rows as known, or in another state."""
        days = days_between(date.fromisoformat(first), date.fromisoformat(last))
        before = self.store.read_present("raw_alerts", "dale", "alerts.parquet", days[0], days[-1])
        before = RAW_SCHEMA.empty_table() if before is None else before.cast(RAW_SCHEMA)
        received = receive(self.readers(), days[0], days[-1], before)
        tables = rows_of_days(received.rows, days)
        silent = [day for day, table in tables.items() if not table.num_rows and state]
        tables = mark_states(tables, dict.fromkeys(silent, state), KNOWN)
        self.store.write_tables("raw_alerts", "dale", "alerts.parquet", tables)
        self.store.write_tables("grid_tensors", "dale", "grid.parquet", dict.fromkeys(days, pa.table({"count": [1]})))

    def due(self) -> list[int]:
        """The days of March that a poll finds due; they are made."""
        found = sorted(self.poll().days)
        if found:
            self.make(str(found[0]), str(found[-1]))
        return [day.day for day in found]


def rest(path: Path, hours: float) -> Path:
    moment = time.time() - hours * 3600
    os.utime(path, (moment, moment))
    return path


@pytest.fixture
def town(tmp_path: Path) -> Town:
    return Town(tmp_path, HISTORY)


@pytest.fixture
def two_folders(tmp_path: Path) -> Town:
    return Town(tmp_path, DAILY_AND_HISTORY)


def test_only_days_whose_rows_differ_from_the_stored_ones_are_due(town: Town) -> None:
    town.land("history/a.csv", "2024-03-02", "2024-03-04")
    assert town.due() == [2, 3, 4]
    assert town.due() == []
    town.land("history/a.csv", "2024-03-04", "2024-03-02", "2024-03-02", hours_old=2)
    assert town.due() == [2]
    town.land("history/b.csv", "2024-03-04", "2024-03-06")
    assert town.due() == [4, 5, 6]
    town.land("history/a.csv", "2024-03-02", hours_old=1)
    assert town.due() == [2, 4]
    town.known = {}
    assert town.due() == []


def test_a_poll_repeated_before_the_days_are_made_has_the_same_versions(town: Town) -> None:
    town.land("history/a.csv", "2024-03-02", "2024-03-04")
    first = town.poll()
    town.known = {}
    assert town.poll().days == first.days
    town.make("2024-03-02", "2024-03-04")
    town.known = {}
    again = town.poll()
    assert again.days == {}
    assert again.newest == town.poll().newest == date(2024, 3, 4)


def test_a_correction_that_is_taken_back_has_another_version(town: Town) -> None:
    versions: list[str] = []
    for days in (("2024-03-02",), ("2024-03-02", "2024-03-02"), ("2024-03-02",)):
        town.land("history/a.csv", *days)
        versions += town.poll().days.values()
        town.make("2024-03-02", "2024-03-02")
    assert len(set(versions)) == 3


def test_a_file_that_is_moved_away_keeps_its_days(town: Town) -> None:
    path = town.land("history/a.csv", "2024-03-02")
    town.land("history/b.csv", "2024-03-03")
    assert town.due() == [2, 3]
    path.unlink()
    town.land("history/b.csv", "2024-03-03", "2024-03-03", hours_old=1)
    assert town.due() == [3]
    town.make("2024-03-02", "2024-03-02")
    town.land("history/a.csv", "2024-03-02")
    assert town.due() == []


def test_days_that_were_not_known_are_due_once_later_rows_come(town: Town) -> None:
    town.land("history/a.csv", "2024-03-02")
    town.make("2024-03-02", "2024-03-05", state="unknown")
    assert town.due() == []
    town.land("history/b.csv", "2024-03-06")
    assert town.due() == [3, 4, 5, 6]


def test_daily_files_and_a_history_are_compared_together(two_folders: Town) -> None:
    two_folders.land("history/all.csv", "2024-03-02", "2024-03-03")
    two_folders.land("daily/2024-03-04.csv", "2024-03-04")
    two_folders.land("daily/2024-03-07.csv")
    assert two_folders.due() == [2, 3, 4, 7]
    two_folders.land("daily/2024-03-07.csv", "2024-03-07", hours_old=1)
    two_folders.land("daily/2024-03-21.csv", "2024-03-21")
    assert two_folders.due() == [7]


def test_a_missing_folder_is_named_where_another_source_has_files(two_folders: Town) -> None:
    two_folders.land("history/all.csv", "2024-03-02")
    found = two_folders.poll()
    (folder,) = found.unreadable
    assert (folder, found.unreadable[folder].is_folder) == (f"{two_folders.root}/daily/", True)
    assert "missing or empty" in found.unreadable[folder].error


def test_a_file_in_transfer_is_left_alone_and_compared_when_it_rests(two_folders: Town) -> None:
    path = two_folders.land("history/all.csv", "2024-03-02", "2024-03-03")
    two_folders.land("daily/2024-03-05.csv", "2024-03-05")
    assert two_folders.due() == [2, 3, 5]
    two_folders.land("history/all.csv", "2024-03-02", "2024-03-02", hours_old=0)
    found = two_folders.poll()
    assert (dict(found.days), found.in_transfer) == ({}, [str(path)])
    # A run of now keeps the earlier rows of the file.
    two_folders.make("2024-03-02", "2024-03-03")
    rest(path, 3)
    assert two_folders.due() == [2, 3]


def test_an_unreadable_file_is_remembered_until_it_is_replaced_and_then_compared(town: Town) -> None:
    path = town.land("history/a.csv", "2024-03-02", "2024-03-03")
    town.land("history/b.csv", "2024-03-05")
    assert town.due() == [2, 3, 4, 5]
    rest(path, 2).write_text("no columns\n")
    rest(path, 1)
    town.land("history/b.csv", "2024-03-05", "2024-03-05", hours_old=1)
    assert town.due() == [5]
    for _ in range(2):
        found = town.poll()
        assert list(found.unreadable) == [str(path)]
        assert "has no column when" in found.unreadable[str(path)].error
        assert read_unreadable(town.store, "dale") == found.unreadable
    town.land("history/a.csv", "2024-03-02")
    assert town.due() == [3]
    assert read_unreadable(town.store, "dale") == {}


def test_files_that_a_poll_has_no_time_for_are_left_for_the_next(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polls, "MAX_SECONDS", 0)
    for day in (2, 3, 4):
        town.land(f"history/{day}.csv", f"2024-03-0{day}")
    found = [town.poll() for _ in range(3)]
    assert [day.day for one in found for day in one.days] == [2, 3, 4]


def test_unreadable_files_are_stored_for_the_runs(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    assert read_unreadable(store, "dale") == {}
    write_unreadable(store, "dale", {"b.csv": Unreadable("2", "it is damaged")})
    assert unreadable_versions(store, "dale") == {"b.csv": "2"}


class Layer(AlertSource):
    """A live source with a version of each day that has rows."""

    is_live = True

    def __init__(self, *days: int, address: str = "layer") -> None:
        self.versions, self.address = {date(2024, 3, day): "1 row" for day in days}, address

    def read(self, first: date, last: date) -> pa.Table:
        rows = [
            {"date": day, "source_id": version, "received_from": self.address}
            for day, version in self.versions.items()
            if first <= day <= last
        ]
        return pa.Table.from_pylist(rows, RAW_SCHEMA)


def live(tmp_path: Path, *layers: Layer) -> Town:
    source: dict[str, object] = {
        "kind": "socrata",
        "domain": "https://data.gov",
        "dataset": "abcd-1234",
        "columns": {"time": "t"},
    }
    return Town(tmp_path, a_city(*[source] * len(layers)), list(layers))


def test_a_live_source_is_due_where_its_rows_differ_from_the_stored_ones(tmp_path: Path) -> None:
    layer = Layer(2, 10)
    town = live(tmp_path, layer)
    assert town.due() == list(range(1, 21)), "the first history is one run"
    assert town.due() == []
    layer.versions[date(2024, 3, 2)] = "2 rows"
    layer.versions[date(2024, 3, 5)] = "1 row"
    assert list(town.poll().days) == [date(2024, 3, 2), date(2024, 3, 5)]
    town.make("2024-03-02", "2024-03-05")
    del layer.versions[date(2024, 3, 5)]
    assert town.due() == [5]


def test_days_after_the_newest_row_are_due_once_newer_rows_come(tmp_path: Path) -> None:
    layer = Layer(2, 10)
    town = live(tmp_path, layer)
    town.make("2024-03-01", "2024-03-10")
    assert town.due() == [], "the clock asks for days without rows"
    town.make("2024-03-11", "2024-03-12", state="unknown")
    found = town.poll()
    assert (dict(found.days), found.newest) == ({}, date(2024, 3, 10))
    layer.versions[date(2024, 3, 14)] = "1 row"
    assert town.due() == [11, 12, 13, 14]


def test_days_that_the_rule_of_publication_completes_today_are_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    town = live(tmp_path, Layer(2))
    town.city = town.city.model_copy(update={"publication": Publication(days_late=3)})
    town.make("2024-03-01", "2024-03-02")
    town.make("2024-03-03", "2024-03-06", state="unknown")
    monkeypatch.setattr(polls, "today", lambda _: date(2024, 3, 8))
    assert town.due() == [4]


def test_the_rows_of_several_live_sources_count_together(tmp_path: Path) -> None:
    layers = Layer(2), Layer(2, 4, address="other")
    town = live(tmp_path, *layers)
    town.make("2024-03-01", "2024-03-20")
    assert town.due() == []
    layers[1].versions[date(2024, 3, 2)] = "2 rows"
    assert town.due() == [2]


def test_old_days_of_a_live_source_are_due_only_if_they_were_never_made(tmp_path: Path) -> None:
    layer = Layer(20)
    town = live(tmp_path, layer)
    town.city = town.city.model_copy(update={"start": LAST - timedelta(days=LOOK_BACK_DAYS + 10)})
    town.make("2024-03-01", "2024-03-20")
    assert len(town.poll().days) == (FIRST - town.city.start).days
