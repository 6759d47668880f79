"""Figures and scores of the notebook, with Plotly and pandas, without a map server."""

from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from plotly import express, subplots
from plotly import graph_objects as go

from shotspotter_assets.cities.city import City
from shotspotter_assets.evaluation.scores import score_table
from shotspotter_assets.geometry.cells import Plane, cell_middles

SHOWN_SCORES = ["log_loss", "gain_nats_per_positive", "average_precision", "hit_rate_5", "predicted_over_observed"]


def alerts_map(city: City, alerts: pd.DataFrame) -> go.Figure:
    """Draw alerts as points, a colour for each type."""
    shown, title = {"color": "type", "hover_data": ["wall"]}, f"{len(alerts):,} alerts"
    return _as_on_the_ground(express.scatter(alerts, x="longitude", y="latitude", title=title, **shown), city)


def forecast_beside_observed(city: City, table: pa.Table, model: str, day: date, alerts: pd.DataFrame) -> go.Figure:
    """Draw the forecast of one day in a forecasts table as a map, and beside it the day's `tables.stored_alerts`."""
    rows = table.filter(pc.field("date") == day).to_pandas()
    of_day = alerts[alerts["wall"].dt.date == day]
    titles = (
        f"Forecast of {model}: {rows[model].sum():.1f} cells with an alert",
        f"What happened: {len(of_day)} alerts, in {rows['observed'].sum()} of these cells",
    )
    grid = np.full(city.shape, np.nan)
    grid[rows["row"], rows["column"]] = 100 * rows[model]
    row, column = (np.arange(size) for size in city.shape)
    x, y = cell_middles(city, np.zeros_like(column), column)[0], cell_middles(city, row, np.zeros_like(row))[1]
    figure = subplots.make_subplots(cols=2, shared_xaxes="all", shared_yaxes="all", subplot_titles=titles)
    colours = {"colorscale": "Cividis", "zmin": 0, "zmax": float(np.nanquantile(grid, 0.995)), "colorbar_title": "%"}
    figure.add_heatmap(x=x, y=y, z=grid, hovertemplate="%{z:.2f}%<extra></extra>", row=1, col=1, **colours)
    text = of_day["wall"].astype(str) + ", " + of_day["type"]
    points = {"x": of_day["longitude"], "y": of_day["latitude"], "text": text}
    figure.add_scatter(**points, mode="markers", hovertemplate="%{text}<extra></extra>", row=1, col=2)
    figure.update_layout(title=str(day), showlegend=False)
    return _as_on_the_ground(figure, city)


def scores(table: pa.Table) -> pd.DataFrame:
    """Score the models of a forecasts table, the best one first; gains are over the historical mean."""
    return pd.DataFrame(score_table(table)).T.sort_values("log_loss")[SHOWN_SCORES]


def _as_on_the_ground(figure: go.Figure, city: City) -> go.Figure:
    box = city.box
    figure.update_xaxes(range=[box.west, box.east], constrain="domain")
    figure.update_yaxes(
        range=[box.south, box.north], constrain="domain", scaleanchor="x", scaleratio=Plane.of(box).aspect
    )
    return figure.update_layout(width=1000, height=560)
