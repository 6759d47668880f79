"""The stored streets of a forecast: the record and files of a day, or the reason for none."""

import json
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import pyarrow as pa

from shotspotter_assets.serving.columns import STREET_COLUMNS
from shotspotter_assets.serving.daily_record import DailyRecord
from shotspotter_assets.storage.arrow_schema import arrow_schema
from shotspotter_assets.storage.file_names import STREETS_FILE, STREETS_MAP_FILE, TOP_STREETS_FILE
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.store import Store

STREET_RISK: Final = "street_risk"
STREET_SCHEMA: Final = arrow_schema(STREET_COLUMNS, required=set(STREET_COLUMNS) - {"shift"})


class StreetRecord(DailyRecord):
    """The facts of the streets that were ranked on an issue date (`day`), or why none were; stored as `record.json`.

    Attributes:
        no_streets: the reason for no ranking; `is_wrong` if the city's file of streets cannot be used.
        expected_alerts: on the ranked streets; with `expected_on_no_street` the sum over the cells.
        left_out: lines of the file that are no segments.
    """

    asset = STREET_RISK

    no_streets: str = ""
    is_wrong: bool = False
    segments: int = 0
    expected_alerts: float = 0.0
    expected_on_no_street: float = 0.0
    left_out: tuple[str, ...] = ()


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


def write_streets(store: Store, forecast: StreetForecast | StreetRecord) -> str:
    """Write the files of ranked streets, or why none are; returns where the record is."""
    record = forecast.record if isinstance(forecast, StreetForecast) else forecast
    partition = StreetRecord.partition(record.city, record.day)
    with store.alone(partition.asset, partition.city):
        if isinstance(forecast, StreetForecast):
            store.write_table(partition, TOP_STREETS_FILE, forecast.top)
            store.write_bytes(partition, STREETS_MAP_FILE, forecast.geojson)
            store.write_table(partition, STREETS_FILE, forecast.table)
        else:
            for file in (STREETS_FILE, TOP_STREETS_FILE, STREETS_MAP_FILE):
                store.delete(partition, file)
        return record.write(store)


def read_streets(store: Store, city: str, issue_date: date) -> pa.Table | None:
    """The risk of a day's streets (`STREET_SCHEMA`); None where none are ranked, or not yet."""
    partition = StreetRecord.partition(city, issue_date)
    return store.read_table(partition, STREETS_FILE) if store.exists(partition, STREETS_FILE) else None


def top_street_lines(store: Store, city: str, issue_date: date) -> list[dict[str, Any]]:
    """The ranked segments of a day as GeoJSON features with reasons; empty where none are ranked."""
    partition = StreetRecord.partition(city, issue_date)
    if not store.exists(partition, STREETS_MAP_FILE):
        return []
    features: list[dict[str, Any]] = json.loads(store.read_bytes(partition, STREETS_MAP_FILE))["features"]
    return features
