"""JSON files of the landing folder: one object per line, and GeoJSON."""

import json
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

import jmespath
import pyarrow as pa
from pyarrow import fs

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.source_settings import LandingSource
from shotspotter_assets.sources.landing.file_readers import (
    Chunks,
    Interval,
    missing_columns,
    own_columns,
    refuse_many,
    unreadable,
)
from shotspotter_assets.sources.protocol import SourceError
from shotspotter_assets.sources.raw_rows import BROKEN

REQUIRED: Final = ("time", "time_of_day", "longitude", "latitude")
"""Columns that at least one row has, or the mapping is wrong; of the others, publishers leave out empty ones."""

WGS84: Final = ("CRS84", "EPSG::4326", "EPSG:4326")
"""Endings of the names of WGS84, the only system of GeoJSON (RFC 7946); files from before that may name another."""

Row = dict[str, Any]


def read_json_lines(
    filesystem: fs.FileSystem, path: str, city: City, source: LandingSource, _interval: Interval | None
) -> Chunks:
    """A file with one JSON object per line; blank lines do not count."""
    rows: list[dict[str, Any]] = []
    try:
        with filesystem.open_input_stream(path) as stream:
            lines = [line for line in stream.read().decode("utf-8-sig").split("\n") if line.strip()]
    except (UnicodeDecodeError, OSError) as error:
        raise unreadable(city, path, "a file of JSON lines in UTF-8", error) from None
    for line in lines:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        rows.append(row if isinstance(row, dict) else {BROKEN: line})
    yield _table_of_rows(city, path, source, rows), 0


def read_geojson(
    filesystem: fs.FileSystem, path: str, city: City, source: LandingSource, _interval: Interval | None
) -> Chunks:
    """A GeoJSON FeatureCollection in WGS84; a point geometry gives longitude and latitude where properties do not."""
    try:
        with filesystem.open_input_stream(path) as stream:
            content = json.loads(stream.read())
        system = ((content.get("crs") or {}).get("properties") or {}).get("name")
        rows = [_with_point(feature, source) for feature in content["features"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError) as error:
        raise unreadable(city, path, "a GeoJSON FeatureCollection", error) from None
    if system is not None and not str(system).endswith(WGS84):
        raise SourceError(
            f"City {city.name}: {path} has points of {system}, not longitudes and latitudes (CRS84). Export it again in "
            "WGS84, or as a zipped shapefile with its .prj."
        )
    yield _table_of_rows(city, path, source, rows), 0


def _with_point(feature: Row, source: LandingSource) -> Row:
    """A feature's properties; where they do not give longitude and latitude, its point does."""
    row = dict(feature["properties"] or {})
    geometry = feature.get("geometry") or {}
    if geometry.get("type") == "Point" and len(geometry.get("coordinates") or ()) >= 2:
        names = source.columns.longitude, source.columns.latitude
        for name, coordinate in zip(names, geometry["coordinates"], strict=False):  # there may be a height
            if row.get(name) is None:
                row[name] = coordinate
    return row


def _table_of_rows(city: City, path: str, source: LandingSource, rows: Sequence[Row]) -> pa.Table:
    """Text columns; a column may be absent from a row, but one of `REQUIRED` not from all of them."""
    present = set().union(*rows) - {BROKEN}
    refuse_many(city, path, len(rows), len(present))
    finders = {name: _finder(name, present) for name in own_columns(source)}
    table = pa.table(
        {name: pa.array([_as_text(find(row)) for row in rows], pa.string()) for name, find in finders.items()}
    )
    missing = [
        f"{theirs} (source.columns.{ours})"
        for ours, theirs in source.columns.named().items()
        if ours in REQUIRED and theirs not in present and table[theirs].null_count == table.num_rows
    ]
    if missing and present:
        raise missing_columns(city, path, missing, present)
    return table.append_column(BROKEN, pa.array([row.get(BROKEN) for row in rows], pa.string()))


def _finder(name: str, present: Collection[str]) -> Callable[[Row], Any]:
    """Looks up a key of the rows, or a JMESPath expression if no row has such a key."""
    if name not in present:
        try:
            return jmespath.compile(name).search
        except jmespath.exceptions.JMESPathError:
            pass  # a name with blanks, which these rows do not have
    return lambda row: row.get(name)


def _as_text(value: Any) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode(errors="replace").decode()
