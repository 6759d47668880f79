"""Risk of the next minutes and hours: stored days, the source's alerts since, and the live models."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.calendar.local_time import days_between
from shotspotter_assets.cities.city import City
from shotspotter_assets.cleaning.alerts import clean_alerts
from shotspotter_assets.gridding.tensors import sparse_tensors
from shotspotter_assets.models.city_history import CityHistory, covered_mask
from shotspotter_assets.models.hourly_history import HourlyHistory
from shotspotter_assets.models.next_hours.hourly_forecaster import FittedHourly, forecast_from
from shotspotter_assets.models.next_minutes.forecast import MINUTES, forecast_minutes
from shotspotter_assets.models.next_minutes.incident_points import Incidents
from shotspotter_assets.models.next_minutes.lift_table import LiftTable
from shotspotter_assets.serving.risk_tables import next_hours_table, type_mixes
from shotspotter_assets.serving.serving_record import NEXT_MINUTES, ServingModels, ServingRecord
from shotspotter_assets.serving.stored_alerts import NO_ALERTS, stored_alerts
from shotspotter_assets.sources.alert_source import AlertSource
from shotspotter_assets.sources.day_table import DayState, DayTable
from shotspotter_assets.sources.known_days import DayRows, day_states
from shotspotter_assets.sources.receive import read_sources
from shotspotter_assets.storage.catalogue import (
    ISSUED_MINUTES,
    NOWCAST_HOURS,
    NOWCAST_MINUTES,
    NOWCAST_RECORD,
    RECENT_INCIDENTS,
    TENSORS,
)
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_record import StoredRecord


class NowcastRecord(StoredRecord):
    """Stated facts of a nowcast."""

    stored_as = NOWCAST_RECORD

    now: str
    starts: str
    """Begin of the forecast hours: end of the running hour."""
    models_from: date
    alerts_since_midnight: int
    incidents_last_hour: int
    without_minutes: str
    """Reason for no forecast of minutes, or ""."""


class UntilNow(NamedTuple):
    """History to now: the days to the current one, and the incidents of yesterday and today."""

    history: CityHistory
    alerts_since_midnight: int
    incidents: Incidents


@dataclass(frozen=True)
class Nowcast:
    """Risk of the next hours and minutes (`catalogue.NOWCAST_HOURS`, `NOWCAST_MINUTES`), and stated facts.

    `minutes` is empty without models of minutes. Incidents are of the local `day` of now and the one before.
    """

    table: pa.Table
    minutes: pa.Table
    record: NowcastRecord
    day: date
    incidents: Incidents

    @property
    def longest(self) -> pa.Table:
        return self.table.filter(pc.equal(self.table["hours"], pc.max(self.table["hours"])))


def record_in_force(store: Store, city: City, now: datetime) -> ServingRecord:
    """Return the latest record of past days; raise ValueError without one."""
    today = now.astimezone(city.zone).date()
    record = ServingRecord.latest_before(store, city.name, today)
    if record is None:
        remedy = f"Materialize live_models for {city.name} first."
        raise ValueError(f"City {city.name}: no live models before {today}. {remedy}")
    return record


def history_until(store: Store, readers: Sequence[AlertSource], city: City, now: datetime) -> UntilNow:
    """Return the history to now: stored days up to the first missing one, and later days from the sources.

    Raises:
        ValueError: the source has not reported the last days yet.
    """
    days = days_to_read(store, city, now)
    return with_rows(store, readers, city, now, days, read_sources(readers, days[0], days[-1]))


def days_to_read(store: Store, city: City, now: datetime) -> list[date]:
    """Return the days to ask the sources for: from the first that is not stored to the current one."""
    today = now.astimezone(city.zone).date()
    stored = store.days_present(TENSORS, city.name)
    first = next(day for day in days_between(city.start, today) if day not in stored or day == today)
    return days_between(first, today)


def with_rows(
    store: Store, readers: Sequence[AlertSource], city: City, now: datetime, days: list[date], rows: pa.Table
) -> UntilNow:
    """Return the history to now from stored days and the sources' `rows` (`RAW_SCHEMA`) of `days_to_read`.

    Raises:
        ValueError: the source has not reported the last days yet.
    """
    first, today = days[0], days[-1]
    instant = pa.scalar(now, pa.timestamp("us", "UTC"))
    alerts = [
        _dated(cleaned.alerts.filter(pc.less_equal(cleaned.alerts["time_utc"], instant)), day)
        for day, cleaned in clean_alerts(rows, days, city).items()
    ]
    frames = [_dated(table, day) for day, table in sparse_tensors(pa.concat_tables(alerts), days, city).items()]
    yesterday, before, since = today - timedelta(days=1), frozenset[date](), first
    if first > city.start:
        stored = CityHistory.load(store, city, first - timedelta(days=1))
        frames.insert(0, stored.frames)
        before, since = stored.unknown, stored.days[0]
    states = _states(store, readers, city, rows, yesterday) if yesterday >= city.start else {}
    if yesterday in states and states[yesterday][0] not in ("known", "silent"):
        raise ValueError(
            f"City {city.name}: no next hours, as {yesterday} is not known yet. {states[yesterday][1]} Ask again when the "
            "source has published it; risk_forecasts are issued all the same, as far as publication.longest_lead "
            f"({city.publication.longest_lead} days) lets them."
        )
    # Metadata of the stored days, with the settings that they were made with.
    metadata = frames[0].schema.metadata
    joined = pa.concat_tables([table.replace_schema_metadata(metadata) for table in frames])
    until_now = CityHistory(city, days_between(since, today), joined, unknown=before)
    recent = pa.concat_tables([table.select(NO_ALERTS.column_names).cast(NO_ALERTS.schema) for table in alerts[-2:]])
    if len(alerts) == 1 and yesterday >= city.start:
        recent = pa.concat_tables([stored_alerts(store, city, yesterday, yesterday), recent])
    return UntilNow(until_now, alerts[-1].num_rows, Incidents.of_alerts(recent, city))


def _states(
    store: Store, readers: Sequence[AlertSource], city: City, rows: pa.Table, yesterday: date
) -> dict[date, tuple[DayState, str]]:
    """Return the states of the days to yesterday, stored ones and those of `rows`."""
    named = readers[0].named_days()
    found = {at: DayRows(has_file=True) for at in named}
    for at, day in DayTable.read(store, city.name).days.items():
        found[at] = DayRows(day.rows, day.received, at in named, day.why if day.state == "held_back" else "")
    for of_day in rows.group_by("date").aggregate([("received_at", "min"), ([], "count_all")]).to_pylist():
        at = of_day["date"]
        found[at] = DayRows(of_day["count_all"], of_day["received_at_min"], at in named)
    return day_states(city, found, yesterday, yesterday + timedelta(days=1))


def nowcast(record: ServingRecord, models: ServingModels, until_now: UntilNow, now: datetime) -> Nowcast:
    """Forecast the next minutes from now, and the next hours from the end of the current one.

    `models` are those of the newest record, `until_now` is from `history_until`.

    Raises:
        ValueError: the city has no models of hours.
    """
    city = until_now.history.city
    if models.hours is None:
        raise ValueError(f"City {city.name}: no next hours. {' '.join(dict.fromkeys(record.without.values()))}")
    history = until_now.history.hourly(covered_mask(record.covered, city.shape))
    starts, probability = forecast_from(models.hours, history, now)
    first_hour = int(np.searchsorted(history.starts, starts))
    mixes = type_mixes(models.types, history, first_hour, max(models.hours.models))
    minutes = NOWCAST_MINUTES.schema.empty_table()
    if models.minutes is not None:
        minutes = _minutes_table(models.hours, models.minutes, history, until_now.incidents, now)
    return Nowcast(
        next_hours_table(record, models, history, first_hour, probability, mixes),
        minutes,
        NowcastRecord(
            city=city.name,
            now=now.isoformat(timespec="milliseconds"),
            starts=f"{starts}Z",
            models_from=record.fitted_on,
            alerts_since_midnight=until_now.alerts_since_midnight,
            incidents_last_hour=len(until_now.incidents.begun_since(now - timedelta(hours=1))),
            without_minutes=record.without.get(NEXT_MINUTES, ""),
        ),
        now.astimezone(city.zone).date(),
        until_now.incidents,
    )


def _minutes_table(
    hours: FittedHourly, minutes: LiftTable, history: HourlyHistory, incidents: Incidents, now: datetime
) -> pa.Table:
    forecast = forecast_minutes(hours, minutes, history, incidents, now)
    row, column = np.nonzero(history.in_coverage)
    times, cells = len(MINUTES), len(row)
    values = {
        "horizon": np.repeat([f"{ahead}m" for ahead in MINUTES], cells),
        "starts_utc": pa.repeat(pa.scalar(now, pa.timestamp("us", "UTC")), times * cells),
        "minutes": np.repeat(np.array(MINUTES, np.int16), cells),
        "row": np.tile(row, times).astype(np.int16),
        "column": np.tile(column, times).astype(np.int16),
        "probability": forecast.probability.ravel(),
        "expected": forecast.expected.ravel(),
        "even": forecast.even.ravel(),
    }
    return pa.table(values, schema=NOWCAST_MINUTES.schema)


def write_nowcast(store: Store, nowcast: Nowcast) -> str:
    """Write the files of a nowcast; return the address of its table."""
    city = nowcast.record.city
    with store.alone(NOWCAST_HOURS.asset, city):
        nowcast.record.write(store)
        store.write_table(NOWCAST_HOURS, nowcast.table, city)
        store.write_table(NOWCAST_MINUTES, nowcast.minutes, city)
        store.write_table(RECENT_INCIDENTS, nowcast.incidents.table(), city)
        if len(nowcast.minutes):
            rows = nowcast.minutes.select(ISSUED_MINUTES.schema.names).cast(ISSUED_MINUTES.schema)
            if store.exists(ISSUED_MINUTES, city, nowcast.day):
                before = store.read_table(ISSUED_MINUTES, city, nowcast.day)
                # A tick that dies after its write is repeated.
                is_stored = pc.is_in(rows["starts_utc"][0], before["starts_utc"]).as_py()
                rows = before if is_stored else pa.concat_tables([before, rows])
            store.write_table(ISSUED_MINUTES, rows, city, nowcast.day)
    return store.uri(NOWCAST_HOURS, city)


def read_latest(store: Store, city: City) -> tuple[NowcastRecord, pa.Table, Incidents] | None:
    """Return (record, `catalogue.NOWCAST_MINUTES`, incidents) of the latest nowcast; None without one."""
    if not store.exists(RECENT_INCIDENTS, city.name):
        return None
    incidents = Incidents.of_table(store.read_table(RECENT_INCIDENTS, city.name))
    return NowcastRecord.load(store, city.name), store.read_table(NOWCAST_MINUTES, city.name), incidents


def _dated(table: pa.Table, day: date) -> pa.Table:
    field = pa.field("date", pa.date32(), nullable=False)
    return table.add_column(0, field, pa.repeat(pa.scalar(day, pa.date32()), len(table)))
