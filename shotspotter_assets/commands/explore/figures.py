"""Figures and scores of the notebook, with Plotly and pandas."""

from datetime import date
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from plotly import express, subplots
from plotly import graph_objects as go

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.layers import BaseMap
from shotspotter_assets.evaluation.forecasts_table import model_names
from shotspotter_assets.evaluation.scores import score_table
from shotspotter_assets.grid.cells import Plane, cell_middles
from shotspotter_assets.models.forecaster_registry import CLIMATOLOGY, HISTORICAL_MEAN
from shotspotter_assets.pages.places import TOLERANCE_DEGREES, read_layers

SHOWN_SCORES: Final = [
    *("log_loss", "gain_nats_per_positive", "average_precision", "hit_rate_5", "predicted_over_observed"),
    *("accuracy_1", "accuracy_10", "accuracy_100"),
]
SIZE: Final = {"width": 1000, "height": 560}
TILE_PIXELS: Final = 512
GROUND: Final = {"streets": "#d9d9d9", "districts": "#7f7f7f"}  # colours of the layers of a city, the lowest first


def alerts_map(city: City, alerts: pd.DataFrame, tiles: str = "") -> go.Figure:
    """Draw alerts by type on the city's streets and districts, or on map tiles, whose address has {z}, {x} and {y}.

    Only the browser that shows the figure fetches the tiles.
    """
    title = f"{len(alerts):,} alerts"
    if not tiles:
        plain = express.scatter(alerts, x="longitude", y="latitude", color="type", hover_data=["wall"], title=title)
        return _as_on_the_ground(go.Figure([*_ground(city), *plain.data], plain.layout), city)
    box = city.box
    base = BaseMap(tiles=tiles, attribution=tiles if city.base_map is None else city.base_map.attribution)
    layer = {"sourcetype": "raster", "source": [tiles], "sourceattribution": base.attribution, "below": "traces"}
    figure = express.scatter_map(
        alerts, lon="longitude", lat="latitude", color="type", hover_data=["wall"], title=title, map_style="white-bg"
    )
    spans = (box.east - box.west) / SIZE["width"], (box.north - box.south) * Plane.of(box).aspect / SIZE["height"]
    middle = {"lon": (box.west + box.east) / 2, "lat": (box.south + box.north) / 2}
    figure.update_layout(map={"layers": [layer], "center": middle, "zoom": np.log2(360 / TILE_PIXELS / max(spans))})
    return figure.update_layout(SIZE)


def alerts_by_type(city: City, alerts: pd.DataFrame) -> go.Figure:
    """Draw the number of alerts by cell, a map for each type."""
    if alerts.empty:
        raise ValueError(f"No row of {city.name} is stored that {city.target} counts.")
    sides = [(city.box.south, city.box.north), (city.box.west, city.box.east)]
    types = {
        name: np.histogram2d(of_type.latitude, of_type.longitude, bins=city.shape, range=sides)[0]
        for name, of_type in alerts.groupby("type")
    }
    x, y = _axes(city)
    maps = np.stack(list(types.values()))
    figure = express.imshow(maps, x=x, y=y, facet_col=0, origin="lower", labels={"color": "alerts"})
    for title, (name, counts) in zip(figure.layout.annotations, types.items(), strict=True):
        title.text = f"{name!s}: {counts.sum():,.0f}"
    figure.update_xaxes(nticks=4)
    return _as_on_the_ground(figure, city).update_layout(coloraxis_colorscale="Cividis", height=400)


def forecast_beside_observed(
    city: City, table: pa.Table, model: str, day: date, alerts: pd.DataFrame, hour: int = 0
) -> go.Figure:
    """Draw the forecast of a day, or of the hours that `hour` is in, as a map beside its `tables.stored_alerts`."""
    if model not in model_names(table):
        raise ValueError(f"The fold has no forecast of {model}, only of {', '.join(model_names(table))}.")
    rows = table.filter(pc.field("date") == day).to_pandas()
    start = pd.Timestamp(day)
    end = start + pd.Timedelta(days=1)
    period = str(day)
    if "hour" in rows:
        rows = rows[rows["hour"] == max(rows["hour"][rows["hour"] <= hour], default=rows["hour"].min())]
        start += pd.Timedelta(hours=int(rows["hour"].iloc[0]))
        end = start + pd.Timedelta(hours=int(rows["horizon"].iloc[0]))
        period = f"{start:%Y-%m-%d %H:%M} to {end:%H:%M}"
    observed = alerts[(alerts["wall"] >= start) & (alerts["wall"] < end)]
    titles = (
        f"Forecast of {model}: {rows[model].sum():.1f} cells with an alert",
        f"What happened: {len(observed)} alerts, in {rows['observed'].sum()} of these cells",
    )
    grid = np.full(city.shape, np.nan)
    grid[rows["row"], rows["column"]] = 100 * rows[model]
    x, y = _axes(city)
    figure = subplots.make_subplots(cols=2, shared_xaxes="all", shared_yaxes="all", subplot_titles=titles)
    figure.add_heatmap(
        x=x,
        y=y,
        z=grid,
        hovertemplate="%{z:.2f}%<extra></extra>",
        colorscale="Cividis",
        zmin=0,
        zmax=float(np.nanquantile(grid, 0.995)),
        colorbar_title="%",
        row=1,
        col=1,
    )
    figure.add_scatter(
        x=observed["longitude"],
        y=observed["latitude"],
        text=observed["wall"].astype(str) + ", " + observed["type"],
        mode="markers",
        hovertemplate="%{text}<extra></extra>",
        row=1,
        col=2,
    )
    figure.update_layout(title=period, showlegend=False)
    return _as_on_the_ground(figure, city)


def scores(table: pa.Table) -> pd.DataFrame:
    """Score the models of a forecasts table, the best one first; gains are over the historical mean, or the climatology."""
    reference = HISTORICAL_MEAN if HISTORICAL_MEAN in table.column_names else CLIMATOLOGY
    return pd.DataFrame(score_table(table, reference)).T.sort_values("log_loss")[SHOWN_SCORES]


def _ground(city: City) -> list[go.Scatter]:
    """Return lines of the city's streets, and the edges of its districts."""
    layers, _ = read_layers(city)
    traces = []
    for name, colour in GROUND.items():
        if name not in layers:
            continue
        shapes = shapely.simplify(layers[name].to_numpy(), TOLERANCE_DEGREES)
        is_area = shapely.get_dimensions(shapes) > 1
        lines = shapely.get_parts(np.where(is_area, shapely.boundary(shapes), shapes))
        points, line = shapely.get_coordinates(lines, return_index=True)
        x, y = np.insert(points, np.flatnonzero(np.diff(line)) + 1, np.nan, axis=0).T
        line_style = {"color": colour, "width": 1}
        traces.append(
            go.Scatter(x=x, y=y, name=name, mode="lines", line=line_style, hoverinfo="skip", showlegend=False)
        )
    return traces


def _axes(city: City) -> Any:
    """Return the longitudes of the columns' middles, and the latitudes of the rows' middles."""
    row, column = (np.arange(size) for size in city.shape)
    return cell_middles(city, np.zeros_like(column), column)[0], cell_middles(city, row, np.zeros_like(row))[1]


def _as_on_the_ground(figure: go.Figure, city: City) -> go.Figure:
    """Return a figure in degrees with both axes cut to the city's box, on one scale in metres."""
    box = city.box
    figure.update_xaxes(range=[box.west, box.east], constrain="domain")
    figure.update_yaxes(
        range=[box.south, box.north], constrain="domain", scaleanchor="x", scaleratio=Plane.of(box).aspect
    )
    return figure.update_layout(SIZE)
