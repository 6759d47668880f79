"""From a source's own columns to `RAW_SCHEMA`: times, points, numbers, and filing dates.

Further columns of side tables are written as one JSON text a row (`as_received`), and read from it.
"""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from typing import Any, Final, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.alerts.sources.alert_source import SourceError
from shotspotter_assets.alerts.sources.schema import RAW_SCHEMA
from shotspotter_assets.alerts.sources.tabular_settings import Row, SideColumns, TabularSettings, finder
from shotspotter_assets.cities.box import WGS84
from shotspotter_assets.cities.source_settings import Site
from shotspotter_assets.grid.dates import local_dates

BROKEN: Final = "__broken_line__"  # column of lines that do not parse, null for sound ones; tables without any lack it
LINE: Final = "__line_number__"  # column with the number of each row in its file; tables without it count from 1
UNREAD_TIME: Final = "time"  # key of a row's own time if it cannot be read
BROKEN_LINE: Final = "line"  # key of a line that does not parse
MAX_PROBLEMS: Final = 50  # problems that a day's record names; it counts all
Point = tuple[float, float]  # longitude and latitude, degrees
_READ_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")  # form in which `row_texts` writes a time
_Record = TypeVar("_Record")


def row_texts(
    table: pa.Table, site: Site, source: TabularSettings, columns: SideColumns, time_utc: pa.ChunkedArray
) -> pa.Array:
    """Return the columns of each row that `RAW_SCHEMA` lacks as JSON by our names, without empty ones; shape (rows,).

    A time is in ISO 8601 with Z, or as received if it cannot be read.
    """
    from shotspotter_assets.alerts.sources.written_times import in_utc, read_times

    texts = {name: _texts(table[theirs]) for name, theirs in columns.further.items()}
    for name in texts.keys() & set(columns.further_times):
        moments = in_utc(read_times(table[columns.further[name]], None, source, site.name), site.zone, source)
        written = np.char.add(np.datetime_as_string(moments), "Z").tolist()
        unread = np.isnat(moments).tolist()
        texts[name] = [text if bad else iso for text, iso, bad in zip(texts[name], written, unread, strict=True)]
    own_times = zip(_texts(table[columns.time]), time_utc.is_null().to_pylist(), strict=True)
    texts[UNREAD_TIME] = [text if is_unread else None for text, is_unread in own_times]
    if BROKEN in table.column_names:
        texts[BROKEN_LINE] = _texts(table[BROKEN])
    rows = (zip(texts, values, strict=True) for values in zip(*texts.values(), strict=True))
    return pa.array([json.dumps({name: text for name, text in row if text}) for row in rows], pa.string())


def _texts(column: pa.ChunkedArray) -> list[str | None]:
    """Return the values of a column as text without blanks around it; shape (rows,)."""
    return [text and text.strip() for text in column.cast(pa.string()).to_pylist()]


class Problem(NamedTuple):
    """A row, or a part of it, that is not used."""

    day: date  # local day under which the row is filed
    where: str  # file and row
    text: str  # problem and remedy

    @property
    def line(self) -> str:
        """File, row, problem and remedy, as records and messages name them."""
        return f"{self.where}: {self.text}."


class TableRow(NamedTuple):
    """A row of a side table with a readable time."""

    day: date  # local day under which it is filed
    where: str  # file and row
    time: datetime  # UTC
    landed: datetime  # when its file was received, UTC
    point: Point | None
    texts: dict[str, str]  # further columns by our names, without empty ones


def read_rows(
    rows: pa.Table, section: str, read: Callable[[TableRow, list[str]], _Record | None]
) -> tuple[list[_Record], list[Problem]]:
    """Return the records of a side table's rows (`RAW_SCHEMA` with `row_texts`), and problems of rows.

    `read` returns a row's record, None for one that is left out, and adds problems in words to a list. Lines that do not
    parse and rows without a readable time are left out before.
    """
    records = []
    problems = []
    for row in rows.to_pylist():
        where = f"{row['received_from']}, row {row['received_row']}"
        texts = json.loads(row["as_received"])
        found: list[str] = []
        if BROKEN_LINE in texts:
            found.append("the line does not parse, and the row is left out. Correct the line")
        elif row["time_utc"] is None:
            remedy = f"Correct the row, or columns.time and time_format of {section}.source"
            found.append(f"the time {texts.get(UNREAD_TIME)!r} cannot be read, and the row is left out. {remedy}")
        else:
            coordinates = (row["longitude"], row["latitude"])
            if coordinates.count(None) == 1:
                found.append("the point lacks its longitude or its latitude, and is left out. Correct it")
            point = None if None in coordinates else coordinates
            record = read(TableRow(row["date"], where, row["time_utc"], row["received_at"], point, texts), found)
            records += [] if record is None else [record]
        problems += [Problem(row["date"], where, text) for text in found]
    return records, problems


def read_instant(text: str) -> datetime | None:
    """Return the instant of a time among a row's texts; None if it could not be read."""
    return datetime.fromisoformat(text) if _READ_TIME.fullmatch(text) else None


NUMBER: Final = r"^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$"
COMMA: Final = r"^(\s*[+-]?\d+),(\d+\s*)$"  # a decimal comma; coordinates have no groups of thousands
MINUTE_MICROSECONDS: Final = 60_000_000
ROUNDED_DEGREES: Final = 0.001
MIN_UNREADABLE: Final = 20  # minimum rows without any readable time that show a mistake in the city's file


def table_of_rows(rows: Sequence[Row], paths: Iterable[str]) -> pa.Table:
    """Return rows of JSON as a table with a column for each path (see `finder`), of numbers if all are numbers, else text."""
    keys = {key for row in rows for key in row}
    return pa.table({path: _column(map(finder(path, keys), rows)) for path in paths})


def _column(values: Iterable[Any]) -> pa.Array:
    values = list(values)
    try:
        column = pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError):
        column = pa.nulls(0)
    if pa.types.is_string(column.type) or pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return column
    texts = [value if value is None or isinstance(value, str) else json.dumps(value) for value in values]
    return pa.array([text and text.encode(errors="replace").decode() for text in texts], pa.string())


def lines_of(table: pa.Table) -> pa.ChunkedArray:
    """Return the number of each row in its file: its line, its row in a sheet, or its place from 1."""
    return table[LINE] if LINE in table.column_names else pa.chunked_array([np.arange(1, table.num_rows + 1)])


def to_raw(
    table: pa.Table,
    site: Site,
    source: TabularSettings,
    received_from: str,
    received_at: datetime,
    fallback: date,
    plausible: tuple[date, date],
) -> pa.Table:
    """Return the rows of one file or answer as `RAW_SCHEMA`, in order.

    A row is filed under `fallback` if its local day is outside `plausible` (first and last day) or unreadable. Raises
    SourceError if no time can be read or has a zone, or no point is in degrees.
    """
    columns = source.columns.named()
    side = source.side_columns
    origin = f"City {site.name}: {received_from}"
    time_utc = _instants(table, site.zone, source, origin)
    longitude, latitude = read_points(table, source, origin)
    source_id = _optional(table, columns.get("source_id")).cast(pa.string())
    source_id = pc.if_else(pc.equal(source_id, ""), None, source_id)
    rounds = _numbers(_optional(table, columns.get("rounds")))
    is_whole = pc.and_(pc.equal(rounds, pc.round(rounds)), pc.less(pc.abs(rounds), 2**31))
    unusable = pc.or_(pc.is_null(time_utc), pc.or_(pc.is_null(longitude), pc.is_null(latitude)))
    days = local_dates(time_utc, site.zone)
    first, last = (pa.scalar(day) for day in plausible)
    is_plausible = pc.and_(pc.greater_equal(days, first), pc.less_equal(days, last)).fill_null(False)
    raw = pa.table(
        {
            "date": pc.if_else(is_plausible, days, pa.scalar(fallback)),
            "time_utc": time_utc,
            "longitude": longitude,
            "latitude": latitude,
            "gunshot_type": _optional(table, columns.get("gunshot_type")).cast(pa.string()),
            "rounds": pc.if_else(is_whole, rounds, pa.scalar(None, pa.float64())),
            "source_id": source_id,
            "as_received": (
                _as_received(table, unusable) if side is None else row_texts(table, site, source, side, time_utc)
            ),
            "is_separate": pc.and_(pc.is_null(source_id), _are_separate(source, time_utc, longitude, latitude)),
            "received_from": pa.repeat(received_from, table.num_rows),
            "received_row": lines_of(table),
            "received_at": pa.repeat(pa.scalar(received_at, pa.timestamp("us", "UTC")), table.num_rows),
        }
    )
    return raw.cast(RAW_SCHEMA)


def _instants(table: pa.Table, zone: ZoneInfo, source: TabularSettings, origin: str) -> pa.ChunkedArray:
    """Return the instants of rows (timestamps in UTC), null where unreadable; raise SourceError as `to_raw` does."""
    from shotspotter_assets.alerts.sources.written_times import in_utc, read_times

    column = table[source.columns.time]
    clock = source.columns.time_of_day
    readings = read_times(column, None if clock is None else table[clock], source, origin)
    instants = in_utc(readings, zone, source)
    without_zone = ~np.isnat(readings[1])
    if without_zone.any():
        if source.naive_times == "reject" and np.isnat(instants).all():
            row = int(without_zone.argmax())
            remedy = "Set source.naive_times in the city's file to local (the city's wall clock) or utc."
            raise SourceError(
                f"{origin}, row {lines_of(table)[row]}: the time {str(column[row])!r} has no zone. {remedy}"
            )
    elif table.num_rows >= MIN_UNREADABLE and np.isnat(instants).all():
        form = source.time_format or "null: the usual forms"
        remedy = f"Correct source.columns.time or source.time_format ({form}) in the city's file."
        raise SourceError(
            f"{origin}: none of {table.num_rows:,} times can be read, such as {str(column[0])!r}. {remedy}"
        )
    return pa.chunked_array([pa.array(instants, pa.timestamp("us")).cast(pa.timestamp("us", "UTC"))])


def read_points(table: pa.Table, source: TabularSettings, origin: str) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Return longitudes and latitudes, both null for points outside the source's system; raise SourceError as `to_raw` does."""
    named = (source.columns.longitude, source.columns.latitude)
    longitude, latitude = (read_coordinates(_optional(table, name)) for name in named)
    x, y = (column.to_numpy() for column in (longitude, latitude))
    if source.crs is not None:
        from pyproj import Transformer

        places = np.stack(Transformer.from_crs(source.crs, WGS84, always_xy=True).transform(x, y))
        places[:, ~np.isfinite(places).all(axis=0)] = np.nan
        longitude, latitude = (pa.chunked_array([pa.array(degrees, from_pandas=True)]) for degrees in places)
    elif (finite := np.isfinite(x) & np.isfinite(y)).any() and ((np.abs(x) > 180) | (np.abs(y) > 180))[finite].all():
        first = int(finite.argmax())
        problem = f"the point {x[first]:g}, {y[first]:g} is no longitude and latitude in degrees, and no other point is"
        remedy = "Set source.crs in the city's file to their system, such as EPSG:2248."
        raise SourceError(f"{origin}, row {lines_of(table)[first]}: {problem}. {remedy}")
    return longitude, latitude


def _are_separate(source: TabularSettings, time_utc: pa.ChunkedArray, *point: pa.ChunkedArray) -> pa.Array:
    from shotspotter_assets.grid.cells import are_rounded

    if source.equal_rows != "if_rounded":
        return pa.repeat(source.equal_rows == "keep", len(time_utc))
    # Unreadable times count as exact.
    whole_minutes = time_utc.cast(pa.int64()).fill_null(1).to_numpy() % MINUTE_MICROSECONDS == 0
    east_and_north = np.stack([degrees.to_numpy() for degrees in point])
    return pa.array(whole_minutes | are_rounded(east_and_north, ROUNDED_DEGREES).all(axis=0))


def _numbers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type) or pa.types.is_decimal(column.type)):
        text = pc.utf8_trim_whitespace(column.cast(pa.string()))
        column = pc.if_else(pc.match_substring_regex(text, NUMBER), pc.utf8_ltrim(text, "+"), None)
    numbers = column.cast(pa.float64())
    return pc.if_else(pc.fill_null(pc.is_finite(numbers), False), numbers, pa.scalar(None, pa.float64()))


def read_coordinates(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the numbers of a column, with a decimal point or comma; null for other values."""
    is_text = pa.types.is_string(column.type)
    return _numbers(pc.replace_substring_regex(column, COMMA, r"\1.\2") if is_text else column)


def _optional(table: pa.Table, name: str | None) -> pa.ChunkedArray:
    return table[name] if name is not None else pa.chunked_array([pa.nulls(table.num_rows, pa.string())])


def _as_received(table: pa.Table, unusable: pa.ChunkedArray) -> pa.Array:
    rows = table.filter(unusable)
    for position, field in enumerate(rows.schema):
        if pa.types.is_temporal(field.type):  # Python's calendar does not reach all times
            rows = rows.set_column(position, field.name, rows[position].cast(pa.string()))
    received = [{name: value for name, value in row.items() if name != LINE} for row in rows.to_pylist()]
    texts = [values.pop(BROKEN, None) or json.dumps(values, default=str) for values in received]
    nothing = pa.nulls(table.num_rows, pa.string())
    return pc.replace_with_mask(nothing, unusable.combine_chunks(), pa.array(texts, pa.string()))
