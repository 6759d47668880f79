"""What people see of a search: the best trials as rows, and its history, importance and parallel coordinates as pictures."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from shotspotter_assets.evaluation.plots import COLOURS, as_png, new_figure
from shotspotter_assets.models.tuning.search import best_of, study_of
from shotspotter_assets.models.tuning.space import Categorical, Parameter, Value, values_of
from shotspotter_assets.models.tuning.trials import Trial, TuningTask

PICTURES: Final = ("history", "importance", "parallel_coordinates")
"""Of a search, in the order in which they are shown."""
SHOWN_TRIALS: Final = 10
MIN_TRIALS: Final = 8
"""Complete ones, below which nothing is said of the importance of settings."""
WORST_SHARE: Final = 0.9
"""Losses beyond this quantile share a colour: a few bad trials would leave all others one colour."""

Row = dict[str, Any]


def trial_rows(finished: Sequence[Trial]) -> list[Row]:
    """The best trials, the best one first, with the values that were tried."""
    complete = [(number, trial) for number, trial in enumerate(finished, start=1) if trial.loss is not None]
    best = sorted(complete, key=lambda item: (item[1].loss, item[0]))[:SHOWN_TRIALS]
    return [
        {"trial": number, "log loss": trial.loss, "seconds": trial.seconds, "settings": in_words(trial.values)}
        for number, trial in best
    ]


def in_words(values: Mapping[str, Any]) -> str:
    """Values as people read them, as "leaves 12, learning_rate 0.043"."""
    # By `:.3g` alone, people would read 1.31e+03.
    shown = (
        f"{name} {float(f'{value:.3g}'):g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in values.items()
    )
    return ", ".join(shown) or "as they were"


def tuning_pictures(task: TuningTask, finished: Sequence[Trial]) -> dict[str, bytes]:
    """PNG by name: the history; the importance of settings where trials are enough; parallel coordinates where some are tried."""
    pictures = {"history": history(finished)}
    shares = importance(task, finished)
    if shares:
        pictures["importance"] = importance_bars(shares)
    if len([trial for trial in finished if trial.loss is not None]) > 1:
        pictures["parallel_coordinates"] = parallel_coordinates(task, finished)
    return pictures


def history(finished: Sequence[Trial]) -> bytes:
    """The loss of each trial in their order, and the best so far; the first one is that of the settings as they were."""
    figure = new_figure(7.6, 4.2)
    axes = figure.add_subplot()
    numbers = np.arange(1, len(finished) + 1)
    losses = np.array([np.nan if trial.loss is None else trial.loss for trial in finished])
    start = losses[0]
    axes.scatter(numbers, losses, s=22, color=COLOURS[0], label="trial")
    axes.step(numbers, np.fmin.accumulate(losses), where="post", color=COLOURS[1], label="best so far")
    axes.axhline(start, color="0.5", linestyle="--", linewidth=1, label="settings as they were")
    low, high = np.nanmin(losses), np.nanquantile(losses, WORST_SHARE)
    ended = numbers[np.isnan(losses)]
    margin = max(high - low, 1e-9) * 0.1
    axes.set_ylim(low - margin, max(high, start) + 3 * margin)
    if len(ended):
        top = np.full(len(ended), axes.get_ylim()[1])
        axes.scatter(ended, top, marker="x", color=COLOURS[7], clip_on=False, label="stopped or failed")
    axes.set(xlabel="trial", ylabel="validation log loss (nats per cell-day)")
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.set_title("History of the search (a tenth of the trials, the worst ones, may lie above)", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return as_png(figure)


def importance(task: TuningTask, finished: Sequence[Trial]) -> dict[str, float]:
    """Share of each setting in the variance of the loss (functional ANOVA, Hutter et al. 2014); {} of too few trials.

    Of settings that are always searched; those with a condition are left out.
    """
    losses = {trial.loss for trial in finished if trial.loss is not None}
    if len(losses) < MIN_TRIALS:
        return {}
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    shares = get_param_importances(study_of(task, finished), evaluator=FanovaImportanceEvaluator(seed=0))
    return {name: float(share) for name, share in shares.items()}


def importance_bars(shares: Mapping[str, float]) -> bytes:
    """A bar for each setting, the most important one on top."""
    figure = new_figure(6.6, 1.4 + 0.36 * len(shares))
    axes = figure.add_subplot()
    names = sorted(shares, key=lambda name: shares[name])
    bars = axes.barh(names, [shares[name] for name in names], color=COLOURS[0])
    axes.bar_label(bars, [f"{shares[name]:.0%}" for name in names], padding=3, fontsize=8)
    axes.set(xlabel="share in the variance of the loss", xlim=(0, 1.1))
    axes.set_title("Which settings matter", fontsize=10)
    return as_png(figure)


def parallel_coordinates(task: TuningTask, finished: Sequence[Trial]) -> bytes:
    """A line for each complete trial through the values of its settings, coloured by its loss; the best one is drawn thick."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    space, start, best = task.space, values_of(task.space, task.settings), best_of(finished)
    complete = [trial for trial in finished if trial.loss is not None and (trial.values or start)]
    losses = np.array([trial.loss for trial in complete])
    figure = new_figure(min(2.0 + 1.15 * len(space), 12.0), 4.6)
    axes = figure.add_subplot()
    colours = ScalarMappable(Normalize(losses.min(), np.quantile(losses, WORST_SHARE)), cmap="cividis")
    for trial in sorted(complete, key=lambda trial: -(trial.loss or 0.0)):
        values = trial.values or start or {}
        # A setting that was not searched leaves a gap.
        heights = [_height(one, values[name]) if name in values else np.nan for name, one in space.items()]
        is_best = trial == best
        colour, width = (COLOURS[1], 2.5) if is_best else (colours.to_rgba(np.array(trial.loss)), 0.8)
        axes.plot(
            range(len(space)),
            heights,
            color=colour,
            linewidth=width,
            marker="o",
            markersize=3,
            zorder=3 if is_best else 2,
        )
    names = [f"{name}\n{_end(one, low=True)} to {_end(one, low=False)}" for name, one in space.items()]
    axes.set_xticks(range(len(space)), names, fontsize=7)
    axes.set(yticks=[], ylim=(-0.05, 1.05))
    axes.grid(axis="x", alpha=0.5)
    axes.set_title("Settings of the trials, from the least value below to the largest above; best: thick", fontsize=10)
    figure.colorbar(colours, ax=axes, extend="max", label="validation log loss", format="%.5f")
    return as_png(figure)


def _height(parameter: Parameter, value: Value) -> float:
    """Where a value lies between the ends of its parameter, from 0 to 1."""
    if isinstance(parameter, Categorical):
        return parameter.options.index(value) / (len(parameter.options) - 1)
    low, high = (float(end) for end in parameter.ends)
    if getattr(parameter, "log", False):
        return float(np.log(float(value) / low) / np.log(high / low))
    return (float(value) - low) / (high - low)


def _end(parameter: Parameter, *, low: bool) -> str:
    end = parameter.ends[0 if low else -1]
    return f"{end:g}" if isinstance(end, int | float) and not isinstance(end, bool) else str(end)
