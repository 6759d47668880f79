"""Sparse tensors of days (hour, gunshot type, row, column, count), and dense arrays of windows of days or hours."""

import json
from collections.abc import Sequence
from datetime import date
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.cities.city import FIRST_EVENT_CODE, UNKNOWN_TYPE_CODE, City
from shotspotter_assets.grid.cells import cells_at
from shotspotter_assets.grid.dates import day_starts, hours_of_days
from shotspotter_assets.storage.arrays import Booleans, Integers
from shotspotter_assets.storage.catalogue import TENSORS

MAX_DAY_HOURS: Final = 25
MICROSECONDS_PER_HOUR: Final = 3_600_000_000
ALERT_COLUMNS: Final = ("time_utc", "longitude", "latitude", "gunshot_type", "user_id", "incident_id")
"""Columns of cleaned alerts that grids, maps and counts by place read."""
COUNTED_COLUMNS: Final = ("user_id", "incident_id")  # columns of cleaned alerts that `miscounted_alerts` reads


def is_gunshot(codes: pa.ChunkedArray) -> Booleans:
    """Return True for codes of gunshots, of unknown type too, and False for the city's other events."""
    return pc.less(codes, FIRST_EVENT_CODE).fill_null(True).to_numpy()


def type_layers(city: City) -> int:
    """Return the number of type layers: gunshot types, the unknown type, and the city's `event_types`."""
    return FIRST_EVENT_CODE + len(city.event_types)


def grid_schema(hours: int, city: City) -> pa.Schema:
    """Return the schema of a day's sparse tensor, with the dense shape as metadata."""
    shape = {"hours": hours, "gunshot_types": type_layers(city), "rows": city.grid.rows, "columns": city.grid.columns}
    metadata = {"shape": json.dumps(shape), "time_precision": city.time_precision}
    return TENSORS.schema.with_metadata(metadata)


def sparse_tensors(alerts: pa.Table, days: Sequence[date], city: City) -> dict[date, pa.Table]:
    """Return the sparse tensor (`grid_schema`) of each of contiguous `days` from their cleaned alerts with `date`."""
    alerts = counted_alerts(alerts, city)
    day = _positions(alerts["date"], days)
    midnights = day_starts(days, city.zone).astype(np.int64)
    since_midnight = alerts["time_utc"].cast(pa.int64()).to_numpy() - midnights[day]
    gunshot_type = alerts["gunshot_type"].fill_null(UNKNOWN_TYPE_CODE).to_numpy().astype(np.int64)
    row, column = cells_at(city, alerts["longitude"].to_numpy(), alerts["latitude"].to_numpy())
    shape = (len(days), MAX_DAY_HOURS, type_layers(city), city.grid.rows, city.grid.columns)
    flat = np.ravel_multi_index((day, since_midnight // MICROSECONDS_PER_HOUR, gunshot_type, row, column), shape)
    distinct, count = np.unique(flat, return_counts=True)
    day, *coordinates = np.unravel_index(distinct, shape)
    columns = [
        pa.array(values.astype(field.type.to_pandas_dtype()))
        for values, field in zip([*coordinates, count], TENSORS.schema, strict=True)
    ]
    return _by_day(columns, np.searchsorted(day, np.arange(len(days) + 1)), days, city)


def _by_day(columns: list[pa.Array], bounds: Integers, days: Sequence[date], city: City) -> dict[date, pa.Table]:
    """Return the rows of each day as a table; those of a day lie between two of the `bounds`, shape (days + 1,)."""
    hours = hours_of_days(days, city.zone).tolist()
    by_length = {length: pa.table(columns, schema=grid_schema(length, city)) for length in sorted(set(hours))}
    rows = pairwise(bounds.tolist())
    return {day: by_length[length][start:stop] for day, length, (start, stop) in zip(days, hours, rows, strict=True)}


def miscounted_alerts(tensors: pa.Table, alerts: pa.Table, days: list[date], city: City) -> dict[date, int]:
    """Return gridded minus recounted alerts (`date`, `COUNTED_COLUMNS`) of the contiguous days on which they differ."""
    gridded = np.bincount(_positions(tensors["date"], days), tensors["count"].to_numpy(), minlength=len(days))
    counted = np.bincount(_positions(counted_alerts(alerts, city)["date"], days), minlength=len(days))
    return {day: int(alerts) for day, alerts in zip(days, gridded - counted, strict=True) if alerts}


def counted_alerts(alerts: pa.Table, city: City) -> pa.Table:
    """Return the cleaned alerts that the grid counts: all, or the first of each incident (`City.counted`)."""
    if city.counted == "alerts":
        return alerts
    return alerts.filter(pc.equal(alerts["incident_id"], alerts["user_id"]))


def dense_window(frames: pa.Table, days: Sequence[date], city: City) -> npt.NDArray[np.uint16]:
    """Return counts of contiguous days, shape (days, `type_layers`, rows, columns)."""
    gunshot_type, row, column = (frames[name].to_numpy() for name in ("gunshot_type", "row", "column"))
    dense = np.zeros((len(days), type_layers(city), *city.shape), dtype=np.uint16)
    index = (_positions(frames["date"], days), gunshot_type, row, column)
    np.add.at(dense, index, frames["count"].to_numpy().astype(np.uint16))
    return dense


def hourly_window(frames: pa.Table, days: Sequence[date], city: City, in_coverage: Booleans) -> npt.NDArray[np.uint16]:
    """Return counts of the covered cells by hour of contiguous days, shape (hours, types, cells), cells row by row.

    A day on which daylight saving begins or ends has 23 or 25 hours. Other cells are left out to save memory. Raises
    ValueError if the city's times are dates.
    """
    city.require_times(hours=1)
    covered_cell = np.full(city.shape, -1)
    covered_cell[in_coverage] = np.arange(in_coverage.sum())
    cell = covered_cell[frames["row"].to_numpy(), frames["column"].to_numpy()]
    covered = cell >= 0
    hours = hours_of_days(days, city.zone)
    hour = (np.cumsum(hours) - hours)[_positions(frames["date"], days)] + frames["hour"].to_numpy()
    gunshot_type, count = (frames[name].to_numpy()[covered] for name in ("gunshot_type", "count"))
    counts = np.zeros((int(hours.sum()), type_layers(city), int(in_coverage.sum())), dtype=np.uint16)
    np.add.at(counts, (hour[covered], gunshot_type, cell[covered]), count.astype(np.uint16))
    return counts


def _positions(dates: pa.ChunkedArray, days: Sequence[date]) -> Integers:
    """Return the index of each date among contiguous days, same shape."""
    return dates.cast(pa.int32()).to_numpy() - np.int64((days[0] - date(1970, 1, 1)).days)
