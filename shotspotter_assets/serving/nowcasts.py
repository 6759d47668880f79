"""Risk of the next hours from now: stored days, the source's alerts since, and the models in force."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field

from shotspotter_assets.calendar.local_time import days_between
from shotspotter_assets.cities.city import City
from shotspotter_assets.cleaning.alerts import clean_alerts
from shotspotter_assets.gridding.tensors import sparse_tensors
from shotspotter_assets.models.city_history import CityHistory, covered_mask
from shotspotter_assets.models.next_hours.forecaster import forecast_from
from shotspotter_assets.serving.record import ServingModels, ServingRecord
from shotspotter_assets.serving.risk_tables import next_hours_table, type_mixes
from shotspotter_assets.sources.day_states import day_states
from shotspotter_assets.sources.known_days import silent_at_end
from shotspotter_assets.sources.protocol import AlertSource
from shotspotter_assets.sources.receive import read_sources
from shotspotter_assets.storage.file_names import FORECAST_FILE, GRID_FILE, RECORD_FILE
from shotspotter_assets.storage.store import Partition, Store

NOWCASTS: Final = "nowcasts"


class NoHoursError(ValueError):
    """The next hours cannot be forecast for a city."""


class NowcastRecord(BaseModel):
    """What a nowcast states beside its table; stored as `record.json`."""

    model_config = ConfigDict(frozen=True, serialize_by_alias=True, validate_by_name=True, validate_by_alias=True)

    city: str
    now: str
    starts: str = Field(alias="from")
    """Instant from which is forecast: the end of the hour that is running."""
    models_from: date
    trust: dict[str, str] = {}
    """By horizon, which forecasters the combination trusts, in words."""
    alerts_since_midnight: int


@dataclass(frozen=True)
class Nowcast:
    """Risk of the next hours, `risk_forecasts.RISK_SCHEMA`, and stated facts."""

    table: pa.Table
    record: NowcastRecord

    @property
    def longest(self) -> pa.Table:
        return self.table.filter(pc.equal(self.table["hours"], pc.max(self.table["hours"])))

    @property
    def expected_cells(self) -> dict[str, float]:
        """Expected number of cells with an alert, by horizon."""
        by_horizon = self.table.group_by("horizon", use_threads=False).aggregate([("probability", "sum")])
        return dict(zip(*(column.to_pylist() for column in by_horizon.columns), strict=True))


def record_in_force(store: Store, city: City, now: datetime) -> ServingRecord:
    """The latest record of the days that are over.

    Raises:
        NoHoursError: there is none.
    """
    today = now.astimezone(city.zone).date()
    record = ServingRecord.latest_before(store, city.name, today)
    if record is None:
        raise NoHoursError(
            f"City {city.name}: no live models before {today}. Materialise live_models for {city.name} first."
        )
    return record


def history_until(store: Store, readers: Sequence[AlertSource], city: City, now: datetime) -> tuple[CityHistory, int]:
    """(days to now, alerts since midnight): stored days up to the first missing one, the rest read from the sources.

    Raises:
        NoHoursError: the source has not said yet what happened on the last days.
    """
    today = now.astimezone(city.zone).date()
    stored = store.days_present("grid_tensors", city.name, GRID_FILE)
    first = next(day for day in days_between(city.start, today) if day not in stored or day == today)
    days = days_between(first, today)
    instant = pa.scalar(now, pa.timestamp("us", "UTC"))
    rows = read_sources(readers, first, today)
    alerts = [
        _dated(cleaned.alerts.filter(pc.less_equal(cleaned.alerts["time_utc"], instant)), day)
        for day, cleaned in clean_alerts(rows, days, city).items()
    ]
    frames = [_dated(table, day) for day, table in sparse_tensors(pa.concat_tables(alerts), days, city).items()]
    if first > city.start:
        frames.insert(0, CityHistory.load_stored(store, city, first - timedelta(days=1)).frames)
    # The stored days' own, which tells the settings that they were made with.
    metadata = frames[0].schema.metadata
    joined = pa.concat_tables([table.replace_schema_metadata(metadata) for table in frames])
    until_now = CityHistory(city, days_between(city.start, today), joined)
    silent = silent_at_end(joined["date"], until_now.days)
    # The day that is running may well be without an alert so far.
    if silent and silent[0] < today:
        over = days_between(min(first, silent[0]), today - timedelta(days=1))
        is_over = pc.less(rows["date"], pa.scalar(today, pa.date32()))
        known = day_states(store, city, readers, rows.filter(is_over), over)
        unknown = sorted(day for day, state in known.states.items() if state == "unknown")
        if unknown:
            raise NoHoursError(
                f"City {city.name}: no next hours, as the days from {unknown[0]} on are not known yet. {known.why} Ask again "
                "when the source has published them; risk_forecasts are issued all the same, as far as "
                f"publication.longest_lead ({city.publication.longest_lead} days) lets them."
            )
    return until_now, alerts[-1].num_rows


def nowcast(
    record: ServingRecord, models: ServingModels, until_now: CityHistory, alerts: int, now: datetime
) -> Nowcast:
    """The next hours. The hour that is running counts with what it has had so far; forecast is from its end on.

    Args:
        record: in force.
        models: that it names.
        until_now: see `history_until`.
        alerts: since midnight.
        now: an instant with a zone.

    Raises:
        NoHoursError: the city has no models of hours.
    """
    city = until_now.city
    if models.hours is None:
        earlier = (
            f"The models of {record.hours_from} are of an earlier version; materialise live_models with `retrain` on."
        )
        raise NoHoursError(f"City {city.name}: no next hours. {' '.join(record.without.values()) or earlier}")
    history = until_now.hourly(covered_mask(record.covered, city.shape))
    starts, probability = forecast_from(models.hours, history, now)
    first_hour = int(np.searchsorted(history.starts, starts))
    mixes = type_mixes(models.types, history, first_hour, max(models.hours.models))
    return Nowcast(
        next_hours_table(record, models, history, first_hour, probability, mixes),
        NowcastRecord(
            city=city.name,
            now=now.isoformat(timespec="seconds"),
            starts=f"{starts}Z",
            models_from=record.hours_from,
            trust=models.hours.in_words,
            alerts_since_midnight=alerts,
        ),
    )


def write_nowcast(store: Store, nowcast: Nowcast) -> str:
    """Write the files of a nowcast; returns where its table is."""
    partition = Partition(NOWCASTS, nowcast.record.city)
    with store.alone(partition.asset, partition.city):
        store.write_bytes(partition, RECORD_FILE, nowcast.record.model_dump_json(indent=1).encode())
        store.write_table(partition, FORECAST_FILE, nowcast.table)
    return store.uri(partition, FORECAST_FILE)


def _dated(table: pa.Table, day: date) -> pa.Table:
    field = pa.field("date", pa.date32(), nullable=False)
    return table.add_column(0, field, pa.repeat(pa.scalar(day, pa.date32()), len(table)))
