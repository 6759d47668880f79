"""Serving record of a day, and the live models that it names."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np

from shotspotter_assets.arrays import Array
from shotspotter_assets.calendar.dates import WEEK_HOURS
from shotspotter_assets.calendar.local_time import ONE_DAY
from shotspotter_assets.evaluation.gate import Verdict
from shotspotter_assets.models.alert_counts import AlertCounts
from shotspotter_assets.models.fold_training import read_files
from shotspotter_assets.models.forecaster import Fitted
from shotspotter_assets.models.forecaster_registry import forecaster
from shotspotter_assets.models.gunshot_types import GunshotTypes
from shotspotter_assets.models.next_hours.hourly_forecaster import FittedHourly
from shotspotter_assets.models.next_minutes.lift_table import LiftTable
from shotspotter_assets.models.records import TrainedModel
from shotspotter_assets.models.stack import FittedStack
from shotspotter_assets.storage.catalogue import LIVE_MODEL, SERVING_RECORD
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_record import StoredRecord

WEEK: Final = timedelta(days=7)
COUNTS: Final = "alert_counts"
NEXT_HOURS: Final = "hourly_stack"
NEXT_MINUTES: Final = "next_minutes"
TYPES: Final = "gunshot_types"


class ServingRecord(StoredRecord):
    """Live models after a day: files, reasons, and first day."""

    stored_as = SERVING_RECORD

    issue_date: date
    """Day after which the models serve."""
    served: str
    """Forecaster of the next day."""
    since: date
    """First issue date of an unbroken run of `served`."""
    candidate_since: date | None = None
    """First issue date of the candidate's unbroken run; null without an earlier candidate."""
    reasons: tuple[str, ...]
    """Sentences: why that forecaster, and why (not) retrained."""
    last_trained: date
    """Last day of training or rollback, from which the cadence counts."""
    models_from: date
    """Issue date of the models, in whose partition the files are."""
    version: str
    """Part of the files' names: retraining a day keeps the files that later days point to."""
    models: dict[str, TrainedModel]
    """Models by name: next-day forecasters, the candidate first; then counts, hours, minutes, types."""
    without: dict[str, str]
    """Reasons for absent models, by name."""
    lead: int
    """Days from the last known day to the forecast date in the models' fit."""
    last_known: date
    """Last day whose alerts are known."""
    inputs: tuple[str, ...]
    """Names of the next day's inputs."""
    validation: tuple[date, date]
    """First and last validation day; all earlier days are training days."""
    covered: list[tuple[int, int]]
    """(row, column) of the forecast cells."""
    weekly_offset: tuple[float, float]
    """80% interval of a week's offset in log odds (`intervals.weekly_offset`)."""
    data_sha256: str
    """Fingerprint of the models' days."""
    versions: dict[str, str]
    """Versions of Python and of the packages that trained the models."""
    gate: Verdict
    """Verdict on the candidate in the validation window."""

    @classmethod
    def latest_before(cls, store: Store, city: str, day: date) -> "ServingRecord | None":
        """Return the latest record before `day`; None without any."""
        earlier = store.days_present(SERVING_RECORD, city, last=day - ONE_DAY)
        return cls.load(store, city, max(earlier)) if earlier else None

    @classmethod
    def of_lead(cls, store: Store, city: str, day: date, lead: int) -> "ServingRecord | None":
        """Return the latest record of the week before `day` with models of a lead; None without one."""
        recent = store.days_present(SERVING_RECORD, city, day - WEEK, day - ONE_DAY)
        records = (cls.find_sound(store, city, issue_date) for issue_date in sorted(recent, reverse=True))
        return next((record for record in records if record is not None and record.lead == lead), None)

    @property
    def candidate(self) -> str:
        """Forecaster that serves if it passes the gate."""
        return self.gate.candidate

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
        since, candidate_since = self.issue_date, None
        if before is not None:
            since = before.since if before.served == self.served else self.issue_date
            candidate_since = before.candidate_since if before.candidate == self.candidate else self.issue_date
        return self.model_copy(update={"since": since, "candidate_since": candidate_since})

    def loaded(self, store: Store) -> "ServingModels":
        """Load all models of the record; raise ValueError if their files were changed or removed."""
        files = {
            name: read_files(store, LIVE_MODEL, self.city, self.models_from, stored_name(name, self.version), model)
            for name, model in self.models.items()
        }
        next_day: dict[str, Fitted] = {}
        for name in (name for name in files if name not in (COUNTS, NEXT_HOURS, NEXT_MINUTES, TYPES)):
            fitted = forecaster(name).load(files[name])
            next_day |= {name: fitted} | (dict(fitted.members) if isinstance(fitted, FittedStack) else {})
        return ServingModels(
            next_day=next_day,
            counts=AlertCounts.load(files[COUNTS]),
            hours=forecaster(NEXT_HOURS).load(files[NEXT_HOURS]) if NEXT_HOURS in files else None,
            types=GunshotTypes.load(files[TYPES]) if TYPES in files else None,
            minutes=LiftTable.load(files[NEXT_MINUTES]) if NEXT_MINUTES in files else None,
        )


@dataclass(frozen=True)
class ServingModels:
    """Models of a forecast; a city without hours, or with few alerts, has no `hours`, `types` and `minutes`."""

    next_day: Mapping[str, Fitted]
    """Models by name, the candidate and its members first."""
    counts: AlertCounts
    hours: FittedHourly | None
    types: GunshotTypes | None
    minutes: LiftTable | None = None

    @property
    def profile(self) -> Array:
        """Alerts of each hour of the week relative to the mean hour, shape (168,); ones without known hours."""
        if self.hours is None:
            return np.ones(WEEK_HOURS)
        stack = next(iter(self.hours.models.values()))
        return np.asarray(stack.members["next_hours"].profile)


def stored_name(model: str, version: str) -> str:
    """Return the prefix of a model's file names."""
    return f"{model}-{version}"
