"""Alerts that came in two files: with times a little off, with times shifted by as much, or moved to another day.

Cleaning has left out what is certain; see `cleaning.landed_twice`. What is only suspicious is told here.
"""

from collections import Counter
from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.calendar.firework_days import is_holiday_fireworks
from shotspotter_assets.cleaning.alerts import CONTENT, LANDED_TWICE
from shotspotter_assets.cleaning.landed_twice import MAX_DECIMALS
from shotspotter_assets.quality.finding import Finding, named_days
from shotspotter_assets.quality.shares import share_finding
from shotspotter_assets.quality.window import Window, dates_of, rows_by_day
from shotspotter_assets.storage.fingerprints import row_hashes

NEAR_SECONDS: Final = 5
"""Two rows of one point this close may be of one alert."""

USUAL_SHARE: Final = 0.02
"""Of rows of a sound source that are near another of their own (0 to 2.4% without fireworks, where times are exact)."""

TIMES_THE_CITYS_OWN: Final = 2.0
UNKNOWN_USUAL_SHARE: Final = 0.15
"""Where less than `MIN_ROWS` say what is usual: the most of any city, whose times are whole hours."""

MIN_ROWS: Final = 100
MIN_ROWS_OF_A_FILE: Final = 4
MAX_MOVED_SHARE: Final = 0.01
MAX_FILES_SHOWN: Final = 5

PLACE_AND_TIME: Final = ["longitude", "latitude", "time_utc"]


def landed_twice(window: Window) -> Finding:
    """No alerts came in two files, at other times or on other days."""
    findings = (_left_out(window), _near_pairs(window), _moved(window))
    wrong = [finding for finding in findings if not finding.passed]
    days: dict[date, float] = {}
    for finding in wrong:
        days |= finding.days
    message = " ".join(finding.message for finding in wrong) or "No alerts came in two files at other times."
    numbers: dict[str, float | int | str] = {}
    for finding in findings:
        numbers |= finding.numbers
    return Finding(not wrong, message, numbers, days)


def _left_out(window: Window) -> Finding:
    """Rows that cleaning found to be certain copies."""
    copies = window.rejected_because(LANDED_TWICE)
    by_day = {day: float(rows) for day, rows in rows_by_day(dates_of(copies), window.judged).items() if rows}
    files = Counter(copies["received_from"].to_pylist())
    shown = ", ".join(f"{rows:,} of {file}" for file, rows in files.most_common(MAX_FILES_SHOWN))
    message = (
        f"{copies.num_rows:,} rows repeat rows of other files with shifted times and were left out ({shown}) on "
        f"{named_days(list(by_day))}. Take the file with the wrong times out of the landing folder, and materialise raw_alerts "
        "and cleaned_alerts for these days again."
    )
    return Finding(not by_day, message, {"left_out": copies.num_rows}, by_day)


def _near_pairs(window: Window) -> Finding:
    """Rows near a row of another file, beyond what the city's alerts are by nature. Fireworks are not judged."""
    rows = _usable_rows(window)
    ordinary = np.array(window.judged, dtype="datetime64[D]")
    days: list[date] = ordinary[~is_holiday_fireworks(ordinary)].tolist()
    if rows["received_from"].nunique() < 2 or not days:
        return Finding(True, "", {"near_pairs": 0})
    near = rows[_near_the_one_before(rows)]
    before = window.alerts.filter(pc.less(window.alerts["date"], pa.scalar(window.judged[0])))
    own = before.select([*PLACE_AND_TIME, "date"]).to_pandas().sort_values(PLACE_AND_TIME)
    own = own[~is_holiday_fireworks(own["date"].to_numpy().astype("datetime64[D]"))]
    if len(own) >= MIN_ROWS:
        own_share = float(_near_the_one_before(own).mean())
    else:
        own_share = float((~near["other_file"]).sum() / len(rows)) if len(rows) >= MIN_ROWS else np.nan
    usual = UNKNOWN_USUAL_SHARE if np.isnan(own_share) else max(USUAL_SHARE, TIMES_THE_CITYS_OWN * own_share)
    suspicious = near[near["other_file"]]
    files = Counter(suspicious["received_from"].to_list())
    named = ", ".join(file for file, _ in files.most_common(MAX_FILES_SHOWN))
    in_question, all_rows = (
        rows_by_day(part["date"].to_numpy().astype("datetime64[D]"), window.judged) for part in (suspicious, rows)
    )
    finding = share_finding(
        in_question,
        {day: all_rows[day] for day in days},
        min(usual, 0.5),
        f"are within {NEAR_SECONDS} s and at the point of a row of another file",
        f"See whether files hold the same alerts with other times or identifiers ({named}), and take one of them out of the "
        "landing folder.",
    )
    return Finding(finding.passed, finding.message, {"near_pairs": len(suspicious)}, finding.days)


def _moved(window: Window) -> Finding:
    """Identifiers with one point and several days. Where counters start again, one has several points."""
    alerts = window.alerts.select(["date", "source_id", "longitude", "latitude"])
    # Hashes leave few rows to be compared; a dictionary of all identifiers would take half a gigabyte.
    hashes = row_hashes(alerts.select(["source_id"]))
    in_order = np.sort(hashes)
    twice = np.unique(in_order[1:][in_order[1:] == in_order[:-1]])
    again = alerts.filter(pc.and_(pa.array(np.isin(hashes, twice)), pc.is_valid(alerts["source_id"]))).to_pandas()
    again["place"] = list(zip(*_places(again), strict=True))
    of_id = again.groupby("source_id")
    moved = again[(of_id["place"].transform("nunique") == 1) & (of_id["date"].transform("nunique") > 1)]
    days = window.judged
    finding = share_finding(
        rows_by_day(moved["date"].to_numpy().astype("datetime64[D]"), days),
        rows_by_day(dates_of(window.judged_alerts), days),
        MAX_MOVED_SHARE,
        "have the identifier and the point of an alert of another day",
        "See whether a file was landed again with other times, or whether the source sends corrections as new rows.",
    )
    return Finding(finding.passed, finding.message, {"moved": finding.numbers["rows"]}, finding.days)


def _usable_rows(window: Window) -> pd.DataFrame:
    """The judged days' raw rows without rejected ones, exact duplicates and fireworks, by place and time.

    `other_file`: whether the row before is of another file, one of the two having `MIN_ROWS_OF_A_FILE` rows at least. Where
    each alert comes in a file of its own, those of an episode are near each other by nature.
    """
    if len(window.raw["received_from"].unique()) < 2:
        return window.raw.schema.empty_table().to_pandas()
    place = ["received_from", "received_row"]
    named = {"received_from": object}
    rows = window.raw.to_pandas().astype(named).drop_duplicates(list(CONTENT))
    unusable = pd.MultiIndex.from_frame(window.rejected_rows.select(place).to_pandas().astype(named))
    rows = rows[~pd.MultiIndex.from_frame(rows[place]).isin(unusable)]
    rows = rows[~is_holiday_fireworks(rows["date"].to_numpy().astype("datetime64[D]"))].sort_values(PLACE_AND_TIME)
    of_file = rows["received_from"]
    large = of_file.map(of_file.value_counts()) >= MIN_ROWS_OF_A_FILE
    other_file = (of_file != of_file.shift()) & (large | large.shift(fill_value=False))
    return rows.assign(other_file=other_file.to_numpy())


def _near_the_one_before(rows: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Whether each of some rows, sorted by place and time, is near the one before; shape (rows,)."""
    east, north = _places(rows)
    seconds = rows["time_utc"].dt.tz_localize(None).to_numpy().astype("datetime64[us]").astype(np.int64) / 1e6
    near = (np.diff(east) == 0) & (np.diff(north) == 0) & (np.diff(seconds) <= NEAR_SECONDS)
    return np.r_[False, near][: len(rows)]


def _places(rows: pd.DataFrame) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    east, north = (np.rint(rows[name].to_numpy() * 10**MAX_DECIMALS) for name in ("longitude", "latitude"))
    return east.astype(np.int64), north.astype(np.int64)
