"""Files that hold the alerts of another file at other times."""

from typing import Final

import numpy as np

from shotspotter_assets.cleaning.alerts import PLACE_DECIMALS
from shotspotter_assets.quality.finding import Finding, named_days
from shotspotter_assets.quality.window import Window

MIN_SHARE: Final = 0.9
"""Share of a file's points on a day, above which the file repeats another one."""

MIN_POINTS: Final = 4
"""Fewer points of a file on a day may agree by chance."""

MAX_FILES_SHOWN: Final = 5


def landed_twice(window: Window) -> Finding:
    """No file repeats the points of another file at other times.

    Rows that another file has at the same time are counted by `duplicates`.
    """
    columns = ["date", "time_utc", "longitude", "latitude", "received_from"]
    rows = window.raw.select(columns).to_pandas().dropna(subset=["longitude", "latitude"])
    rows["east"], rows["north"] = (np.rint(rows[name] * 10**PLACE_DECIMALS) for name in ("longitude", "latitude"))
    rows = rows.drop_duplicates(["date", "time_utc", "east", "north"])
    points = rows[["date", "received_from", "east", "north"]].drop_duplicates()
    points["shared"] = points.duplicated(["date", "east", "north"], keep=False)
    files = points.groupby(["date", "received_from"])["shared"].agg(["sum", "size"])
    copies = files[(files["size"] >= MIN_POINTS) & (files["sum"] > MIN_SHARE * files["size"])]
    if copies.empty:
        return Finding(True, "No file repeats the points of another one.")
    days = copies["size"].groupby("date").sum().astype(float).to_dict()
    names = sorted(set(copies.index.get_level_values("received_from")))
    return Finding(
        False,
        f"Over {MIN_SHARE:.0%} of the points of {', '.join(names[:MAX_FILES_SHOWN])} on {named_days(list(days))} are in another "
        "file too, at other times. If one file repeats the other with wrong times, take it out of the landing folder and "
        "rebuild raw_alerts and cleaned_alerts for these days.",
        {"files": len(names)},
        days,
    )
