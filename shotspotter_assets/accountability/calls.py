"""Calls about shots, as the source of `outcomes` gives them: origin, outcome and times, and rows that cannot be used."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.calendar.dates import local_dates
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.outcomes import Outcomes
from shotspotter_assets.sources.row_texts import BROKEN_LINE, UNREAD_TIME

STEPS: Final = ("received", "dispatched", "arrived", "cleared")  # instants of a call, in order
TEXTS: Final = ("alert_id", "code", "origin", *STEPS[1:], UNREAD_TIME, BROKEN_LINE)
READ_TIME: Final = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"  # form in which `row_texts` writes a time
CONTENT: Final = [*STEPS, "longitude", "latitude", "alert_id", "code", "origin"]
"""Columns by which calls are ordered, whatever the order of rows and names of files."""


class Problem(NamedTuple):
    """A row, or a part of it, that is not used."""

    day: date  # local day under which the row is filed
    text: str  # file, row, problem and remedy


@dataclass(frozen=True)
class Calls:
    """Usable calls and the problems of rows.

    Columns of `frame`: `day` (filed), `where` (file and row), `alert_id`, `code` (both None without one), `origin`,
    `outcome`, the instants of `STEPS` (UTC), `longitude` and `latitude` (degrees, NaN without a usable point).
    """

    frame: pd.DataFrame
    problems: list[Problem]


def read_calls(rows: pa.Table, city: City) -> Calls:
    """Return the calls of rows of the side table (`RAW_SCHEMA` with `row_texts`), in the order of their content.

    A row without a readable time is left out. A point outside the city's box is left out, and with it a call without an
    alert's id. A time that cannot be read, or that is before an earlier step of the call, is left out alone.
    """
    assert city.outcomes is not None
    dated, undated = _dated(row_frame(rows, TEXTS), city)
    placed, misplaced = _placed(dated, city)
    timed, mistimed = _timed(placed)
    frame = _with_meaning(timed, city.outcomes).sort_values(CONTENT, kind="stable", ignore_index=True)
    return Calls(frame, [*undated, *misplaced, *mistimed])


def problems_of(frame: pd.DataFrame, texts: Sequence[str] | str) -> list[Problem]:
    """Return a problem for each call of a frame: its file and row, and its text, or the text of all."""
    of_rows = [texts] * len(frame) if isinstance(texts, str) else texts
    places = zip(frame["day"], frame["where"], of_rows, strict=True)
    return [Problem(day, f"{where}: {text}.") for day, where, text in places]


def row_frame(rows: pa.Table, names: Sequence[str]) -> pd.DataFrame:
    """Return rows of a side table with further columns by name as text, None for empty ones."""
    numbers = pc.add(rows["received_row"], 1).cast(pa.string())
    frame = pd.DataFrame(
        {
            "day": np.array(rows["date"].to_pylist(), dtype=object),
            "where": pc.binary_join_element_wise(rows["received_from"], numbers, ", row ").to_pylist(),
            "received": rows["time_utc"].to_pandas(),
            "longitude": rows["longitude"].to_numpy(),
            "latitude": rows["latitude"].to_numpy(),
        }
    )
    texts = [json.loads(text) for text in rows["as_received"].to_pylist()]
    further = [[row.get(name) for name in names] for row in texts]
    return frame.join(pd.DataFrame(further, columns=list(names), dtype=object))


def _dated(frame: pd.DataFrame, city: City) -> tuple[pd.DataFrame, list[Problem]]:
    """Return the calls with a time from the city's start on, and the problems of others."""
    is_broken = frame[BROKEN_LINE].notna()
    broken = problems_of(frame[is_broken], "the line does not parse, and the call is left out. Correct the line")
    is_unread = frame["received"].isna() & ~is_broken
    remedy = "Correct the row, or columns.time and time_format of outcomes.source"
    unread = [
        f"the time {text!r} cannot be read, and the call is left out. {remedy}"
        for text in frame.loc[is_unread, UNREAD_TIME]
    ]
    local = np.array(local_dates(pa.array(frame["received"]), city.zone).to_pylist(), dtype="datetime64[D]")
    is_early = local < np.datetime64(city.start)
    many = f"this and {is_early.sum() - 1:,} other calls are of days before the city's start ({city.start}), and are left out"
    early = problems_of(frame[is_early][:1], many)
    usable = frame[~is_broken & ~is_unread & ~is_early]
    return usable, [*broken, *problems_of(frame[is_unread], unread), *early]


def _placed(frame: pd.DataFrame, city: City) -> tuple[pd.DataFrame, list[Problem]]:
    """Return the calls with points in the city's box, or without a point, and the problems of others."""
    has_point = frame["longitude"].notna() & frame["latitude"].notna()
    is_outside = has_point & ~city.box.holds(frame["longitude"].to_numpy(), frame["latitude"].to_numpy())
    has_id = frame["alert_id"].notna()
    outside = frame[is_outside]
    endings = np.where(outside["alert_id"].notna(), "the point is left out", "the call is left out")
    texts = [
        f"the point {longitude:g}, {latitude:g} lies outside the city's box, and {ending}. Correct it, or crs of outcomes.source"
        for longitude, latitude, ending in zip(outside["longitude"], outside["latitude"], endings, strict=True)
    ]
    placed = frame.copy()
    placed.loc[~has_point | is_outside, ["longitude", "latitude"]] = np.nan
    return placed[~is_outside | has_id], problems_of(outside, texts)


def _timed(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[Problem]]:
    """Return the calls with their later steps as instants, and the problems of steps that are left out."""
    problems: list[Problem] = []
    timed = frame.copy()
    latest = frame["received"]
    for before, step in pairwise(STEPS):
        text = frame[step]
        is_read = text.astype("string").str.fullmatch(READ_TIME).fillna(False).astype(bool)
        unread = frame[text.notna() & ~is_read]
        remedy = "and is left out. Correct the row, or time_format of outcomes.source"
        problems += problems_of(unread, [f"{step} {value!r} cannot be read, {remedy}" for value in unread[step]])
        instants = pd.to_datetime(text.where(is_read), format="ISO8601", utc=True).astype(latest.dtype)
        is_backward = instants < latest
        earlier = before if before == "received" else f"received or {before}"
        backward = frame[is_backward]
        why = f"is before the call was {earlier}, and is left out. Correct the clock of the row"
        problems += problems_of(backward, [f"{step} {value} {why}" for value in backward[step]])
        timed[step] = instants.mask(is_backward)
        latest = timed[step].fillna(latest)
    return timed, problems


def _with_meaning(frame: pd.DataFrame, rules: Outcomes) -> pd.DataFrame:
    """Return calls with `outcome` and `origin` by the rules of the city; unknown codes are open, unknown origins persons."""
    outcomes = {code.lower(): outcome for code, outcome in rules.codes.items()}
    origins = {text.lower(): origin for text, origin in rules.origins.items()}
    of_others = "sensor" if rules.columns.origin is None else "person"
    return frame.assign(
        outcome=[outcomes.get((code or "").lower(), "open") for code in frame["code"]],
        origin=[origins.get((text or "").lower(), of_others) for text in frame["origin"]],
    )
