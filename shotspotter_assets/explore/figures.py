"""Interactive figures of the notebook, with Plotly: alerts on a map, and a forecast beside what happened.

Maps are plain axes of degrees with the city's layers drawn under them: nothing is fetched from a map server.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from plotly import graph_objects as go
from plotly.subplots import make_subplots

from shotspotter_assets.cities.city import City
from shotspotter_assets.evaluation.forecasts_table import cells_of, observed_of
from shotspotter_assets.evaluation.plots import COLOUR_LIMIT_QUANTILE, COLOURS
from shotspotter_assets.explore.stored import Alerts
from shotspotter_assets.gridding.cells import cell_middles
from shotspotter_assets.pages.layers import CityLayers, NamedShapes
from shotspotter_assets.pages.places import Places
from shotspotter_assets.pages.words import chance

WIDTH, HEIGHT = 1000, 560
"""Of figures, in pixels."""
OUTSIDE: Final = "#eeeeee"
"""Of the plot where nothing is forecast."""


@dataclass(frozen=True)
class Ground:
    """What is drawn under a city's maps, and what its places are called."""

    city: City
    layers: CityLayers

    @classmethod
    def of(cls, city: City) -> "Ground":
        """With the layers that the city's file names.

        Raises:
            LayerFileError: a file cannot be used.
        """
        return cls(city, CityLayers.read(city))

    @cached_property
    def places(self) -> Places:
        """Names of places."""
        return Places(self.city, self.layers)

    @cached_property
    def lines(self) -> list[go.Scattergl]:
        """Streets and borders of districts as traces; no trace for a layer that there is not."""
        return [
            go.Scattergl(
                x=x, y=y, mode="lines", line={"color": colour, "width": width}, hoverinfo="skip", showlegend=False
            )
            for shapes, colour, width in ((self.layers.streets, "#bbbbbb", 0.6), (self.layers.districts, "#666666", 1))
            if shapes is not None
            for x, y in [_coordinates(shapes)]
        ]

    def style_axes(self, figure: go.Figure) -> None:
        """Degrees on both axes of the first map, as long as they are on the ground; a second map is moved with it."""
        box = self.city.box
        ratio = 1 / float(np.cos(np.radians((box.south + box.north) / 2)))
        figure.update_xaxes(range=[box.west, box.east], constrain="domain", title="longitude", showgrid=False)
        figure.update_yaxes(range=[box.south, box.north], constrain="domain", showgrid=False)
        figure.layout.yaxis.update(title="latitude", scaleanchor="x", scaleratio=ratio)
        if "xaxis2" in figure.layout:
            figure.layout.xaxis2.matches, figure.layout.yaxis2.matches = "x", "y"
        figure.update_layout(height=HEIGHT, margin={"l": 60, "r": 20, "t": 80, "b": 50})


def alerts_map(ground: Ground, alerts: Alerts) -> go.Figure:
    """All of the alerts as points, a colour for each type, which can be shown alone by a click on the legend."""
    figure = go.Figure(ground.lines)
    for number, (code, name) in enumerate(ground.city.type_names.items()):
        of_type = alerts.of_types((code,))
        if len(of_type):
            figure.add_trace(_points(of_type, f"{name} ({len(of_type):,})", COLOURS[number % len(COLOURS)], size=5))
    ground.style_axes(figure)
    figure.update_layout(
        title=f"{len(alerts):,} alerts", plot_bgcolor="white", legend={"itemsizing": "constant"}, width=WIDTH
    )
    return figure


def forecast_beside_observed(ground: Ground, table: pa.Table, model: str, alerts: Alerts, when: str) -> go.Figure:
    """The forecast of one period as a map, and beside it the alerts of that period.

    Args:
        ground: of the city.
        table: rows of a forecasts table of one period.
        model: one of its columns.
        alerts: of the forecast types in that period, those outside the forecast cells among them.
        when: the period in words.
    """
    probability, observed = table[model].to_numpy().astype(np.float64), observed_of(table)
    row, column = cells_of(table)
    figure = make_subplots(
        cols=2,
        subplot_titles=(
            f"Forecast of {model}: {probability.sum():.1f} cells with an alert",
            f"What happened: {len(alerts):,} alerts, in {int(observed.sum())} of these cells",
        ),
        horizontal_spacing=0.16,
    )
    percent, words = np.full(ground.city.shape, np.nan), np.full(ground.city.shape, "", dtype=object)
    percent[row, column] = 100 * probability
    words[row, column] = [
        f"{name}: {chance(p)}" for name, p in zip(ground.places.names(row, column), probability.tolist(), strict=True)
    ]
    x, y = _middles(ground.city)
    top = float(np.quantile(percent[row, column], COLOUR_LIMIT_QUANTILE))
    figure.add_trace(
        go.Heatmap(
            x=x, y=y, z=_gaps(percent), text=words, hovertemplate="%{text} (%{z:.2f}%)<extra></extra>", zmin=0, zmax=top,
            colorscale="Cividis", colorbar={"title": "%", "x": 0.43, "thickness": 12, "len": 0.8},
        ),
        1, 1,
    )  # fmt: skip
    heard = np.full(ground.city.shape, np.nan)
    heard[row, column] = 1
    white = [[0, "white"], [1, "white"]]
    figure.add_trace(go.Heatmap(x=x, y=y, z=_gaps(heard), colorscale=white, showscale=False, hoverinfo="skip"), 1, 2)
    figure.add_traces(ground.lines, [1] * len(ground.lines), [2] * len(ground.lines))
    figure.add_trace(_points(alerts, "alerts", COLOURS[1], size=9), 1, 2)
    ground.style_axes(figure)
    figure.update_layout(title=when, showlegend=False, width=WIDTH, plot_bgcolor=OUTSIDE)
    return figure


def rows_of_period(table: pa.Table, day: date, hour: int | None) -> pa.Table:
    """The rows of a day, or of an hour of issue on it."""
    chosen = table.filter(pc.equal(table["date"], pa.scalar(day, pa.date32())))
    return chosen if hour is None else chosen.filter(pc.equal(chosen["hour"], hour))


def _gaps(values: npt.NDArray[np.float64]) -> list[list[float | None]]:
    """Rows of the values, None for NaN, which the messages to the browser cannot hold."""
    return [[None if np.isnan(value) else value for value in row] for row in values.tolist()]


def _points(alerts: Alerts, name: str, colour: str, size: int) -> go.Scattergl:
    times = np.datetime_as_string(alerts.wall.astype("datetime64[m]"))
    return go.Scattergl(
        x=alerts.longitude,
        y=alerts.latitude,
        text=np.char.replace(times, "T", " "),
        hovertemplate="%{text}",
        mode="markers",
        name=name,
        marker={"color": colour, "size": size, "opacity": 0.7},
    )


def _middles(city: City) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(longitude of the columns, latitude of the rows) of the middles of cells."""
    rows, columns = np.arange(city.grid.rows), np.arange(city.grid.columns)
    return cell_middles(city, np.zeros_like(columns), columns)[0], cell_middles(city, rows, np.zeros_like(rows))[1]


def _coordinates(shapes: NamedShapes) -> tuple[list[Any], list[Any]]:
    """(x, y) of all lines, with a gap after each."""
    import shapely

    x: list[Any] = []
    y: list[Any] = []
    for line in _lines_of(shapely.get_parts(shapes.shapes)):
        x += [*line[:, 0].tolist(), None]
        y += [*line[:, 1].tolist(), None]
    return x, y


def _lines_of(parts: npt.NDArray[np.object_]) -> Iterator[npt.NDArray[np.float64]]:
    import shapely

    for part in parts:
        for line in shapely.get_parts(part.boundary if part.geom_type == "Polygon" else part):
            if line.geom_type == "LineString":
                yield shapely.get_coordinates(line)
