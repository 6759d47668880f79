"""Arrivals in landing folders (days without rows, cities with a folder for each of two sources) and at polled sources."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import fs

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.source_settings import Source
from shotspotter_assets.sources.arrivals import (
    LOOK_BACK_DAYS,
    NOT_ASKED,
    SEEN_SCHEMA,
    Arrivals,
    as_asked,
    landing_arrivals,
    polled_arrivals,
    unreadable_files,
)
from shotspotter_assets.sources.landing.folder import LandingFolder
from shotspotter_assets.sources.protocol import SourceError

LAST = date(2024, 3, 20)
SOURCE = {"kind": "landing", "settle_seconds": 0, "columns": {"time": "when", "longitude": "lon", "latitude": "lat"}}
CITY = City.model_validate(
    {
        "name": "two_folders",
        "time_zone": "America/New_York",
        "start": "2024-03-01",
        "box": {"west": -77.0, "south": 38.0, "east": -76.0, "north": 39.0},
        "source": SOURCE | {"folder": "two_folders/daily", "file_date": "%Y-%m-%d"},
        "other_sources": [SOURCE | {"folder": "two_folders/history"}],
    }
)


class Look:
    """Looks at the folders of both sources, one after the other, as the sensor does."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.seen = SEEN_SCHEMA.empty_table()

    def land(self, name: str, *days: str) -> None:
        path = self.root / "two_folders" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("when,lon,lat\n" + "".join(f"{day}T17:00:00Z,-76.5,38.5\n" for day in days))

    def at(self, source: Source, enough: Callable[[], bool] = lambda: False) -> Arrivals:
        folder = LandingFolder(CITY, fs.LocalFileSystem(), f"{self.root}/{source.folder}", source)
        arrivals = landing_arrivals(folder, self.seen, LAST, enough)
        self.seen = arrivals.seen
        return arrivals

    def days(self, sources: Sequence[Source] = CITY.all_sources) -> list[str]:
        found: set[date] = set()
        for source in sources:
            found |= set(self.at(source).days)
        self.seen = as_asked(self.seen, found)
        return sorted(map(str, found))


@pytest.fixture
def look(tmp_path: Path) -> Look:
    return Look(tmp_path)


def test_a_look_at_one_folder_keeps_what_was_seen_of_the_other(look: Look) -> None:
    look.land("history/all.csv", "2024-03-02", "2024-03-03")
    look.land("daily/2024-03-04.csv", "2024-03-04")
    assert look.days() == ["2024-03-02", "2024-03-03", "2024-03-04"]
    assert look.days() == []
    look.land("daily/2024-03-05.csv", "2024-03-05")
    assert look.days() == ["2024-03-05"]


def test_a_daily_file_without_rows_is_a_day_without_alerts(look: Look) -> None:
    look.land("history/all.csv", "2024-03-02")
    look.land("daily/2024-03-04.csv")
    assert look.days() == ["2024-03-02", "2024-03-04"]
    assert look.days() == []
    look.land("daily/2024-03-04.csv", "2024-03-04")
    assert look.days() == ["2024-03-04"]
    assert isinstance(look.seen, pa.Table)


def test_a_daily_file_of_a_day_to_come_waits(look: Look) -> None:
    look.land("daily/2024-03-21.csv")
    assert look.days() == []


def test_no_day_is_named_before_all_files_are_looked_at(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    looks = LandingFolder.looks

    def counted(folder: LandingFolder, paths: Sequence[str]) -> Iterator[tuple[str, dict[date, str] | SourceError]]:
        opened.extend(paths)
        return looks(folder, paths)

    monkeypatch.setattr(LandingFolder, "looks", counted)
    for day in (2, 9, 4):
        look.land(f"history/{day}.csv", f"2024-03-0{day}")
    for left in (2, 1):
        arrivals = look.at(CITY.all_sources[1], enough=lambda: True)
        assert (arrivals.days, arrivals.unfinished) == ({}, left)
    assert look.days() == [f"2024-03-0{day}" for day in range(2, 10)]
    assert len(opened) == 3
    assert look.days() == []


def test_days_that_were_not_asked_for_are_found_again(look: Look) -> None:
    look.land("history/all.csv", "2024-03-02", "2024-03-03")
    look.days()
    look.land("history/all.csv", "2024-03-03", "2024-03-03")
    # One day has gone from the file, the other has changed.
    first, again = look.at(CITY.all_sources[1]), look.at(CITY.all_sources[1])
    assert first.days == again.days
    assert look.days() == ["2024-03-02", "2024-03-03"]
    assert look.days() == []
    assert look.seen["day"].drop_null().to_pylist() == [date(2024, 3, 3)]  # without a day: the other folder is missing


def settle(path: Path, hours: float) -> None:
    moment = time.time() - hours * 3600
    os.utime(path, (moment, moment))


def test_a_file_that_is_being_written_to_has_not_gone(look: Look) -> None:
    history = CITY.all_sources[1].model_copy(update={"settle_seconds": 3600})
    path = look.root / "two_folders/history/all.csv"
    look.land("history/all.csv", "2024-03-02", "2024-03-03", "2024-03-04")
    settle(path, hours=3)
    assert look.days([history]) == ["2024-03-02", "2024-03-03", "2024-03-04"]
    look.land("history/all.csv", "2024-03-02", "2024-03-03", "2024-03-03")
    assert look.days([history]) == []
    settle(path, hours=2)
    # A run of meanwhile has not read the file: which days it has made without it is told by what is stored.
    assert look.days([history]) == ["2024-03-02", "2024-03-03", "2024-03-04"]
    assert look.days([history]) == []
    settle(path, hours=0)
    assert look.days([history]) == []
    settle(path, hours=2)
    assert look.days([history]) == ["2024-03-02", "2024-03-03"]
    assert look.days([history]) == []


def test_days_of_a_file_that_is_being_written_to_wait_for_it(look: Look) -> None:
    history = CITY.all_sources[1].model_copy(update={"settle_seconds": 3600})
    path = look.root / "two_folders/history/all.csv"
    look.land("history/all.csv", "2024-03-02", "2024-03-03")
    settle(path, hours=3)
    look.at(history)
    settle(path, hours=0)
    # A run of now would not read the file, even if another one has the day too.
    look.land("history/other.csv", "2024-03-03")
    settle(path.with_name("other.csv"), hours=3)
    assert look.days([history]) == ["2024-03-03"]
    settle(path, hours=3)
    assert look.days([history]) == ["2024-03-02", "2024-03-03"]
    assert look.days([history]) == []


def test_all_days_of_a_file_that_was_unreadable_for_a_while_are_due(look: Look) -> None:
    path = look.root / "two_folders/history/all.csv"
    look.land("history/all.csv", "2024-03-02", "2024-03-03", "2024-03-04")
    look.days()
    # What has changed is seen, but not asked for before the file is spoiled.
    look.land("history/all.csv", "2024-03-02", "2024-03-02", "2024-03-03", "2024-03-04")
    assert list(look.at(CITY.all_sources[1]).days) == [date(2024, 3, 2)]
    for text in ("no columns\n", "still no columns\n"):
        path.write_text(text)
        assert look.days() == []
        assert str(path) in unreadable_files(look.seen)
    look.land("history/all.csv", "2024-03-02", "2024-03-02", "2024-03-03")
    assert look.days() == ["2024-03-02", "2024-03-03", "2024-03-04"]
    assert look.days() == []
    assert str(path) not in unreadable_files(look.seen)


class Layer:
    """A polled source with a row on each day."""

    counts_by_day = False

    def read(self, first: date, last: date) -> pa.Table:
        raise NotImplementedError

    def changed_days(self, first: date, last: date) -> dict[date, str]:
        return {first + timedelta(days=at): "made of its rows" for at in range((last - first).days + 1)}


@pytest.mark.parametrize("days", [LOOK_BACK_DAYS - 100, LOOK_BACK_DAYS + 100])
def test_a_look_while_the_history_is_being_made_does_not_begin_it_again(days: int) -> None:
    start = LAST - timedelta(days=days)
    first = polled_arrivals(Layer(), "source 0", SEEN_SCHEMA.empty_table(), start, LAST)
    assert set(first.days.values()) == {NOT_ASKED}
    assert min(first.days) == start
    # The run is under way, so that the sensor marks none of these days as asked for.
    during = polled_arrivals(Layer(), "source 0", as_asked(first.seen, first.days.keys()), start, LAST)
    after = polled_arrivals(Layer(), "source 0", during.seen, start, LAST)
    assert after.days.keys() == during.days.keys()
    assert set(after.days.values()) == {"made of its rows"}, "which tells the sensor that the run has made them"


def test_days_before_the_look_back_that_were_never_asked_for_wait_on() -> None:
    start = LAST - timedelta(days=LOOK_BACK_DAYS + 100)
    first = polled_arrivals(Layer(), "source 0", SEEN_SCHEMA.empty_table(), start, LAST)
    again = polled_arrivals(Layer(), "source 0", first.seen, start, LAST)
    assert min(again.days) == start
    assert again.days[start] == NOT_ASKED
    assert again.days[LAST] == "made of its rows"
