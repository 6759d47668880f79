"""Stored forecasts: the record and files of a day, or the reason for none, and the facts and rows in a table of them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, Field, TypeAdapter

from shotspotter_assets.alerts.days.day_table import DayTable
from shotspotter_assets.cities import local_time
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import ONE_DAY, day_start, days_between
from shotspotter_assets.cities.stored_settings import GRID, grid_settings
from shotspotter_assets.storage.arrays import Array
from shotspotter_assets.storage.catalogue import FORECAST, FORECAST_RECORD, HOURLY, RISK_MAP, TOP_LOCATIONS
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.progress import steps
from shotspotter_assets.storage.store import Store, parquet_bytes
from shotspotter_assets.storage.stored_record import StoredRecord
from shotspotter_assets.storage.wording import number_of

NEXT_DAY_HORIZON: Final = "day"
CANDIDATE_COLUMN: Final = "candidate"  # column of the candidate's probability, served or not, for its scores
MODEL_PREFIX: Final = "model_"  # prefix of columns with the probability of a model
SHADOW: Final = "shadow"  # column of the shadow's probability, for its scores, and metadata key of its name
LEAD: Final = "lead"  # metadata key
TOTAL: Final = "total_interval"  # metadata key of `DayTotal`
REPLAYED: Final = "replayed"  # metadata key of forecasts after their day


class IssuedVersion(BaseModel, frozen=True, extra="forbid"):
    """One version of a forecast that was stored before a later one replaced it."""

    issued_at: str = Field(description="Instant of the version (ISO 8601, UTC).")
    lead: int = Field(description="Days from `last_known` to the forecast date.")
    last_known: date = Field(description="Last day whose data were used.")
    expected_alerts: float = Field(description="Expected number of alerts on the forecast date, in all cells.")
    version: str = Field(description="Hash of the forecast and its reasons.")
    table_sha256: str = Field("", description="SHA-256 of `forecast.parquet` as written.")


class _Issue(StoredRecord):
    """Facts of an issue date: a forecast, or the reason for none."""

    stored_as = FORECAST_RECORD

    issue_date: date = Field(description="Day before the forecast date, whose data at most are used.")
    forecast_date: date = Field(description="Local day after the issue date.")
    lead: int = Field(description="Days from `last_known` to `forecast_date`.")
    last_known: date = Field(description="Last day whose data were used.")
    missing: tuple[date, ...] = Field(
        (), description="Days of the history, to the last awaited one, without known data."
    )
    data: str = Field("", description="Known days and recent missing days, in words.")
    earlier: tuple[IssuedVersion, ...] = Field((), description="Versions that were issued before, in order.")


class ForecastRecord(_Issue):
    """Facts of a forecast."""

    served: str = Field(description="Forecaster of the next day.")
    models_from: date = Field(description="Issue date of the models.")
    why_served: tuple[str, ...] = Field(description="Sentences of the serving record.")
    expected_alerts: float = Field(description="Expected number of alerts on the forecast date, in all cells.")
    expected_alerts_low: float = Field(description="Lower end of the 80% interval of the number of alerts.")
    expected_alerts_high: float = Field(description="Upper end of that interval.")
    interval: str = Field(description="Meaning of the intervals, in words.")
    hours: str = Field(description="Division of the day into hours, in words.")
    types: str = Field(description="Forecaster of the kinds of gunfire, or the reason why none are shown, in words.")
    drivers: dict[str, tuple[str, ...]] = Field(description="Phrases for the highest odds, by row and column.")
    shadow: str = Field(
        "", description="Forecaster in the shadow, or why it was not forecast, in words; empty without one."
    )
    issued_at: str = Field(description="Instant of the forecast (ISO 8601, UTC).")
    replayed: bool = Field(False, description="True for a forecast after its day.")
    version: str = Field(description="Hash of the forecast and its reasons, equal for equal days and models.")
    grid: str = Field("", description="Hash of box, cells and counted events.")
    table_sha256: str = Field("", description="SHA-256 of `forecast.parquet` as written.")
    written_at: str = Field("", description="Instant of writing (ISO 8601, UTC).")
    made_by: dict[str, str] = Field({}, description="Hashes of models, settings and code, and the last training's day.")

    @property
    def versions(self) -> tuple[IssuedVersion, ...]:
        """All issued versions in order, the one of this record last; none of a replayed forecast."""
        if self.replayed:
            return self.earlier
        return *self.earlier, IssuedVersion(**self.model_dump(include=set(IssuedVersion.model_fields)))

    def cell_drivers(self) -> dict[tuple[int, int], tuple[str, ...]]:
        """Return `drivers` by (row, column)."""
        drivers = {}
        for key, reasons in self.drivers.items():
            row, column = map(int, key.split(","))
            drivers[row, column] = reasons
        return drivers


class NoForecast(_Issue):
    """Reason for no forecast."""

    no_forecast: str = Field(description="Sentences.")
    last_issued: date | None = Field(description="Issue date of the forecast before.")


IssueRecord = ForecastRecord | NoForecast
DayState = Literal["issued", "late", "replayed", "withheld", "missing"]
IN_SERVICE: Final = ("issued", "late")  # states of days whose forecast could be used on the day
REPEATED: Final = ("version", "table_sha256", "made_by", "replayed")  # fields that are equal for a repeated version
ISSUE_RECORD: Final[TypeAdapter[IssueRecord]] = TypeAdapter(IssueRecord)


@dataclass(frozen=True)
class Forecast:
    """Files of one issued forecast: `catalogue.FORECAST`, `HOURLY`, `TOP_LOCATIONS`, `RISK_MAP` and the record."""

    table: pa.Table
    hourly: pa.Table
    top: pa.Table
    geojson: bytes
    record: ForecastRecord


def day_state(record: IssueRecord | None, zone: ZoneInfo) -> DayState:
    """Return how a day was forecast: before it began, after that, after it ended, not for a stated reason, or not at all."""
    if record is None:
        return "missing"
    if isinstance(record, NoForecast):
        return "withheld"
    is_late = datetime.fromisoformat(record.issued_at) >= day_start(record.forecast_date, zone)
    return "replayed" if record.replayed else "late" if is_late else "issued"


def day_states(store: Store, city: City, first: date, last: date) -> dict[date, DayState]:
    """Return how each day from `first` to `last` was forecast; a damaged record counts as none."""
    stored = store.days_present(FORECAST_RECORD, city.name, first - ONE_DAY, last - ONE_DAY)
    return {
        day: day_state(find_record(store, city.name, day - ONE_DAY) if day - ONE_DAY in stored else None, city.zone)
        for day in days_between(first, last)
    }


def grid_version(city: City) -> str:
    """Return the hash of box, cells and counted events by which a forecast fits the city's file."""
    return sha256(grid_settings(city))[:16]


def is_over(day: date, zone: ZoneInfo, now: datetime) -> bool:
    """Return True if a local day has ended."""
    return now >= day_start(day + ONE_DAY, zone)


def issued_record(store: Store, city: City, issue_date: date, now: datetime) -> ForecastRecord | None:
    """Return the record of a forecast that stays as issued.

    A forecast that was issued before its day stays once that day has begun, a later one once its day is over. None if
    the forecast is missing, damaged, still open, replayed, or on an older grid.
    """
    begins = day_start(issue_date + ONE_DAY, city.zone)
    if now < begins or not store.exists(FORECAST, city.name, issue_date):
        return None
    record = find_record(store, city.name, issue_date)
    if not isinstance(record, ForecastRecord) or record.replayed or record.grid != grid_version(city):
        return None
    stays = day_state(record, city.zone) == "issued" or is_over(record.forecast_date, city.zone, now)
    return record if stays else None


def issued_on_grid(store: Store, city: City, issue_date: date, now: datetime) -> ForecastRecord | None:
    """Return `issued_record`; None for one whose table is damaged or on an older grid."""
    record = issued_record(store, city, issue_date, now)
    table = None if record is None else store.find_sound_table(FORECAST, city.name, issue_date, ["row"])
    return record if table is not None and is_of_grid(table, city) else None


def content_version(reasons: Sequence[str], tables: Sequence[pa.Table]) -> str:
    """Return a hash of the values of tables and of sentences, equal for equal contents."""
    columns = [str(column.to_pylist()) for table in tables for column in table.columns]
    return sha256("".join([*reasons, *columns]))[:16]


def write_forecast(store: Store, forecast: Forecast | NoForecast) -> str:
    """Write a forecast, or the reason for none instead of an earlier forecast; return the address."""
    record = forecast.record if isinstance(forecast, Forecast) else forecast
    table = parquet_bytes(FORECAST, forecast.table) if isinstance(forecast, Forecast) else b""
    city = record.city
    issue_date = record.issue_date
    with store.alone(FORECAST.asset, city):
        if isinstance(record, ForecastRecord):
            written_at = local_time.now().isoformat(timespec="seconds")
            record = record.model_copy(update={"table_sha256": sha256(table), "written_at": written_at})
        record = _after_earlier(store, record)
        store.delete(FORECAST, city, issue_date)
        path = record.write(store)
        if isinstance(forecast, NoForecast):
            for file in (HOURLY, TOP_LOCATIONS, RISK_MAP):
                store.delete(file, city, issue_date)
            return path
        store.write_table(HOURLY, forecast.hourly, city, issue_date)
        store.write_table(TOP_LOCATIONS, forecast.top, city, issue_date)
        store.write_bytes(RISK_MAP, forecast.geojson, city, issue_date)
        # The last write, as a table means that the forecast is complete.
        store.write_bytes(FORECAST, table, city, issue_date)
    return store.uri(FORECAST, city, issue_date)


def _after_earlier(store: Store, record: IssueRecord) -> IssueRecord:
    """Return a record with the versions issued before it; a repeated version keeps its instant."""
    before = find_record(store, record.city, record.issue_date)
    if before is None:
        return record
    if isinstance(before, NoForecast):
        return record.model_copy(update={"earlier": before.earlier})
    if isinstance(record, ForecastRecord) and all(getattr(record, name) == getattr(before, name) for name in REPEATED):
        times = {"issued_at": before.issued_at, "written_at": before.written_at}
        return record.model_copy(update={"earlier": before.earlier, **times})
    return record.model_copy(update={"earlier": before.versions})


def why_none_issued(store: Store, city: City) -> str:
    """Return why no forecast of a target was ever issued, in words."""
    table = DayTable.read(store, city.name)
    last = table.last_counted(date.max)
    held_back = table.in_state("held_back")
    if last is None and held_back:
        newest = max(held_back)
        return f"No day counts yet: {number_of(len(held_back), 'day')} held back, the last {newest}: {held_back[newest].why}"
    if last is not None and last < city.first_issue_date:
        return (
            f"Forecasts begin with the {city.event}s of {city.first_issue_date} (`first_forecast` in the city's file)."
        )
    return f"No forecast of {city.target} has been made yet. The next daily run trains its models, or a run by hand."


def load_record(store: Store, city: str, issue_date: date) -> IssueRecord:
    """Return the record of a forecast, or of the reason for none; raise MissingObjectError without one."""
    return store.read_json(FORECAST_RECORD, ISSUE_RECORD.validate_json, city, issue_date)


def find_record(store: Store, city: str, issue_date: date) -> IssueRecord | None:
    """Return the record of a forecast, or of the reason for none; None without one, or if it is damaged."""
    return store.read_index(FORECAST_RECORD, city, ISSUE_RECORD.validate_json, issue_date)


def next_day_forecasts(
    store: Store, city: City, first: date, last: date, columns: Sequence[str] | None = None
) -> dict[date, pa.Table]:
    """Return the next-day rows of sound forecasts for `first` to `last`, by forecast date, without those on older grids.

    With `columns`, only these are read.
    """
    issued = sorted(store.days_present(FORECAST, city.name, first - ONE_DAY, last - ONE_DAY))
    tables = {
        issue_date + ONE_DAY: store.find_sound_table(FORECAST, city.name, issue_date, columns)
        for issue_date in steps("day", issued, "reading forecasts")
    }
    return {
        forecast_date: next_day_rows(table)
        for forecast_date, table in tables.items()
        if table is not None and is_of_grid(table, city)
    }


class DayTotal(NamedTuple):
    """Facts of the number of alerts in all cells on the day, named like columns of `catalogue.FOLD_COUNTS`."""

    total_low: float  # ends of the 80% interval
    total_high: float
    factor_variance: float  # of the factor that all cells share (`CountDistribution.total`)
    year_mean: float  # `alert_counts.year_reference`; NaN without an earlier known day
    year_size: float


def with_facts(table: pa.Table, city: City, lead: int, total: DayTotal, replayed: bool) -> pa.Table:
    """Return a forecast with its facts."""
    facts = {
        GRID: grid_settings(city),
        LEAD: str(lead),
        TOTAL: json.dumps(total),
    }
    return table.replace_schema_metadata(facts | ({REPLAYED: "true"} if replayed else {}))


def with_shadow_column(table: pa.Table, name: str, probability: Array) -> pa.Table:
    """Return a forecast with the probabilities of the shadow, shape (cells,), in the next day's rows."""
    is_next_day = pc.equal(table["horizon"], NEXT_DAY_HORIZON)
    column = pc.replace_with_mask(
        pa.nulls(len(table), pa.float64()), is_next_day.combine_chunks(), pa.array(probability)
    )
    facts = {**table.schema.metadata, SHADOW: name}
    return table.append_column(SHADOW, column).replace_schema_metadata(facts)


def shadow_of(forecast: pa.Table) -> str:
    """Return the name of the forecaster in the shadow; "" without one."""
    return str((forecast.schema.metadata or {}).get(SHADOW.encode(), b"").decode())


def next_day_rows(forecast: pa.Table) -> pa.Table:
    """Return the next day's rows of a forecast."""
    return forecast.filter(pc.equal(forecast["horizon"], NEXT_DAY_HORIZON))


def lead_of(forecast: pa.Table) -> int:
    """Return the lead of a forecast in days."""
    return int((forecast.schema.metadata or {}).get(LEAD.encode(), 1))


def total_of(forecast: pa.Table) -> DayTotal:
    """Return the facts of the number of alerts in all cells on the day."""
    return DayTotal(*json.loads(forecast.schema.metadata[TOTAL.encode()]))


def is_of_grid(forecast: pa.Table, city: City) -> bool:
    """Return True if a forecast has the city's present box and cells, and the target's present events."""
    stored = json.loads((forecast.schema.metadata or {}).get(GRID.encode(), b"{}"))
    return bool(stored == json.loads(grid_settings(city)))


def is_replayed(forecast: pa.Table) -> bool:
    """Return True if a forecast was computed after its day."""
    return REPLAYED.encode() in (forecast.schema.metadata or {})
