"""The search by Optuna: its task, a study that a killed search goes on with, and the outcome as record and YAML."""

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import optuna
import yaml
from lightgbm.basic import LightGBMError
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState
from pydantic import Field, JsonValue

from shotspotter_assets.models.forecaster import FitContext, log_losses
from shotspotter_assets.models.forecaster_registry import forecaster
from shotspotter_assets.models.forecaster_settings import ForecasterSettings
from shotspotter_assets.models.history import History
from shotspotter_assets.storage.arrays import Booleans
from shotspotter_assets.storage.catalogue import TUNED_SETTINGS, TUNED_YAML
from shotspotter_assets.storage.errors import MissingObjectError
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_file import StoredFile
from shotspotter_assets.storage.stored_record import StoredRecord

MIN_EPOCHS: Final = 3  # epochs of a network before its trial may be pruned
MIN_COMPARED_TRIALS: Final = 4  # complete trials that a running one is compared with before it may be pruned
START_LOSS: Final = "start_loss"  # attribute of a study: log loss of the settings without a search
FINISHED: Final = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


@dataclass(frozen=True)
class TuningTask:
    """A forecaster on the windows before a fold's cutoff; ValueError without an alert in the validation window."""

    forecaster: str
    settings: ForecasterSettings  # those of the city's file, which trials change
    history: History
    train: range
    validation: range
    context: FitContext

    def __post_init__(self) -> None:
        if not self.observed.any():
            days = self.history.days()[self.validation.start : self.validation.stop]
            raise ValueError(
                f"City {self.history.city.name}: no covered cell has an alert from {days[0]} to {days[-1]}, the validation "
                "window, so settings cannot be compared on it. Choose a later fold or a longer folds.validation."
            )

    @property
    def observed(self) -> Booleans:
        """True for each covered cell with an alert in the validation window, shape (known days, cells)."""
        window = slice(self.validation.start, self.validation.stop)
        return self.history.observed[window][self.history.known_in(self.validation)]

    @cached_property
    def space(self) -> dict[str, BaseDistribution]:
        """The searched settings."""
        return self.settings.search_space()

    @cached_property
    def key(self) -> str:
        """A hash of everything that determines a trial's loss except its values: trials with another key do not compare."""
        shared = self.context.shared
        parts: list[Any] = [self.forecaster, self.settings.model_dump(), repr(self.space), repr(self.train)]
        parts += [repr(self.validation), self.history.lead, shared and shared.origin, self.history.data_sha256()]
        return sha256(json.dumps(parts, sort_keys=True), self.history.in_coverage.tobytes())[:16]

    def loss(self, values: Mapping[str, Any], after_epoch: Callable[[int, float], None] | None = None) -> float:
        """Return the validation log loss of a fit with `values`, in nats per cell-day; `after_epoch` may raise to stop it."""
        settings = type(self.settings).model_validate(self.settings.model_dump() | dict(values))
        context = replace(self.context, after_epoch=after_epoch)
        fitted = forecaster(self.forecaster, settings).fit(self.history, self.train, self.validation, context)
        probability = fitted.validation_probability[self.history.known_in(self.validation)]
        return float(log_losses(probability, self.observed).mean())


@contextmanager
def storage_url(store: Store, file: StoredFile, city: str, cutoff: date, shared: str = "") -> Iterator[str]:
    """Yield the URL of Optuna's storage: `shared`, which several machines need, or an SQLite file in the store."""
    uri = store.uri(file, city, cutoff)
    if shared:
        yield shared
    elif "://" not in uri:
        Path(uri).parent.mkdir(parents=True, exist_ok=True)
        yield f"sqlite:///{Path(uri).absolute()}"
    else:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / file.file
            with suppress(MissingObjectError):
                copy.write_bytes(store.read_bytes(file, city, cutoff))
            try:
                yield f"sqlite:///{copy}"
            finally:
                if copy.exists():
                    store.write_bytes(file, copy.read_bytes(), city, cutoff)


def open_study(task: TuningTask, storage: str | None, seed: int) -> optuna.Study:
    """Return the study of a task, with the loss of the settings without a search, its first trial if they are in the space."""
    study = optuna.create_study(
        storage=storage,
        study_name=f"{task.history.city.name}_{task.forecaster}_{task.key}",
        load_if_exists=True,
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=MIN_COMPARED_TRIALS, n_warmup_steps=MIN_EPOCHS),
    )
    if START_LOSS not in study.user_attrs:
        loss = task.loss({})
        start = {name: getattr(task.settings, name) for name in task.space}
        with suppress(ValueError):  # the settings lie outside the space
            study.add_trial(optuna.trial.create_trial(params=start, distributions=task.space, value=loss))
        study.set_user_attr(START_LOSS, loss)
    return study


def trials_left(study: optuna.Study, trials: int) -> int:
    """Return how many of the wanted `trials` a study still lacks, complete, pruned and failed ones counted."""
    return max(trials - len(study.get_trials(states=FINISHED)), 0)


def search(task: TuningTask, study: optuna.Study, trials: int, minutes: float, parallel: int) -> None:
    """Add trials to a study until it has `trials` finished ones, earlier runs included, or the minutes of this run are over.

    Optuna logs each trial with the best one so far.
    """

    def objective(trial: optuna.Trial) -> float:
        def after_epoch(epoch: int, loss: float) -> None:
            trial.report(loss, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned(f"worse than the median of the trials before at epoch {epoch}")

        values = {name: suggested(trial, name, distribution) for name, distribution in task.space.items()}
        return task.loss(values, after_epoch)

    if (left := trials_left(study, trials)) and minutes > 0:
        study.optimize(
            objective,
            n_trials=left,
            timeout=60 * minutes,
            n_jobs=parallel,
            catch=(FloatingPointError, LightGBMError),
            callbacks=[optuna.study.MaxTrialsCallback(trials, FINISHED)],
        )


def suggested(trial: optuna.Trial, name: str, distribution: BaseDistribution) -> Any:
    """Return a value of a declared distribution."""
    match distribution:
        case FloatDistribution(low=low, high=high, log=log):
            return trial.suggest_float(name, low, high, log=log)
        case IntDistribution(low=first, high=last, step=step, log=log):
            return trial.suggest_int(name, first, last, step=step, log=log)
        case CategoricalDistribution(choices=choices):
            return trial.suggest_categorical(name, choices)
    raise TypeError(f"{name}: {distribution!r} is no distribution of a search space")


class TunedSettings(StoredRecord):
    """The outcome of a forecaster's search in a fold."""

    stored_as = TUNED_SETTINGS

    cutoff: date
    forecaster: str
    settings: dict[str, JsonValue] = Field(description="Settings to change; empty if no trial was better.")
    loss: float = Field(description="Log loss of the validation window in nats per cell-day.")
    start_loss: float = Field(description="Log loss of the settings without a search.")
    gain: float = Field(description="Nats per cell-day with an alert; flattered, as chosen on these very days.")
    trials: int = Field(description="Number of finished trials.")

    @classmethod
    def of(cls, task: TuningTask, cutoff: date, study: optuna.Study) -> "TunedSettings":
        """Return the outcome of a study: the values of its best trial if that is better than the start."""
        start = study.user_attrs[START_LOSS]
        complete = study.get_trials(states=(TrialState.COMPLETE,))  # pruned trials have a value, too
        loss = min([start, *(trial.value for trial in complete if trial.value is not None)])
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
            trials=len(study.get_trials(states=FINISHED)),
        )

    def write(self, store: Store) -> str:
        """Write the record, and its lines for the city's file; return the record's address."""
        record = self.stored_as.named(forecaster=self.forecaster)
        store.write_bytes(record, self.content(), self.city, self.cutoff)
        as_yaml = TUNED_YAML.named(forecaster=self.forecaster)
        store.write_bytes(as_yaml, self.yaml.encode(), self.city, self.cutoff)
        return store.uri(record, self.city, self.cutoff)

    @property
    def yaml(self) -> str:
        """Lines for the city's file that put the settings into effect; a comment where nothing better was found."""
        if not self.settings:
            return f"# {self.forecaster}: no trial was better than the settings of the city's file.\n"
        return yaml.safe_dump({"forecasters": {self.forecaster: self.settings}}, sort_keys=False)
