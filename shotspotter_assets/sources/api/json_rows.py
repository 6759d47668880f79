"""From rows of JSON, as APIs return them, to `RAW_SCHEMA`: nested keys, missing keys, and stable row numbers."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, NamedTuple

import jmespath
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.calendar.local_time import today
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.source_settings import EPOCH_UNITS, PLAIN_KEY, ApiSource
from shotspotter_assets.sources.raw_rows import to_raw
from shotspotter_assets.sources.schema import RANKED, RAW_SCHEMA

Row = dict[str, Any]

ONE_DAY: Final = timedelta(days=1)


class AskedDays(NamedTuple):
    """Local days that are asked for, `first` to `last`, and the days `start` to `today` that a usable time can be on.

    Rows without a usable time are filed under the city's first day.
    """

    first: date
    last: date
    start: date
    today: date

    @classmethod
    def from_city(cls, city: City, first: date, last: date) -> "AskedDays":
        """With today's date on the city's clock."""
        return cls(first, last, city.start, today(city.zone))

    @property
    def with_unusable(self) -> bool:
        """Whether rows without a usable time are filed under one of the days."""
        return self.first <= self.start <= self.last

    def condition(self, field: str, literal: Callable[[date], str]) -> str:
        """Return the SQL condition on rows that may be filed under these days.

        The condition has one day more on each side, so that it holds in whatever zone the field is.

        Args:
            field: the field of the rows' time.
            literal: writes the beginning of a day as the field's type needs it.
        """
        condition = f"{field} >= {literal(self.first - ONE_DAY)} AND {field} < {literal(self.last + 2 * ONE_DAY)}"
        if self.with_unusable:
            before, after = literal(self.start + ONE_DAY), literal(self.today)
            condition = f"({condition}) OR {field} IS NULL OR {field} < {before} OR {field} >= {after}"
        return condition


def epoch_literal(time_format: str | None) -> Callable[[date], str] | None:
    """Return a function that writes the beginning of a day (UTC) as a number; None unless times are such numbers."""
    unit = EPOCH_UNITS.get(time_format or "")
    return None if unit is None else lambda day: str((day - date(1970, 1, 1)).days * 86_400 * unit)


def both(condition: str | None, other: str) -> str:
    """Join two SQL conditions, either of which may be missing."""
    return " AND ".join(f"({one})" for one in (condition, other) if one)


def to_raw_rows(rows: Sequence[Row], city: City, source: ApiSource, received_from: str, asked: AskedDays) -> pa.Table:
    """Return the rows that are filed under the days asked for, as `RAW_SCHEMA`, sorted by day.

    `received_row` is a row's rank within its day by `RANKED`, which is the same whatever the range and the paging.

    Raises:
        SourceError: see `raw_rows.to_raw`.
    """
    if not rows:
        return RAW_SCHEMA.empty_table()
    raw = _raw(rows, city, source, received_from, (asked.start, asked.today))
    # The whole row where a part of it could not be read, not only the columns that the city's file names.
    texts = [
        None if text is None else json.dumps(row, sort_keys=True)
        for text, row in zip(raw["as_received"].to_pylist(), rows, strict=True)
    ]
    raw = _with_column(raw, "as_received", pa.array(texts, pa.string()))
    raw = raw.filter((pc.field("date") >= asked.first) & (pc.field("date") <= asked.last))
    raw = raw.sort_by([(name, "ascending") for name in RANKED])
    dates = raw["date"].to_numpy().astype("datetime64[D]")
    return _with_column(
        raw, "received_row", pa.array(np.arange(len(dates)) - np.searchsorted(dates, dates), pa.int64())
    )


def day_of(row: Row, city: City, source: ApiSource, received_from: str) -> date:
    """Return the local day of one row, today at the latest; the city's first day for one without a readable time.

    Raises:
        SourceError: see `raw_rows.to_raw`.
    """
    now = today(city.zone)
    plausible = (city.start, now + 2 * ONE_DAY)  # the field may be in another zone than the city
    return min(_raw([row], city, source, received_from, plausible)["date"][0].as_py(), now)


def finder(path: str) -> Callable[[Any], Any]:
    """Return a function that looks up a plain key, or a JMESPath, in a row; it returns None where there is nothing."""
    if PLAIN_KEY.fullmatch(path):
        return lambda row: row.get(path) if isinstance(row, dict) else None
    return jmespath.compile(path).search


def top_level_keys(source: ApiSource) -> list[str]:
    """Return the top-level keys of a row that hold the columns of a source, each once."""
    return list(dict.fromkeys(path.split(".")[0].split("[")[0].strip('"') for path in source.columns.named().values()))


def _raw(rows: Sequence[Row], city: City, source: ApiSource, address: str, plausible: tuple[date, date]) -> pa.Table:
    finders = {path: finder(path) for path in source.columns.named().values()}
    table = pa.table({path: _column([find(row) for row in rows]) for path, find in finders.items()})
    return to_raw(table, 0, city, source, address, datetime.now(UTC), city.start, plausible)


def _column(values: list[Any]) -> pa.Array:
    """Return values as they are where they have one type, else as text; objects and lists as JSON."""
    try:
        column = pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        column = pa.nulls(0)
    if pa.types.is_string(column.type) or pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return column
    texts = [value if value is None or isinstance(value, str) else json.dumps(value) for value in values]
    return pa.array(texts, pa.string())


def _with_column(raw: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return raw.set_column(raw.schema.get_field_index(name), RAW_SCHEMA.field(name), values)
