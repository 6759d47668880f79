"""Points of alerts, and the time zone, box and grid that follow from them."""

import math
from collections import Counter
from collections.abc import Mapping
from importlib.resources import files
from typing import Final, NamedTuple

import numpy as np

from shotspotter_assets.alerts.checks.row_shares import MIN_STEPS
from shotspotter_assets.alerts.sources.alert_source import SourceError
from shotspotter_assets.alerts.sources.raw_rows import read_points
from shotspotter_assets.alerts.sources.tabular_settings import Columns, LandingSettings
from shotspotter_assets.cities.box import MAX_CELLS, Box, Grid
from shotspotter_assets.commands.new_city.columns import Question
from shotspotter_assets.commands.new_city.reading import Alerts
from shotspotter_assets.grid.cells import METRES_PER_DEGREE, Plane, rounding_step
from shotspotter_assets.storage.arrays import Array, Booleans
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
        "grid": f"cells of {plane.height / grid.rows:.0f} x {plane.width / grid.columns:.0f} m",
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
