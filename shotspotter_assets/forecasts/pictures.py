"""Maps of forecasts and patrol plans, as PNG bytes."""

from typing import Any

import numpy as np
import pyarrow as pa

from shotspotter_assets.cities.city import City
from shotspotter_assets.evaluation.plots import COLOURS, as_png, draw_risk, new_figure
from shotspotter_assets.forecasts.patrol.plan import DayPlan
from shotspotter_assets.forecasts.patrol.shifts import ShiftForecasts
from shotspotter_assets.grid.cells import cell_middles
from shotspotter_assets.storage.arrays import Array


def risk_map(cells: pa.Table, city: City, title: str) -> bytes:
    """Draw the probability of each cell of a table with `row`, `column` and `probability`."""
    percent: Array = np.full(city.shape, np.nan)
    percent[cells["row"].to_numpy(), cells["column"].to_numpy()] = 100 * cells["probability"].to_numpy()
    figure, _ = _risk(percent, city, f"probability of an {city.event} (%)", title)
    return as_png(figure)


def patrol_map(plan: DayPlan, forecasts: ShiftForecasts, city: City) -> bytes:
    """Draw units of all shifts as numbers over the expected alerts of the shifts."""
    expected = np.where(forecasts.in_coverage, forecasts.expected.sum(axis=0), np.nan)
    title = f"Units of all shifts of {plan.forecast_date}, over expected events"
    figure, axes = _risk(expected, city, "expected events in the shifts", title)
    row, column = np.nonzero(plan.units)
    longitude, latitude = cell_middles(city, row, column)
    axes.scatter(longitude, latitude, s=90, color=COLOURS[1], edgecolors="black", linewidths=0.6)
    for x, y, number in zip(longitude, latitude, plan.units[row, column], strict=True):
        axes.annotate(str(int(number)), (x, y), ha="center", va="center", fontsize=7, color="white")
    return as_png(figure)


def _risk(values: Array, city: City, label: str, title: str) -> tuple[Any, Any]:
    figure = new_figure(6.4, 6.0, layout=None)
    figure.subplots_adjust(left=0.12, right=0.97, bottom=0.08, top=0.94)
    axes = figure.add_subplot()
    draw_risk(figure, [axes], city.box, values[None], label)
    axes.set_title(title, fontsize=10)
    return figure, axes
