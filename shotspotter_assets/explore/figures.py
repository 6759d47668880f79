"""Interactive figures of the notebook, with Plotly: alerts on a map, a forecast beside what happened, scores.

Maps are plain axes of degrees over the city's layers: nothing is fetched from a map server.
"""

from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from plotly import graph_objects as go
from plotly.subplots import make_subplots

from shotspotter_assets.cities.city import City
from shotspotter_assets.evaluation.forecasts_table import cells_of, model_names, observed_of
from shotspotter_assets.evaluation.gains import table_gain
from shotspotter_assets.evaluation.plots import COLOUR_LIMIT_QUANTILE, COLOURS
from shotspotter_assets.evaluation.scores import score_table
from shotspotter_assets.gridding.cells import cell_middles
from shotspotter_assets.models.next_day.baselines import HISTORICAL_MEAN
from shotspotter_assets.models.next_hours.baseline import Climatology
from shotspotter_assets.pages.layers import CityLayers
from shotspotter_assets.pages.places import Places
from shotspotter_assets.pages.words import chance

if TYPE_CHECKING:
    from geopandas import GeoSeries

WIDTH, HEIGHT = 1000, 560
"""Size of figures, in pixels."""
OUTSIDE: Final = "#eeeeee"
"""Colour of the plot where nothing is forecast."""


class Ground:
    """The lines under a city's maps, and the names of its places.

    Raises:
        ValueError: a file of the city's layers cannot be used.
    """

    def __init__(self, city: City) -> None:
        self.city, self.layers = city, CityLayers.read(city)
        self.places = Places(city, self.layers)

    @cached_property
    def lines(self) -> list[go.Scattergl]:
        """Streets and borders of districts as traces; none for a missing layer."""
        wanted = ((self.layers.streets, "#bbbbbb", 0.6), (self.layers.districts, "#666666", 1))
        return [_lines(shapes, colour, width) for shapes, colour, width in wanted if shapes is not None]

    def style_axes(self, figure: go.Figure) -> None:
        """Show the city's box in degrees, as long as on the ground; a second map moves with the first."""
        box = self.city.box
        ratio = 1 / float(np.cos(np.radians((box.south + box.north) / 2)))
        figure.update_xaxes(range=[box.west, box.east], constrain="domain", title="longitude", showgrid=False)
        figure.update_yaxes(range=[box.south, box.north], constrain="domain", showgrid=False)
        figure.layout.yaxis.update(title="latitude", scaleanchor="x", scaleratio=ratio)
        if "xaxis2" in figure.layout:
            figure.layout.xaxis2.matches, figure.layout.yaxis2.matches = "x", "y"
        figure.update_layout(height=HEIGHT, width=WIDTH, margin={"l": 60, "r": 20, "t": 80, "b": 50})


def alerts_map(ground: Ground, alerts: pd.DataFrame) -> go.Figure:
    """Draw all of the alerts as points, a colour for each type."""
    figure = go.Figure(ground.lines)
    for number, (code, name) in enumerate(ground.city.type_names.items()):
        of_type = alerts[alerts["code"] == code]
        if len(of_type):
            figure.add_trace(_points(of_type, f"{name} ({len(of_type):,})", COLOURS[number % len(COLOURS)], size=5))
    ground.style_axes(figure)
    figure.update_layout(title=f"{len(alerts):,} alerts", plot_bgcolor="white", legend={"itemsizing": "constant"})
    return figure


def forecast_beside_observed(ground: Ground, table: pa.Table, model: str, alerts: pd.DataFrame, when: str) -> go.Figure:
    """Draw the forecast of one period as a map, and beside it the alerts of that period.

    Args:
        ground: of the city.
        table: rows of a forecasts table of one period.
        model: one of its columns.
        alerts: of the forecast types in that period, also outside the forecast cells.
        when: the period in words.
    """
    probability, observed = table[model].to_numpy().astype(np.float64), observed_of(table)
    row, column = cells_of(table)
    titles = (
        f"Forecast of {model}: {probability.sum():.1f} cells with an alert",
        f"What happened: {len(alerts):,} alerts, in {int(observed.sum())} of these cells",
    )
    figure = make_subplots(cols=2, subplot_titles=titles, horizontal_spacing=0.16)
    shape, (rows, columns) = ground.city.shape, map(np.arange, ground.city.shape)
    percent, heard, words = np.full(shape, np.nan), np.full(shape, np.nan), np.full(shape, "", dtype=object)
    percent[row, column], heard[row, column] = 100 * probability, 1
    words[row, column] = [
        f"{name}: {chance(p)}" for name, p in zip(ground.places.names(row, column), probability.tolist(), strict=True)
    ]
    x = cell_middles(ground.city, np.zeros_like(columns), columns)[0]
    y = cell_middles(ground.city, rows, np.zeros_like(rows))[1]
    top = float(np.quantile(percent[row, column], COLOUR_LIMIT_QUANTILE))
    forecast = go.Heatmap(
        x=x, y=y, z=_gaps(percent), text=words, hovertemplate="%{text} (%{z:.2f}%)<extra></extra>", zmin=0, zmax=top,
        colorscale="Cividis", colorbar={"title": "%", "x": 0.43, "thickness": 12, "len": 0.8},
    )  # fmt: skip
    white = [[0, "white"], [1, "white"]]
    covered = go.Heatmap(x=x, y=y, z=_gaps(heard), colorscale=white, showscale=False, hoverinfo="skip")
    second = [covered, *ground.lines, _points(alerts, "alerts", COLOURS[1], size=9)]
    figure.add_trace(forecast, 1, 1)
    figure.add_traces(second, [1] * len(second), [2] * len(second))
    ground.style_axes(figure)
    figure.update_layout(title=when, showlegend=False, plot_bgcolor=OUTSIDE)
    return figure


def rows_of_period(table: pa.Table, day: date, hour: int | None) -> pa.Table:
    """Select the rows of a day, or of an hour of issue on it."""
    chosen = table.filter(pc.field("date") == pa.scalar(day, pa.date32()))
    return chosen if hour is None else chosen.filter(pc.field("hour") == hour)


def reference_of(table: pa.Table) -> str:
    """Name the reference of skill: the historical mean of days, the climatology of hours."""
    return HISTORICAL_MEAN if HISTORICAL_MEAN in model_names(table) else Climatology.name


def scores_of(table: pa.Table) -> pd.DataFrame:
    """Score the models of a forecasts table, the best one first; gains in nats per cell and period with an alert."""
    reference = reference_of(table)
    scores = sorted(score_table(table, reference).items(), key=lambda item: item[1]["log_loss"] or 0.0)

    def text(value: float | None, form: str) -> str:
        return "-" if value is None else f"{value:{form}}"

    return pd.DataFrame(
        {
            "model": name,
            "log loss": f"{own['log_loss']:.5f}",
            "gain over the reference (90% interval)": table_gain(table, name, reference).text("+.3f"),
            "average precision": text(own["average_precision"], ".3f"),
            "hit rate at 5% of the area": text(own["hit_rate_5"], ".0%"),
            "predicted / observed": text(own["predicted_over_observed"], ".2f"),
        }
        for name, own in scores
    )


def _gaps(values: npt.NDArray[np.float64]) -> list[list[float | None]]:
    """Replace NaN, which messages to the browser cannot hold, by None."""
    return [[None if np.isnan(value) else value for value in row] for row in values.tolist()]


def _points(alerts: pd.DataFrame, name: str, colour: str, size: int) -> go.Scattergl:
    return go.Scattergl(
        x=alerts["longitude"], y=alerts["latitude"], text=alerts["wall"].dt.strftime("%Y-%m-%d %H:%M"), mode="markers",
        hovertemplate="%{text}", name=name, marker={"color": colour, "size": size, "opacity": 0.7},
    )  # fmt: skip


def _lines(shapes: "GeoSeries", colour: str, width: float) -> go.Scattergl:
    """Draw all lines of a layer as one trace, with a gap (NaN) between them."""
    import shapely

    parts = shapely.get_parts(shapes.to_numpy())
    parts = shapely.get_parts(np.where(shapely.get_dimensions(parts) == 2, shapely.boundary(parts), parts))
    points, at = shapely.get_coordinates(parts, return_index=True)
    x, y = np.insert(points, np.flatnonzero(np.diff(at)) + 1, np.nan, axis=0).T
    line = {"color": colour, "width": width}
    return go.Scattergl(x=x, y=y, mode="lines", line=line, hoverinfo="skip", showlegend=False)
