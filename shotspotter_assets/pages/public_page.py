"""The public page: areas of a city and their expected levels by day, without cells, streets, chances or plans."""

from datetime import timedelta
from typing import Any, Final

import numpy as np
import shapely

from shotspotter_assets.arrays import Names
from shotspotter_assets.cities.city import City
from shotspotter_assets.evaluation.forecasts_table import cells_of
from shotspotter_assets.geometry.cells import Plane, cell_metres
from shotspotter_assets.gridding.districts import cell_districts, district_areas
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.pages.places import CityLayers
from shotspotter_assets.pages.rendering import package_file, policy, render
from shotspotter_assets.serving.issued_forecasts import ForecastRecord, next_day_forecasts
from shotspotter_assets.storage.store import Store

FOLDER: Final = "public/"
SHOWN_DAYS: Final = 7
USUAL_DAYS: Final = 365  # days to the last known one, whose mean is an area's usual level
USUAL_RATIO: Final = (0.8, 1.25)  # usual range of expected alerts over that level
MIN_SQUARE_KM: Final = 2.0  # minimum size of an area by shape and forecast cells; a smaller one could point to a block
MIN_YEAR_ALERTS: Final = 12  # minimum for a usual level
MIN_COVERED_DAYS: Final = 28  # minimum for a usual level, on average over an area's cells


def public_files(store: Store, city: City, issue: dict[str, Any], layers: CityLayers, title: str) -> dict[str, bytes]:
    """Return the public page of the newest forecast with its style and script, by name."""
    forecast = issue["forecast"]
    record = None if forecast is None else forecast["record"]
    values = {
        "city_title": title,
        "record": record,
        "ends": None if forecast is None else forecast["ends"],
        "levels": None if record is None else _levels(store, city, record, layers),
        "min_square_km": MIN_SQUARE_KM,
        "usual": USUAL_RATIO,
        "csp": policy(),
        "shared": "",
    }
    files = {FOLDER + name: package_file(name) for name in ("pages.css", "pages.js")}
    return files | {f"{FOLDER}index.html": city.worded(render("public.html.jinja", **values).decode()).encode()}


def _levels(store: Store, city: City, record: ForecastRecord, layers: CityLayers) -> dict[str, Any] | None:
    """Return the forecast dates, the newest first, and the levels of each area by its name; None without a known year."""
    newest, last = record.forecast_date, record.last_known
    history = CityHistory.find(store, city, last, max(city.start, last - timedelta(days=USUAL_DAYS - 1)))
    if history is None:
        return None
    forecasts = next_day_forecasts(store, city, newest - timedelta(days=SHOWN_DAYS - 1), newest)
    cells, (areas, too_small) = cells_of(forecasts[newest]), _areas(city, layers)
    starts, days = history.coverage_starts[cells], np.array(history.days, "datetime64[D]")
    # Without a start, a cell counts from the first day on.
    is_covered = history.is_known[:, None] & ~(days[:, None] < starts)
    alerts, covered_days = (history.alerts[:, *cells] * is_covered).sum(axis=0), is_covered.sum(axis=0)
    square_km = np.prod(cell_metres(city)) / 1e6
    rows = {}
    for area in sorted({*areas[cells].tolist()} - too_small):
        inside = areas[cells] == area
        if inside.sum() * square_km >= MIN_SQUARE_KM:
            is_usual_known = alerts[inside].sum() >= MIN_YEAR_ALERTS and covered_days[inside].mean() >= MIN_COVERED_DAYS
            usual = (alerts[inside] / np.maximum(covered_days[inside], 1)).sum() if is_usual_known else None
            in_area = [one["expected"].to_numpy()[areas[cells_of(one)] == area] for one in forecasts.values()]
            rows[area] = [_level(float(expected.sum()), usual) for expected in in_area[::-1]]
    return {"dates": [*forecasts][::-1], "rows": rows}


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
        return "too few alerts to say"
    ratio = expected / usual
    return "lower than usual" if ratio < lowest else "higher than usual" if ratio > highest else "usual"
