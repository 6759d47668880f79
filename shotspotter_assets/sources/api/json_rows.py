"""From rows of JSON, as APIs return them, to `RAW_SCHEMA`: nested keys, missing keys, and stable row numbers."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import jmespath
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.calendar.local_time import today
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.source_settings import PLAIN_KEY, ApiSource
from shotspotter_assets.sources.raw_rows import to_raw
from shotspotter_assets.sources.schema import RAW_SCHEMA
from shotspotter_assets.storage.fingerprints import day_fingerprints

Row = dict[str, Any]

ORDER = ("date", "time_utc", "source_id", "longitude", "latitude", "gunshot_type", "rounds", "as_received")
"""How the rows of a day are sorted. Rows that are equal in all of these are interchangeable."""

ONE_DAY = timedelta(days=1)


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
        """The condition, in SQL, on rows that may be filed under these days.

        It has one day more on each side, so that it holds in whatever zone the field is.

        Args:
            field: the field of the rows' time.
            literal: writes the beginning of a day as the field's type needs it.
        """
        condition = f"{field} >= {literal(self.first - ONE_DAY)} AND {field} < {literal(self.last + 2 * ONE_DAY)}"
        if self.with_unusable:
            before, after = literal(self.start + ONE_DAY), literal(self.today)
            condition = f"({condition}) OR {field} IS NULL OR {field} < {before} OR {field} >= {after}"
        return condition


def to_raw_rows(rows: Sequence[Row], city: City, source: ApiSource, received_from: str, asked: AskedDays) -> pa.Table:
    """The rows that are filed under the days asked for, as `RAW_SCHEMA`, sorted by day.

    `received_row` is a row's rank within its day by `ORDER`, which is the same whatever the range and the paging.

    Raises:
        SourceError: see `raw_rows.to_raw`.
    """
    if not rows:
        return RAW_SCHEMA.empty_table()
    table = pa.table({path: _column([find(row) for row in rows]) for path, find in _finders(source).items()})
    raw = to_raw(table, 0, city, source, received_from, datetime.now(UTC), city.start, (asked.start, asked.today))
    raw = raw.set_column(raw.schema.get_field_index("as_received"), RAW_SCHEMA.field("as_received"), _texts(raw, rows))
    days = raw["date"]
    raw = raw.filter(
        pc.and_(pc.greater_equal(days, pa.scalar(asked.first)), pc.less_equal(days, pa.scalar(asked.last)))
    )
    raw = raw.sort_by([(name, "ascending") for name in ORDER])
    dates = raw["date"].to_numpy().astype("datetime64[D]")
    ranks = np.arange(len(dates)) - np.searchsorted(dates, dates)
    return raw.set_column(
        raw.schema.get_field_index("received_row"), RAW_SCHEMA.field("received_row"), pa.array(ranks, pa.int64())
    )


def day_of(row: Row, city: City, source: ApiSource, received_from: str) -> date:
    """The local day of one row, today at the latest; the city's first day for one without a readable time.

    Raises:
        SourceError: see `raw_rows.to_raw`.
    """
    table = pa.table({path: _column([find(row)]) for path, find in _finders(source).items()})
    now = today(city.zone)
    plausible = (city.start, now + 2 * ONE_DAY)  # the field may be in another zone than the city
    raw = to_raw(table, 0, city, source, received_from, datetime.now(UTC), city.start, plausible)
    return min(raw["date"][0].as_py(), now)


def finder(path: str) -> Callable[[Any], Any]:
    """A function that looks up a plain key, or a JMESPath, in a row; it returns None where there is nothing."""
    if PLAIN_KEY.fullmatch(path):
        return lambda row: row.get(path) if isinstance(row, dict) else None
    return jmespath.compile(path).search


def top_level_keys(source: ApiSource) -> list[str]:
    """The top-level keys of a row that hold the columns of a source, each once."""
    return list(dict.fromkeys(path.split(".")[0].split("[")[0].strip('"') for path in source.columns.named().values()))


def _finders(source: ApiSource) -> dict[str, Callable[[Any], Any]]:
    return {path: finder(path) for path in source.columns.named().values()}


def _column(values: list[Any]) -> pa.Array:
    """Values as they are where they have one type, else as text; objects and lists as JSON."""
    try:
        column = pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        column = pa.nulls(0)
    if pa.types.is_string(column.type) or pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return column
    return pa.array(
        [value if value is None or isinstance(value, str) else json.dumps(value) for value in values], pa.string()
    )


def _texts(raw: pa.Table, rows: Sequence[Row]) -> pa.Array:
    """The whole row where a part of it could not be read, not only the columns that the city's file names."""
    is_unread = raw["as_received"].is_valid().to_pylist()
    return pa.array(
        [json.dumps(row, sort_keys=True) if unread else None for row, unread in zip(rows, is_unread, strict=True)],
        pa.string(),
    )


def versions_of_days(raw: pa.Table) -> dict[date, str]:
    """A hash of each day's rows, without when and from where they were received."""
    days = pc.unique(raw["date"]).to_pylist()
    return day_fingerprints(raw.select(ORDER), days)
