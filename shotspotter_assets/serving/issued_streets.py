"""Stored streets of a forecast: the record and files of a day, or the reason for none."""

import json
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa

from shotspotter_assets.storage.catalogue import STREETS, STREETS_MAP, STREETS_RECORD, TOP_STREETS
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_record import StoredRecord


class StreetRecord(StoredRecord):
    """Facts of the streets ranked on an issue date, or the reason for none (`no_streets`).

    `is_wrong` marks an unusable file of streets, `left_out` describes its lines that are no segments. `expected_alerts` and
    `expected_on_no_street` add up to the sum over the cells.
    """

    stored_as = STREETS_RECORD

    issue_date: date
    no_streets: str = ""
    is_wrong: bool = False
    segments: int = 0
    expected_alerts: float = 0.0
    expected_on_no_street: float = 0.0
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class StreetForecast:
    """Ranked streets of an issue date, by day, shift and segment (`catalogue.STREETS`).

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
    place = record.city, record.issue_date
    with store.alone(STREETS.asset, record.city):
        if isinstance(forecast, StreetForecast):
            store.write_table(TOP_STREETS, forecast.top, *place)
            store.write_bytes(STREETS_MAP, forecast.geojson, *place)
            store.write_table(STREETS, forecast.table, *place)
        else:
            for file in (STREETS, TOP_STREETS, STREETS_MAP):
                store.delete(file, *place)
        return record.write(store)


def read_streets(store: Store, city: str, issue_date: date) -> pa.Table | None:
    """Read the risk of a day's streets (`catalogue.STREETS`); None without ranked streets."""
    return store.read_table(STREETS, city, issue_date) if store.exists(STREETS, city, issue_date) else None


def top_street_lines(store: Store, city: str, issue_date: date) -> list[dict[str, Any]]:
    """Return a day's ranked segments as GeoJSON features with reasons; none without ranked streets."""
    if not store.exists(STREETS_MAP, city, issue_date):
        return []
    features: list[dict[str, Any]] = json.loads(store.read_bytes(STREETS_MAP, city, issue_date))["features"]
    return features
