"""Stored forecasts: the record and files of a day, or the reason for no forecast."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, TypeAdapter

from shotspotter_assets.calendar.local_time import day_start
from shotspotter_assets.cities.city import City
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.serving.risk_tables import is_of_grid, next_day_rows
from shotspotter_assets.storage.file_names import FORECAST_FILE, HOURLY_FILE, MAP_FILE, RECORD_FILE, TOP_FILE
from shotspotter_assets.storage.store import Partition, Store

RISK_FORECASTS: Final = "risk_forecasts"


class ForecastRecord(BaseModel):
    """Stated facts of a forecast; stored as `record.json`."""

    model_config = ConfigDict(frozen=True)

    city: str
    issue_date: date
    day: date
    served: str
    models_from: date
    why_served: tuple[str, ...]
    expected_alerts: float
    """Sum over the cells of the day."""
    expected_alerts_low: float
    expected_alerts_high: float
    interval: str
    hours: str
    """Division of the day into hours, in words."""
    lead: int
    """Days from `last_known`, the last used day, to `day`."""
    last_known: date
    drivers: dict[str, tuple[str, ...]]
    """Phrases by "row,column" for the candidate's highest odds over the average cell's; empty without reasons."""
    issued_at: str
    replayed: bool = False
    """True for a forecast made after its day."""
    version: str
    """Hash of the forecast and its reasons, equal for equal days and models."""

    def cell_drivers(self) -> dict[tuple[int, int], tuple[str, ...]]:
        cells = (map(int, key.split(",")) for key in self.drivers)
        return {(row, column): reasons for (row, column), reasons in zip(cells, self.drivers.values(), strict=True)}


class NoForecast(BaseModel):
    """Reason for no forecast on a day, stored as `record.json`; `last_issued` is out of date."""

    model_config = ConfigDict(frozen=True)

    city: str
    issue_date: date
    day: date
    lead: int
    last_known: date
    no_forecast: str
    last_issued: date | None


IssueRecord = ForecastRecord | NoForecast
_ISSUE_RECORD: Final[TypeAdapter[IssueRecord]] = TypeAdapter(IssueRecord)


@dataclass(frozen=True)
class Forecast:
    """One issued forecast.

    Attributes:
        table: rows of the next day and hours, `RISK_SCHEMA` with a column for the candidate and each baseline.
        hourly: the day's alerts by hour, `risk_tables.HOURLY_SCHEMA`.
        top: the places with the highest risk, with reasons.
    """

    table: pa.Table
    hourly: pa.Table
    top: pa.Table
    geojson: bytes
    record: ForecastRecord


def is_over(day: date, city: City, now: datetime) -> bool:
    """Return True if a local day of the city has ended."""
    return now >= day_start(day + timedelta(days=1), city.zone)


def issued_already(store: Store, city: City, issue_date: date, now: datetime) -> ForecastRecord | None:
    """Return the issued forecast. None if it is missing, still open, replayed, or on an older grid."""
    partition = forecast_partition(city.name, issue_date)
    if not is_over(issue_date + timedelta(days=1), city, now) or not store.exists(partition, FORECAST_FILE):
        return None
    record = load_record(store, city.name, issue_date)
    fits = is_of_grid(store.read_table(partition, FORECAST_FILE, ["row"]), city)
    return record if isinstance(record, ForecastRecord) and fits and not record.replayed else None


def was_issued(store: Store, city: City, issue_date: date, now: datetime) -> bool:
    """Return True if a forecast was issued in time and its day is over, so that it stays, whatever its grid."""
    if not is_over(issue_date + timedelta(days=1), city, now):
        return False
    if not store.exists(forecast_partition(city.name, issue_date), FORECAST_FILE):
        return False
    record = load_record(store, city.name, issue_date)
    return isinstance(record, ForecastRecord) and not record.replayed


def forecast_partition(city: str, issue_date: date) -> Partition:
    """Return the partition of the forecast issued on a day."""
    return Partition(RISK_FORECASTS, city, "date", issue_date)


def write_forecast(store: Store, forecast: Forecast | NoForecast) -> str:
    """Write a forecast, or the reason for none instead of an earlier forecast; return the address."""
    record = forecast.record if isinstance(forecast, Forecast) else forecast
    partition = forecast_partition(record.city, record.issue_date)
    with store.alone(partition.asset, partition.city):
        is_none = isinstance(forecast, NoForecast)
        for file in (FORECAST_FILE, HOURLY_FILE, TOP_FILE, MAP_FILE) if is_none else (FORECAST_FILE,):
            store.delete(partition, file)
        store.write_bytes(partition, RECORD_FILE, record.model_dump_json(indent=1).encode())
        if isinstance(forecast, Forecast):
            store.write_table(partition, HOURLY_FILE, forecast.hourly)
            store.write_table(partition, TOP_FILE, forecast.top)
            store.write_bytes(partition, MAP_FILE, forecast.geojson)
            # The last write, as a table means that the forecast is complete.
            store.write_table(partition, FORECAST_FILE, forecast.table)
    return store.uri(partition, FORECAST_FILE if isinstance(forecast, Forecast) else RECORD_FILE)


def withheld(store: Store, stored: CityHistory, why: str = "") -> NoForecast:
    """Return the record of a day without a forecast, by default for a last known day too long ago."""
    city, issue_date = stored.city, stored.issue_date
    issued = [day for day in store.days_present(RISK_FORECASTS, city.name, FORECAST_FILE) if day < issue_date]
    return NoForecast(
        city=city.name,
        issue_date=issue_date,
        day=issue_date + timedelta(days=1),
        lead=stored.lead,
        last_known=stored.last_known,
        no_forecast=f"No forecast is issued. {why or stored.lateness}",
        last_issued=max(issued, default=None),
    )


def load_record(store: Store, city: str, issue_date: date) -> IssueRecord:
    """Return the record of a day's forecast, or of the reason for none; raise MissingObjectError without one."""
    return _ISSUE_RECORD.validate_json(store.read_bytes(forecast_partition(city, issue_date), RECORD_FILE))


def next_day_forecasts(store: Store, city: City, first: date, last: date) -> dict[date, pa.Table]:
    """Return the next-day rows of issued forecasts from `first` to `last`, by forecast day, without those of older grids."""
    one = timedelta(days=1)
    issued = store.days_present(RISK_FORECASTS, city.name, FORECAST_FILE)
    tables = {
        issue_date: store.read_table(forecast_partition(city.name, issue_date), FORECAST_FILE)
        for issue_date in sorted(issued)
        if first - one <= issue_date <= last - one
    }
    return {issue_date + one: next_day_rows(table) for issue_date, table in tables.items() if is_of_grid(table, city)}
