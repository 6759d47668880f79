"""Serving record of a day, the live models that it names, and the window in which they forecast."""

import json
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import Any, Final, Self

import numpy as np
from pydantic import BaseModel, Field

from shotspotter_assets.alerts.days.days_in_words import long_day
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import ONE_DAY, day_start
from shotspotter_assets.cities.stored_settings import KEYS_OF_NEW_FORECASTS, model_settings, settings_hash
from shotspotter_assets.evaluation.gate import Verdict
from shotspotter_assets.grid.dates import DAY_HOURS
from shotspotter_assets.models.city_history import CityHistory, covered_mask
from shotspotter_assets.models.gunshot_types import AlertRows
from shotspotter_assets.models.history import History, HourlyHistory, firework_days
from shotspotter_assets.models.trained_models import SOURCE, TrainedModels, TrainingRecord, read_models, source_sha256
from shotspotter_assets.storage.arrays import Array
from shotspotter_assets.storage.catalogue import LIVE_MODEL, SERVING_RECORD, Asset
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.wording import number_of

WEEK: Final = timedelta(days=7)
BY_HAND: Final = "by hand"  # words in the reasons for what a person did
PLACE: Final = (
    "box",
    "grid",
    "targets",
)  # keys of `settings` with other values of which models forecast something else
FIT: Final = ("forecasters", "network", "folds")  # keys of `settings` that change only the fit: models still forecast


class Shadow(BaseModel, frozen=True, extra="forbid"):
    """The forecaster in the shadow of a training."""

    name: str
    files: dict[str, str] = Field(default_factory=dict)  # SHA-256 of each file; none of a member of the candidate
    problem: str = ""  # reason why it could not be trained


class ServingRecord(TrainingRecord):
    """Live models after a day: files, reasons, and first day.

    `settings` and `data_sha256` answer whether these models may still serve. Whether a partition is made from its present
    inputs is another question, which its lineage answers: models stay usable after alerts were corrected.
    """

    stored_as = SERVING_RECORD

    issue_date: date = Field(description="Day after which the models serve.")
    since: date = Field(description="First issue date of an unbroken run of `served`.")
    candidate_since: date | None = Field(None, description="First issue date of the candidate's unbroken run, or null.")
    reasons: tuple[str, ...] = Field(description="Sentences: why that forecaster, and why (not) retrained.")
    last_trained: date = Field(description="Last day of training or rollback, from which the cadence counts.")
    models_from: date = Field(description="Issue date of the models, in whose partition the files are.")
    version: str = Field(description="Part of files' names: retraining a day keeps files that later days point to.")
    lead: int = Field(description="Days from the last known day to the forecast date in the models' fit.")
    last_known: date = Field(description="Last day whose alerts are known.")
    inputs: tuple[str, ...] = Field(description="Names of the next day's inputs.")
    settings: dict[str, str] = Field(description="Hashes of the city's settings in the fit by key.")
    gate: Verdict = Field(description="Verdict on the candidate in the validation window.")
    shadow: Shadow | None = Field(
        None, description="Forecaster that was trained with these models, is scored, and never shown."
    )
    is_interim: bool = Field(False, description="True for simple methods that serve until models are trained.")
    training_due: str = Field("", description='Reason why models must be trained; "" if they need not be.')
    due_since: date | None = Field(None, description="First issue date on which training was due, or null.")

    @property
    def candidate(self) -> str:
        """Forecaster that serves if it passes the gate."""
        return self.gate.candidate

    @property
    def place_and_inputs(self) -> tuple[Any, ...]:
        """Values that must be equal for models to forecast what others forecast."""
        return *map(self.settings.get, PLACE), self.inputs

    def is_stored(self, store: Store) -> bool:
        """Return True if all files of the models are in the store."""
        names = [(f"{name}{self.suffix}", file) for name, model in self.models.items() for file in model.files]
        files = (LIVE_MODEL.named(model=name, file=file) for name, file in names)
        return all(store.exists(file, self.city, self.models_from) for file in files)

    @property
    def forecasts_from(self) -> str:
        """SHA-256 of all that forecasts take from the record: served forecaster, files, cells, intervals, types, lead."""
        files = {name: model.files for name, model in self.models.items()}
        values = (self.served, files, self.covered, self.weekly_offset, self.types_by, self.lead)
        return sha256(json.dumps(values, sort_keys=True))

    def made_by(self, city: City) -> dict[str, str]:
        """Return hashes of all that makes a city's forecasts by these models, and the day of the last training."""
        return {
            "models": self.forecasts_from,
            "last_trained": str(self.last_trained),
            "settings": settings_hash(city, Asset.RISK_FORECASTS, KEYS_OF_NEW_FORECASTS),
            SOURCE: source_sha256(),
        }

    @property
    def trained(self) -> bool:
        """True if the models were trained on the issue date."""
        return self.models_from == self.issue_date

    @property
    def data_version(self) -> str:
        """Hash of the served forecaster and the version of its files."""
        return sha256(json.dumps((self.served, self.version)))[:16]

    def after(self, before: "ServingRecord | None") -> "ServingRecord":
        """Return this record with `since` and `candidate_since`, given the latest record before it."""
        if before is None:
            return self.model_copy(update={"since": self.issue_date, "candidate_since": None})
        since = before.since if before.served == self.served else self.issue_date
        candidate_since = before.candidate_since if before.candidate == self.candidate else self.issue_date
        return self.model_copy(update={"since": since, "candidate_since": candidate_since})

    def on(self, stored: CityHistory, *reasons: str) -> "ServingRecord":
        """Return this record for the issue date of a history, with other reasons, and no training due."""
        sentences = tuple(filter(None, (*reasons, self.gate.overruled, self.gate.withheld)))
        changes = {"issue_date": stored.issue_date, "last_known": stored.last_known, "reasons": sentences}
        return self.model_copy(update={**changes, "training_due": "", "due_since": None})

    def with_training_due(self, reason: str, since: date) -> "ServingRecord":
        """Return this record, which serves until models are trained for a reason that has held `since` a day."""
        serves = (
            f"the best simple method serves: {self.served}"
            if self.is_interim
            else f"the models of {long_day(self.models_from)} serve"
        )
        due = f"due since the forecast for {long_day(since + ONE_DAY)}"
        remedy = f"To train them, run: shotspotter run {self.city}"
        sentence = f"Models are to be {reason} ({due}). Until then {serves}. {remedy}"
        changes = {"reasons": (sentence, *self.reasons[1:]), "training_due": reason, "due_since": since}
        return self.model_copy(update=changes)

    @property
    def suffix(self) -> str:
        """End of the models' names in stored files."""
        return f"-{self.version}"

    def loaded(self, store: Store) -> TrainedModels:
        """Load all models of the record; raise ValueError if their files were changed or removed."""
        return read_models(store, LIVE_MODEL, self, self.models_from, self.suffix)


@dataclass(frozen=True)
class ForecastWindow:
    """The day after an issue date as a record's models forecast it; made once, and handed down."""

    record: ServingRecord
    models: TrainedModels
    stored: CityHistory  # at the lead of the models
    history: History  # of these days, in the covered cells
    hourly: HourlyHistory | None  # None where the source publishes days only

    @classmethod
    def of(cls, record: ServingRecord, models: TrainedModels, stored: CityHistory) -> Self:
        """Make the window at the lead of a record's models; raise ValueError for a shorter lead, or another box or grid."""
        key = f"{record.city}|{stored.issue_date}"
        if record.lead < stored.lead:
            raise ValueError(
                f"{key}: the last known day is {stored.last_known}, and the models of {record.models_from} were fitted for a "
                f"lead of {number_of(record.lead, 'day')}, not {stored.lead}. Materialize live_models for {key}."
            )
        place = {key: value for key, value in model_settings(stored.city).items() if key in ("box", "grid")}
        if not place.items() <= record.settings.items():
            raise ValueError(f"{key}: box or grid has changed since the training. Materialize live_models for {key}.")
        at_lead = stored.until(stored.issue_date - timedelta(days=record.lead - 1))
        in_coverage = covered_mask(record.covered, stored.city.shape)
        hourly = None if stored.city.time_precision == "day" else at_lead.hourly(in_coverage)
        return cls(record, models, at_lead, at_lead.daily(in_coverage), hourly)

    @property
    def city(self) -> City:
        """The city, as its target sees it."""
        return self.stored.city

    @property
    def key(self) -> str:
        """City and issue date, as messages name the window."""
        return f"{self.city.name}|{self.stored.issue_date}"

    @property
    def date(self) -> date:
        """Local day that is forecast."""
        return self.stored.issue_date + ONE_DAY

    @property
    def index(self) -> range:
        """The day that is forecast, as an index of the history's days."""
        return range(self.history.next_day, self.history.next_day + 1)

    @property
    def is_firework_day(self) -> bool:
        """True for a day of holiday fireworks."""
        return bool(firework_days(self.city, np.array([self.date], "datetime64[D]"))[0])

    @cached_property
    def mixes(self) -> Array | None:
        """The `shown_mixes` of the day's first 24 hours; None without types."""
        if self.hourly is None:
            return None
        return shown_mixes(self.record, self.models, self.hourly, self.first_hour(self.hourly), DAY_HOURS)

    def first_hour(self, hourly: HourlyHistory) -> int:
        """Return the index of the day's first hour in the clock of a history by hour, which may end days before."""
        return hourly.hour_at(day_start(self.date, self.city.zone))


def shown_mixes(
    record: ServingRecord, models: TrainedModels, history: HourlyHistory, first_hour: int, hours: int
) -> Array | None:
    """Return type probabilities of alerts by hour from `first_hour` on and cell, shape (hours, cells, types).

    Only hours before `first_hour` of the history are used. None if no types are shown.
    """
    if record.types_by is None or models.types is None:
        return None
    cells = history.alerts.shape[1]
    rows = AlertRows(
        np.full(hours * cells, min(first_hour, len(history))),
        np.repeat(first_hour + np.arange(hours), cells),
        np.tile(np.arange(cells), hours),
    )
    return models.types.predict(history, rows).reshape(hours, cells, -1)
