"""The stored outcome of a search: the settings with the least validation loss, as a record and as YAML for the city's file."""

from collections.abc import Mapping
from datetime import date
from typing import Any, Final

import optuna
import yaml
from pydantic import JsonValue

from shotspotter_assets.models.tuning.search import START_LOSS, TuningTask, best_loss, finished_trials
from shotspotter_assets.storage.catalogue import TUNED_SETTINGS, TUNED_YAML
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_record import StoredRecord

SHOWN_TRIALS: Final = 10


class TunedSettings(StoredRecord):
    """The outcome of a forecaster's search in a fold."""

    stored_as = TUNED_SETTINGS

    cutoff: date
    forecaster: str
    settings: dict[str, JsonValue]
    """Settings that differ from those without a search; empty if no trial was better."""
    loss: float
    """Log loss of the validation window in nats per cell-day."""
    start_loss: float
    """Log loss of the settings without a search."""
    gain: float
    """Difference in nats per cell-day with an alert; chosen on these very days, so it flatters the tuned settings."""
    trials: int
    """Number of finished trials."""

    @classmethod
    def of(cls, task: TuningTask, cutoff: date, study: optuna.Study) -> "TunedSettings":
        start, loss = study.user_attrs[START_LOSS], best_loss(study)
        values = study.best_params if loss < start else {}
        changed = type(task.settings).model_validate(task.settings.model_dump() | values).model_dump(mode="json")
        return cls(
            city=task.history.city.name,
            cutoff=cutoff,
            forecaster=task.forecaster,
            settings={name: changed[name] for name in values},
            loss=loss,
            start_loss=start,
            gain=(start - loss) * task.observed.size / task.observed.sum(),
            trials=len(finished_trials(study)),
        )

    def write(self, store: Store) -> str:
        """Write the record, and its lines for the city's file; return the record's address."""
        place = (self.city, self.cutoff)
        record = self.stored_as.named(forecaster=self.forecaster)
        store.write_bytes(record, self.content(), *place)
        store.write_bytes(TUNED_YAML.named(forecaster=self.forecaster), self.yaml.encode(), *place)
        return store.uri(record, *place)

    @property
    def yaml(self) -> str:
        """Lines for the city's file that put the settings into effect; a comment where nothing better was found."""
        if not self.settings:
            return f"# {self.forecaster}: no trial was better than the settings of the city's file.\n"
        return yaml.safe_dump({"forecasters": {self.forecaster: self.settings}}, sort_keys=False)


def trial_rows(study: optuna.Study) -> list[dict[str, object]]:
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
