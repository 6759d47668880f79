"""Maps of a forecast, of its streets and of a patrol plan, as PNG bytes."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotspotter_assets.cities.city import City
from shotspotter_assets.evaluation.plots import COLOURS, as_png, draw_frame, draw_risk, new_figure
from shotspotter_assets.gridding.cells import Plane, cell_middles

if TYPE_CHECKING:
    from shotspotter_assets.patrol.plan import DayPlan
    from shotspotter_assets.patrol.shifts import ShiftForecasts
    from shotspotter_assets.serving.stored_streets import StreetForecast

Array = npt.NDArray[np.float64]

STREET_COLOUR_LIMIT = 0.999
"""Quantile of the streets' probability that has the last colour: the few highest would leave all others one colour."""


def risk_map(cells: pa.Table, city: City, title: str) -> bytes:
    """The probability of each cell of a table with `row`, `column` and `probability`."""
    percent: Array = np.full(city.shape, np.nan)
    percent[cells["row"].to_numpy(), cells["column"].to_numpy()] = 100 * cells["probability"].to_numpy()
    figure, _ = _risk(percent, city, "probability of an alert (%)", title)
    return as_png(figure)


def patrol_map(plan: "DayPlan", forecasts: "ShiftForecasts", city: City) -> bytes:
    """Units of all shifts as numbers over the expected alerts of the shifts."""
    expected = np.where(forecasts.in_coverage, forecasts.expected.sum(axis=0), np.nan)
    title = f"Units of all shifts of {plan.day}, over expected alerts"
    figure, axes = _risk(expected, city, "expected alerts in the shifts", title)
    group_row, group_column = np.nonzero(plan.units)
    longitude, latitude = cell_middles(city, group_row * plan.group, group_column * plan.group)
    axes.scatter(longitude, latitude, s=90, color=COLOURS[1], edgecolors="black", linewidths=0.6)
    for x, y, number in zip(longitude, latitude, plan.units[group_row, group_column], strict=True):
        axes.annotate(str(int(number)), (x, y), ha="center", va="center", fontsize=7, color="white")
    return as_png(figure)


def street_map(forecast: "StreetForecast", city: City, title: str) -> bytes:
    """The streets coloured by the day's probability of an alert, wider the higher it is."""
    import shapely
    from matplotlib.collections import LineCollection

    day = forecast.of_day()
    figure = new_figure(6.4, 6.0)
    axes = figure.add_subplot()
    percent = 100 * day["probability"].to_numpy()
    order = np.argsort(percent)
    plane = Plane.of(city)
    lines = shapely.transform(forecast.segments.lines[day["segment"].to_numpy()[order]], plane.degrees)
    top = max(float(np.quantile(percent, STREET_COLOUR_LIMIT)), 1e-4) if len(percent) else 1.0
    drawn = LineCollection(
        [shapely.get_coordinates(line) for line in lines],
        array=percent[order],
        cmap="cividis_r",
        linewidths=0.3 + 2 * np.minimum(percent[order] / top, 1),
    )
    drawn.set_clim(0.0, top)
    axes.add_collection(drawn)
    draw_frame(axes, city.box)
    figure.colorbar(drawn, ax=axes, shrink=0.8, extend="max", label="probability of an alert (%)")
    axes.set_title(title, fontsize=10)
    return as_png(figure)


def _risk(values: Array, city: City, label: str, title: str) -> tuple[Any, Any]:
    """A map of values, (rows, columns), NaN where nothing is forecast."""
    figure = new_figure(6.4, 6.0)
    axes = figure.add_subplot()
    draw_risk(figure, axes, city.box, values, label)
    axes.set_title(title, fontsize=10)
    return figure, axes
