"""Sparse frames of a day (hour, gunshot type, row, column, count), and dense arrays of any window of days."""

import json
from collections.abc import Sequence
from datetime import date
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotspotter_assets.cities.local_time import day_starts, hours_of_days
from shotspotter_assets.cities.model import Box, City, Grid

TYPE_LAYERS: Final = 4
UNTYPED: Final = 3
"""Layers 0, 1 and 2 are the gunshot types; alerts of unknown type are counted in a layer of their own."""

GRID_COLUMNS = [
    pa.field("hour", pa.int8(), nullable=False),
    pa.field("gunshot_type", pa.int8(), nullable=False),
    pa.field("row", pa.int16(), nullable=False),
    pa.field("column", pa.int16(), nullable=False),
    pa.field("count", pa.int32(), nullable=False),
]


class GridMismatchError(ValueError):
    """Stored frames do not belong to the city's present grid."""


def grid_schema(hours: int, city: City) -> pa.Schema:
    """Schema of one day's sparse tensor; its metadata holds the dense `shape`, and the box and `grid`, as JSON.

    `hour` counts the hours since local midnight, so it reaches 22, 23 or 24; `gunshot_type` 3 stands for unknown.
    """
    shape = {"hours": hours, "gunshot_types": TYPE_LAYERS, "rows": city.grid.rows, "columns": city.grid.columns}
    return pa.schema(GRID_COLUMNS, metadata={"shape": json.dumps(shape), "grid": _grid_json(city)})


def cells(
    longitude: npt.NDArray[np.float64], latitude: npt.NDArray[np.float64], box: Box, grid: Grid
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int16]]:
    """(row, column) of points within the box; row 0 is the south, column 0 the west.

    A point on the edge between two cells belongs to the northern or eastern one, a point on the box's own northern
    or eastern edge to the last cell: every point has exactly one cell.
    """
    row = np.floor((latitude - box.south) / (box.north - box.south) * grid.rows)
    column = np.floor((longitude - box.west) / (box.east - box.west) * grid.columns)
    return np.minimum(row, grid.rows - 1).astype(np.int16), np.minimum(column, grid.columns - 1).astype(np.int16)


def grid_tensors(alerts: pa.Table, days: Sequence[date], city: City) -> dict[date, pa.Table]:
    """The sparse tensor (`grid_schema`) of each of contiguous `days`.

    Args:
        alerts: cleaned alerts of those days with their local `date`.
    """
    day_at = np.searchsorted(np.array(days, dtype="datetime64[D]"), alerts["date"].to_numpy().astype("datetime64[D]"))
    since_midnight = alerts["time_utc"].to_numpy().astype("datetime64[us]") - day_starts(days, city.zone)[day_at]
    gunshot_type = alerts["gunshot_type"].fill_null(UNTYPED).to_numpy().astype(np.int64)
    row, column = cells(alerts["longitude"].to_numpy(), alerts["latitude"].to_numpy(), city.box, city.grid)
    shape = (len(days), 25, TYPE_LAYERS, city.grid.rows, city.grid.columns)
    flat = np.ravel_multi_index((day_at, since_midnight // np.timedelta64(1, "h"), gunshot_type, row, column), shape)
    distinct, count = np.unique(flat, return_counts=True)
    coordinates = np.unravel_index(distinct, shape)
    bounds = np.searchsorted(coordinates[0], np.arange(len(days) + 1))
    hours = hours_of_days(days, city.zone)
    tensors = {}
    for at, day in enumerate(days):
        rows = slice(bounds[at], bounds[at + 1])
        columns = [
            axis[rows].astype(field.type.to_pandas_dtype())
            for axis, field in zip([*coordinates[1:], count], GRID_COLUMNS, strict=True)
        ]
        tensors[day] = pa.table(columns, schema=grid_schema(int(hours[at]), city))
    return tensors


def dense_window(
    frames: pa.Table, days: Sequence[date], city: City, by: Literal["day", "hour"] = "day"
) -> npt.NDArray[np.uint16]:
    """Dense counts of a window of contiguous days, shape (days or hours, types, rows, columns).

    By hour, the first axis has 23 or 25 entries for a day on which daylight saving begins or ends. The sum of the
    array is the number of alerts.

    Args:
        frames: sparse tensors of those days with their `date`, in any order.

    Raises:
        GridMismatchError: the city's box or grid was changed after (some of) the days were gridded.
    """
    gridded = (frames.schema.metadata or {}).get(b"grid", b"several boxes or grids").decode()
    if gridded != _grid_json(city):
        raise GridMismatchError(
            f"City {city.name}: the frames of {days[0]} to {days[-1]} were made with {gridded}, its file now says "
            f"{_grid_json(city)}. Materialise cleaned_alerts and grid_tensors for these days again."
        )
    day_at = np.searchsorted(np.array(days, dtype="datetime64[D]"), frames["date"].to_numpy().astype("datetime64[D]"))
    gunshot_type, row, column, hour = (frames[name].to_numpy() for name in ("gunshot_type", "row", "column", "hour"))
    hours = hours_of_days(days, city.zone)
    starts = np.cumsum(hours) - hours
    time_at = day_at if by == "day" else starts[day_at] + hour
    dense = np.zeros((len(days) if by == "day" else int(hours.sum()), TYPE_LAYERS, *city.shape), dtype=np.uint16)
    np.add.at(dense, (time_at, gunshot_type, row, column), frames["count"].to_numpy().astype(np.uint16))
    return dense


def _grid_json(city: City) -> str:
    return json.dumps({"box": city.box.model_dump(), "grid": city.grid.model_dump()})
