"""Ranked streets as stored: the record and files of an issue date, or the reason for none."""

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
    """Facts of the streets ranked on an issue date, or the reason for none."""

    stored_as = STREETS_RECORD

    issue_date: date
    """Issue date of the forecast."""
    no_streets: str = ""
    """Reason for no ranked streets, or ""."""
    is_wrong: bool = False
    """True for an unusable file of streets."""
    segments: int = 0
    """Number of ranked segments."""
    expected_alerts: float = 0.0
    """Expected number of alerts on the segments on the forecast date."""
    expected_on_no_street: float = 0.0
    """Expected number of alerts on no street; with `expected_alerts` it adds up to the sum over the cells."""
    left_out: tuple[str, ...] = ()
    """Lines of the file that are no segments, in words."""


@dataclass(frozen=True)
class StreetForecast:
    """Files of ranked streets: `catalogue.STREETS`, `TOP_STREETS`, `STREETS_MAP` and the record."""

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
    if isinstance(forecast, StreetForecast):
        files = {TOP_STREETS: forecast.top, STREETS_MAP: forecast.geojson, STREETS: forecast.table}
        return forecast.record.write_after(store, files)
    with store.alone(STREETS.asset, forecast.city):
        for file in (STREETS, TOP_STREETS, STREETS_MAP):
            store.delete(file, forecast.city, forecast.issue_date)
        return forecast.write(store)


def top_street_lines(store: Store, city: str, issue_date: date) -> list[dict[str, Any]]:
    """Return the most probable segments as GeoJSON features with reasons; none without ranked streets."""
    if not store.exists(STREETS_MAP, city, issue_date):
        return []
    features: list[dict[str, Any]] = json.loads(store.read_bytes(STREETS_MAP, city, issue_date))["features"]
    return features
