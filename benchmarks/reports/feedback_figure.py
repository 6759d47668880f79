"""Figure of feedback: the slope of forecasts by quarter, and shares of units against shares of true incidents by area."""

from collections.abc import Sequence
from io import BytesIO
from typing import Any, Final

from benchmarks.reports.feedback_measures import Run, shares, shares_by_area, slope
from shotspotter_assets.evaluation.plots import line_style, new_figure

SOLID_LINES: Final = 5  # further runs repeat their colours with dashes


def feedback_figure(runs: Sequence[Run], panels: Sequence[str]) -> bytes:
    """Draw an SVG: slopes of all runs by quarter, and areas in the last quarter of the four runs titled as in `panels`."""
    from matplotlib import rc_context
    from matplotlib.ticker import PercentFormatter

    style: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": "feedback",
        "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],
    }
    with rc_context(style):
        figure = new_figure(9.4, 5.2)
        left, right = figure.subfigures(1, 2, width_ratios=(1.1, 1), wspace=0.02)
        lines = left.subplots()
        for number, run in enumerate(runs):
            slopes = [slope(shares(part.expected), shares(part.incidents)) for part in run.quarters()]
            quarters = range(1, len(slopes) + 1)
            look = line_style(number % SOLID_LINES) | {"linestyle": "--" if number >= SOLID_LINES else "-"}
            lines.plot(quarters, slopes, label=run.title, markersize=3.5, linewidth=1.1, **look)
        lines.axhline(1, color="0.6", linestyle=":", linewidth=0.8, zorder=0)
        lines.set_xlabel("quarter", fontsize=8)
        lines.set_ylabel("slope of forecasts on true incidents", fontsize=8)
        left.legend(fontsize=7, frameon=False, ncols=2, loc="outside lower center")
        areas = right.subplots(2, 2, sharex=True, sharey=True)
        for axes, run in zip(areas.ravel(), (run for run in runs if run.title in panels), strict=False):
            last = run.quarters()[-1]
            truth = shares_by_area(last, last.incidents)
            axes.plot((0, truth.max()), (0, truth.max()), color="0.6", linestyle="--", linewidth=0.8, zorder=0)
            axes.plot(truth, shares_by_area(last, last.units), "o", markersize=3.5, color="#1f77b4", label="units")
            axes.plot(truth, shares_by_area(last, last.expected), "x", markersize=4, color="#d95f02", label="forecast")
            axes.set_title(run.title, fontsize=8)
            axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
            axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        areas[0, 0].legend(fontsize=7, frameon=False)
        for axes in (lines, *areas.ravel()):
            axes.tick_params(labelsize=7)
            axes.grid(alpha=0.3, linewidth=0.5)
        right.supxlabel("share of true incidents by area, last quarter", fontsize=8)
        right.supylabel("share of units and of the forecast", fontsize=8)
        buffer = BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()
