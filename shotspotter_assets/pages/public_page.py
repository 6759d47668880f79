"""The public page: areas of a city and their expected levels by day, without cells, streets, chances or plans."""

from datetime import timedelta
from typing import Any, Final

import numpy as np

from shotspotter_assets.arrays import Names
from shotspotter_assets.cities.city import City
from shotspotter_assets.evaluation.forecasts_table import cells_of
from shotspotter_assets.geometry.cells import cell_metres, cell_middles
from shotspotter_assets.geometry.shapes import names_at
from shotspotter_assets.models.city_history import known_history
from shotspotter_assets.pages.places import CityLayers
from shotspotter_assets.pages.rendering import package_file, policy, render
from shotspotter_assets.patrol.plan import OUTSIDE, cell_areas
from shotspotter_assets.serving.issued_forecasts import ForecastRecord, next_day_forecasts
from shotspotter_assets.storage.store import Store

FOLDER: Final = "public/"
SHOWN_DAYS: Final = 7
USUAL_DAYS: Final = 365  # days to the last known one, whose mean is an area's usual level
USUAL_RATIO: Final = (0.8, 1.25)  # usual range of expected alerts over that level
MIN_SQUARE_KM: Final = 2.0  # minimum size of an area by its forecast cells; a smaller one could point to a block
MIN_YEAR_ALERTS: Final = 12  # minimum for a usual level


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
    return files | {f"{FOLDER}index.html": render("public.html.jinja", **values)}


def _levels(store: Store, city: City, record: ForecastRecord, layers: CityLayers) -> dict[str, Any] | None:
    """Return the forecast dates, the newest first, and the levels of each area by its name; None without a known year."""
    newest, last = record.forecast_date, record.last_known
    history = known_history(store, city, last, max(city.start, last - timedelta(days=USUAL_DAYS - 1)))
    if history is None:
        return None
    forecasts = next_day_forecasts(store, city, newest - timedelta(days=SHOWN_DAYS - 1), newest)
    cells, areas = cells_of(forecasts[newest]), _areas(city, layers)
    of_cells, alerts = areas[cells], history.alerts[history.is_known][:, *cells]
    square_km = np.prod(cell_metres(city)) / 1e6
    rows = {}
    for area in sorted({*of_cells.tolist()} - {"", OUTSIDE}):
        inside = of_cells == area
        if inside.sum() * square_km >= MIN_SQUARE_KM:
            year, days = int(alerts[:, inside].sum()), len(alerts)
            expected = (
                table["expected"].to_numpy()[areas[cells_of(table)] == area].sum() for table in forecasts.values()
            )
            rows[area] = [_level(float(one), year, days) for one in expected][::-1]
    return {"dates": [*forecasts][::-1], "rows": rows}


def _areas(city: City, layers: CityLayers) -> Names:
    """Return the area of each cell, shape (rows, columns): its district, else its area of the coverage or quadrant."""
    if "districts" not in layers:
        return cell_areas(city)
    return names_at([*layers["districts"].items()], *cell_middles(city, *np.indices(city.shape)), outside="")


def _level(expected: float, year_alerts: int, days: int) -> str:
    lowest, highest = USUAL_RATIO
    if year_alerts < MIN_YEAR_ALERTS:
        return "too few alerts to say"
    ratio = expected * days / year_alerts
    return "lower than usual" if ratio < lowest else "higher than usual" if ratio > highest else "usual"
