"""The stored streets of a forecast: the record and files of a day, or the reason for none."""

import json
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, TypeAdapter

from shotspotter_assets.serving.columns import STREET_COLUMNS
from shotspotter_assets.storage.arrow_schema import arrow_schema
from shotspotter_assets.storage.file_names import RECORD_FILE, STREETS_FILE, STREETS_MAP_FILE, TOP_STREETS_FILE
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.store import Partition, Store

STREET_RISK: Final = "street_risk"
STREET_SCHEMA: Final = arrow_schema(STREET_COLUMNS, required=set(STREET_COLUMNS) - {"shift"})


class StreetRecord(BaseModel):
    """The stated facts of a forecast of streets; stored as `record.json`.

    Attributes:
        expected_alerts: on the ranked streets; with `expected_on_no_street` the sum over the cells.
        left_out: lines of the file that are no segments.
    """

    model_config = ConfigDict(frozen=True)

    city: str
    issue_date: date
    day: date
    segments: int
    kilometres: float
    expected_alerts: float
    expected_on_no_street: float
    left_out: tuple[str, ...]


class NoStreetRisk(BaseModel):
    """The reason for no ranking on a day; stored as `record.json`. `is_wrong`: the city's file of streets cannot be used."""

    model_config = ConfigDict(frozen=True)

    city: str
    issue_date: date
    no_streets: str
    is_wrong: bool = False


_RECORD: Final[TypeAdapter[StreetRecord | NoStreetRisk]] = TypeAdapter(StreetRecord | NoStreetRisk)


@dataclass(frozen=True)
class StreetForecast:
    """The ranked streets of one issue date.

    Attributes:
        table: of the day and of each shift, by segment (`STREET_SCHEMA`).
        top: the segments with the highest probability on the day, ranked, with reasons; `geojson` has their lines.
    """

    table: pa.Table
    top: pa.Table
    geojson: bytes
    record: StreetRecord

    @property
    def version(self) -> str:
        """A hash of the forecast, which the same days and streets give again."""
        columns = [column for table in (self.table, self.top) for column in table.combine_chunks().columns]
        return sha256(self.record.model_dump_json(), *(str(column.to_pylist()) for column in columns))[:16]

    def of_day(self) -> pa.Table:
        """The rows of the whole day."""
        return self.table.filter(pc.is_null(self.table["shift"]))


def streets_partition(city: str, issue_date: date) -> Partition:
    """The partition of the streets that were ranked from the forecast issued on a day."""
    return Partition(STREET_RISK, city, "date", issue_date)


def write_streets(store: Store, forecast: StreetForecast | NoStreetRisk) -> str:
    """Write the files of ranked streets, or why none are; returns where they are."""
    is_ranked = isinstance(forecast, StreetForecast)
    record = forecast.record if isinstance(forecast, StreetForecast) else forecast
    partition = streets_partition(record.city, record.issue_date)
    with store.alone(partition.asset, partition.city):
        if isinstance(forecast, StreetForecast):
            store.write_table(partition, TOP_STREETS_FILE, forecast.top)
            store.write_bytes(partition, STREETS_MAP_FILE, forecast.geojson)
            store.write_table(partition, STREETS_FILE, forecast.table)
        # The last write, as a record means that the other files are there.
        store.write_bytes(partition, RECORD_FILE, record.model_dump_json(indent=1).encode())
        for file in () if is_ranked else (STREETS_FILE, TOP_STREETS_FILE, STREETS_MAP_FILE):
            store.delete(partition, file)
    return store.uri(partition, STREETS_FILE if is_ranked else RECORD_FILE)


def find_streets_record(store: Store, city: str, issue_date: date) -> StreetRecord | NoStreetRisk | None:
    """The record of a day's ranked streets, or of the reason for none; None where the day was not made."""
    partition = streets_partition(city, issue_date)
    if not store.exists(partition, RECORD_FILE):
        return None
    return _RECORD.validate_json(store.read_bytes(partition, RECORD_FILE))


def read_streets(store: Store, city: str, issue_date: date) -> pa.Table | None:
    """The risk of a day's streets (`STREET_SCHEMA`); None where none are ranked, or not yet."""
    partition = streets_partition(city, issue_date)
    return store.read_table(partition, STREETS_FILE) if store.exists(partition, STREETS_FILE) else None


def top_street_lines(store: Store, city: str, issue_date: date) -> list[dict[str, Any]]:
    """The ranked segments of a day as GeoJSON features with reasons; empty where none are ranked."""
    partition = streets_partition(city, issue_date)
    if not store.exists(partition, STREETS_MAP_FILE):
        return []
    features: list[dict[str, Any]] = json.loads(store.read_bytes(partition, STREETS_MAP_FILE))["features"]
    return features
