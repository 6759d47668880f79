"""Nowcasts: risk of the next minutes and hours from stored days, newer alerts of the sources, and the live models."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from shotspotter_assets.alerts.cleaning import clean_alerts
from shotspotter_assets.alerts.days.day_decisions import day_decisions
from shotspotter_assets.alerts.days.day_table import Day, DayRows, DayTable
from shotspotter_assets.alerts.days.day_words import NO_WORDS
from shotspotter_assets.alerts.sources.alert_source import AlertSource
from shotspotter_assets.alerts.sources.schema import PUBLISHED, read_sources, rows_by_origin
from shotspotter_assets.alerts.sources.snapshot import source_reports
from shotspotter_assets.cities import local_time
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import ONE_DAY, day_start, days_between
from shotspotter_assets.forecasts.risk_tables import next_hours_table
from shotspotter_assets.forecasts.serving_record import ServingRecord, shown_mixes
from shotspotter_assets.forecasts.training import VALIDATION_DAYS
from shotspotter_assets.grid.dates import DAY_HOURS
from shotspotter_assets.grid.tensors import sparse_tensors
from shotspotter_assets.models.city_history import CityHistory, covered_mask
from shotspotter_assets.models.forecaster import FittedHourly
from shotspotter_assets.models.forecaster_registry import hourly_forecaster
from shotspotter_assets.models.history import HourlyHistory
from shotspotter_assets.models.next_hours.hourly_forecaster import forecast_from
from shotspotter_assets.models.next_hours.incident_points import Incidents, incident_columns, stored_alerts
from shotspotter_assets.models.next_hours.lift_table import MINUTES, LiftTable, forecast_minutes
from shotspotter_assets.models.trained_models import HOURLY_STACK, NEXT_MINUTES, TrainedModels
from shotspotter_assets.storage import catalogue
from shotspotter_assets.storage.fingerprints import day_fingerprints, sha256
from shotspotter_assets.storage.lineage import Lineage
from shotspotter_assets.storage.store import Store, dated, parquet_bytes, parquet_table
from shotspotter_assets.storage.stored_record import StoredRecord


class NowcastRecord(StoredRecord):
    """Facts of a nowcast."""

    stored_as = catalogue.NOWCAST_RECORD

    now: str = Field(description="Instant of the forecast, and start of its minutes (ISO 8601).")
    starts: str = Field(description="Start of the forecast hours (ISO 8601): end of the running hour.")
    models_from: date = Field(description="Issue date of the models.")
    alerts_since_midnight: int = Field(description="Number of alerts since local midnight.")
    incidents_last_hour: int = Field(description="Number of incidents that began in the last hour.")
    incidents: list[tuple[float, int, int]] = Field(description="Second since 1970, row, column; from yesterday on.")
    without_minutes: str = Field(description='Reason for no forecast of minutes, or "".')
    refitted_to: str = Field("", description='End of the hours of a refit (`retraining: hourly`), ISO 8601, or "".')


class RefittedHours(StoredRecord):
    """Models of hours that were fitted after the live models; they forecast until others serve."""

    stored_as = catalogue.REFITTED_HOURS

    models: str = Field(description="Version of the live models beside which they serve.")
    fitted_to: datetime = Field(description="End of the hours that they were fitted on.")
    files: dict[str, bytes] = Field(description="Files of the fitted stack of hours by name, as JSON.")

    @classmethod
    def fit(cls, record: ServingRecord, history: CityHistory, now: datetime) -> Self:
        """Fit the models on all hours that are over; raise HourlyHistoryError for too few, as a training does."""
        over = history.hourly(covered_mask(record.covered, history.city.shape)).until(now - timedelta(hours=1))
        cut = len(over) - min(VALIDATION_DAYS * DAY_HOURS, len(over) // 3)
        return cls(
            city=record.city,
            models=record.data_version,
            fitted_to=over.starts[len(over)].item().replace(tzinfo=UTC),
            files=hourly_forecaster(HOURLY_STACK).fit(over, range(cut), range(cut, len(over))).files(),
        )

    def beside(self, models: TrainedModels) -> TrainedModels:
        """Return the live models with these of hours; minutes keep their lifts, which are ratios to the hours."""
        hourly = {**models.hourly, HOURLY_STACK: hourly_forecaster(HOURLY_STACK).load(self.files)}
        return replace(models, hourly=hourly, refitted_to=self.fitted_to.isoformat())


class NoNowcastError(ValueError):
    """A nowcast that is not possible yet; the message gives the reason and the remedy."""


class UntilNow(NamedTuple):
    """History to now: the days to the current one, and the incidents of yesterday and today."""

    history: CityHistory
    alerts_since_midnight: int
    incidents: Incidents


@dataclass(frozen=True)
class Nowcast:
    """Risk of the next hours (`catalogue.NOWCAST_HOURS`) and minutes (`NOWCAST_MINUTES`, empty without models of minutes)."""

    hours: pa.Table
    minutes: pa.Table
    record: NowcastRecord

    @property
    def longest(self) -> pa.Table:
        """Rows of the longest hours."""
        return self.hours.filter(pc.equal(self.hours["hours"], pc.max(self.hours["hours"])))


@dataclass
class Nowcaster:
    """Nowcasts of one city in one process.

    `open_store` is called once an hour, so that the store may cache; `readers` opens the city's sources.
    """

    city: City
    open_store: Callable[[], Store]
    readers: Callable[[], Sequence[AlertSource]]
    clock: Callable[[], datetime] = field(default=lambda: local_time.now())  # noqa: PLW0108 - late, as tests shift it
    _loaded: tuple[str, Store, ServingRecord, TrainedModels] | None = field(default=None, init=False)
    """Shared by an hour's nowcasts; new models count from the next hour on."""

    def issue(self, last_inputs: str, *, refit: bool = False) -> tuple[Nowcast | None, str]:
        """Store a nowcast if rows changed or an hour began; return it and its inputs, else None and `last_inputs`.

        With `refit`, the models of hours are first fitted on all hours until now, and stored. Inputs are a hash of the
        sources' rows, and the hour; "" equals none. Raises SourceError if a source cannot be read, NoNowcastError without
        models of hours, or if the source has not reported the last days yet.
        """
        store, record, models = self._load(self.clock())
        days = days_to_read(store, self.city, self.clock())
        readers = self.readers()
        rows = read_sources(readers, days[0], days[-1])
        # The clock is read after the answer: rows that arrived during the request must not lie in the future.
        now = self.clock()
        inputs = f"{sha256(str(day_fingerprints(rows.select(PUBLISHED), days)))[:16]} {_hour_of(now)}"
        if inputs == last_inputs or now.astimezone(self.city.zone).date() != days[-1]:
            return None, last_inputs
        until_now = history_until(store, readers, self.city, now, days, rows)
        if refit:
            refitted = RefittedHours.fit(record, until_now.history, now)
            refitted.write(store)
            models = refitted.beside(models)
        nowcast = forecast_now(record, models, until_now, now)
        write_nowcast(store, self.city, nowcast)
        return nowcast, inputs

    def _load(self, now: datetime) -> tuple[Store, ServingRecord, TrainedModels]:
        if self._loaded is None or self._loaded[0] != _hour_of(now):
            store = self.open_store().of(self.city.target)
            record = record_in_force(store, self.city, now)
            is_same = self._loaded is not None and self._loaded[2].data_version == record.data_version
            models = self._loaded[3] if self._loaded is not None and is_same else record.loaded(store)
            refitted = RefittedHours.find_sound(store, self.city.name) if self.city.retraining == "hourly" else None
            if refitted is not None and refitted.models == record.data_version and refitted.fitted_to <= now:
                models = refitted.beside(models)
            self._loaded = (_hour_of(now), store, record, models)
        return self._loaded[1:]


def _hour_of(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H")


def record_in_force(store: Store, city: City, now: datetime) -> ServingRecord:
    """Return the latest record of past days; raise NoNowcastError without one."""
    today = now.astimezone(city.zone).date()
    record = ServingRecord.latest_before(store, city.name, today)
    if record is None:
        remedy = f"Materialize live_models for {city.name} first."
        raise NoNowcastError(f"City {city.name}: no live models before {today}. {remedy}")
    return record


def days_to_read(store: Store, city: City, now: datetime) -> list[date]:
    """Return the days to read from the sources: from the first that is not stored to the current one."""
    today = now.astimezone(city.zone).date()
    stored = store.days_present(catalogue.TENSORS, city.name)
    first = next(day for day in days_between(city.start, today) if day not in stored or day == today)
    return days_between(first, today)


def history_until(
    store: Store, readers: Sequence[AlertSource], city: City, now: datetime, days: list[date], rows: pa.Table
) -> UntilNow:
    """Return the history to now from stored days and `rows` (`RAW_SCHEMA`).

    Raises NoNowcastError if yesterday is not known.
    """
    instant = pa.scalar(now, pa.timestamp("us", "UTC"))
    alerts = [
        dated(cleaned.alerts.filter(pc.less_equal(cleaned.alerts["time_utc"], instant)), day)
        for day, cleaned in clean_alerts(rows, days, city).items()
    ]
    history = _stored_history_with(store, city, days, pa.concat_tables(alerts))
    recent = [incident_columns(table) for table in alerts[-2:]]
    yesterday = days[-1] - ONE_DAY
    if yesterday >= city.start:
        _require_known(store, readers, city, rows, yesterday)
        if len(alerts) == 1:
            recent.insert(0, stored_alerts(store, city, yesterday, yesterday))
    return UntilNow(history, alerts[-1].num_rows, Incidents.of_alerts(pa.concat_tables(recent), city))


def _stored_history_with(store: Store, city: City, days: list[date], alerts: pa.Table) -> CityHistory:
    """Return the history of the stored days and the contiguous `days` after them, whose cleaned alerts are given."""
    frames = [dated(table, day) for day, table in sparse_tensors(alerts, days, city).items()]
    first = days[0]
    unknown = frozenset[date]()
    lineage: Lineage = {}
    if first > city.start:
        stored = CityHistory.load(store, city, first - ONE_DAY, city.folds.first_used_day(first, city.start))
        frames.insert(0, stored.frames)
        first = stored.days[0]
        unknown = stored.unknown
        lineage = stored.lineage
    joined = pa.concat_tables([table.replace_schema_metadata(None) for table in frames])
    return CityHistory(city, days_between(first, days[-1]), joined, unknown=unknown, lineage=lineage)


def _require_known(store: Store, readers: Sequence[AlertSource], city: City, rows: pa.Table, yesterday: date) -> None:
    """Raise NoNowcastError if neither the table of days nor the sources' newest `rows` show that yesterday is known."""
    table = DayTable.read(store, city.name)
    if yesterday in table.days and table.days[yesterday].is_counted:
        return
    known_rows: dict[date, Day | DayRows] = dict(table.days)
    origins = rows_by_origin(rows)
    for group in rows.group_by("date").aggregate([("received_at", "min"), ([], "count_all")]).to_pylist():
        day = group["date"]
        known_rows[day] = DayRows(group["count_all"], group["received_at_min"], origins=origins.get(day, {}))
    reports = source_reports(city.site, readers, {}, day_start(yesterday + ONE_DAY, city.zone))
    decision = day_decisions(city, reports, NO_WORDS, known_rows, yesterday)[yesterday]
    if decision.state not in ("known", "silent"):
        raise NoNowcastError(
            f"City {city.name}: no next hours because {yesterday} is not known yet. {decision.why} Retry when the source has "
            "published it. risk_forecasts are issued up to a lead of publication.longest_lead "
            f"({city.publication.longest_lead} days)."
        )


def forecast_now(record: ServingRecord, models: TrainedModels, until_now: UntilNow, now: datetime) -> Nowcast:
    """Forecast the next minutes and hours; raise NoNowcastError without models of hours."""
    city = until_now.history.city
    if models.hours is None:
        raise NoNowcastError(f"City {city.name}: no next hours. {' '.join(dict.fromkeys(record.without.values()))}")
    history = until_now.history.hourly(covered_mask(record.covered, city.shape))
    starts, probability = forecast_from(models.hours, history, now)
    first_hour = int(np.searchsorted(history.starts, starts))
    mixes = shown_mixes(record, models, history, first_hour, max(models.hours.models))
    minutes = catalogue.NOWCAST_MINUTES.schema.empty_table()
    if models.minutes is not None:
        minutes = _minutes_table(models.hours, models.minutes, history, until_now.incidents, now)
    return Nowcast(
        next_hours_table(record, models, history, first_hour, probability, mixes),
        minutes,
        NowcastRecord(
            city=city.name,
            now=now.isoformat(timespec="milliseconds"),
            starts=f"{starts}Z",
            models_from=record.models_from,
            alerts_since_midnight=until_now.alerts_since_midnight,
            incidents_last_hour=len(until_now.incidents.within(now.timestamp() - 3600, np.inf)),
            incidents=until_now.incidents.points,
            without_minutes=record.without.get(NEXT_MINUTES, ""),
            refitted_to=models.refitted_to,
        ),
    )


def _minutes_table(
    hours: FittedHourly, minutes: LiftTable, history: HourlyHistory, incidents: Incidents, now: datetime
) -> pa.Table:
    """Return the rows of the next minutes of all lengths (`catalogue.NOWCAST_MINUTES`)."""
    forecast = forecast_minutes(hours, minutes, history, incidents, now)
    row, column = np.nonzero(history.in_coverage)
    values = {
        "horizon": np.repeat([f"{ahead}m" for ahead in MINUTES], len(row)),
        "starts_utc": [now] * (len(MINUTES) * len(row)),
        "minutes": np.repeat(MINUTES, len(row)),
        "row": np.tile(row, len(MINUTES)),
        "column": np.tile(column, len(MINUTES)),
    } | {name: array.ravel() for name, array in forecast._asdict().items()}
    return pa.table(values, schema=catalogue.NOWCAST_MINUTES.schema)


def write_nowcast(store: Store, city: City, nowcast: Nowcast) -> None:
    """Write the files of a nowcast, and add its minutes to those issued on its day."""
    with store.alone(catalogue.NOWCAST_HOURS.asset, city.name):
        store.write_table(catalogue.NOWCAST_HOURS, nowcast.hours, city.name)
        store.write_table(catalogue.NOWCAST_MINUTES, nowcast.minutes, city.name)
        if len(nowcast.minutes):
            today = datetime.fromisoformat(nowcast.record.now).astimezone(city.zone).date()
            rows = nowcast.minutes.select(catalogue.ISSUED_MINUTES.schema.names).cast(catalogue.ISSUED_MINUTES.schema)
            _add_minutes(store, city, rows, today)
        nowcast.record.write(store)


def _add_minutes(store: Store, city: City, rows: pa.Table, today: date) -> None:
    """Add rows of one instant to those of the day; a repeated run with a given `now` issues equal rows."""

    def added(earlier: pa.Table | None) -> bytes | None:
        is_stored = earlier is not None and pc.is_in(rows["starts_utc"][0], earlier["starts_utc"]).as_py()
        tables = [table for table in (earlier, rows) if table is not None]
        return None if is_stored else parquet_bytes(catalogue.ISSUED_MINUTES, pa.concat_tables(tables))

    store.update(catalogue.ISSUED_MINUTES, city.name, parquet_table, added, today)
