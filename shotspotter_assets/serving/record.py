"""The one record of what serves a city after a day, why, and since when: `record.json` of `live_models`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from shotspotter_assets.evaluation.gains import Gain
from shotspotter_assets.evaluation.gate import Verdict
from shotspotter_assets.evaluation.model_card import InService
from shotspotter_assets.models.records import TrainedModel, TunedUse
from shotspotter_assets.models.stored_models import read_files
from shotspotter_assets.storage.file_names import RECORD_FILE
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.store import Partition, Store

if TYPE_CHECKING:
    from shotspotter_assets.models.alert_counts import AlertCounts
    from shotspotter_assets.models.forecaster import Array, Fitted
    from shotspotter_assets.models.gunshot_types import GunshotTypes
    from shotspotter_assets.models.next_hours.stack import FittedHourlyStack
    from shotspotter_assets.models.next_minutes.stack import FittedMinutesStack

WEEK: Final = timedelta(days=7)
LIVE_MODELS: Final = "live_models"
COUNTS: Final = "alert_counts"
NEXT_HOURS: Final = "hourly_stack"
"""Records of earlier versions name a regression alone, which serves no longer."""
NEXT_MINUTES: Final = "next_minutes"
"""Fitted on top of `NEXT_HOURS`; records of earlier versions do not have it."""
TYPES: Final = "gunshot_types"


class IssuedComparison(BaseModel):
    """Whether issued forecasts are better than those of what was trained, on the same cell-days."""

    model_config = ConfigDict(frozen=True)

    days: int
    """Compared."""
    keep_issued: bool
    """Whether the models that issued them stay in force."""
    gain: Gain | None
    """Of the issued forecasts; None if they are too few."""
    words: str


class ServingRecord(BaseModel):
    """Which models are in force after a day, where their files are, why those, and since when."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    city: str
    day: date
    served: str
    """Name of the next-day forecaster that forecasts are made with."""
    since: date = Field(default_factory=lambda values: values["day"])
    """First day of the unbroken run of days after which it has served; records of earlier versions start a new run."""
    candidate_since: date | None = None
    """First day of the unbroken run of days with the same candidate; None where the city never had another one."""
    reasons: tuple[str, ...]
    """In words: why that one, and why (not) retrained."""
    trained: bool
    """Whether models were trained on this day; those of an earlier day may still be the ones in force."""
    last_trained: date
    """The last day, this one included, on which models were trained."""
    models_from: date
    """The day whose partition has the files of `models`; they know the days to that one only."""
    models_version: str
    """Part of the files' names, so that training a day anew leaves alone what later days point to."""
    models: dict[str, TrainedModel]
    """The next-day forecasters, the candidate first, and the distribution of counts; the candidate's files hold its members."""
    lead: int = 1
    """Days from the last known day to the one that is forecast for which `models` were fitted."""
    last_known: date = Field(default_factory=lambda values: values["day"])
    """The last day of which the source had said what happened; records of earlier versions took the day itself."""
    inputs: tuple[str, ...] = ()
    """Names of the inputs that this version made when `models` were fitted; () in records of earlier versions."""
    hours_from: date
    """As `models_from`, of `hours`, which change slowly and are fitted at most weekly."""
    hours_version: str
    hours: dict[str, TrainedModel]
    without: dict[str, str]
    """Models that the city cannot have, by name, with the reason."""
    train_first: date
    train_last: date
    validation_first: date
    validation_last: date
    covered: list[tuple[int, int]]
    """(row, column) of the cells that are forecast."""
    level: tuple[float, float]
    """Interval of the weekly offset in log odds; see `live_models.weekly_offset`."""
    data_sha256: str
    config: dict[str, JsonValue]
    """What the launchpad was set to."""
    versions: dict[str, str]
    tuned: dict[str, TunedUse] = {}
    """What was known of tuned settings when `models` were fitted, by forecaster; those in force are theirs. Empty in records of
    earlier versions."""
    gate: Verdict
    """On the candidate, on the validation window."""
    against_issued: IssuedComparison
    """What was trained against the forecasts that were issued in the validation window."""

    @classmethod
    def load(cls, store: Store, city: str, day: date) -> "ServingRecord":
        """The record of a day.

        Raises:
            MissingObjectError: `live_models` was not made for the day.
        """
        return cls.model_validate_json(store.read_bytes(models_partition(city, day), RECORD_FILE))

    @classmethod
    def latest_before(cls, store: Store, city: str, day: date) -> "ServingRecord | None":
        """The latest record of the days before `day`; None without any. Later ones know more than may be known."""
        earlier = [made for made in store.days_present(LIVE_MODELS, city, RECORD_FILE) if made < day]
        return cls.load(store, city, max(earlier)) if earlier else None

    @classmethod
    def of_lead(cls, store: Store, city: str, day: date, lead: int) -> "ServingRecord | None":
        """The latest record of the week before `day` with models of that lead; None without one."""
        made = store.days_present(LIVE_MODELS, city, RECORD_FILE)
        recent = (earlier for earlier in sorted(made, reverse=True) if day - WEEK <= earlier < day)
        return next(
            (record for record in (cls.load(store, city, earlier) for earlier in recent) if record.lead == lead), None
        )

    @property
    def candidate(self) -> str:
        """The forecaster that serves while the gate lets it."""
        return self.gate.candidate

    @property
    def in_service(self) -> InService:
        """What the model card says of it."""
        return InService(self.served, self.since, self.day, self.reasons)

    @property
    def data_version(self) -> str:
        """The same whenever the same files serve."""
        key = (self.served, self.models_version, self.hours_version)
        return sha256(json.dumps(key))[:16]

    def after(self, before: "ServingRecord | None") -> "ServingRecord":
        """This record with `since` and `candidate_since` as they follow from the latest record before it."""
        changes: dict[str, date | None] = {"since": self.day, "candidate_since": None}
        if before is not None and before.served == self.served:
            changes["since"] = before.since
        if before is not None:
            is_same = before.candidate == self.candidate
            changes["candidate_since"] = before.candidate_since if is_same else self.day
        return self.model_copy(update=changes)

    def loaded(self, store: Store) -> "ServingModels":
        """All models that the record names.

        Raises:
            ModelMismatchError: their files were changed or removed.
        """
        from shotspotter_assets.models.alert_counts import AlertCounts
        from shotspotter_assets.models.forecaster import HasMembers
        from shotspotter_assets.models.gunshot_types import GunshotTypes
        from shotspotter_assets.models.next_hours.stack import HourlyStack
        from shotspotter_assets.models.next_minutes.stack import FittedMinutesStack
        from shotspotter_assets.models.registry import forecaster

        days = self._files(store, self.models_from, self.models_version, self.models)
        hours = self._files(store, self.hours_from, self.hours_version, self.hours)
        next_day: dict[str, Fitted] = {}
        for name, files in days.items():
            if name != COUNTS:
                fitted = forecaster(name).load(files)
                next_day |= {name: fitted} | (dict(fitted.members) if isinstance(fitted, HasMembers) else {})
        return ServingModels(
            next_day=next_day,
            counts=AlertCounts.load(days[COUNTS]),
            hours=HourlyStack.load(hours[NEXT_HOURS]) if NEXT_HOURS in hours else None,
            types=GunshotTypes.load(hours[TYPES]) if TYPES in hours else None,
            minutes=FittedMinutesStack.load(hours.get(NEXT_MINUTES, {})),
        )

    def _files(
        self, store: Store, day: date, version: str, models: Mapping[str, TrainedModel]
    ) -> dict[str, dict[str, bytes]]:
        partition = models_partition(self.city, day)
        return {name: read_files(store, partition, stored_name(name, version), model) for name, model in models.items()}


@dataclass(frozen=True)
class ServingModels:
    """What a forecast is made with."""

    next_day: "Mapping[str, Fitted]"
    """By name, the candidate first, and after it its members, if it combines others."""
    counts: "AlertCounts"
    hours: "FittedHourlyStack | None"
    """None where the city publishes no hours, or has too few alerts; so are `types`."""
    types: "GunshotTypes | None"
    minutes: "FittedMinutesStack | None" = None
    """None too where they were fitted by an earlier version."""

    @property
    def profile(self) -> "Array":
        """Share of each hour of the week in the alerts, shape (168,); flat where hours are not known."""
        from shotspotter_assets.calendar.weekdays import WEEK_HOURS

        return np.ones(WEEK_HOURS) if self.hours is None else self.hours.profile


def models_partition(city: str, day: date) -> Partition:
    """Where the models that were trained on a day are, and the day's record."""
    return Partition(LIVE_MODELS, city, "date", day)


def stored_name(model: str, version: str) -> str:
    """What the files of a model start with: training a day anew must not replace files that later days point to."""
    return f"{model}-{version}"
