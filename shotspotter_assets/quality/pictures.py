"""Small pictures of days, as PNG bytes: alerts over those of the year before, and their hours."""

from collections.abc import Sequence
from datetime import date, timedelta
from io import BytesIO
from typing import Final

import numpy as np
import pyarrow as pa

from shotspotter_assets.calendar.dates import hours_of_day
from shotspotter_assets.calendar.local_time import dates_of, wall_clock
from shotspotter_assets.cities.city import City
from shotspotter_assets.gridding.tensors import cells

PICTURED_DAYS: Final = 31
"""Of a long range only the last days get a picture, which takes about 0.1 s."""

BEFORE_DAYS: Final = 365
COLUMNS: Final = ("time_utc", "longitude", "latitude")


def day_pictures(alerts: pa.Table, days: Sequence[date], city: City) -> dict[date, bytes]:
    """PNG of each of the last `PICTURED_DAYS` of some days.

    Args:
        alerts: `COLUMNS` with the local `date`, of the days and of those of the year before them that are stored.
        days: contiguous days.
        city: its box, grid and zone.
    """
    from matplotlib.figure import Figure

    longitude, latitude, dates = alerts["longitude"].to_numpy(), alerts["latitude"].to_numpy(), dates_of(alerts)
    row, column = cells(longitude, latitude, city.box, city.grid)
    hour = hours_of_day(wall_clock(alerts["time_utc"], city.zone))
    extent = (city.box.west, city.box.east, city.box.south, city.box.north)
    pictures = {}
    for day in days[-PICTURED_DAYS:]:
        today = dates == np.datetime64(day)
        before = (dates < np.datetime64(day)) & (dates >= np.datetime64(day - timedelta(days=BEFORE_DAYS)))
        density = np.zeros(city.shape)
        np.add.at(density, (row[before], column[before]), 1)
        figure = Figure(figsize=(6.0, 2.8), dpi=80)
        left, right = figure.subplots(1, 2)
        left.imshow(np.log1p(density), origin="lower", extent=extent, cmap="Greys", aspect="auto")
        left.scatter(longitude[today], latitude[today], s=8, color="#D55E00", alpha=0.7, linewidths=0)
        left.set(xlim=extent[:2], ylim=extent[2:], xticks=[], yticks=[])
        left.set_title(f"{day}: {today.sum()} alerts over the year before", fontsize=7)
        right.bar(np.arange(24), np.bincount(hour[today], minlength=24), color="#0072B2")
        right.tick_params(labelsize=6)
        right.set_title("alerts by local hour", fontsize=7)
        buffer = BytesIO()
        figure.savefig(buffer, format="png", pil_kwargs={"compress_level": 1})
        pictures[day] = buffer.getvalue()
    return pictures
