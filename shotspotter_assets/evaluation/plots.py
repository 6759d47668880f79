"""Pictures of reports as PNG bytes, in colours for colour-blind readers (Okabe and Ito 2008)."""

from collections.abc import Mapping, Sequence
from datetime import date
from io import BytesIO
from typing import Any, Final, Literal

import numpy as np

from shotspotter_assets.cities.box import Box
from shotspotter_assets.cities.city import City
from shotspotter_assets.evaluation.estimates import Gain
from shotspotter_assets.evaluation.scores import Reliability
from shotspotter_assets.grid.cells import Plane, cell_middles
from shotspotter_assets.storage.arrays import Array, Booleans, Values

COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C8C8C")
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "*")


def forecasts_beside_observed(
    city: City, in_coverage: Booleans, probabilities: Mapping[str, Array], alerts: Values, title: str
) -> bytes:
    """Draw forecast maps of one day by model, shape (covered cells,), beside its alerts, shape (rows, columns)."""
    figure, axes = _maps(len(probabilities) + 1, title)
    percent = np.full((len(probabilities), *in_coverage.shape), np.nan)
    percent[:, in_coverage] = 100 * np.stack(list(probabilities.values()))
    draw_risk(figure, axes[:-1], city.box, percent, f"probability of an {city.event} (%)")
    for axis, (name, probability) in zip(axes, probabilities.items(), strict=False):
        axis.set_title(f"{name}:\n{probability.sum():.1f} cells expected", fontsize=9)
    _draw_observed(axes[-1], city, in_coverage, alerts)
    return as_png(figure)


def _draw_observed(axes: Any, city: City, in_coverage: Booleans, alerts: Values) -> None:
    """Draw the alerts of a day as points in their cells, over the covered cells; arrays are (rows, columns)."""
    draw_map(axes, city.box, np.where(in_coverage, 0.25, np.nan), "Blues", 1.0)
    row, column = np.nonzero(alerts)
    longitude, latitude = cell_middles(city, row, column)
    size = 22.0 * np.minimum(alerts[row, column], 8)
    axes.scatter(longitude, latitude, s=size, color=COLOURS[1], edgecolors="black", linewidths=0.5)
    hit, outside = (int((alerts > 0)[cells].sum()) for cells in (in_coverage, ~in_coverage))
    others = f"and {outside} others " if outside else ""
    title = f"Observed: {int(alerts.sum())} {city.event}s, in {hit} covered\ncells {others}(size: {city.event}s)"
    axes.set_title(title, fontsize=9)


def alerts_by_type(city: City, counts: Mapping[str, Array], title: str) -> bytes:
    """Draw a map of alerts by cell, shape (rows, columns), for each type, all on one scale."""
    figure, axes = _maps(len(counts), title)
    draw_risk(figure, axes, city.box, np.stack(list(counts.values())), f"{city.event}s in the cell")
    for axis, (name, count) in zip(axes, counts.items(), strict=True):
        axis.set_title(f"{name}: {int(np.nansum(count)):,}", fontsize=9)
    return as_png(figure)


def fold_timeline(windows: Mapping[str, Sequence[date]]) -> bytes:
    """Draw the windows of folds: the first days of training, validation and test, and the last test day."""
    from matplotlib.dates import date2num

    figure = new_figure(7.6, 1.6 + 0.22 * len(windows))
    axes = figure.add_subplot()
    edges = date2num([list(days) for days in windows.values()])
    edges[:, 3] += 1
    for number, label in enumerate(("training", "validation", "test")):
        width = edges[:, number + 1] - edges[:, number]
        axes.barh(list(windows), width, left=edges[:, number], label=label, color=COLOURS[number], height=0.7)
    axes.invert_yaxis()
    axes.xaxis_date()
    axes.set_ylabel("fold (cutoff)")
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return as_png(figure)


def reliability_curve(bins: Mapping[str, Reliability]) -> bytes:
    """Draw observed frequency against mean forecast by model, with 95% intervals, without constant forecasts."""
    figure = new_figure(6.6, 5.8, layout=None)
    figure.subplots_adjust(left=0.12, right=0.97, bottom=0.1, top=0.93)
    axes = figure.add_subplot()
    points = []
    for number, (name, curve) in enumerate(bins.items()):
        if len(curve.mean_forecast) == 1:
            continue
        columns = np.array([curve.mean_forecast, curve.observed_frequency, curve.low, curve.high])
        forecast, frequency, low, high = columns[:, columns[1] > 0]
        points += [forecast, frequency]
        # A bound may miss its frequency by a rounding.
        errors = np.maximum([frequency - low, high - frequency], 0)
        axes.errorbar(
            forecast, frequency, errors, label=name, markersize=5, linewidth=1, elinewidth=0.7, **line_style(number)
        )
    values = np.concatenate(points) if points else np.zeros(0)
    # A block at one in a million must not push all others into a corner.
    values = values[values >= 1e-4] if (values >= 1e-4).any() else np.array([1e-3, 1e-1])
    limits = (values.min() / 2, min(values.max() * 2, 1.0))
    axes.plot(limits, limits, color="0.5", linestyle="--", linewidth=1, label="calibrated")
    axes.set(xscale="log", yscale="log", xlim=limits, ylim=limits)
    axes.set(xlabel="mean forecast probability in the block", ylabel="observed frequency")
    axes.set_title("Reliability, blocks of an isotonic regression (those without events left out)", fontsize=10)
    axes.grid(which="both", alpha=0.25)
    axes.legend(fontsize=8)
    return as_png(figure)


def gain_by_fold(gains: Mapping[str, Mapping[str, Gain]], over: str) -> bytes:
    """Draw gains over `over` by model and fold, with intervals; folds without a gain are left out."""
    figure = new_figure(7.6, 4.6)
    axes = figure.add_subplot()
    folds = list(dict.fromkeys(fold for by_fold in gains.values() for fold in by_fold))
    for number, (name, by_fold) in enumerate(gains.items()):
        offset = 0.5 * ((number + 0.5) / len(gains) - 0.5)
        points = [
            (folds.index(fold) + offset, gain.value, gain.low, gain.high)
            for fold, gain in by_fold.items()
            if gain.value is not None
        ]
        x, middle, low, high = np.array(points, dtype=np.float64).reshape(-1, 4).T
        # A percentile interval of few weeks may leave its own mean out.
        errors = np.maximum([middle - low, high - middle], 0)
        axes.errorbar(
            x, middle, errors, linestyle="", label=name, markersize=6, elinewidth=1, capsize=3, **line_style(number)
        )
    axes.axhline(0, color="0.5", linestyle="--", linewidth=1)
    axes.set_xticks(range(len(folds)), folds)
    axes.set(xlabel="fold (cutoff)", ylabel="nats per cell-day with an event", xlim=(-0.5, len(folds) - 0.5))
    axes.set_title(f"Gain over {over} by fold, with 90% intervals", fontsize=10)
    axes.grid(axis="y", alpha=0.3)
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    return as_png(figure)


def line_style(number: int) -> dict[str, Any]:
    """Return colour and marker of the line of that number."""
    return {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)]}


def draw_map(axes: Any, box: Box, values: Array, colours: str, highest: float) -> Any:
    """Draw cells coloured by `values` (rows, columns), hatched without one, and return the image.

    `colours` names a colour map of Matplotlib, which runs from 0 to `highest`.
    """
    rows, columns = values.shape
    axes.patch.set(hatch="////", edgecolor="0.75")
    image = axes.pcolormesh(
        np.linspace(box.west, box.east, columns + 1),
        np.linspace(box.south, box.north, rows + 1),
        np.ma.masked_invalid(values),
        cmap=colours,
        vmin=0.0,
        vmax=highest,
        edgecolors="0.8",
        linewidth=0.35,
    )
    axes.set(xlim=(box.west, box.east), ylim=(box.south, box.north), xlabel="longitude", ylabel="latitude")
    # A degree of longitude is shorter than one of latitude.
    axes.set_aspect(Plane.of(box).aspect)
    axes.ticklabel_format(useOffset=False)
    axes.tick_params(labelsize=8)
    axes.locator_params(axis="x", nbins=4)
    axes.label_outer()
    return image


def draw_risk(figure: Any, axes: Sequence[Any], box: Box, maps: Array, label: str) -> None:
    """Draw maps of cells coloured by a risk, shape (maps, rows, columns), NaN without a forecast, on one scale."""
    # The few highest cells would leave all others one colour.
    top = max(float(np.nanquantile(maps, 0.995)), 1e-4)
    for axis, values in zip(axes, maps, strict=True):
        image = draw_map(axis, box, values, "cividis", top)
    figure.colorbar(image, ax=list(axes), shrink=0.8, extend="max", label=label)


def _maps(number: int, title: str) -> tuple[Any, list[Any]]:
    """Return a figure and its axes for a number of maps of equal size."""
    columns = 2 if number in (2, 4) else min(number, 3)
    rows = -(-number // columns)
    figure = new_figure(8.6, (4.3 if columns < 3 else 3.6) * rows)  # no wider than the dialog in which the UI shows it
    axes = list(figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).flat)
    for unused in axes[number:]:
        unused.remove()
    figure.suptitle(title, fontsize=10)
    return figure, axes[:number]


def new_figure(width: float, height: float, layout: Literal["constrained"] | None = "constrained") -> Any:
    """Return a figure of that size in inches, drawn without a display; without a `layout` it is drawn in half of the time."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120, layout=layout)
    FigureCanvasAgg(figure)
    return figure


def as_png(figure: Any) -> bytes:
    """Return the figure as a PNG."""
    buffer = BytesIO()
    figure.canvas.print_png(buffer)  # `savefig` would draw and lay out the figure twice
    return buffer.getvalue()
