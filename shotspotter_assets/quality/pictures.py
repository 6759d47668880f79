"""Small pictures, as PNG bytes: of a day its alerts over those of the year before, and its hours; of a city its last days."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, timedelta
from io import BytesIO
from typing import Any, Final

import numpy as np
import pyarrow as pa

from shotspotter_assets.calendar.dates import hours_of_day
from shotspotter_assets.calendar.local_time import wall_clock
from shotspotter_assets.cities.city import City
from shotspotter_assets.gridding.tensors import cells

PICTURED_DAYS: Final = 31
"""Of a long stretch only the last days get a picture: one takes about 0.1 s, and nobody looks at thousands."""

SHOWN_DAYS: Final = 120
"""Of a city; older ones would be too narrow to be told apart."""

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

    row, column = cells(alerts["longitude"].to_numpy(), alerts["latitude"].to_numpy(), city.box, city.grid)
    day_of = alerts["date"].to_numpy().astype("datetime64[D]")
    hour = hours_of_day(wall_clock(alerts["time_utc"], city.zone))
    place = np.column_stack([alerts["longitude"].to_numpy(), alerts["latitude"].to_numpy()])
    # One figure whose contents change is several times as fast as one figure a day.
    figure = Figure(figsize=(6.0, 2.8), dpi=80)
    image, dots = _map(figure.add_axes((0.02, 0.04, 0.44, 0.84)), city)
    right = figure.add_axes((0.54, 0.12, 0.44, 0.76))
    bars = right.bar(np.arange(24), np.zeros(24), color="#0072B2")
    right.tick_params(labelsize=6)
    right.set_title("alerts by local hour", fontsize=7)
    pictures = {}
    for day in days[-PICTURED_DAYS:]:
        today = day_of == np.datetime64(day)
        before = (day_of < np.datetime64(day)) & (day_of >= np.datetime64(day - timedelta(days=BEFORE_DAYS)))
        density = np.zeros(city.shape)
        np.add.at(density, (row[before], column[before]), 1)
        image.set(data=np.log1p(density), clim=(0, max(np.log1p(density.max()), 1)))
        dots.set_offsets(place[today])
        dots.axes.set_title(f"{day}: {today.sum()} alerts over the year before", fontsize=7)
        by_hour = np.bincount(hour[today], minlength=24)
        for bar, height in zip(bars, by_hour, strict=True):
            bar.set_height(height)
        right.set_ylim(0, max(by_hour.max(), 4) * 1.05)
        buffer = BytesIO()
        figure.savefig(buffer, format="png", pil_kwargs={"compress_level": 1})
        pictures[day] = buffer.getvalue()
    return pictures


def city_picture(counts: Mapping[date, float], named: Mapping[str, Collection[date]]) -> bytes:
    """PNG of a city's alerts by day, on its own dates, with the days that checks name.

    Args:
        counts: alerts of each day, NaN of one that is not known; the last `SHOWN_DAYS` are shown.
        named: days by the name of the check.
    """
    from matplotlib.figure import Figure

    last = max(counts)
    shown = [day for day in sorted(counts) if (last - day).days < SHOWN_DAYS]
    rows = {name: sorted(set(days) & set(shown)) for name, days in named.items()}
    rows = {name: days for name, days in rows.items() if days}
    figure = Figure(figsize=(6.0, 1.8 + 0.15 * len(rows)), dpi=80, layout="constrained")
    upper, lower = figure.subplots(2, sharex=True, height_ratios=(8, len(rows) + 1))
    x = np.array(shown, dtype="datetime64[D]")
    known = np.array([counts[day] for day in shown])
    upper.bar(x, np.nan_to_num(known), width=1.0, color="#0072B2")
    for day in x[np.isnan(known)]:
        upper.axvspan(day - np.timedelta64(12, "h"), day + np.timedelta64(12, "h"), color="0.9")
    upper.set_title("alerts by day (grey: not known), and the days that checks name", fontsize=7)
    for row, days in enumerate(rows.values()):
        lower.scatter(
            np.array(days, dtype="datetime64[D]"), np.full(len(days), row), s=8, color="#D55E00", linewidths=0
        )
    lower.set(yticks=range(len(rows)), yticklabels=list(rows), ylim=(len(rows) - 0.5, -0.5) if rows else (0, 1))
    for axes in (upper, lower):
        axes.tick_params(labelsize=6)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", pil_kwargs={"compress_level": 1})
    return buffer.getvalue()


def _map(axes: Any, city: City) -> tuple[Any, Any]:
    """The image of the year before and the dots of the day."""
    box = city.box
    extent = (box.west, box.east, box.south, box.north)
    image = axes.imshow(np.zeros(city.shape), origin="lower", extent=extent, cmap="Greys", aspect="auto")
    dots = axes.scatter([], [], s=8, color="#D55E00", alpha=0.7, linewidths=0)
    axes.set(xlim=extent[:2], ylim=extent[2:], xticks=[], yticks=[])
    return image, dots
