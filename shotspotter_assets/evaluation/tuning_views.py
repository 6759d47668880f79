"""Views of a search: the best trials as rows, all trials as JSON, and Optuna's own pictures."""

import warnings
from collections.abc import Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import optuna

PICTURES: Final = ("history", "importance", "parallel_coordinates")
"""Pictures that pages show, in their order."""
SHOWN_TRIALS: Final = 10
MIN_TRIALS: Final = 8
"""Complete trials, below which the importance of settings is not estimated."""


def trial_rows(study: "optuna.Study") -> list[dict[str, Any]]:
    """The complete trials with the least log loss, the best one first."""
    complete = sorted((trial.value, trial.number, trial) for trial in study.trials if trial.value is not None)
    return [
        {"trial": number, "log loss": value, "settings": in_words(trial.params)}
        for value, number, trial in complete[:SHOWN_TRIALS]
    ]


def in_words(values: Mapping[str, Any]) -> str:
    """Values in words, as "leaves 12, learning_rate 0.043"."""
    # By `:.3g` alone, people would read 1.31e+03.
    shown = (
        f"{name} {float(f'{value:.3g}'):g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in values.items()
    )
    return ", ".join(shown) or "as they were"


def trials_json(study: "optuna.Study") -> bytes:
    """All trials with values, states, losses, epochs and times, as `Study.trials_dataframe` lists them."""
    attributes = ("number", "value", "state", "params", "intermediate_values", "datetime_start", "duration")
    table = study.trials_dataframe(attributes)
    return bytes(table.to_json(orient="records", date_format="iso", default_handler=str, indent=1), "utf-8")


def tuning_pictures(study: "optuna.Study") -> dict[str, bytes]:
    """PNG by name: the history, the other `PICTURES` of enough trials, and `learning_curves` of a network."""
    import matplotlib as mpl
    import optuna
    from optuna.visualization import matplotlib as drawn

    mpl.use("Agg")
    complete = [trial for trial in study.trials if trial.value is not None]
    pictures: dict[str, Any] = {"history": drawn.plot_optimization_history} if complete else {}
    if len({trial.value for trial in complete}) >= MIN_TRIALS:
        pictures["importance"] = drawn.plot_param_importances
    if len(complete) > 1:
        pictures["parallel_coordinates"] = drawn.plot_parallel_coordinate
    if any(trial.intermediate_values for trial in study.trials):
        pictures["learning_curves"] = drawn.plot_intermediate_values
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return {name: _png(draw(study)) for name, draw in pictures.items()}


def _png(axes: Any) -> bytes:
    from matplotlib import pyplot as plt

    figure, file = axes.figure, BytesIO()
    figure.savefig(file, format="png", bbox_inches="tight", dpi=110)
    plt.close(figure)
    return file.getvalue()
