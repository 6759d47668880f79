"""The public page: areas of a city and their expected levels by day, without cells, streets, chances or plans."""

from datetime import timedelta
from typing import Any, Final

import numpy as np
import shapely

from shotspotter_assets.cities.city import City
from shotspotter_assets.evaluation.forecasts_table import cells_of
from shotspotter_assets.forecasts.issued_forecasts import ForecastRecord, next_day_forecasts
from shotspotter_assets.forecasts.seals import head_of
from shotspotter_assets.grid.cells import Plane, cell_metres
from shotspotter_assets.grid.coverage import cell_districts, district_areas
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.pages.places import CityLayers
from shotspotter_assets.pages.rendering import package_file, policy, render
from shotspotter_assets.pages.shown import NewestForecast
from shotspotter_assets.storage.arrays import Booleans, Integers, Names
from shotspotter_assets.storage.store import Store

FOLDER: Final = "public/"
SHOWN_DAYS: Final = 7
USUAL_DAYS: Final = 365  # days to the last known one, whose mean is an area's usual level
USUAL_RATIO: Final = (0.8, 1.25)  # usual range of expected alerts over that level
MIN_SQUARE_KM: Final = 2.0  # minimum size of an area by shape and forecast cells; a smaller one could point to a block
MIN_YEAR_ALERTS: Final = 12  # minimum for a usual level
MIN_COVERED_DAYS: Final = 28  # minimum for a usual level, on average over an area's cells


def public_files(store: Store, city: City, issue: NewestForecast, layers: CityLayers) -> dict[str, bytes]:
    """Return the public page of the newest forecast with its style and script, by name."""
    forecast = issue.forecast
    values = {
        "event": city.event,
        "city_title": city.shown_title,
        "record": forecast and forecast.record,
        "ends": forecast and forecast.ends,
        "levels": forecast and _levels(store, city, forecast.record, layers),
        "min_square_km": MIN_SQUARE_KM,
        "usual": USUAL_RATIO,
        "csp": policy(),
        "shared": "",
        "seal": head_of(store, city.name),
    }
    files = {FOLDER + name: package_file(name) for name in ("pages.css", "pages.js")}
    return files | {f"{FOLDER}index.html": render("public.html.jinja", values)}


def _levels(store: Store, city: City, record: ForecastRecord, layers: CityLayers) -> dict[str, Any] | None:
    """Return the forecast dates, the newest first, and the levels of each area by its name; None without a known year."""
    last = record.last_known
    history = CityHistory.find(store, city, last, max(city.start, last - timedelta(days=USUAL_DAYS - 1)))
    if history is None:
        return None
    newest = record.forecast_date
    forecasts = next_day_forecasts(store, city, newest - timedelta(days=SHOWN_DAYS - 1), newest)
    areas, too_small = _areas(city, layers)
    cells = cells_of(forecasts[newest])
    usual = _UsualLevels(history, cells)
    min_cells = MIN_SQUARE_KM * 1e6 / np.prod(cell_metres(city))
    rows = {}
    for area in sorted({*areas[cells].tolist()} - too_small):
        inside = areas[cells] == area
        if inside.sum() >= min_cells:
            level = usual.of(inside)
            rows[area] = [
                _level(float(table["expected"].to_numpy()[areas[cells_of(table)] == area].sum()), level)
                for table in reversed(forecasts.values())
            ]
    return {"dates": [*forecasts][::-1], "rows": rows}


class _UsualLevels:
    """Usual daily alerts of areas by the year before; a cell counts from its start of coverage on, or from the first day."""

    def __init__(self, history: CityHistory, cells: tuple[Integers, Integers]) -> None:
        days = np.array(history.days, "datetime64[D]")
        is_covered = history.is_known[:, None] & ~(days[:, None] < history.coverage_starts[cells])
        self._alerts = (history.alerts[:, *cells] * is_covered).sum(axis=0)
        self._covered_days = is_covered.sum(axis=0)

    def of(self, inside: Booleans) -> float | None:
        """Return the usual level of some cells; None with too few alerts, or days with coverage."""
        if self._alerts[inside].sum() < MIN_YEAR_ALERTS or self._covered_days[inside].mean() < MIN_COVERED_DAYS:
            return None
        return float((self._alerts[inside] / np.maximum(self._covered_days[inside], 1)).sum())


def _areas(city: City, layers: CityLayers) -> tuple[Names, set[str]]:
    """Return each cell's district, else area of coverage or quadrant, "" outside, and those whose shapes are too small."""
    areas = district_areas(city, layers.get("districts"))
    box = shapely.box(*city.box.edges)
    too_small = {""}
    for name in {name for name, _ in areas or ()}:
        shape = shapely.union_all([area for other, area in areas or () if other == name]).intersection(box)
        if shapely.transform(shape, Plane.of(city.box).metres).area < MIN_SQUARE_KM * 1e6:
            too_small.add(name)
    return cell_districts(city, areas), too_small


def _level(expected: float, usual: float | None) -> str:
    lowest, highest = USUAL_RATIO
    if usual is None:
        return "too few to say"
    ratio = expected / usual
    return "lower than usual" if ratio < lowest else "higher than usual" if ratio > highest else "usual"
