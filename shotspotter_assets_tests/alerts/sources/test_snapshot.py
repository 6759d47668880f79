import os
import re
import time
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from datetime import time as dt_time
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pytest

from shotspotter_assets.alerts.cleaning import clean_alerts
from shotspotter_assets.alerts.days.day_table import Day, DayTable
from shotspotter_assets.alerts.days.known_days import Decisions, decide_days
from shotspotter_assets.alerts.sources.alert_source import Access, AlertSource, SourceError
from shotspotter_assets.alerts.sources.landing.folder import Landed, LandingFolder
from shotspotter_assets.alerts.sources.landing.received import read_received
from shotspotter_assets.alerts.sources.schema import RAW_SCHEMA, SIMULATED, read_sources, rows_by_origin
from shotspotter_assets.alerts.sources.snapshot import POLLED_DAYS, Snapshot, record_answer, take_snapshot
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import days_between
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.made_up_city import made_up_city

FIRST = date(2024, 3, 1)
LAST = date(2024, 3, 20)
NOW = datetime(2024, 3, 21, 16, tzinfo=UTC)
FILES = {"kind": "landing", "settle_seconds": 0, "columns": {"time": "when", "longitude": "lon", "latitude": "lat"}}
LAYER = {"kind": "socrata", "domain": "https://data.gov", "dataset": "abcd-1234", "columns": {"time": "t"}}


def a_city(*sources: dict[str, object], **settings: object) -> City:
    settings = {"start": FIRST, "source": sources[0], "other_sources": sources[1:]} | settings
    return made_up_city("dale", (-77.0, 38.0, -76.0, 39.0), **settings)


HISTORY = a_city(FILES | {"folder": "history"})
DAILY_AND_HISTORY = a_city(
    FILES | {"folder": "daily", "file_date": "%Y-%m-%d"}, FILES | {"folder": "history", "settle_seconds": 3600}
)


class Town:
    def __init__(self, root: Path, city: City, *readers: AlertSource) -> None:
        self.root = root / "landing"
        self.city = city
        self.store = Store(str(root / "store"))
        self.now = NOW
        access = Access(self.store, str(self.root), {})
        self.readers = readers or [source.open(city.site, access) for source in city.all_sources]

    def land(self, name: str, *days: str, hours_old: float = 3, written: date | None = None) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("when,lon,lat\n" + "".join(f"{day}T17:00:00Z,-76.5,38.5\n" for day in days))
        moment = time.time() - hours_old * 3600
        moment = moment if written is None else datetime.combine(written, dt_time(18), tzinfo=UTC).timestamp()
        os.utime(path, (moment, moment))
        return path

    def snapshot(self, poll_seconds: float | None = 0, max_seconds: float = 60) -> Snapshot:
        seconds = {"poll_seconds": poll_seconds, "max_seconds": max_seconds}
        return take_snapshot(self.city.site, self.readers, self.store, self.now, **seconds)

    def waits(self) -> str:
        return " ".join(self.snapshot(poll_seconds=None).waits(self.now.astimezone(self.city.zone).date()))

    def make(self, first: int, last: int) -> None:
        """Store the rows of days of March and what is decided about them, as a run of raw alerts does."""
        days = days_between(date(2024, 3, first), date(2024, 3, last))
        rows = read_sources(self.readers, days[0], days[-1])
        record_answer(self.store, "dale", rows, days[0], days[-1])
        snapshot = self.snapshot(poll_seconds=None)
        table = DayTable.read(self.store, "dale")
        numbers = rows["date"].to_pylist()
        found = rows_by_origin(rows, snapshot.addresses)
        origins = {day: {name: version for name, (version, _) in of_day.items()} for day, of_day in found.items()}
        held = snapshot.day_rows(table, snapshot.stored_days(table))
        states = decide_days(self.city, snapshot.reports, (), held, days[-1])
        stored = {
            day: Day(
                states[day].state,
                states[day].why,
                numbers.count(day),
                0,
                "",
                NOW if day in numbers else None,
                origins.get(day, {}),
            )
            for day in days
        }
        DayTable.update(self.store, "dale", stored)

    def changed(self, poll_seconds: float | None = 0) -> list[int]:
        """The stored days of March of which the sources hold other rows."""
        snapshot = self.snapshot(poll_seconds)
        table = DayTable.read(self.store, "dale")
        return sorted(day.day for day in table.days.keys() - snapshot.stored_days(table))

    def decisions(self) -> Decisions:
        """The states of all days by the landed files alone, to the last day that has rows."""
        snapshot = self.snapshot(poll_seconds=None)
        rows = snapshot.day_rows(DayTable(), ())
        return decide_days(self.city, snapshot.reports, (), rows, max(rows))


@pytest.fixture
def town(tmp_path: Path) -> Town:
    return Town(tmp_path, HISTORY)


def test_days_are_stored_until_their_rows_change(town: Town) -> None:
    town.land("history/a.csv", "2024-03-02", "2024-03-04")
    town.make(1, 6)
    assert town.changed() == []
    town.land("history/a.csv", "2024-03-04", "2024-03-02", "2024-03-02", hours_old=2)
    assert town.changed() == [2], "the order of the rows does not matter"
    town.land("history/a.csv", "2024-03-02", "2024-03-04", hours_old=1)
    assert town.changed() == [], "the correction is taken back"
    town.land("history/b.csv", "2024-03-04", "2024-03-06")
    assert town.changed() == [6], "a row that another file has changes nothing"
    town.make(6, 6)
    (town.root / "history" / "b.csv").unlink()
    assert town.changed() == [6], "the file is withdrawn"


MARCH = [f"2024-03-{day:02}" for day in range(2, 12)]
GAP = date(2024, 3, 12)
AFTER = GAP + timedelta(days=1)


@pytest.mark.parametrize("name", [f"{AFTER}", "Shots Mar 13", "13-Mar-24", "03132024"])
def test_the_first_daily_file_leaves_the_day_before_it_unknown(town: Town, name: str) -> None:
    town.land("history/Export.csv", *MARCH)
    town.land(f"history/{name}.csv", f"{AFTER}", written=AFTER + timedelta(days=1))
    assert town.decisions()[GAP] == ("unknown", "The folder has no complete file of this day.", False)
    path = town.land(f"history/{name}.csv", f"{AFTER}")
    path.write_text(f"{path.read_text()}a,broken,row,\n")
    os.utime(path, (datetime(2024, 3, 14, 18, tzinfo=UTC).timestamp(),) * 2)
    assert town.decisions()[GAP].state == "unknown", "a broken row is of no other day"
    town.land("history/Shots Mar 12.csv", f"{GAP}", written=AFTER)
    assert town.decisions()[GAP].state == "known"


def test_an_export_named_after_its_date_reports_the_days_between_its_rows(town: Town) -> None:
    town.land(f"history/export_{AFTER}.csv", *MARCH, f"{AFTER}", written=AFTER + timedelta(days=1))
    assert town.decisions()[GAP].state == "known"
    town.land("history/Mar 14.csv", "2024-03-14", written=date(2024, 3, 15))
    assert town.decisions()[GAP].state == "known", "a daily file says nothing about the days of the export"


@pytest.mark.parametrize(
    ("name", "content", "state", "says"),
    [
        ("Shots Mar 12.csv", "", "unknown", "Its file Shots Mar 12.csv is not used: .*Empty CSV file"),
        ("Shots Mar 12.xlsx", "torn", "unknown", "Its file Shots Mar 12.xlsx is not used: .*cannot be read"),
        ("Shots Mar 12.csv", "when,lon,lat\n", "known", "Its file Shots Mar 12.csv has no rows of this day."),
    ],
)
def test_a_daily_file_that_fails_or_is_empty_has_landed(
    town: Town, name: str, content: str, state: str, says: str
) -> None:
    town.land("history/Export.csv", *MARCH)
    town.land(f"history/{name}", written=AFTER).write_text(content)
    os.utime(town.root / "history" / name, (datetime(2024, 3, 13, 18, tzinfo=UTC).timestamp(),) * 2)
    town.land("history/Shots Mar 13.csv", f"{AFTER}", written=AFTER + timedelta(days=1))
    decision = town.decisions()[GAP]
    assert decision.state == state
    assert re.match(says, decision.why), decision.why


@pytest.mark.parametrize(
    ("name", "written", "rows", "says"),
    [
        ("Shots 2024-03-12.csv", GAP, (), "Its file Shots 2024-03-12.csv was written before the day was over."),
        ("2024-03-12.csv", AFTER, (MARCH[-1],), "Its file 2024-03-12.csv has rows of other days."),
        ("Shots 2024-03-12.csv", AFTER, (), "The folder has no complete file of this day."),
    ],
)
def test_a_file_that_is_not_of_its_day_is_never_called_missing(
    town: Town, name: str, written: date, rows: tuple[str, ...], says: str
) -> None:
    town.land("history/Export.csv", *MARCH[:-1])
    path = town.land(f"history/{name}", *rows, written=written)
    town.land("history/Shots Mar 11.csv", MARCH[-1], written=GAP)
    town.land("history/Shots Mar 13.csv", f"{AFTER}", written=AFTER + timedelta(days=1))
    if "complete" in says:
        assert town.decisions()[GAP].why == "Its file Shots 2024-03-12.csv has no rows of this day."
        path.unlink()  # archived
    assert town.decisions()[GAP] == ("unknown", says, False)


def test_of_rows_with_one_id_the_last_one_counts(tmp_path: Path) -> None:
    columns = {"time": "when", "longitude": "lon", "latitude": "lat", "source_id": "id", "rounds": "rounds"}
    town = Town(tmp_path, a_city(FILES | {"columns": columns}))
    landed = {"a": "A,5\nA,7\nB,2", "b": "A,9\nB,2", "c": "A,5\nA,7\nB,2"}
    for hours_old, (name, numbers) in zip((3, 2, 1), landed.items(), strict=True):
        path = town.land(f"dale/{name}.csv", hours_old=hours_old)
        lines = [f"2024-03-02T17:00:0{at}Z,-76.5,38.5,{row}" for at, row in enumerate(numbers.split("\n"))]
        path.write_text("\n".join(["when,lon,lat,id,rounds", *lines]))
        os.utime(path, (time.time() - hours_old * 3600,) * 2)
        town.snapshot()
        raw = read_sources(town.readers, FIRST, LAST)
        account = clean_alerts(raw, [date(2024, 3, 2)], town.city)[date(2024, 3, 2)]
        rounds = dict(zip(account.alerts["source_id"].to_pylist(), account.alerts["rounds"].to_pylist(), strict=True))
        assert rounds == {"A": 9 if name == "b" else 7, "B": 2}, name


EVE = "2024-03-05T04:50:00Z"  # 4 March at 23:50, local
NIGHT = "2024-03-05T05:10:00Z"  # 5 March at 0:10
LATE = "2024-03-05T15:50:00Z"


@pytest.mark.parametrize(
    ("files", "days"),
    [
        ([f"A,{EVE}\nB,{EVE}"], {"A": [4], "B": [4]}),
        ([f"A,{EVE}\nB,{EVE}", f"A,{NIGHT}"], {"A": [5], "B": [4]}),
        ([f"A,{EVE}", f"A,{NIGHT}"], {"A": [5]}),
        ([f"A,{NIGHT}\nB,{NIGHT}", f"A,{EVE}"], {"A": [4], "B": [5]}),
        ([f"A,{EVE}", f"A,{NIGHT}", f"A,{EVE}"], {"A": [4]}),
        ([f"A,{EVE}\nB,{EVE}\nA,{NIGHT}"], {"A": [5], "B": [4]}),
        ([f"A,{NIGHT}\nA,{EVE}"], {"A": [4]}),
        ([f"A,{EVE}", f"A,{LATE}"], {"A": [4, 5]}),
        ([f"A,{EVE}", "A,2024-03-12T05:10:00Z"], {"A": [4, 12]}),
    ],
)
def test_an_id_that_moves_past_midnight_is_one_alert(
    tmp_path: Path, files: list[str], days: dict[str, list[int]]
) -> None:
    town = Town(tmp_path, a_city(FILES | {"columns": {**FILES["columns"], "source_id": "id"}}))
    for number, content in enumerate(files):
        path = town.land(f"dale/{9 - number}.csv")
        rows = [",".join([*row.split(",")[::-1], "-76.5,38.5"]) for row in content.split("\n")]
        path.write_text("\n".join(["when,id,lon,lat", *rows]))
        os.utime(path, (time.time() - 3600 * (9 - number),) * 2)
        for day in town.changed() or range(1, 21):
            town.make(day, day)
        assert town.changed() == []
    raw = read_sources(town.readers, FIRST, LAST)
    found: dict[str, list[int]] = {}
    for day, key in zip(raw["date"].to_pylist(), raw["source_id"].to_pylist(), strict=True):
        found.setdefault(key, []).append(day.day)
    assert found == days
    stored = DayTable.read(town.store, "dale").days
    assert {day.day: entry.rows for day, entry in stored.items() if entry.rows} == Counter(chain(*days.values()))


def test_a_rename_an_export_a_split_and_a_merge_change_no_day(town: Town) -> None:
    first = town.land("history/export_1.csv", *MARCH, *MARCH[:4])
    town.make(1, 20)
    versions = {day: entry.rows_version for day, entry in DayTable.read(town.store, "dale").days.items()}
    first = first.rename(town.root / "history" / "alerts.csv")
    assert town.changed() == [], "renamed"
    town.land("history/export_2.csv", *MARCH[::-1], *MARCH[:4], hours_old=1)
    assert town.changed() == [], "exported again"
    first.unlink()
    assert town.changed() == [], "the older export is removed"
    town.land("history/part_0.csv", *MARCH)
    town.land("history/part_1.csv", *MARCH[:4])
    (town.root / "history" / "export_2.csv").unlink()
    assert town.changed() == [2, 3, 4, 5], "rows without an id count as often as in the file with most of them"
    for part in (0, 1):
        town.land(f"history/part_{part}.csv", *MARCH[part::2], *MARCH[part:4:2])
    assert town.changed() == [], "split"
    town.make(1, 20)
    assert versions == {day: entry.rows_version for day, entry in DayTable.read(town.store, "dale").days.items()}


def test_rows_lost_with_a_rename_are_withdrawn(town: Town) -> None:
    wrong = [f"2024-03-{day:02}" for day in range(12, 15)]
    town.land("history/old_name.csv", *MARCH, *wrong)
    town.land("history/more.csv", wrong[0])
    town.make(1, 20)
    town.land("history/new_name.csv", *MARCH, "2024-03-02")
    (town.root / "history" / "old_name.csv").unlink()
    snapshot = town.snapshot()
    assert [list(landed.gone) for landed in snapshot.landed] == [[]]
    assert town.changed() == [2, 13, 14]
    (town.root / "history" / "new_name.csv").unlink()
    assert [len(landed.gone) for landed in town.snapshot().landed] == [1], "most rows are really gone"


def test_unusable_files_are_named_and_keep_their_rows(tmp_path: Path) -> None:
    town = Town(tmp_path, DAILY_AND_HISTORY)
    path = town.land("history/all.csv", "2024-03-02", "2024-03-03", "2024-03-03")
    town.make(1, 5)
    assert f"the landing folder {town.root}/daily is missing or empty" in town.waits()
    daily = town.land("daily/2024-03-05.csv", "2024-03-05")
    town.make(1, 5)
    assert town.waits() == ""
    town.land("history/all.csv", "2024-03-02", hours_old=0)
    assert (town.changed(), town.waits()) == ([], f"Left alone until transferred: {path}.")
    path.unlink()
    daily.write_text("no columns\n")
    assert town.changed() == []
    assert "1 file with most of the rows (3) cannot be found; their rows stay." in town.waits()
    assert "has no column when" in town.waits()
    assert "has no column when" in town.snapshot().unusable[str(daily)]


def test_files_that_a_tick_has_no_time_for_are_left_for_the_next(town: Town) -> None:
    for day in (2, 3, 4):
        town.land(f"history/{day}.csv", f"2024-03-0{day}")
    assert [len(town.snapshot(max_seconds=0).rows) for _ in range(2)] == [1, 2]
    [landed] = town.snapshot(max_seconds=0).landed
    assert (len(landed.files), landed.unread) == (3, 0)


def test_a_file_received_by_another_process_meanwhile_stays(tmp_path: Path) -> None:
    town = Town(tmp_path, DAILY_AND_HISTORY)
    town.land("history/a.csv", "2024-03-02")
    other = Town(tmp_path, DAILY_AND_HISTORY)

    class Slow(LandingFolder):
        def refresh(self, max_seconds: float = 60) -> Landed:
            landed = super().refresh(max_seconds)
            other.land("history/b.csv", "2024-03-04")
            other.snapshot()
            return landed

    history = Slow(town.city.site, town.city.all_sources[1], str(town.root / "history"), town.store)
    town.readers = [town.readers[0], history]
    assert len(town.snapshot().files) == 1
    kept = read_received(town.store, "dale")
    assert {Path(path).name for path in kept} == {"a.csv", "b.csv"}
    one = Town(tmp_path, HISTORY.model_copy(update={"source": DAILY_AND_HISTORY.source}))
    one.snapshot()
    assert read_received(town.store, "dale") == {}, "the city's file no longer names the folder"


def test_rows_of_the_present_day_and_of_the_future_wait(town: Town) -> None:
    town.land("history/a.csv", "2024-03-20", "2024-03-21", "2024-04-02", "2024-04-05")
    assert "1 row of 2024-03-21 cannot be stored before the day is over (a.csv)." in town.waits()
    assert "a.csv has 2 rows dated in the future, 2024-04-02 to 2024-04-05. They wait for their days" in town.waits()
    town.now += timedelta(days=1)
    assert "2024-03-21" not in town.waits()
    assert town.snapshot().last_due(town.now) == date(2024, 3, 21)


def test_yesterday_is_due_in_the_morning_or_with_its_first_rows(town: Town) -> None:
    town.land("history/a.csv", "2024-03-19")
    early = NOW.replace(hour=5)
    morning = NOW.replace(hour=11)
    assert [town.snapshot().last_due(now).day for now in (early, morning)] == [19, 20]
    town.land("history/b.csv", "2024-03-20")
    assert town.snapshot().last_due(early).day == 20
    assert town.snapshot().last_due(NOW + timedelta(days=400)).day == 20, "the source has ended"
    town.city = town.city.model_copy(update={"end": date(2024, 3, 10)})
    assert town.snapshot().last_due(NOW).day == 10


class Layer(AlertSource):
    """A live source with a version of each day that has rows."""

    is_live = True

    def __init__(self, *days: int, address: str = "layer") -> None:
        self.versions = {date(2024, 3, day): "1 row" for day in days}
        self.address = address
        self.asked: list[tuple[date, date]] = []
        self.error = ""

    def read(self, first: date, last: date) -> pa.Table:
        self.asked.append((first, last))
        if self.error:
            raise SourceError(self.error)
        found = {day: version for day, version in self.versions.items() if first <= day <= last}
        rows = [{"date": day, "source_id": found[day], "received_from": self.address} for day in found]
        return pa.Table.from_pylist(rows, RAW_SCHEMA)


def test_live_sources_are_compared_with_the_stored_days(tmp_path: Path) -> None:
    layer = Layer(2, 10)
    other = Layer(2, 4, address="other")
    town = Town(tmp_path, a_city(LAYER, LAYER | {"dataset": "efgh-5678"}), layer, other)
    town.make(1, 20)
    assert town.changed() == []
    layer.versions |= {date(2024, 3, 2): "2 rows", date(2024, 3, 5): "1 row"}
    del layer.versions[date(2024, 3, 10)]
    other.versions[date(2024, 3, 4)] = "2 rows"
    assert town.changed() == [2, 4, 5, 10]


def test_a_live_source_is_asked_again_after_a_while(tmp_path: Path) -> None:
    layer = Layer(20)
    town = Town(tmp_path, a_city(LAYER, start=LAST - timedelta(days=POLLED_DAYS + 10)), layer)
    asked = []
    for poll_seconds in (None, 60, 60, 0):
        town.snapshot(poll_seconds)
        asked.append(len(layer.asked))
    assert asked == [0, 1, 1, 2]
    assert layer.asked[0] == (LAST - timedelta(days=POLLED_DAYS), LAST)
    long_ago = Day("known", "", 1, 0, "", NOW, {"layer": "earlier"})
    table = DayTable({town.city.start: long_ago, FIRST: long_ago})
    assert town.snapshot().stored_days(table) == {town.city.start}, "polls do not compare days of long ago"


def test_the_answer_of_a_run_replaces_that_of_the_poll(tmp_path: Path) -> None:
    layer = Layer(2, 4, 10)
    town = Town(tmp_path, a_city(LAYER), layer)
    town.make(1, 20)
    assert town.snapshot(poll_seconds=None).polled == {}, "no poll has asked for all days"
    town.snapshot()
    layer.versions |= {date(2024, 3, 2): "2 rows", date(2024, 3, 10): "2 rows"}
    del layer.versions[date(2024, 3, 4)]
    town.make(1, 5)
    assert town.changed(poll_seconds=None) == []
    assert town.changed() == [10]


def test_a_live_source_that_fails_keeps_its_last_answer(tmp_path: Path) -> None:
    layer = Layer(2)
    town = Town(tmp_path, a_city(LAYER), layer)
    layer.error = "No answer."
    assert town.snapshot().rows == {}
    layer.error = ""
    town.make(1, 4)
    town.snapshot()
    layer.error = "No answer."
    assert town.changed() == []
    assert list(town.snapshot().rows) == [date(2024, 3, 2)]
    assert town.waits() == "No answer."


def test_simulated_rows_are_never_compared(tmp_path: Path) -> None:
    town = Town(tmp_path, a_city({"kind": "simulated"}))
    table = DayTable({FIRST: Day("known", "", 9, 0, "", NOW, {SIMULATED: "any"})})
    assert town.snapshot().stored_days(table) == {FIRST}
