"""Stored streets of a forecast: the record and files of a day, or the reason for none."""

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
    """Facts of the streets ranked on an issue date (`day`), or the reason for none (`no_streets`).

    `is_wrong` marks an unusable file of streets, `left_out` describes its lines that are no segments. `expected_alerts` and
    `expected_on_no_street` add up to the sum over the cells.
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
    """Ranked streets of an issue date, by day, shift and segment (`STREET_SCHEMA`).

    `top` ranks the day's most probable segments with reasons; `geojson` has their lines.
    """

    table: pa.Table
    top: pa.Table
    geojson: bytes
    record: StreetRecord

    @property
    def version(self) -> str:
        """Hash of the forecast, equal for equal days and streets."""
        columns = [column for table in (self.table, self.top) for column in table.combine_chunks().columns]
        return sha256(self.record.model_dump_json(), *(str(column.to_pylist()) for column in columns))[:16]


def write_streets(store: Store, forecast: StreetForecast | StreetRecord) -> str:
    """Write the files of ranked streets, or the reason for none; return the record's address."""
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
    """Read the risk of a day's streets (`STREET_SCHEMA`); None without ranked streets."""
    partition = StreetRecord.partition(city, issue_date)
    return store.read_table(partition, STREETS_FILE) if store.exists(partition, STREETS_FILE) else None


def top_street_lines(store: Store, city: str, issue_date: date) -> list[dict[str, Any]]:
    """Return a day's ranked segments as GeoJSON features with reasons; none without ranked streets."""
    partition = StreetRecord.partition(city, issue_date)
    if not store.exists(partition, STREETS_MAP_FILE):
        return []
    features: list[dict[str, Any]] = json.loads(store.read_bytes(partition, STREETS_MAP_FILE))["features"]
    return features
