"""Fit the models of a day: the candidate, its fallbacks, the distribution of counts, and the models of hours and types."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from time import perf_counter
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from shotspotter_assets.calendar.dates import is_holiday_fireworks
from shotspotter_assets.calendar.local_time import day_start
from shotspotter_assets.cities.city import City
from shotspotter_assets.evaluation.forecasts_table import forecasts_table
from shotspotter_assets.evaluation.gate import Verdict, judge
from shotspotter_assets.models.alert_counts import AlertCounts
from shotspotter_assets.models.city_history import CityHistory, covered_cells
from shotspotter_assets.models.forecaster import ChosenSettings, FitContext, Fitted
from shotspotter_assets.models.gunshot_types import GunshotTypes
from shotspotter_assets.models.history import History
from shotspotter_assets.models.hourly_history import HourlyHistoryError
from shotspotter_assets.models.next_day.features import names_of_inputs
from shotspotter_assets.models.next_day.stack import FittedStack
from shotspotter_assets.models.next_hours.stack import FittedHourlyStack, HourlyStack
from shotspotter_assets.models.next_minutes.forecast import fit_on_hours
from shotspotter_assets.models.next_minutes.incidents import Incidents
from shotspotter_assets.models.next_minutes.lift_table import LiftTable
from shotspotter_assets.models.records import TrainedModel, files_sha256, installed_versions
from shotspotter_assets.models.registry import candidate_of, city_settings, fallbacks, forecaster
from shotspotter_assets.serving.intervals import weekly_offset
from shotspotter_assets.serving.record import (
    COUNTS,
    NEXT_HOURS,
    NEXT_MINUTES,
    TYPES,
    WEEK,
    ModelSet,
    ServingRecord,
    stored_name,
)
from shotspotter_assets.storage.fingerprints import sha256

ModelFiles = Mapping[str, Mapping[str, bytes]]
"""Content by model and file."""

_Model = TypeVar("_Model", FittedHourlyStack, LiftTable, GunshotTypes)

MIN_HISTORY_DAYS: Final = 120
"""Minimum for models of a city's own: the inputs' rates need weeks, and so do training and validation."""


@dataclass(frozen=True)
class Windows:
    """Days to train and, after them, to validate on, as indexes of the days from `first_day` on."""

    first_day: date
    train: range
    validation: range

    @property
    def validation_first(self) -> date:
        return self.first_day + timedelta(days=self.validation.start)


def live_windows(city: City, last_known: date, validation_days: int) -> Windows:
    """The windows of the days to the last known one, of which at most a third are for validation."""
    days = (last_known - city.start).days + 1
    cutoff = days - min(validation_days, days // 3)
    return Windows(city.start, range(cutoff), range(cutoff, days))


def train(
    stored: CityHistory,
    windows: Windows,
    reason: str,
    *,
    before: ServingRecord | None,
    incidents: Incidents,
    context: FitContext,
) -> tuple[ServingRecord, ModelFiles]:
    """(record, files by stored name) of the models trained on the stored days.

    Args:
        stored: the known days.
        windows: of these days.
        reason: see `live_models.training_reason`.
        before: a record whose models of hours may stay.
        incidents: of the last two years, or more.
        context: of the fits.
    """
    city, days, day = stored.city, stored.days, stored.issue_date
    in_coverage = stored.in_coverage(day + timedelta(days=1))
    history = stored.daily(in_coverage)
    fitted, seconds = _fit_next_day(history, windows, context)
    window = slice(windows.validation.start, windows.validation.stop)
    axis, observed = history.days()[window], history.observed[window]
    validated = {name: model.validation_probability for name, model in fitted.items()}
    candidate = candidate_of(city).name
    gate = judge(forecasts_table(axis, np.nonzero(in_coverage), observed, validated), candidate)
    served = validated[gate.served]
    counts = AlertCounts.fit(history.alerts[window][:, in_coverage], served, is_holiday_fireworks(axis))
    next_day, files = model_set(day, {name: fitted[name] for name in seconds}, counts, seconds)
    history.clear_cache()
    hours, hour_files = _hours(stored, in_coverage, windows, before, incidents, context.log)
    combined = fitted[candidate]
    weights = [f"Weights: {combined.posterior.in_words}."] if isinstance(combined, FittedStack) else []
    record = serving_record(
        stored,
        history,
        gate,
        (f"{reason[:1].upper()}{reason[1:]}.", *weights, *gate.reasons),
        next_day=next_day,
        hours=hours,
        validation=(windows.validation_first, days[-1]),
        level=weekly_offset(served, observed, axis),
    )
    return record, files | hour_files


def serving_record(
    stored: CityHistory,
    history: History,
    gate: Verdict,
    reasons: tuple[str, ...],
    *,
    next_day: ModelSet,
    hours: ModelSet,
    validation: tuple[date, date],
    level: tuple[float, float],
) -> ServingRecord:
    """The record of models that were trained on the issue date, on the `history` of its covered cells."""
    return ServingRecord(
        city=stored.city.name,
        day=stored.issue_date,
        served=gate.served,
        since=stored.issue_date,
        reasons=reasons,
        last_trained=stored.issue_date,
        next_day=next_day,
        hours=hours,
        lead=stored.lead,
        last_known=stored.last_known,
        inputs=input_names(stored.city),
        validation=validation,
        covered=covered_cells(history.in_coverage),
        level=level,
        data_sha256=history.data_sha256(),
        versions=installed_versions(),
        gate=gate,
    )


def model_set(
    day: date, models: Mapping[str, Fitted], counts: AlertCounts, seconds: Mapping[str, float]
) -> tuple[ModelSet, dict[str, Mapping[str, bytes]]]:
    """(the set, its files by stored name) of the next-day forecasters and the distribution of counts."""
    files = {name: model.files() for name, model in models.items()} | {COUNTS: counts.files()}
    settings = {name: model.settings for name, model in models.items()}
    return _as_set(day, files, settings, seconds, {})


def _as_set(
    day: date,
    files: ModelFiles,
    settings: Mapping[str, ChosenSettings],
    seconds: Mapping[str, float],
    without: dict[str, str],
) -> tuple[ModelSet, dict[str, Mapping[str, bytes]]]:
    version = version_of(files)
    models = {
        name: TrainedModel(
            settings=settings.get(name, {}), files=files_sha256(content), seconds_to_train=seconds.get(name, 0.0)
        )
        for name, content in files.items()
    }
    stored_files = {stored_name(name, version): content for name, content in files.items()}
    return ModelSet(fitted_on=day, version=version, models=models, without=without), stored_files


def _fit_next_day(
    history: History, windows: Windows, context: FitContext
) -> tuple[dict[str, Fitted], dict[str, float]]:
    """(forecasters by name, seconds that each took) of the city's candidate and its fallbacks, the candidate first.

    Forecasters without seconds are members of the candidate, whose files hold theirs.
    """
    candidate = candidate_of(history.city).name
    models: dict[str, Fitted] = {}
    seconds: dict[str, float] = {}
    for name in (candidate, *fallbacks(candidate)):
        if name in models:
            continue
        started = perf_counter()
        settings = city_settings(history.city, name, context.changes.get(name))
        fitted = forecaster(name, settings).fit(history, windows.train, windows.validation, context)
        seconds[name] = perf_counter() - started
        models |= {name: fitted} | (dict(fitted.members) if isinstance(fitted, FittedStack) else {})
    return models, seconds


def _hours(
    stored: CityHistory,
    in_coverage: npt.NDArray[np.bool_],
    windows: Windows,
    before: ServingRecord | None,
    incidents: Incidents,
    log: Callable[[str], None],
) -> tuple[ModelSet, dict[str, Mapping[str, bytes]]]:
    """(models of hours, minutes and types as far as the city's alerts allow, their files by stored name).

    They take as long as all other models, and hour profiles and labels change slowly, so a set of the last week stays.
    """
    city, day = stored.city, stored.issue_date
    if before is not None and day - before.hours.fitted_on < WEEK:
        return before.hours, {}
    if city.time_precision == "day":
        no_hours = dict.fromkeys((NEXT_HOURS, TYPES, NEXT_MINUTES), "The source publishes days, not hours.")
        return ModelSet(fitted_on=day, version="none", models={}, without=no_hours), {}
    history = stored.hourly(in_coverage)
    first, middle, last = (
        history.hour_at(day_start(windows.first_day + timedelta(days=at), city.zone))
        for at in (windows.train.start, windows.validation.start, windows.validation.stop)
    )
    training, validation = range(first, middle), range(middle, last)
    files: dict[str, Mapping[str, bytes]] = {}
    settings: dict[str, ChosenSettings] = {}
    seconds: dict[str, float] = {}
    without: dict[str, str] = {}

    def fit(name: str, make: Callable[[], _Model]) -> _Model | None:
        started = perf_counter()
        try:
            fitted = make()
        except HourlyHistoryError as error:
            without[name] = str(error)
            return None
        files[name], seconds[name] = fitted.files(), perf_counter() - started
        settings[name] = {} if isinstance(fitted, GunshotTypes) else fitted.settings
        log(f"{city.name}|{day}: {name} fitted in {seconds[name]:.1f} s")
        return fitted

    stack = fit(NEXT_HOURS, lambda: HourlyStack().fit(history, training, validation))
    if stack is None:
        without[NEXT_MINUTES] = without[NEXT_HOURS]
    else:
        fit(NEXT_MINUTES, lambda: fit_on_hours(incidents, history, stack))
    fit(TYPES, lambda: GunshotTypes.fit(history, training, validation))
    return _as_set(day, files, settings, seconds, without)


def version_of(files: ModelFiles) -> str:
    """A short hash of the files of models (eight hexadecimal digits)."""
    named = [(f"{model}.{name}", files[model][name]) for model in sorted(files) for name in sorted(files[model])]
    return sha256(*(part for pair in named for part in pair))[:8]


def input_names(city: City) -> tuple[str, ...]:
    """Names of the inputs of the next day, which follow from the city's file, not from its alerts."""
    return names_of_inputs(city)
