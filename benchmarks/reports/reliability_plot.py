"""Reliability of one model in several cities: observed against predicted alerts, and their ratio with bands, as SVG."""

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotspotter_assets.evaluation.estimates import ENDS, draws_of_weeks, weekly_sums
from shotspotter_assets.evaluation.forecasts_table import observed_of
from shotspotter_assets.evaluation.plots import line_style, new_figure
from shotspotter_assets.grid.dates import dates_of

Array = npt.NDArray[np.float64]

BINS: Final = 10
KEPT: Final = ("date", "row", "column", "observed")
RATIOS: Final = (0.5, 0.7, 1.0, 1.4, 2.0)
"""Of observed / predicted; what lies beyond the first and last one is cut off at the edge of its panel."""


@dataclass(frozen=True)
class WeeklyReliability:
    """Bins of one model's forecasts; all of shape (bins,)."""

    predicted: Array  # mean forecast
    observed: Array  # frequency of an alert
    low: Array  # lower end of the 90% interval of observed / predicted
    high: Array  # its upper end


def weekly_reliability(forecasts: pa.Table, model: str) -> WeeklyReliability:
    """Ten bins of equally many expected alerts, with intervals from a bootstrap of whole weeks.

    Most cell-days have a tiny forecast: bins of equally many of them would put nearly all alerts into the last one.
    `forecasts` is a forecasts table (see `evaluation.forecasts_table`), `model` a column of it.
    """
    probability = forecasts[model].to_numpy().astype(np.float64)
    seen = observed_of(forecasts)
    order = np.argsort(probability, kind="stable")
    mass = np.cumsum(probability[order])
    which = np.empty(len(order), dtype=np.int64)
    which[order] = np.minimum((BINS * mass / mass[-1]).astype(np.int64), BINS - 1)
    sums_of_bins = [
        weekly_sums(dates_of(forecasts), seen * inside, {model: probability * inside})
        for inside in (which == number for number in range(BINS))
    ]
    alerts = np.stack([sums.positives for sums in sums_of_bins], axis=1)
    expected = np.stack([sums.losses[model] for sums in sums_of_bins], axis=1)
    drawn = draws_of_weeks(len(alerts))
    low, high = np.quantile((drawn @ alerts) / np.maximum(drawn @ expected, 1e-12), ENDS, axis=0)
    number = np.bincount(which, minlength=BINS)
    return WeeklyReliability(expected.sum(axis=0) / number, alerts.sum(axis=0) / number, low, high)


def reliability_by_city(cities: Mapping[str, pa.Table], model: str) -> bytes:
    """All cities in one diagram on logarithmic axes, and beside it observed / predicted of each with its 90% band.

    `cities` are forecasts tables by name of the city, with a column for the model. Two cities share no week.
    """
    from matplotlib import rc_context
    from matplotlib.ticker import FuncFormatter

    if len(cities) > 1:
        cities = {**cities, "all": pa.concat_tables([table.select((*KEPT, model)) for table in cities.values()])}
    bins = {name: weekly_reliability(table, model) for name, table in cities.items()}
    positives = {name: int(observed_of(table).sum()) for name, table in cities.items()}
    percent = FuncFormatter(lambda share, _: f"{100 * share:g}%")
    # Letters as text keep the file small; the salt makes the same forecasts give the same file.
    style: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": "reliability",
        "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],
    }
    with rc_context(style):
        figure = new_figure(9.4, 5.2)
        left, right = figure.subfigures(1, 2, width_ratios=(1.15, 1), wspace=0.02)
        diagram = left.subplots()
        panels = right.subplots(-(-len(bins) // 2), 2, sharex=True, sharey=True, squeeze=False).ravel()
        values = np.concatenate([np.r_[own.predicted, own.observed[own.observed > 0]] for own in bins.values()])
        limits = (values.min() / 1.6, min(values.max() * 1.6, 1.0))
        for line, (axes, (name, own)) in enumerate(zip(panels, bins.items(), strict=False)):
            look = line_style(line)
            if name == "all":
                look = {"color": "black", "marker": "x"}
            seen = own.observed > 0
            diagram.plot(own.predicted[seen], own.observed[seen], label=name, markersize=4, linewidth=1, **look)
            _ratio_panel(axes, own, limits, look)
            axes.set_title(f"{name}: {positives[name]:,}", fontsize=8)
        for axes in panels[len(bins) :]:
            axes.set_visible(False)
        diagram.plot(limits, limits, color="0.6", linestyle="--", linewidth=0.8, zorder=0)
        diagram.set(xscale="log", yscale="log", xlim=limits, ylim=limits)
        diagram.set_ylabel("observed frequency", fontsize=8)
        diagram.set_aspect("equal")
        diagram.legend(fontsize=7.5, frameon=False)
        diagram.yaxis.set_major_formatter(percent)
        for axes in (diagram, *panels):
            axes.xaxis.set_major_formatter(percent)
            axes.tick_params(labelsize=7)
            axes.minorticks_off()
            axes.grid(alpha=0.3, linewidth=0.5)
        left.suptitle(f"{model}: observed against predicted", fontsize=9.5)
        right.suptitle("observed / predicted, 90% band, and cell-days with an alert", fontsize=9.5)
        for side in (left, right):
            side.supxlabel("predicted probability of an alert", fontsize=8)
        buffer = BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _ratio_panel(axes: Any, own: WeeklyReliability, limits: tuple[float, float], look: dict[str, Any]) -> None:
    """Draw observed over predicted frequencies on logarithmic axes, with the interval of the observed ones."""
    lowest = RATIOS[0] / 1.1
    highest = RATIOS[-1] * 1.1
    axes.axhline(1, color="0.6", linestyle="--", linewidth=0.8)
    axes.fill_between(
        own.predicted,
        np.maximum(own.low, lowest),
        np.minimum(own.high, highest),
        color=look["color"],
        alpha=0.2,
        linewidth=0,
    )
    ratio = np.clip(own.observed / own.predicted, lowest, highest)
    axes.plot(own.predicted, ratio, markersize=3, linewidth=0.9, **look)
    axes.set(xscale="log", yscale="log", xlim=limits, ylim=(lowest, highest))
    axes.set_yticks(RATIOS, [f"{ratio:g}" for ratio in RATIOS])
