"""All alerts of a city, small enough for the browser to filter."""

import base64
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from shotspotter_assets.calendar.dates import hours_of_day
from shotspotter_assets.calendar.local_time import wall_clock
from shotspotter_assets.cities.city import UNKNOWN_TYPE_CODE, City
from shotspotter_assets.storage.file_names import ALERTS_FILE
from shotspotter_assets.storage.store import Store

COLUMNS = ("time_utc", "longitude", "latitude", "gunshot_type", "user_id", "incident_id")
STEPS = 65535


def alert_table(store: Store, city: City, last: date) -> dict[str, Any]:
    """Return all cleaned alerts of the city's stored days up to the last one, as `alerts.js` of the page reads them.

    `x`, `y`, `cell`, `day`, `hour`, `type` and `begins` are columns by time, base64 of little-endian uint16: east and north
    within the box in 1 / 65535 of its sides, place in `cells`, days since `first`, hour of the local clock, place in `types`,
    and 1 for the first alert of an incident. `cells` are numbers (row * columns + column).
    """
    alerts = store.read_present("cleaned_alerts", city.name, ALERTS_FILE, city.start, last, COLUMNS)
    has_hours = city.time_precision != "day"
    if alerts is None or not len(alerts):
        return {"count": 0, "has_hours": has_hours}
    days = alerts["date"].to_numpy().astype("datetime64[D]")
    codes = alerts["gunshot_type"].fill_null(UNKNOWN_TYPE_CODE).to_numpy()
    present, kind = np.unique(codes, return_inverse=True)
    box, (rows, columns) = city.box, city.shape
    x = (alerts["longitude"].to_numpy() - box.west) / (box.east - box.west)
    y = (alerts["latitude"].to_numpy() - box.south) / (box.north - box.south)
    row, column = (np.clip((at * size).astype(int), 0, size - 1) for at, size in ((y, rows), (x, columns)))
    cells, cell = np.unique(row * columns + column, return_inverse=True)
    columns_of = {
        "x": np.clip(x * STEPS, 0, STEPS), "y": np.clip(y * STEPS, 0, STEPS), "cell": cell, "day": days - days.min(),
        "hour": hours_of_day(wall_clock(alerts["time_utc"], city.zone)), "type": kind,
        "begins": pc.equal(alerts["user_id"], alerts["incident_id"]).to_numpy(),
    }  # fmt: skip
    return {
        "count": len(alerts),
        "has_hours": has_hours,
        "first": days.min().item(),
        "last": days.max().item(),
        "types": [city.type_names[int(code)] for code in present],
        "cells": cells.tolist(),
        **{name: _encoded(values.astype(np.int64)) for name, values in columns_of.items()},
    }


def _encoded(values: npt.NDArray[np.generic]) -> str:
    return base64.b64encode(values.astype("<u2").tobytes()).decode()
