"""Published or estimated first days of coverage by cell: datetime64[D] (rows, columns), NaT out of the sensors' reach."""

from collections.abc import Sequence
from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.shape_files import coverage_polygons
from shotspotter_assets.gridding.cells import cell_middles

Array = npt.NDArray[np.float64]

MIN_ALERTS: Final = 3
"""Minimum alerts of a covered cell in a training window; one or two alerts may be misplaced points."""

MAX_RATE_BEFORE: Final = 0.1
"""Maximum rate before coverage, as a share of the later one: misplaced points, and alerts of cells next to it."""

MIN_LOG_LIKELIHOOD_RATIO: Final = 8.0
"""For a start after the first day. By chance, cells of constant rate reach 4 in up to 7 of a hundred cases, 8 in up to 3
of a thousand (simulated, 1 and 5 years, 0.003 to 0.1 alert days a day)."""


def coverage_of(city: City, daily: npt.NDArray[np.integer], days: Sequence[date]) -> npt.NDArray[np.datetime64]:
    """Return the city's published coverage, else that of `estimate_first_days`, shape (rows, columns)."""
    return estimate_first_days(daily, days) if city.coverage is None else published_first_days(city)


def in_coverage(coverage: npt.NDArray[np.datetime64], days: Sequence[date]) -> npt.NDArray[np.bool_]:
    """Flag the covered cells of each day, shape (days, rows, columns)."""
    # NaT is not before anything.
    return coverage <= np.array(days, dtype="datetime64[D]")[:, None, None]


def published_first_days(city: City) -> npt.NDArray[np.datetime64]:
    """Return the coverage of the published areas with each cell's middle; `City.coverage` must not be null."""
    longitude, latitude = cell_middles(city, *np.indices(city.shape))
    return _first_days(city, longitude.ravel(), latitude.ravel()).reshape(city.shape)


def points_in_coverage(
    city: City, longitude: Array, latitude: Array, dates: npt.NDArray[np.datetime64]
) -> npt.NDArray[np.bool_]:
    """Flag points in an area that is published as covered on the point's local date, shape (points,)."""
    return _first_days(city, longitude, latitude) <= dates


def estimate_coverage(daily: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
    """Return cells with at least `MIN_ALERTS` of the daily alerts (days, rows, columns), shape (rows, columns).

    Estimate it on training days only: a coverage that has seen the test days is a leak.
    """
    return daily.sum(axis=0, dtype=np.int64) >= MIN_ALERTS


def estimate_first_days(daily: npt.NDArray[np.integer], days: Sequence[date]) -> npt.NDArray[np.datetime64]:
    """Return the estimated coverage, with the likely first day of each cell's sensors, shape (rows, columns).

    It is the first day of the week that best splits the days with alerts in the cell or its eight neighbours into few
    and many (two Bernoulli rates by maximum likelihood), if the first rate is at most `MAX_RATE_BEFORE` of the second
    and the log likelihood ratio over one rate is at least `MIN_LOG_LIKELIHOOD_RATIO`. Otherwise it is the window's
    first day, as a quiet cell may have its first alert late. `daily` are alerts (days, rows, columns) of contiguous days.
    """
    from scipy.ndimage import maximum_filter1d
    from scipy.special import xlogy

    # A burst on one day, as with fireworks, is one day with alerts.
    active = daily > 0
    for axis in (1, 2):
        active = maximum_filter1d(active.view(np.uint8), 3, axis=axis, mode="constant").astype(bool)
    starts = np.arange(0, len(days), 7)  # of weeks
    covered = estimate_coverage(daily)
    weekly = np.add.reduceat(active[:, covered], starts, axis=0, dtype=np.int32)
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
    week = np.zeros(covered.sum(), dtype=np.int64)
    if len(ratio):
        week = np.where(ratio.max(axis=0) >= MIN_LOG_LIKELIHOOD_RATIO, ratio.argmax(axis=0) + 1, 0)
    first_days = np.full(covered.shape, np.datetime64("NaT", "D"))
    first_days[covered] = np.datetime64(days[0], "D") + starts[week].astype("timedelta64[D]")
    return first_days


def _first_days(city: City, longitude: Array, latitude: Array) -> npt.NDArray[np.datetime64]:
    """Return the first covered day of each point, NaT outside all areas, shape (points,)."""
    import shapely

    assert city.coverage is not None
    first = np.full(len(longitude), np.datetime64("NaT", "D"))
    for name, area in coverage_polygons(city.coverage):
        since = city.coverage.areas.get(name)
        if since is not None:
            shapely.prepare(area)
            inside = shapely.intersects_xy(area, longitude, latitude)
            first[inside] = np.fmin(first[inside], np.datetime64(since, "D"))
    return first
