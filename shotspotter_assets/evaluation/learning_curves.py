"""The epochs of a search's trials: a table, and a line for each trial through its validation losses."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from shotspotter_assets.evaluation.plots import COLOURS, as_png, new_figure
from shotspotter_assets.models.tuning.search import best_of
from shotspotter_assets.models.tuning.trials import Trial

SCHEMA: Final = pa.schema(
    [
        pa.field("trial", pa.int32(), nullable=False),
        pa.field("epoch", pa.int32(), nullable=False),
        pa.field("validation_loss", pa.float64(), nullable=False),
    ]
)


def epochs_file(name: str) -> str:
    """The table of a forecaster's search."""
    return f"{name}.epochs.parquet"


def epochs_table(finished: Sequence[Trial]) -> pa.Table:
    """A row for each epoch of each trial, both counted from 1; the loss is in nats per cell-day. Empty unless of a network."""
    rows = [
        {"trial": trial, "epoch": epoch, "validation_loss": loss}
        for trial, one in enumerate(finished, start=1)
        for epoch, loss in enumerate(one.epochs, start=1)
    ]
    return pa.Table.from_pylist(rows, SCHEMA)


def learning_curves(finished: Sequence[Trial]) -> bytes:
    """PNG of the validation loss after each epoch of each trial; the best trial is drawn thick, those that were stopped dashed."""
    figure = new_figure(7.6, 4.2)
    axes = figure.add_subplot()
    best = best_of(finished)
    for number, trial in enumerate(finished, start=1):
        is_best = trial == best
        axes.plot(
            range(1, len(trial.epochs) + 1),
            trial.epochs,
            color=COLOURS[1] if is_best else "0.6" if trial.state == "stopped" else COLOURS[0],
            linewidth=2.5 if is_best else 0.9,
            linestyle="--" if trial.state == "stopped" else "-",
            marker="o",
            markersize=2.5,
            zorder=3 if is_best else 2,
            label=f"trial {number}, the best" if is_best else None,
        )
    # The first epochs of bad trials would press all else together.
    last = [trial.epochs[-1] for trial in finished if trial.epochs]
    lowest = min(min(trial.epochs) for trial in finished if trial.epochs)
    margin = max(float(np.quantile(last, 0.9)) - lowest, 1e-6)
    axes.set_ylim(lowest - 0.1 * margin, lowest + 2 * margin)
    axes.set(xlabel="epoch", ylabel="validation loss (nats per cell-day)")
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.set_title("Learning curves of the trials (dashed: stopped by their epochs)", fontsize=10)
    axes.grid(alpha=0.3)
    if best.epochs:
        axes.legend(fontsize=8)
    return as_png(figure)
