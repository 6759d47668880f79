"""Rows of several landed files as one set of rows, in which names of files do not matter."""

from typing import TYPE_CHECKING

import pyarrow as pa

from shotspotter_assets.alerts.sources.schema import PLACE_DECIMALS, PUBLISHED
from shotspotter_assets.cities.box import Box
from shotspotter_assets.storage.fingerprints import row_hashes

if TYPE_CHECKING:
    import pandas as pd


def merge_files(rows: pa.Table, box: Box) -> pa.Table:
    """Return the rows of files (`RAW_SCHEMA`) without those that only repeat rows of another file.

    Rows of a day are the same alert if they have the same id: the file received last with a row of it in the city's box
    has its rows. Rows without an id are the same alert if they agree in second, type and point (to `PLACE_DECIMALS`). It
    has the rows of the file with most of them in the box, and counts as often as there; of files with as many, the one
    received first decides. So a file that is renamed, exported again, split or joined with others changes nothing. Rows
    without a readable time or point are the same if all of their text is.
    """
    import pandas as pd

    frame = rows.select([*PUBLISHED, "is_separate"]).to_pandas()
    frame["file"] = pd.factorize(rows["received_from"].to_pandas())[0]
    frame["received"] = rows["received_at"].to_pandas()
    frame["hash"] = row_hashes(rows.select(PUBLISHED))
    frame["alert"] = _alert_numbers(frame)
    # Equal rows of one file are separate events only where its source says so.
    is_one = frame["is_separate"].eq(True) | ~frame.duplicated(["hash", "file"])
    frame["counts"] = is_one & box.holds(frame["longitude"], frame["latitude"])
    by_file = frame.groupby(["alert", "file"], sort=False).agg({"counts": "sum", "received": "min", "hash": "sum"})
    by_file = by_file.reset_index()
    has_id = by_file["alert"].isin(frame.loc[_have_usable_id(frame), "alert"])
    received = by_file["received"].astype("int64")
    by_file["received"] = received.mask(has_id, -received)
    by_file["counts"] = by_file["counts"].mask(has_id, by_file["counts"] > 0)
    best_first = by_file.sort_values(["counts", "received", "hash"], ascending=[False, True, True])
    file_of_alert = best_first.drop_duplicates("alert").set_index("alert")["file"]
    return rows.filter(pa.array(frame["file"] == frame["alert"].map(file_of_alert)))


def latest_rows(rows: pa.Table) -> pa.Table:
    """Return the rows of a side table's files (`RAW_SCHEMA`) without those that a later file has, too.

    Rows of a day are the same if they have the same id; or, without ids, if they agree in second and point (to
    `PLACE_DECIMALS`); or, without a time or point, in all of their text. They count as in the file received last; of files
    received at once, their content decides.
    """
    import pandas as pd

    frame = rows.select(["date", "time_utc", "source_id", "longitude", "latitude", "as_received"]).to_pandas()
    frame["file"] = pd.factorize(rows["received_from"].to_pandas())[0]
    frame["received"] = rows["received_at"].to_pandas()
    frame["hash"] = row_hashes(rows.select(PUBLISHED))
    second, east, north = _second_and_place(frame)
    has_id = frame["source_id"].notna()
    is_placed = second.notna() & east.notna() & north.notna()
    keys = [
        frame["source_id"],
        *(column.mask(has_id) for column in (second, east, north)),
        frame["as_received"].mask(has_id | is_placed),
    ]
    frame["row"] = frame.groupby([frame["date"], *keys], dropna=False, sort=False).ngroup()
    by_file = frame.groupby(["row", "file"], sort=False).agg({"received": "max", "hash": "sum"}).reset_index()
    last = by_file.sort_values(["received", "hash"]).drop_duplicates("row", keep="last").set_index("row")["file"]
    return rows.filter(pa.array(frame["file"] == frame["row"].map(last)))


def _alert_numbers(frame: "pd.DataFrame") -> "pd.Series":
    """Return the number of the alert that each row may be of: by its id, else by time, type, place and text."""
    has_usable_id = _have_usable_id(frame)
    described = [
        *_second_and_place(frame),
        frame["gunshot_type"],
        frame["as_received"],
    ]
    keys = [frame["source_id"].where(has_usable_id), *(column.mask(has_usable_id) for column in described)]
    return frame.groupby([frame["date"], *keys], dropna=False, sort=False).ngroup()


def _have_usable_id(frame: "pd.DataFrame") -> "pd.Series[bool]":
    return frame["source_id"].notna() & frame["as_received"].isna()


def _second_and_place(frame: "pd.DataFrame") -> "tuple[pd.Series, pd.Series, pd.Series]":
    scale = 10**PLACE_DECIMALS
    east, north = ((frame[name] * scale).round() for name in ("longitude", "latitude"))
    return frame["time_utc"].dt.floor("s"), east, north
