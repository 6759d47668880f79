"""Pictures of forecasts, patrol plans and the scores of the last weeks, as PNG bytes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotspotter_assets.cities.city import City
from shotspotter_assets.evaluation.plots import COLOURS, as_png, draw_risk, new_figure
from shotspotter_assets.gridding.cells import cell_middles

if TYPE_CHECKING:
    from shotspotter_assets.patrol.plan import DayPlan
    from shotspotter_assets.patrol.shifts import ShiftForecasts
    from shotspotter_assets.serving.forecast_scores import ScoreRecord

Array = npt.NDArray[np.float64]

MAX_TICKS: Final = 8


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


def _risk(values: Array, city: City, label: str, title: str) -> tuple[Any, Any]:
    """A map of values, (rows, columns), NaN where nothing is forecast."""
    figure = new_figure(6.4, 6.0)
    axes = figure.add_subplot()
    draw_risk(figure, axes, city.box, values, label)
    axes.set_title(title, fontsize=10)
    return figure, axes


def scores_by_day(records: Sequence["ScoreRecord"]) -> bytes | None:
    """Alerts beside those expected, gain over the long-run mean, and hit rate, by day; None where no day has a score."""
    scored = [(record.day, record.scores) for record in records if record.scores is not None]
    if not scored:
        return None
    days = [day for day, _ in scored]
    figure = new_figure(7.2, 6.0)
    alerts, gain, hits = figure.subplots(3, 1, sharex=True)
    alerts.plot(days, [scores.observed_alerts for _, scores in scored], "o", color=COLOURS[1], label="came")
    alerts.plot(days, [scores.expected_alerts for _, scores in scored], "o-", color=COLOURS[0], label="expected")
    alerts.set_ylabel("alerts")
    alerts.legend(fontsize=8)
    # A day without alerts has neither a gain nor a hit rate, and leaves a gap.
    gains = [_or_gap(scores.gain_over_historical_mean) for _, scores in scored]
    gain.plot(days, gains, "o-", color=COLOURS[0])
    gain.axhline(0, color="grey", linewidth=0.8)
    gain.set_ylabel("nats per alert\nover historical_mean")
    hits.plot(days, [_or_gap(scores.hit_rate_5) for _, scores in scored], "o-", color=COLOURS[0])
    hits.set_ylim(0, 1)
    hits.set_ylabel("share of cells with an\nalert in 5% of the area")
    hits.set_xlabel("day that was forecast")
    ticks = days[:: len(days) // MAX_TICKS + 1]
    hits.set_xticks(ticks, [str(day) for day in ticks], rotation=20)
    return as_png(figure)


def _or_gap(value: float | None) -> float:
    return float("nan") if value is None else value
