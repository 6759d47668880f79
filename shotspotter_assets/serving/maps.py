"""Maps of a forecast and of a patrol plan, as PNG bytes."""

import numpy as np
import numpy.typing as npt

from shotspotter_assets.cities.city import Box
from shotspotter_assets.evaluation.plots import COLOURS, as_png, draw_risk, new_figure

Array = npt.NDArray[np.float64]


def risk_map(percent: Array, box: Box, title: str, label: str = "probability of an alert (%)") -> bytes:
    """The risk of each cell, shape (rows, columns); NaN where nothing is forecast."""
    figure = new_figure(6.4, 6.0)
    axes = figure.add_subplot()
    draw_risk(figure, axes, box, percent, label)
    axes.set_title(title, fontsize=10)
    return as_png(figure)


def patrol_map(expected: Array, units: npt.NDArray[np.integer], box: Box, title: str) -> bytes:
    """Units of all shifts (rows, columns) as numbers over the expected alerts of the shifts, NaN where not forecast."""
    figure = new_figure(6.4, 6.0)
    axes = figure.add_subplot()
    draw_risk(figure, axes, box, expected, "expected alerts in the shifts")
    rows, columns = units.shape
    row, column = np.nonzero(units)
    longitude = box.west + (column + 0.5) * (box.east - box.west) / columns
    latitude = box.south + (row + 0.5) * (box.north - box.south) / rows
    axes.scatter(longitude, latitude, s=90, color=COLOURS[1], edgecolors="black", linewidths=0.6)
    for x, y, number in zip(longitude, latitude, units[row, column], strict=True):
        axes.annotate(str(int(number)), (x, y), ha="center", va="center", fontsize=7, color="white")
    axes.set_title(title, fontsize=10)
    return as_png(figure)
