"""The record of the live models after a day, why those, and since when: `record.json` of `live_models`."""

import json
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np

from shotspotter_assets.evaluation.gate import Verdict
from shotspotter_assets.models.fold_models import read_files
from shotspotter_assets.models.records import TrainedModel
from shotspotter_assets.serving.daily_record import DailyRecord
from shotspotter_assets.storage.file_names import RECORD_FILE
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.store import Partition, Store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shotspotter_assets.models.alert_counts import AlertCounts
    from shotspotter_assets.models.forecaster import Array, Fitted
    from shotspotter_assets.models.gunshot_types import GunshotTypes
    from shotspotter_assets.models.next_hours.stack import FittedHourlyStack
    from shotspotter_assets.models.next_minutes.lift_table import LiftTable

WEEK: Final = timedelta(days=7)
LIVE_MODELS: Final = "live_models"
COUNTS: Final = "alert_counts"
NEXT_HOURS: Final = "hourly_stack"
NEXT_MINUTES: Final = "next_minutes"
TYPES: Final = "gunshot_types"


class ServingRecord(DailyRecord):
    """The live models after a day, where their files are, why those, and since when."""

    asset = LIVE_MODELS

    served: str
    """The next-day forecaster in service, `since` the first day of an unbroken run."""
    since: date
    candidate_since: date | None = None
    """First day of the unbroken run with this candidate; None where the city never had another one."""
    reasons: tuple[str, ...]
    """Sentences: why that forecaster, and why (not) retrained."""
    last_trained: date
    """The last day on which models were trained or rolled back; the cadence counts from it."""
    fitted_on: date
    """The issue date of the models, in whose partition the files are."""
    version: str
    """Part of the files' names: a day that is trained again leaves the files alone that later days point to."""
    models: dict[str, TrainedModel]
    """By name: next-day forecasters, the candidate, whose files hold its members, first; then counts, hours, minutes, types."""
    without: dict[str, str]
    """Reasons by name for models that the city cannot have."""
    lead: int
    """Days from the last known day to the forecast day for which the models were fitted."""
    last_known: date
    inputs: tuple[str, ...]
    """Names of the inputs of the next day."""
    validation: tuple[date, date]
    """First and last day of the validation window; training days are all days of the city before it."""
    covered: list[tuple[int, int]]
    """(row, column) of the cells that are forecast."""
    level: tuple[float, float]
    """80% interval of the weekly offset in log odds; see `intervals.weekly_offset`."""
    data_sha256: str
    """Fingerprint of the days that the models were fitted on."""
    versions: dict[str, str]
    gate: Verdict
    """On the candidate, on the validation window."""

    @classmethod
    def latest_before(cls, store: Store, city: str, day: date) -> "ServingRecord | None":
        """The latest record of the days before `day`; None without any. Later records use later days."""
        earlier = [made for made in store.days_present(LIVE_MODELS, city, RECORD_FILE) if made < day]
        return cls.load(store, city, max(earlier)) if earlier else None

    @classmethod
    def of_lead(cls, store: Store, city: str, day: date, lead: int) -> "ServingRecord | None":
        """The latest record of the week before `day` with models of that lead; None without one."""
        made = store.days_present(LIVE_MODELS, city, RECORD_FILE)
        recent = (earlier for earlier in sorted(made, reverse=True) if day - WEEK <= earlier < day)
        records = (cls.load(store, city, earlier) for earlier in recent)
        return next((record for record in records if record.lead == lead), None)

    @property
    def candidate(self) -> str:
        """The forecaster that serves if it passes the gate."""
        return self.gate.candidate

    @property
    def trained(self) -> bool:
        """True if models were trained on this day."""
        return self.fitted_on == self.day

    @property
    def data_version(self) -> str:
        """A hash of the files that serve."""
        return sha256(json.dumps((self.served, self.version)))[:16]

    def after(self, before: "ServingRecord | None") -> "ServingRecord":
        """This record with `since` and `candidate_since` as they follow from the latest record before it."""
        since, candidate_since = self.day, None
        if before is not None:
            since = before.since if before.served == self.served else self.day
            candidate_since = before.candidate_since if before.candidate == self.candidate else self.day
        return self.model_copy(update={"since": since, "candidate_since": candidate_since})

    def loaded(self, store: Store) -> "ServingModels":
        """All models that the record names.

        Raises:
            ValueError: their files were changed or removed.
        """
        from shotspotter_assets.models.alert_counts import AlertCounts
        from shotspotter_assets.models.gunshot_types import GunshotTypes
        from shotspotter_assets.models.next_day.stack import FittedStack
        from shotspotter_assets.models.next_hours.stack import HourlyStack
        from shotspotter_assets.models.next_minutes.lift_table import LiftTable
        from shotspotter_assets.models.registry import forecaster

        partition = models_partition(self.city, self.fitted_on)
        files = {
            name: read_files(store, partition, stored_name(name, self.version), model)
            for name, model in self.models.items()
        }
        next_day: dict[str, Fitted] = {}
        for name in (name for name in files if name not in (COUNTS, NEXT_HOURS, NEXT_MINUTES, TYPES)):
            fitted = forecaster(name).load(files[name])
            next_day |= {name: fitted} | (dict(fitted.members) if isinstance(fitted, FittedStack) else {})
        return ServingModels(
            next_day=next_day,
            counts=AlertCounts.load(files[COUNTS]),
            hours=HourlyStack.load(files[NEXT_HOURS]) if NEXT_HOURS in files else None,
            types=GunshotTypes.load(files[TYPES]) if TYPES in files else None,
            minutes=LiftTable.load(files[NEXT_MINUTES]) if NEXT_MINUTES in files else None,
        )


@dataclass(frozen=True)
class ServingModels:
    """The models that a forecast is made with: `next_day` by name, the candidate and its members first.

    Without hours, or with too few alerts, a city has no `hours`, `types` and `minutes`.
    """

    next_day: "Mapping[str, Fitted]"
    counts: "AlertCounts"
    hours: "FittedHourlyStack | None"
    types: "GunshotTypes | None"
    minutes: "LiftTable | None" = None

    @property
    def profile(self) -> "Array":
        """Share of each hour of the week in the alerts, shape (168,); flat where hours are not known."""
        from shotspotter_assets.calendar.dates import WEEK_HOURS

        return np.ones(WEEK_HOURS) if self.hours is None else self.hours.profile


def models_partition(city: str, day: date) -> Partition:
    """The partition of the models that were trained on a day, and of the day's record."""
    return Partition(LIVE_MODELS, city, "date", day)


def stored_name(model: str, version: str) -> str:
    """The beginning of the names of a model's files."""
    return f"{model}-{version}"
