"""Stored forecasts: the record and files of a day, or the reason for no forecast."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

import pyarrow as pa
from pydantic import TypeAdapter

from shotspotter_assets.calendar.local_time import day_start
from shotspotter_assets.cities.city import City
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.serving.risk_tables import is_of_grid, next_day_rows
from shotspotter_assets.storage.catalogue import FORECAST, FORECAST_RECORD, HOURLY, RISK_MAP, TOP_LOCATIONS
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_record import StoredRecord


class _Issue(StoredRecord):
    """Facts of an issue date: a forecast, or the reason for none."""

    stored_as = FORECAST_RECORD

    issue_date: date
    forecast_date: date
    lead: int
    """Days from `last_known`, the last used day, to `forecast_date`."""
    last_known: date


class ForecastRecord(_Issue):
    """Facts of a forecast."""

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


class NoForecast(_Issue):
    """Reason for no forecast; `last_issued` is the issue date of the one before."""

    no_forecast: str
    last_issued: date | None


IssueRecord = ForecastRecord | NoForecast
_RECORD: Final[TypeAdapter[IssueRecord]] = TypeAdapter(IssueRecord)


@dataclass(frozen=True)
class Forecast:
    """One issued forecast.

    Attributes:
        table: rows of the next day and hours, `catalogue.FORECAST` with a column for the candidate and each baseline.
        hourly: the day's alerts by hour, `catalogue.HOURLY`.
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
    if not is_over(issue_date + timedelta(days=1), city, now) or not store.exists(FORECAST, city.name, issue_date):
        return None
    record = load_record(store, city.name, issue_date)
    fits = is_of_grid(store.read_table(FORECAST, city.name, issue_date, ["row"]), city)
    return record if isinstance(record, ForecastRecord) and fits and not record.replayed else None


def was_issued(store: Store, city: City, issue_date: date, now: datetime) -> bool:
    """Return True if a forecast was issued in time and its day is over, so that it stays, whatever its grid."""
    if not is_over(issue_date + timedelta(days=1), city, now):
        return False
    if not store.exists(FORECAST, city.name, issue_date):
        return False
    record = load_record(store, city.name, issue_date)
    return isinstance(record, ForecastRecord) and not record.replayed


def write_forecast(store: Store, forecast: Forecast | NoForecast) -> str:
    """Write a forecast, or the reason for none instead of an earlier forecast; return the address."""
    record = forecast.record if isinstance(forecast, Forecast) else forecast
    place = record.city, record.issue_date
    with store.alone(FORECAST.asset, record.city):
        is_none = isinstance(forecast, NoForecast)
        for file in (FORECAST, HOURLY, TOP_LOCATIONS, RISK_MAP) if is_none else (FORECAST,):
            store.delete(file, *place)
        path = record.write(store)
        if isinstance(forecast, Forecast):
            store.write_table(HOURLY, forecast.hourly, *place)
            store.write_table(TOP_LOCATIONS, forecast.top, *place)
            store.write_bytes(RISK_MAP, forecast.geojson, *place)
            # The last write, as a table means that the forecast is complete.
            store.write_table(FORECAST, forecast.table, *place)
            path = store.uri(FORECAST, *place)
    return path


def withheld(store: Store, stored: CityHistory, why: str = "") -> NoForecast:
    """Return the record of a day without a forecast, by default for a last known day too long ago."""
    city, issue_date = stored.city, stored.issue_date
    issued = store.days_present(FORECAST, city.name, last=issue_date - timedelta(days=1))
    return NoForecast(
        city=city.name,
        issue_date=issue_date,
        forecast_date=issue_date + timedelta(days=1),
        lead=stored.lead,
        last_known=stored.last_known,
        no_forecast=f"No forecast is issued. {why or stored.lateness}",
        last_issued=max(issued, default=None),
    )


def load_record(store: Store, city: str, issue_date: date) -> IssueRecord:
    """Return the record of a day's forecast, or of the reason for none; raise MissingObjectError without one."""
    return _RECORD.validate_json(store.read_bytes(FORECAST_RECORD, city, issue_date))


def next_day_forecasts(store: Store, city: City, first: date, last: date) -> dict[date, pa.Table]:
    """Return the next-day rows of issued forecasts from `first` to `last`, by forecast day, without those of older grids."""
    one = timedelta(days=1)
    tables = {
        issue_date: store.read_table(FORECAST, city.name, issue_date)
        for issue_date in sorted(store.days_present(FORECAST, city.name, first - one, last - one))
    }
    return {issue_date + one: next_day_rows(table) for issue_date, table in tables.items() if is_of_grid(table, city)}
