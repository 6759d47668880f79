"""Times of alerts: their form, meaning and precision, and the city's local time."""

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from itertools import product
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.alerts.checks.clock import MIN_COARSE_SHARE, STEPS_SECONDS
from shotspotter_assets.alerts.checks.usual import GUNFIRE_SHARES, MIN_LOG_LIKELIHOOD_RATIO
from shotspotter_assets.alerts.sources.tabular_settings import Columns, LandingSettings
from shotspotter_assets.alerts.sources.written_times import read_times
from shotspotter_assets.commands.new_city.columns import Question, epoch_unit
from shotspotter_assets.commands.new_city.reading import Alerts, NewCityError
from shotspotter_assets.grid.dates import hours_of_day, wall_clock
from shotspotter_assets.storage.arrays import Days

DATE: Final = r"^\s*(?P<first>\d{1,2})[/. -](?P<second>\d{1,2})[/. -]\d{2,4}"  # begins with the day or the month
ORDERS: Final = {"month-first": "%m{0}%d{0}%", "day-first": "%d{0}%m{0}%"}
CLOCKS: Final = (
    "",
    "%H:%M:%S",
    "%H:%M",
    "%I:%M:%S %p",
    "%I:%M %p",
    "%I:%M:%S%p",
    "%I:%M%p",
    "%H:%M:%S.%f",
    "%H:%M:%S%z",
)
MAX_MINORITY: Final = 0.01  # maximum share of dates in the other order, which are typing errors
OTHER_OFFSET: Final = r":\d\d\s*[+-](?:0[1-9]|1\d):?\d\d\s*$"  # of a zone that is not UTC


class Times(NamedTuple):
    """Times of all rows: the city's wall clock (datetime64[us], NaT for none), and the keys of the source that give it."""

    local: Days
    keys: dict[str, Any]  # `time_format`, `naive_times` and `ignore_zone` of the source
    precision: str  # second, hour or day
    note: str


def find_times(alerts: Alerts, columns: Mapping[str, str], zone: ZoneInfo, answers: Mapping[str, str]) -> Times:
    """Read the times of all rows; raise Question if order or meaning stay open, NewCityError if most are unreadable."""
    column = alerts.rows[columns["time"]]
    clock = alerts.rows[columns["time_of_day"]] if "time_of_day" in columns else None
    form = epoch_unit(column) or _form(alerts, column, clock, answers.get("--dates"))
    local, is_stamped = _moments(alerts, columns, form)
    is_known = ~np.isnat(local)
    known = local[is_known]
    meaning = answers.get("--times", "")
    note = "as stated"
    if not meaning:
        meaning, note = _meaning(column, known, wall_clock(known, zone), is_stamped=is_stamped)
    if meaning != "local":
        local[is_known] = wall_clock(known, zone)
    naive = meaning if meaning != "stamped" else None
    keys = {"time_format": form, "naive_times": naive, "ignore_zone": is_stamped and naive == "local"}
    return Times(local, {key: value for key, value in keys.items() if value}, _precision(local[is_known]), note)


def _moments(alerts: Alerts, columns: Mapping[str, str], form: str | None) -> tuple[Days, bool]:
    """Return the moments of rows without their zone, NaT for unreadable ones, and True if most have a zone."""
    source = LandingSettings(kind="landing", columns=Columns.model_validate(columns), time_format=form)
    of_columns = {name: alerts.rows[columns[name]] for name in ("time", "time_of_day") if name in columns}
    instants, wall = read_times(of_columns["time"], of_columns.get("time_of_day"), source, str(alerts.files[0]))
    moments = np.where(np.isnat(instants), wall, instants)
    remedy = "Write times as 2026-07-13 23:58:53, or name others with --column time=COLUMN"
    alerts.require(np.isnat(moments), [columns[name] for name in of_columns], remedy)
    return moments, bool(np.isnat(wall[~np.isnat(moments)]).mean() > 1 / 2)


def _form(alerts: Alerts, column: pa.ChunkedArray, clock: pa.ChunkedArray | None, order: str | None) -> str | None:
    """Return the `time_format` of dates that do not show their order, or have the day first; None for the usual forms."""
    if not pa.types.is_string(column.type):
        return None
    parts = pc.extract_regex(column, DATE)
    dated = np.flatnonzero(parts.is_valid())
    numbers = [pc.struct_field(parts, name).drop_null().cast(pa.int64()).to_numpy() for name in ("first", "second")]
    day_first, month_first = (dated[number > 12] for number in numbers)
    if min(len(day_first), len(month_first)) > MAX_MINORITY * len(dated):
        rows = (int(rows[0]) for rows in (day_first, month_first))
        examples = " and ".join(f"{column[row].as_py()!r} in {alerts.place(row)}" for row in rows)
        raise NewCityError(
            f"Dates are written in two orders, {examples}. Write the day first in all of them, or in none."
        )
    if not len(dated) or len(month_first) > len(day_first):
        return None
    text = " ".join(values[int(dated[0])].as_py() or "" for values in (column, clock) if values is not None).strip()
    if len(day_first):
        order = "day-first"
    elif order is None:
        question = f"Dates such as {text!r} do not show whether the day or the month is first. Which is?"
        raise Question("--dates", question, list(ORDERS))
    return _pattern(text, ORDERS[order])


def _pattern(text: str, order: str) -> str | None:
    """Return the `strptime` pattern of a time such as 13/07/2018 11:58:53 PM; None for an unusual form."""
    gap = re.search(r"\d([T, ]+)\d", text)
    for year, clock in product("Yy", CLOCKS):
        form = order.format(re.findall(r"\D", text)[0]) + year + (gap[1] + clock if gap and clock else clock)
        with suppress(ValueError):
            datetime.strptime(text, form)
            return form
    return None


def _meaning(column: pa.ChunkedArray, known: Days, from_utc: Days, *, is_stamped: bool) -> tuple[str, str]:
    """Return `local`, `utc` or `stamped` with the evidence; raise Question if there is too little.

    Args:
        column: Times as received.
        known: Moments as read, without their zone if they have one.
        from_utc: Wall clock of the city if the moments are UTC; same shape.
        is_stamped: True if most times have a zone.
    """
    kind = column.type
    if pa.types.is_timestamp(kind) and kind.tz not in {None, "UTC", "+00:00", "Etc/UTC"}:
        return "stamped", f"times have the zone {kind.tz}"
    if pc.any(pc.match_substring_regex(column.cast(pa.string()), OTHER_OFFSET)).as_py():
        return "stamped", "times have offsets from UTC"
    if _precision(known) == "day":
        return "local", "dates without a time of day are days of the city"
    ratio = _log_likelihood(known) - _log_likelihood(from_utc)
    evidence = f"nights have the usual hours of gunfire (log likelihood ratio {abs(ratio):,.0f})"
    if ratio <= -MIN_LOG_LIKELIHOOD_RATIO:
        return ("stamped" if is_stamped else "utc"), f"in UTC, {evidence}"
    if ratio >= MIN_LOG_LIKELIHOOD_RATIO and not is_stamped:
        return "local", f"on the city's wall clock, {evidence}"
    if is_stamped and ratio < MIN_LOG_LIKELIHOOD_RATIO:
        return (
            "stamped",
            "times are stamped as UTC; there are too few alerts to compare nights with those of other cities",
        )
    problem = (
        "are stamped as UTC, but fit the city's wall clock"
        if is_stamped
        else "have no zone, and too few alerts show it"
    )
    choices = ["local", "stamped" if is_stamped else "utc"]
    raise Question("--times", f"Times such as {column[0].as_py()} {problem}. Which is true?", choices)


def _log_likelihood(moments: Days) -> float:
    """Return the log likelihood of the hours of moments under the usual hours of gunfire."""
    return float(np.log(GUNFIRE_SHARES) @ np.bincount(hours_of_day(moments), minlength=24))


def _precision(moments: Days) -> str:
    """Return the `time_precision` of moments."""
    seconds = moments.astype(np.int64) / 1e6
    shares = {name: (seconds % STEPS_SECONDS[name] == 0).mean() for name in ("day", "hour")}
    return next((name for name, share in shares.items() if share >= MIN_COARSE_SHARE), "second")
