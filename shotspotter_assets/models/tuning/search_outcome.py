"""The stored outcome of a search: the settings with the least validation loss, as a record and as YAML for the city's file."""

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import yaml
from pydantic import BaseModel, ConfigDict, JsonValue

from shotspotter_assets.models.tuning.search import START_LOSS, best_loss, finished_trials
from shotspotter_assets.models.tuning.task import TuningTask
from shotspotter_assets.storage.store import Partition

if TYPE_CHECKING:
    import optuna

TUNED_SETTINGS: Final = "tuned_settings"
SHOWN_TRIALS: Final = 10


class TunedSettings(BaseModel):
    """The outcome of a forecaster's search in a fold; stored as `<forecaster>.record.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    city: str
    fold: date
    forecaster: str
    settings: dict[str, JsonValue]  # that differ from those without a search; empty where no trial was better
    loss: float  # log loss of the validation window in nats per cell-day
    start_loss: float  # log loss of the settings without a search
    gain: float
    """Difference in nats per cell-day with an alert; chosen on these very days, so it flatters the tuned settings."""
    trials: int  # finished ones

    @classmethod
    def of(cls, task: TuningTask, fold: date, study: "optuna.Study") -> "TunedSettings":
        start, loss = study.user_attrs[START_LOSS], best_loss(study)
        values = study.best_params if loss < start else {}
        changed = type(task.settings).model_validate(task.settings.model_dump() | values).model_dump(mode="json")
        return cls(
            city=task.history.city.name,
            fold=fold,
            forecaster=task.forecaster,
            settings={name: changed[name] for name in values},
            loss=loss,
            start_loss=start,
            gain=(start - loss) * task.observed.size / task.observed.sum(),
            trials=len(finished_trials(study)),
        )

    @property
    def yaml(self) -> str:
        """Lines for the city's file that put the settings into effect; a comment where nothing better was found."""
        if not self.settings:
            return f"# {self.forecaster}: no trial was better than the settings of the city's file.\n"
        return yaml.safe_dump({"forecasters": {self.forecaster: self.settings}}, sort_keys=False)


def trial_rows(study: "optuna.Study") -> list[dict[str, object]]:
    """Return the complete trials with the least log loss, the best one first."""
    complete = sorted((trial.value, trial.number, trial) for trial in study.trials if trial.value is not None)
    return [
        {"trial": number, "log loss": value, "settings": in_words(trial.params)}
        for value, number, trial in complete[:SHOWN_TRIALS]
    ]


def in_words(values: Mapping[str, Any]) -> str:
    """Return values in words, as "leaves 12, learning_rate 0.043"."""
    # By `:.3g` alone, people would read 1.31e+03.
    shown = (
        f"{name} {float(f'{value:.3g}'):g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in values.items()
    )
    return ", ".join(shown) or "as they were"


def tuned_partition(city: str, cutoff: date) -> Partition:
    """Return the folder of the searches of a fold."""
    return Partition(TUNED_SETTINGS, city, "fold", cutoff)


def tuned_file(name: str) -> str:
    """Return the file of the outcome of a forecaster's search."""
    return f"{name}.record.json"
