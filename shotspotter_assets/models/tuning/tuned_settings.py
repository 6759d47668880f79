"""What a search found, as it is stored: the settings with the least validation loss beside those that it started at."""

from collections.abc import Sequence
from datetime import date
from importlib.metadata import version
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, JsonValue

from shotspotter_assets.models.records import installed_versions
from shotspotter_assets.models.tuning.search import best_of
from shotspotter_assets.models.tuning.space import as_settings
from shotspotter_assets.models.tuning.trials import Trial, TrialStore, TuningTask
from shotspotter_assets.storage.store import Partition, Store

TUNED_SETTINGS: Final = "tuned_settings"


class TunedSettings(BaseModel):
    """The outcome of a forecaster's search in a fold; stored as `<forecaster>.record.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    city: str
    fold: date
    forecaster: str
    settings: dict[str, JsonValue]
    """Those that differ from the settings that the search started at; empty where nothing better was found."""
    loss: float
    """Log loss of the validation window in nats per cell-day."""
    start_loss: float
    """The same of the settings that the search started at."""
    gain: float
    """What that is in nats per cell-day with an alert; chosen on these very days, so it flatters the tuned settings."""
    trials: int
    """Finished ones; so many of them were stopped by their epochs or failed:"""
    stopped: int
    failed: int
    seconds: float
    """Of all trials."""
    train_first: date
    train_last: date
    validation_first: date
    validation_last: date
    data_sha256: str
    """Of the counts before the cutoff."""
    key: str
    """Of the search; see `TuningTask.key`."""
    config: dict[str, JsonValue]
    """What the launchpad was set to."""
    versions: dict[str, str]

    @classmethod
    def of(cls, task: TuningTask, fold: date, finished: Sequence[Trial], config: dict[str, Any]) -> "TunedSettings":
        """The outcome of the finished trials."""
        start, best = finished[0], best_of(finished)
        assert start.loss is not None
        assert best.loss is not None
        days = task.history.days()
        first, last = ([days[at].item() for at in (window[0], window[-1])] for window in (task.train, task.validation))
        return cls(
            city=task.history.city.name,
            fold=fold,
            forecaster=task.forecaster,
            settings=as_settings(task.space, best.values),
            loss=best.loss,
            start_loss=start.loss,
            gain=(start.loss - best.loss) * task.cell_days / task.positives,
            trials=len(finished),
            stopped=sum(trial.state == "stopped" for trial in finished),
            failed=sum(trial.state == "failed" for trial in finished),
            seconds=sum(trial.seconds for trial in finished),
            train_first=first[0],
            train_last=first[1],
            validation_first=last[0],
            validation_last=last[1],
            data_sha256=task.history.data_sha256(),
            key=task.key,
            config=config,
            versions=installed_versions() | {"optuna": version("optuna")},
        )


def tuned_partition(city: str, cutoff: date) -> Partition:
    """Where the searches of a fold are."""
    return Partition(TUNED_SETTINGS, city, "fold", cutoff)


def tuned_file(name: str) -> str:
    """The outcome of a forecaster's search."""
    return f"{name}.record.json"


def journal_of(store: Store, city: str, cutoff: date, name: str) -> TrialStore:
    """The finished trials of a forecaster's search."""
    return TrialStore(store, tuned_partition(city, cutoff), f"{name}.trials.json")


def read_tuned(store: Store, city: str, cutoff: date, name: str) -> TunedSettings:
    """The outcome of a forecaster's search in a fold.

    Raises:
        MissingObjectError: there was none.
    """
    return TunedSettings.model_validate_json(store.read_bytes(tuned_partition(city, cutoff), tuned_file(name)))


def tuned_folds(store: Store, city: str, name: str) -> list[date]:
    """The folds in which a forecaster's settings were searched, in their order."""
    return sorted(store.days_present(TUNED_SETTINGS, city, tuned_file(name), "fold"))
