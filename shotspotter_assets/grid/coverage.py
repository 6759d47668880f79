"""Published or estimated starts of coverage by cell (NaT out of the sensors' reach), and the districts of cells."""

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import shapely
from scipy.ndimage import maximum_filter1d
from scipy.special import xlogy

from shotspotter_assets.cities.city import City, Coverage
from shotspotter_assets.grid.cells import cell_middles, quadrants
from shotspotter_assets.grid.shapes import Areas, area_name, areas_of_cells, read_areas
from shotspotter_assets.storage.arrays import Array, Booleans, Days, Names

if TYPE_CHECKING:
    from geopandas import GeoSeries


MIN_CELL_ALERTS: Final = 3  # minimum of a covered cell in a window; one or two may be misplaced points
MAX_RATE_BEFORE: Final = 0.1  # before coverage, as a share of the later rate: misplaced points, alerts of cells beside
MIN_START_LOG_LIKELIHOOD_RATIO: Final = 8.0  # chance of it: 3 in 1,000 cells (simulated)


def coverage_areas(coverage: Coverage) -> Areas:
    """Return the polygons of the published coverage, with the names under which they are shown."""
    areas = read_areas(coverage.file, coverage.name_property, coverage.areas)
    return [(area_name(coverage.name_property, name), area) for name, area in areas]


def coverage_starts(city: City, daily: npt.NDArray[np.integer], days: Sequence[date]) -> Days:
    """Return the published start of coverage at each cell's middle, else `estimate_coverage_starts`."""
    if city.coverage is None:
        return estimate_coverage_starts(daily, days)
    return published_starts(city.coverage, *cell_middles(city, *np.indices(city.shape)))


def estimate_coverage(daily: npt.NDArray[np.integer]) -> Booleans:
    """Flag cells with at least `MIN_CELL_ALERTS` of the daily alerts (days, rows, columns) of training days."""
    return daily.sum(axis=0, dtype=np.int64) >= MIN_CELL_ALERTS


def estimate_coverage_starts(daily: npt.NDArray[np.integer], days: Sequence[date]) -> Days:
    """Return the likely first day of each cell's sensors, NaT outside `estimate_coverage`, shape (rows, columns).

    Two Bernoulli rates are fitted by maximum likelihood to the days with alerts in the cell or its eight neighbours. The
    week between them is the start if the first rate is at most `MAX_RATE_BEFORE` of the second, and the log likelihood
    ratio over one rate reaches `MIN_START_LOG_LIKELIHOOD_RATIO`. Otherwise it is the window's first day, because a quiet cell may
    have its first alert late. `daily` are alerts (days, rows, columns) of contiguous days.
    """
    # A burst on one day, as with fireworks, is one day with alerts.
    active = daily > 0
    for axis in (1, 2):
        active = maximum_filter1d(active.view(np.uint8), 3, axis=axis, mode="constant").astype(bool)
    starts = np.arange(0, len(days), 7)  # first days of weeks
    in_coverage = estimate_coverage(daily)
    weekly = np.add.reduceat(active[:, in_coverage], starts, axis=0, dtype=np.int32)
    total = weekly.sum(axis=0)
    before = np.cumsum(weekly, axis=0)[:-1]
    after = total - before
    days_before = starts[1:, None].astype(float)
    days_after = len(days) - days_before

    def log_likelihood(active_days: npt.NDArray[np.integer], all_days: Array | float) -> Array:
        rate = active_days / all_days
        return xlogy(active_days, rate) + xlogy(all_days - active_days, 1 - rate)

    ratio = log_likelihood(before, days_before) + log_likelihood(after, days_after)
    ratio -= log_likelihood(total, float(len(days)))
    ratio[before / days_before > MAX_RATE_BEFORE * after / days_after] = 0
    # A window of one week has no later start.
    ratio = np.vstack([np.zeros(in_coverage.sum()), ratio])
    week = np.where(ratio.max(axis=0) >= MIN_START_LOG_LIKELIHOOD_RATIO, ratio.argmax(axis=0), 0)
    coverage_starts = np.full(in_coverage.shape, np.datetime64("NaT", "D"))
    coverage_starts[in_coverage] = np.datetime64(days[0], "D") + starts[week].astype("timedelta64[D]")
    return coverage_starts


def published_starts(coverage: Coverage, longitude: Array, latitude: Array) -> Days:
    """Return the published first covered day of each point, NaT outside the covered areas; same shape."""
    starts = np.full(longitude.shape, np.datetime64("NaT", "D"))
    for name, area in read_areas(coverage.file, coverage.name_property, coverage.areas):
        if name in coverage.areas:
            shapely.prepare(area)
            inside = shapely.intersects_xy(area, longitude, latitude)
            starts[inside] = np.fmin(starts[inside], np.datetime64(coverage.areas[name], "D"))
    return starts


OUTSIDE: Final = "outside the published areas"


def district_areas(city: City, layer: "GeoSeries | None" = None) -> Areas | None:
    """Return the named areas of the districts; None for a city without any, whose districts are quarters of the grid.

    Districts are the shapes of the layer `districts`, indexed by name, if it is given, else the areas of the coverage.
    """
    if layer is not None:
        return list(layer.items())
    return None if city.coverage is None else coverage_areas(city.coverage)


def cell_districts(city: City, areas: Areas | None, outside: str = "") -> Names:
    """Return the name of the district that each cell's middle lies in, `outside` where none does; shape (rows, columns)."""
    return quadrants(city.shape) if areas is None else areas_of_cells(city, areas, outside)
