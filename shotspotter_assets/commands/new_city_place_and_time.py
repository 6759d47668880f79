"""Place and clock of a new city: time zone, box and grid, and the form and meaning of times."""

import math
import re
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from importlib.resources import files
from itertools import product
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.alerts.checks.clock import MIN_COARSE_SHARE, STEPS_SECONDS
from shotspotter_assets.alerts.checks.row_shares import MIN_STEPS
from shotspotter_assets.alerts.checks.usual import GUNFIRE_SHARES, MIN_LOG_LIKELIHOOD_RATIO
from shotspotter_assets.alerts.sources.alert_source import SourceError
from shotspotter_assets.alerts.sources.raw_rows import read_points
from shotspotter_assets.alerts.sources.tabular_settings import Columns, LandingSettings
from shotspotter_assets.alerts.sources.written_times import read_times
from shotspotter_assets.cities.box import MAX_CELLS, Box, Grid
from shotspotter_assets.commands.new_city_columns import Alerts, NewCityError, Question, epoch_unit
from shotspotter_assets.grid.cells import METRES_PER_DEGREE, Plane, rounding_step
from shotspotter_assets.grid.dates import hours_of_day, wall_clock
from shotspotter_assets.storage.arrays import Array, Booleans, Days
from shotspotter_assets.storage.wording import number_of

MAX_ZONE_POINTS: Final = 1_000
MIN_ZONE_SHARE: Final = 0.99  # minimum share of points in one time zone; a city at a border of zones is asked for
NOWHERE: Final = ("Etc/", "Antarctica/")  # time zones of the sea, and of points with swapped columns
NEAR_SHARE: Final = 0.9  # share of the alerts nearest to the middle, whose distance measures a city
MAX_TIMES_NEAR: Final = 4  # maximum multiple of that distance within a city; at most 3.2 in seventeen data sets
MIN_NEAR_METRES: Final = 500
EDGE_DEGREES: Final = 0.005  # edges of a box are multiples of it, at least a fifth of it beyond the last alert
CELL_METRES: Final = 450  # minimum side of a cell
MAX_SIDE: Final = 500  # maximum number of rows and of columns


class Place(NamedTuple):
    """Place of a city: the rows inside, time zone, box and grid, and sentences about them."""

    is_inside: Booleans
    zone: str
    box: Box
    grid: Grid
    notes: dict[str, str]


def find_place(alerts: Alerts, columns: Mapping[str, str], answers: Mapping[str, str]) -> Place:
    """Find the place of a city; raise Question for an unknown zone or system, and NewCityError if most points are missing."""
    points = _points(alerts, columns, answers.get("--crs"))
    is_inside = _are_inside(points)
    points = points[is_inside]
    zone, share = _zones(points)
    longitude, latitude = np.median(points, axis=0)
    where = f"{share:.0%} of the points, around {latitude:.3f}, {longitude:.3f}, are in {zone}"
    stated = answers.get("--time-zone")
    if stated is None and (share < MIN_ZONE_SHARE or zone.startswith(NOWHERE)):
        raise Question("--time-zone", f"{where}. What is the city's time zone (IANA, such as America/New_York)?")
    box = _box(points)
    grid = _grid(points, box)
    plane = Plane.of(box)
    far = number_of(int((~is_inside & ~alerts.is_broken).sum()), "row")
    notes = {
        "time_zone": where,
        "box": f"{far} of {len(is_inside):,} lie far away, or have no point",
        "grid": f"cells of {plane.width / grid.columns:.0f} x {plane.height / grid.rows:.0f} m",
    }
    return Place(is_inside, stated or zone, box, grid, notes)


def country_of(zone: str) -> str:
    """Return the code of the first country that uses a time zone (ISO 3166); US if tzdata names none."""
    lines = (files("tzdata") / "zoneinfo" / "zone.tab").read_text().splitlines()
    return {line.split("\t")[2]: line[:2] for line in lines if not line.startswith("#")}.get(zone, "US")


def _points(alerts: Alerts, columns: Mapping[str, str], crs: str | None) -> Array:
    """Return (longitude, latitude) of all rows, NaN for none and for 0, 0; shape (rows, 2)."""
    source = LandingSettings(kind="landing", columns=Columns.model_validate(columns), crs=crs)
    try:
        coordinates = read_points(alerts.rows, source, str(alerts.files[0]))
    except SourceError as error:
        raise Question("--crs", str(error)) from None
    points = np.column_stack([column.to_numpy() for column in coordinates]).astype(np.float64)
    points[(points == 0).all(axis=1)] = np.nan
    headings = [columns["longitude"], columns["latitude"]]
    alerts.require(
        np.asarray(np.isnan(points).any(axis=1)), headings, "Add longitudes and latitudes (geocode addresses) first"
    )
    return points


def _are_inside(points: Array) -> Booleans:
    """Flag the points of the city itself, without those of other places; shape (rows,)."""
    middle = np.nanmedian(points, axis=0)
    shrink = [math.cos(math.radians(float(np.clip(middle[1], -89, 89)))), 1]
    metres = np.hypot(*((points - middle) * shrink * METRES_PER_DEGREE).T)
    return np.asarray(metres <= MAX_TIMES_NEAR * max(float(np.nanquantile(metres, NEAR_SHARE)), MIN_NEAR_METRES))


def _zones(points: Array) -> tuple[str, float]:
    """Return the time zone of most points without NaN, or of a sample of them, and their share."""
    import tzfpy

    sample = points[np.unique(np.linspace(0, len(points) - 1, MAX_ZONE_POINTS).astype(int))]
    zones = Counter(tzfpy.get_tz(longitude, latitude) for longitude, latitude in sample.tolist())
    [(zone, number)] = zones.most_common(1)
    return zone, number / zones.total()


def _box(points: Array) -> Box:
    """Return the box of points without NaN, with some room, in round degrees."""
    lowest = np.floor((points.min(axis=0) - EDGE_DEGREES / 5) / EDGE_DEGREES) * EDGE_DEGREES
    highest = np.ceil((points.max(axis=0) + EDGE_DEGREES / 5) / EDGE_DEGREES) * EDGE_DEGREES
    west, south, east, north = np.concatenate([lowest, highest]).round(3).tolist()
    return Box(west=west, south=south, east=east, north=north)


def _grid(points: Array, box: Box) -> Grid:
    """Return the grid of a box, whose cells are not finer than the rounding of points without NaN."""
    plane = Plane.of(box)
    rounding_metres = MIN_STEPS * rounding_step(points) * METRES_PER_DEGREE
    side = max(CELL_METRES, rounding_metres, math.sqrt(plane.width * plane.height / MAX_CELLS))
    rows, columns = (int(np.clip(length / side, 2, MAX_SIDE)) for length in (plane.height, plane.width))
    return Grid(rows=rows, columns=columns)


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
