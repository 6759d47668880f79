"""From a source's own columns to `RAW_SCHEMA`: what its times, points and numbers mean, and the day of each row."""

import json
from datetime import date, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.cities.local_time import local_dates, wall_clock_to_utc
from shotspotter_assets.cities.model import City
from shotspotter_assets.cities.sources import LandingSource
from shotspotter_assets.sources.landing_files import BROKEN
from shotspotter_assets.sources.protocol import SourceError
from shotspotter_assets.sources.schema import RAW_SCHEMA

ISO_WITH_ZONE = r":\d{2}(?:[.,]\d+)?\s*(?:[zZ]|UTC|[+-]\d{2}(?::?\d{2})?)\s*$"
"""A time of day followed by a zone; a date's last part must not be taken for one."""

READABLE = ("1900-01-01", "2200-01-01")
"""Wall-clock times outside cannot be converted and are no time of an alert."""


def to_raw(
    table: pa.Table,
    first_row: int,
    city: City,
    source: LandingSource,
    received_from: str,
    received_at: datetime,
    fallback: date,
    plausible: tuple[date, date],
) -> pa.Table:
    """Rows of one file as `RAW_SCHEMA`, in the file's order.

    A row whose local day is outside `plausible` (first and last day), or that has no readable time, is filed under
    `fallback`.

    Raises:
        SourceError: no time of the table has a zone, and the city's file does not say what such times mean.
    """
    columns = source.columns.named()
    time_utc = _instants(table[columns["time"]], first_row, city, source, received_from)
    longitude, latitude = (_numbers(table[columns[name]]) for name in ("longitude", "latitude"))
    unusable = pc.or_(pc.is_null(time_utc), pc.or_(pc.is_null(longitude), pc.is_null(latitude)))
    raw = pa.table(
        {
            "date": _filing_dates(time_utc, city, fallback, plausible),
            "time_utc": time_utc,
            "longitude": longitude,
            "latitude": latitude,
            "gunshot_type": _text(table, columns.get("gunshot_type")),
            "rounds": _whole_numbers(_optional(table, columns.get("rounds"))),
            "source_id": _text(table, columns.get("source_id")),
            "as_received": _as_received(table, unusable),
            "received_from": pa.repeat(received_from, table.num_rows),
            "received_row": pa.array(np.arange(first_row, first_row + table.num_rows)),
            "received_at": pa.repeat(pa.scalar(received_at, pa.timestamp("us", "UTC")), table.num_rows),
        }
    )
    return raw.cast(RAW_SCHEMA)


def _instants(
    column: pa.ChunkedArray, first_row: int, city: City, source: LandingSource, received_from: str
) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return column.cast(pa.timestamp("us", "UTC"), safe=False)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        wall = pd.Series(column.cast(pa.timestamp("us"), safe=False).to_pandas())
        has_zone = np.zeros(len(wall), dtype=bool)
        text = wall.astype(str)
        instants = pd.Series(pd.NaT, index=wall.index, dtype="datetime64[us, UTC]")
    else:
        text = pd.Series(column.cast(pa.string()).to_pandas(), dtype="str").str.strip()
        form = source.time_format or "ISO8601"
        if source.time_format is None:
            has_zone = text.str.contains(ISO_WITH_ZONE, regex=True, na=False).to_numpy(dtype=bool)
        else:
            has_zone = text.notna().to_numpy() & ("%z" in source.time_format.lower())
        instants = pd.to_datetime(text.where(has_zone), format=form, utc=True, errors="coerce").astype(
            "datetime64[us, UTC]"
        )
        wall = pd.to_datetime(text.where(~has_zone), format=form, errors="coerce").astype("datetime64[us]")
    wall = wall.where((wall >= READABLE[0]) & (wall < READABLE[1]))
    without_zone = wall.notna().to_numpy()
    if without_zone.any():
        if source.naive_times == "utc":
            instants = instants.where(~without_zone, wall.dt.tz_localize("UTC"))
        elif source.naive_times == "local":
            instants = instants.where(~without_zone, wall_clock_to_utc(wall, city.zone))
        elif not instants.notna().any():
            row = int(without_zone.argmax())
            raise SourceError(
                f"City {city.name}: {received_from}, row {first_row + row}: the time {text[row]!r} has no zone. Set "
                "source.naive_times in the city's file to local (the city's wall clock) or utc."
            )
    return pa.chunked_array([pa.Array.from_pandas(instants, type=pa.timestamp("us", "UTC"))])


def _filing_dates(
    time_utc: pa.ChunkedArray, city: City, fallback: date, plausible: tuple[date, date]
) -> pa.ChunkedArray:
    days = local_dates(time_utc, city.zone)
    first, last = (pa.scalar(day) for day in plausible)
    usable = pc.and_(pc.greater_equal(days, first), pc.less_equal(days, last))
    return pc.if_else(pc.fill_null(usable, False), days, pa.scalar(fallback))


def _numbers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Finite numbers as float64; anything else is null."""
    if pa.types.is_floating(column.type) or pa.types.is_integer(column.type) or pa.types.is_decimal(column.type):
        numbers = column.cast(pa.float64())
    else:
        values = pd.to_numeric(pd.Series(column.cast(pa.string()).to_pandas(), dtype="str"), errors="coerce")
        numbers = pa.chunked_array([pa.Array.from_pandas(values, type=pa.float64())])
    return pc.if_else(pc.fill_null(pc.is_finite(numbers), False), numbers, pa.scalar(None, pa.float64()))


def _whole_numbers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    numbers = _numbers(column)
    whole = pc.and_(pc.equal(numbers, pc.round(numbers)), pc.less(pc.abs(numbers), 2**31))
    return pc.if_else(whole, numbers, pa.scalar(None, pa.float64())).cast(pa.int32())


def _optional(table: pa.Table, name: str | None) -> pa.ChunkedArray:
    return table[name] if name is not None else pa.chunked_array([pa.nulls(table.num_rows, pa.string())])


def _text(table: pa.Table, name: str | None) -> pa.ChunkedArray:
    return _optional(table, name).cast(pa.string())


def _as_received(table: pa.Table, unusable: pa.ChunkedArray) -> pa.Array:
    texts: list[str | None] = [None] * table.num_rows
    at = np.flatnonzero(unusable.to_numpy())
    for row, values in zip(at, table.take(pa.array(at)).to_pylist(), strict=True):
        texts[row] = values.pop(BROKEN, None) or json.dumps(values, default=str)
    return pa.array(texts, pa.string())
