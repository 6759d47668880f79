"""Rows of several landed files as one set of rows, in which names of files do not matter."""

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.alerts.sources.schema import PLACE_DECIMALS, PUBLISHED
from shotspotter_assets.cities.box import Box
from shotspotter_assets.cities.local_time import ONE_DAY
from shotspotter_assets.storage.fingerprints import row_hashes

if TYPE_CHECKING:
    import pandas as pd

MAX_MOVE: Final = timedelta(
    hours=6
)  # maximum correction of an alert's time beyond midnight; Wilmington, DE: 4 h 50 min


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


def without_moved(rows: pa.Table, box: Box, *, is_one_file: bool) -> pa.Table:
    """Return rows (`RAW_SCHEMA`) without alerts that a row received later moves to the day before or after.

    Rows of two consecutive days are one alert if they have the same id, lie in the city's box, and are less than `MAX_MOVE`
    apart, because some publishers use ids again. Of several files, only rows of different ones are compared: those of each
    file `is_one_file` were compared when it was read.
    """
    import pandas as pd

    if pc.count_distinct(rows["date"]).as_py() < 2:
        return rows
    names = ["date", "time_utc", "source_id", "longitude", "latitude", "received_from", "received_row", "received_at"]
    frame = rows.select([*names, "as_received"]).to_pandas()
    usable = frame[_have_usable_id(frame) & box.holds(frame["longitude"], frame["latitude"])]
    by_receipt = usable.sort_values(["received_at", "received_row", "date"])
    by_receipt["order"] = range(len(by_receipt))
    by_receipt["date"] = pd.to_datetime(by_receipt["date"])
    days = by_receipt.groupby(["source_id", "date"], as_index=False).agg(
        begins=("time_utc", "min"), ends=("time_utc", "max"), order=("order", "max"), file=("received_from", "last")
    )
    later = days.shift(-1)
    is_one = later["source_id"].eq(days["source_id"]) & (later["date"] - days["date"]).eq(ONE_DAY)
    is_one &= (later["begins"] - days["ends"]) < MAX_MOVE
    is_one &= is_one_file | later["file"].ne(days["file"])
    is_later_newer = later["order"] > days["order"]
    is_moved = (is_one & is_later_newer) | (is_one & ~is_later_newer).shift(1, fill_value=False)
    moved = pd.MultiIndex.from_frame(days.loc[is_moved, ["source_id", "date"]])
    is_left_out = pd.MultiIndex.from_frame(by_receipt[["source_id", "date"]]).isin(moved)
    return rows.filter(pa.array(~frame.index.isin(by_receipt.index[is_left_out])))


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
