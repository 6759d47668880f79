from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shotspotter_assets.alerts.days.city_now import lateness, stored_now
from shotspotter_assets.alerts.days.day_table import Day, DayState, DayTable
from shotspotter_assets.cities import local_time
from shotspotter_assets.cities.local_time import days_between
from shotspotter_assets.cities.stored_settings import settings_version
from shotspotter_assets.grid.tensors import grid_schema
from shotspotter_assets.models import city_history
from shotspotter_assets.models.city_history import CityHistory, DaysNotKnownError, covered_cells, covered_mask
from shotspotter_assets.storage.catalogue import DAYS, TENSORS, Asset
from shotspotter_assets.storage.errors import CorruptObjectError
from shotspotter_assets.storage.lineage import Origin, record_lineage
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.models.histories import CITY, COVERED

LAST = date(2021, 3, 31)  # with the day on which the clock is put forward


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Each day has an alert of unknown type in its last hour, and one more in another cell on odd days."""
    store = Store(str(tmp_path))
    for at, day in enumerate(days_between(CITY.start, LAST)):
        hours = 23 if day == date(2021, 3, 14) else 24
        rows = [(hours - 1, 3, 2, 1, 1), (0, 0, 5, 4, 2)][: 1 + at % 2]
        named = [dict(zip(TENSORS.schema.names, row, strict=True)) for row in rows]
        table = pa.Table.from_pylist(named, grid_schema(hours, CITY))
        store.write_tables(TENSORS, {day: table}, CITY.name)
    return store


def test_all_days_of_a_city_are_read_once_for_all_that_is_made_of_them(store: Store) -> None:
    stored = CityHistory.load(store, CITY, LAST)
    assert (stored.days[0], stored.days[-1]) == (CITY.start, LAST)
    assert stored.daily_counts.shape == (90, 4, 6, 5)
    assert stored.alerts[1, 5, 4] == 2
    daily = stored.daily(COVERED)
    hourly = stored.hourly(COVERED)
    assert daily.first_day == hourly.first_day == CITY.start
    assert len(hourly) == 90 * 24 - 1
    np.testing.assert_array_equal(daily.alerts.sum(axis=(1, 2)), stored.alerts.sum(axis=(1, 2)))
    assert daily.evening[0, 2, 1] == 1
    assert stored.daily(COVERED).counts is daily.counts


def test_days_that_were_gridded_with_other_settings_are_refused(store: Store) -> None:
    present = settings_version(CITY, Asset.GRID_TENSORS)
    lineage = {day: Origin("rows", present) for day in days_between(CITY.start, LAST)}
    record_lineage(store, Asset.GRID_TENSORS, CITY.name, lineage | {LAST: Origin("rows", "other")})
    stored = CityHistory.load(store, CITY, LAST)
    for read in (stored.daily, stored.hourly):
        with pytest.raises(
            ValueError, match=rf"{CITY.name}.*{LAST}.*Rebuild raw_alerts, cleaned_alerts and grid_tensors"
        ):
            read(COVERED)
    assert len(stored.until(LAST - timedelta(days=1)).hourly(COVERED)) == 89 * 24 - 1


def test_unknown_days_have_no_rows_and_a_mask_by_day_and_hour(store: Store) -> None:
    stored = CityHistory.load(store, CITY, LAST)
    unknown = frozenset({date(2021, 1, 2), date(2021, 3, 14)})
    known = replace(stored, unknown=unknown)
    daily = known.daily(COVERED)
    hourly = known.hourly(COVERED)
    np.testing.assert_array_equal(np.flatnonzero(~daily.is_known), [1, 72])
    hours = np.flatnonzero(~hourly.is_known)
    assert {int((day - np.datetime64(CITY.start)).astype(int)) for day in hourly.clock.day[hours]} == {1, 72}
    assert len(hours) == 24 + 23
    assert known.alerts[1].sum() == hourly.counts[hours].sum() == 0
    assert known.alerts.sum() == stored.alerts.sum() - stored.alerts[[1, 72]].sum()
    assert known.until(date(2021, 3, 10)).unknown == {date(2021, 1, 2)}
    assert stored.daily(COVERED).is_known is stored.hourly(COVERED).is_known is None


def test_days_that_are_left_out_have_come(store: Store) -> None:
    """As for models of a longer lead, which wait for a person's approval."""
    known = Day("known", "", 1, 0, "", None, {})
    DayTable.update(store, CITY.name, dict.fromkeys(days_between(CITY.start, LAST), known))
    stored = CityHistory.load(store, CITY, LAST)
    earlier = LAST - timedelta(days=2)
    words = f"alerts up to {earlier.day} {earlier:%B %Y}"
    assert stored.until(earlier).data_in_words == words
    assert replace(stored, lead=2).until(earlier).data_in_words == f"{words}; 1 April 2021 is not stored yet"


def test_days_left_out_hide_no_missing_day(store: Store) -> None:
    states: dict[date, DayState] = dict.fromkeys(days_between(CITY.start, LAST), "known")
    states |= dict.fromkeys((date(2021, 2, 1), LAST - timedelta(days=1)), "unknown")
    DayTable.update(store, CITY.name, {day: Day(state, "", 1, 0, "", None, {}) for day, state in states.items()})
    stored = CityHistory.load(store, CITY, LAST)
    assert stored.missing == (date(2021, 2, 1), LAST - timedelta(days=1))
    earlier = stored.until(LAST - timedelta(days=2))
    assert earlier.missing == stored.missing
    assert earlier.data_in_words == "alerts up to 29 March 2021; the 30th is not known"


@pytest.mark.parametrize("state", [None, "unknown", "held_back", "known"])
def test_a_forecast_and_the_present_state_await_the_same_days(
    store: Store, monkeypatch: pytest.MonkeyPatch, state: DayState | None
) -> None:
    """At night nobody names the day before as missing, unless something of it has come."""
    states: dict[date, DayState | None] = dict.fromkeys(days_between(CITY.start, LAST), "known")
    states |= {LAST - timedelta(days=1): "unknown", LAST: state}
    days = {day: Day(of_day, "", 1, 0, "", None, {}) for day, of_day in states.items() if of_day is not None}
    DayTable.update(store, CITY.name, days)
    for hour, minute, issue_date in ((0, 5, 0), (6, 29, 0), (6, 30, 0), (12, 0, 1)):
        now = datetime(2021, 4, 1, hour, minute, tzinfo=CITY.zone)
        monkeypatch.setattr(local_time, "now", lambda now=now: now)
        data = CityHistory.load(store, CITY, LAST + timedelta(days=issue_date)).data_in_words
        assert stored_now(CITY, DayTable.read(store, CITY.name)).data == data
        assert lateness(store, CITY).message[1:].startswith(f"{data[1:]}.")
        assert "the 30th" in data
        is_named = "31st" in data or data.startswith("alerts up to 31")
        assert is_named == (hour >= 12 or minute == 30 or state in ("held_back", "known")), data


def test_the_hours_of_a_fine_grid_are_those_of_its_last_days(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = CityHistory.load(store, CITY, LAST)
    whole = stored.hourly(COVERED)
    monkeypatch.setattr(city_history, "MAX_CELL_HOURS", 31 * 24 * int(COVERED.sum()))
    last_days = stored.hourly(COVERED)
    assert last_days.first_day == date(2021, 3, 1)
    np.testing.assert_array_equal(last_days.counts, whole.counts[-len(last_days) :])
    assert last_days.starts[0] == whole.starts[len(whole) - len(last_days)]


def test_a_city_that_publishes_days_has_no_evening_alerts(store: Store) -> None:
    stored = CityHistory.load(store, CITY, LAST)
    dates_only = CityHistory(CITY.model_copy(update={"time_precision": "day"}), stored.days, stored.frames)
    assert dates_only.daily(COVERED).evening is None


def test_coverage_is_estimated_from_the_days_there_are(store: Store) -> None:
    assert covered_cells(CityHistory.load(store, CITY, LAST).coverage_on(LAST)) == [(2, 1), (5, 4)]
    assert covered_cells(CityHistory.load(store, CITY, date(2021, 1, 3)).coverage_on(LAST)) == [(2, 1)]


def test_covered_cells_can_be_turned_back_into_their_mask() -> None:
    np.testing.assert_array_equal(covered_mask(covered_cells(COVERED), COVERED.shape), COVERED)
    assert not covered_mask([], COVERED.shape).any()


def entry(state: DayState) -> Day:
    return Day(state, "", 0, 0, "", None, {})


def test_days_not_known_at_the_end_are_cut_off_and_the_lead_grows(store: Store) -> None:
    unknown = days_between(date(2021, 4, 1), date(2021, 4, 20))
    known = dict.fromkeys(days_between(CITY.start, LAST), entry("known"))
    DayTable.update(store, CITY.name, known | dict.fromkeys(unknown, entry("unknown")))
    stored = CityHistory.load(store, CITY, unknown[-1])
    assert (stored.last_known, stored.lead, stored.issue_date) == (LAST, 21, unknown[-1])
    assert len(stored.days) == 90
    with pytest.raises(DaysNotKnownError, match="2021-03-31"):
        CityHistory.load(store, CITY, unknown[-1], unknown[3])
    with pytest.raises(DaysNotKnownError, match="2021-04-20"):
        stored.complete()


def test_a_forecast_before_the_first_alert_names_the_key(store: Store) -> None:
    DayTable.update(store, CITY.name, dict.fromkeys(days_between(CITY.start, LAST), entry("unknown")))
    with pytest.raises(DaysNotKnownError, match=rf"first_forecast in {CITY.name}\.yaml"):
        CityHistory.load(store, CITY, LAST)


def test_days_not_known_before_known_ones_are_left_out(store: Store) -> None:
    first = days_between(CITY.start, date(2021, 1, 7))
    known = dict.fromkeys(days_between(CITY.start, LAST), entry("known"))
    DayTable.update(store, CITY.name, known | dict.fromkeys([*first, date(2021, 2, 1)], entry("held_back")))
    stored = CityHistory.load(store, CITY, LAST)
    assert (stored.days[0], stored.lead, stored.unknown) == (date(2021, 1, 8), 1, {date(2021, 2, 1)})
    assert CityHistory.load(store, CITY, date(2021, 2, 1)).lead == 1
    assert CityHistory.load(store, CITY, date(2021, 2, 1)).complete().unknown == {date(2021, 2, 1)}


def damage(content: bytes, how: str) -> bytes:
    table = pq.read_table(pa.BufferReader(content))
    sink = pa.BufferOutputStream()
    pq.write_table(
        table.drop_columns("sources") if how == "a column less" else table.add_column(0, "more", table["date"]), sink
    )
    return content[:-40] if how == "truncated" else sink.getvalue().to_pybytes()


@pytest.mark.parametrize("how", ["truncated", "a column less", "a column more"])
def test_a_damaged_table_of_days_does_not_count_as_known(store: Store, how: str) -> None:
    days = days_between(CITY.start, LAST)
    DayTable.update(store, CITY.name, dict.fromkeys(days, entry("unknown")))
    store.write_bytes(DAYS, damage(store.read_bytes(DAYS, CITY.name), how), CITY.name)
    with pytest.raises(CorruptObjectError, match="raw_alerts"):
        CityHistory.load(store, CITY, LAST)
    DayTable.update(store, CITY.name, {days[5]: entry("known")})
    with pytest.raises(ValueError, match="raw_alerts"):
        CityHistory.load(store, CITY, LAST)
