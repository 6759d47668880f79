"""What was known of a city's days on an earlier day, from when their rows came."""

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from shotspotter_assets.calendar.local_time import days_between
from shotspotter_assets.cities.city import City
from shotspotter_assets.sources.known_then import KnownThen
from shotspotter_assets.storage.store import Partition, Store

START, END, SET_UP = date(2026, 1, 1), date(2026, 6, 30), date(2026, 5, 1)


def a_city(source: dict[str, Any] | None = None, **publication: object) -> City:
    return City.model_validate(
        {
            "name": "dale",
            "time_zone": "America/New_York",
            "start": START,
            "box": {"west": -77, "south": 38, "east": -76, "north": 39},
            "source": {"kind": "landing", "columns": {"time": "t"}} | (source or {}),
            "publication": publication,
        }
    )


def came(store: Store, days_late: int, live_from: date = SET_UP, empty: frozenset[date] = frozenset()) -> None:
    """Twenty rows a day: those before `live_from` were all read on it, the others came some days after their day."""
    for day in days_between(START, END):
        arrival = max(day + timedelta(days=1 + days_late), live_from)
        moment = datetime.combine(arrival, time(15), UTC)
        rows = pa.table({"received_at": pa.array([moment] * (0 if day in empty else 20), pa.timestamp("us", "UTC"))})
        if day in empty:
            rows = rows.replace_schema_metadata({"known": "answered"})
        store.write_table(Partition("raw_alerts", "dale", "date", day), "alerts.parquet", rows)


def through(store: Store, city: City, issue_date: date, empty: frozenset[date] = frozenset()) -> date:
    then, days = KnownThen.load(store, city), days_between(START, issue_date)
    counts = np.array([0 if day in empty else 20 for day in days]) * then.came(days, issue_date)
    return then.through(START, counts)


def test_days_whose_rows_came_live_are_known_from_then_on(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    came(store, days_late=3)
    assert through(store, a_city(), date(2026, 6, 20)) == date(2026, 6, 17)


def test_of_a_history_read_at_once_the_lateness_learned_since_counts(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    came(store, days_late=3)
    assert through(store, a_city(), date(2026, 3, 20)) == date(2026, 3, 17)


def test_a_history_alone_tells_nothing_so_that_all_was_there_when_it_was_over(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    came(store, days_late=3, live_from=END + timedelta(days=1))
    for day in (date(2026, 3, 20), date(2026, 6, 26)):
        assert through(store, a_city(), day) == day


def test_of_a_history_the_rule_of_the_citys_file_counts(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    came(store, days_late=0, live_from=END + timedelta(days=1))
    city = a_city(every="month", days_late=5)
    assert through(store, city, date(2026, 4, 4)) == date(2026, 2, 28)
    assert through(store, city, date(2026, 4, 5)) == date(2026, 3, 31)
    assert through(store, a_city(days_late=2), date(2026, 4, 5)) == date(2026, 4, 3)


def test_that_a_silence_ended_later_was_not_known_but_an_empty_daily_file_was(tmp_path: Path) -> None:
    store, silent = Store(str(tmp_path)), frozenset(days_between(date(2026, 3, 18), date(2026, 3, 22)))
    came(store, days_late=0, live_from=END + timedelta(days=1), empty=silent)
    assert through(store, a_city(), date(2026, 3, 20), silent) == date(2026, 3, 17)
    assert through(store, a_city({"file_date": "%Y-%m-%d"}), date(2026, 3, 20), silent) == date(2026, 3, 20)


def test_a_correction_of_an_old_day_does_not_make_the_arrival_a_history(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    quiet = frozenset([date(2026, 2, 2)])
    came(store, days_late=1, empty=quiet)
    # The first rows of a day long past, with those of the day before yesterday.
    moment = datetime.combine(date(2026, 6, 12), time(15), UTC)
    rows = pa.table({"received_at": pa.array([moment], pa.timestamp("us", "UTC"))})
    store.write_table(Partition("raw_alerts", "dale", "date", date(2026, 2, 2)), "alerts.parquet", rows)
    assert through(store, a_city(), date(2026, 6, 10)) == date(2026, 6, 9)
