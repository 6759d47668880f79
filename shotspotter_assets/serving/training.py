"""Training for a fold or the daily chain: candidate, baselines, counts, hours, types; minutes for the daily chain only."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from time import perf_counter
from typing import Any, Final

import numpy as np
from pydantic import JsonValue

from shotspotter_assets.calendar.local_time import ONE_DAY, day_start
from shotspotter_assets.cities.stored_settings import model_settings
from shotspotter_assets.evaluation.forecasts_table import forecasts_table
from shotspotter_assets.evaluation.gains import Gain
from shotspotter_assets.evaluation.gate import Verdict, shown_types, verdict_on
from shotspotter_assets.evaluation.hourly_forecasts import type_forecasts
from shotspotter_assets.models import forecaster_registry as registry
from shotspotter_assets.models import records
from shotspotter_assets.models.alert_counts import AlertCounts
from shotspotter_assets.models.city_history import CityHistory, covered_cells
from shotspotter_assets.models.forecaster import FitContext, Fitted
from shotspotter_assets.models.gunshot_types import GunshotTypes
from shotspotter_assets.models.history import History, TooFewEventsError
from shotspotter_assets.models.hourly_history import HourlyHistoryError
from shotspotter_assets.models.next_day.daily_inputs import names_of_inputs
from shotspotter_assets.models.next_minutes.incident_points import Incidents
from shotspotter_assets.models.next_minutes.lift_table import fit_on_hours
from shotspotter_assets.models.stack import HOURLY_MEMBERS, FittedStack
from shotspotter_assets.models.trained_models import ModelFiles
from shotspotter_assets.serving.intervals import weekly_offset
from shotspotter_assets.serving.serving_record import ServingRecord
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.wording import number_of

COUNTS_OF_OTHERS: Final = AlertCounts(intercept=(-1.75, 0.6), growth=0.5, size=(-0.5, 0.5), city_variance=0.1)
"""Middle of the fits in Oakland, Cincinnati, San Francisco and Fresno."""
MIN_HISTORY_DAYS: Final = 120  # minimum history of own models: inputs, training and validation need weeks
Windows = tuple[range, range]  # training and validation days, as indexes of a history's days


@dataclass
class Training:
    """Models trained on a city's days before a cutoff: files and records by name, and reasons for absent ones (`without`)."""

    stored: CityHistory
    windows: Windows
    log: Callable[[str], None] = lambda _: None
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    models: dict[str, records.TrainedModel] = field(default_factory=dict)
    without: dict[str, str] = field(default_factory=dict)
    types_by: str | None = None
    types_reason: str = ""  # empty where the city's data have no types

    def add(self, name: str, fit: Callable[[], Any]) -> Any:
        """Fit a model, and keep its files and record."""
        started = perf_counter()
        fitted = fit()
        self.files[name] = fitted.files()
        seconds, chosen = perf_counter() - started, getattr(fitted, "chosen", {})
        files = records.files_sha256(self.files[name])
        self.models[name] = records.TrainedModel(chosen=chosen, files=files, seconds_to_train=seconds)
        self.log(f"{name} fitted in {seconds:.0f} s")
        return fitted

    def try_add(self, name: str, fit: Callable[[], Any]) -> Any:
        """Add a model; None, with the reason in `without`, if the hours do not suffice."""
        try:
            return self.add(name, fit)
        except HourlyHistoryError as error:
            self.without[name] = str(error)
            return None

    def record(self, history: History, served: str, weekly_offset: tuple[float, float]) -> dict[str, Any]:
        """Return the fields of `TrainingRecord`."""
        days = self.stored.days
        train, validation = ((days[window[0]], days[window[-1]]) for window in self.windows)
        return {
            "city": self.stored.city.name,
            "served": served,
            "models": self.models,
            "without": self.without,
            "types_by": self.types_by,
            "train": train,
            "validation": validation,
            "covered": covered_cells(history.in_coverage),
            "weekly_offset": weekly_offset,
            "data_sha256": history.data_sha256(),
            "versions": records.installed_versions(),
        }

    def to_serve(self, record: dict[str, Any], gate: Verdict, why: Sequence[str]) -> tuple[ServingRecord, ModelFiles]:
        """Return (record, files by stored name) of models that serve after the issue date."""
        stored, of_files = self.stored, {name: model.files for name, model in self.models.items()}
        serving = ServingRecord(
            issue_date=stored.issue_date,
            since=stored.issue_date,
            reasons=(*why,),
            last_trained=stored.issue_date,
            models_from=stored.issue_date,
            version=sha256(json.dumps(of_files, sort_keys=True))[:8],
            lead=stored.lead,
            last_known=stored.last_known,
            inputs=names_of_inputs(stored.city),
            settings=model_settings(stored.city),
            gate=gate,
            **record,
        )
        return serving, {f"{name}{serving.suffix}": content for name, content in self.files.items()}


def train(
    stored: CityHistory,
    cutoff: date,
    windows: Windows,
    names: Sequence[str],
    hourly: Sequence[str],
    *,
    incidents: Incidents | None,
    context: FitContext,
) -> tuple[Training, dict[str, Any], Verdict]:
    """Return models of days before a cutoff, their record and the verdict on the candidate in the validation window.

    `names` are next-day forecasters, the candidate first; `hourly` those of hours. Minutes need `incidents` of two years or
    more. The gate chooses among the forecasters of the daily chain.
    """
    if stored.nothing_counted:
        raise TooFewEventsError(stored.nothing_counted)
    city, (train, validation) = stored.city, windows
    in_coverage = stored.coverage_on(cutoff)
    context.log(
        f"{city.name} {cutoff}: {len(train):,} days to train and {len(validation):,} to validate on, "
        f"{int(in_coverage.sum())} of {in_coverage.size} cells covered, {int(stored.alerts.sum()):,} alerts"
    )
    training = Training(stored, windows, lambda line: context.log(f"{city.name} {cutoff}: {line}"))
    history, candidate = stored.daily(in_coverage), names[0]
    fitted: dict[str, Fitted] = {}
    for name in names:
        if name not in fitted:  # as a member of a stack, whose files hold it
            chosen = registry.forecaster(name, registry.city_settings(city, name, context.changes.get(name)))
            fitted[name] = model = training.add(name, partial(chosen.fit, history, *windows, context))
            fitted |= model.members if isinstance(model, FittedStack) else {}
    stack = fitted[candidate]
    compared = candidate, *(stack.members if isinstance(stack, FittedStack) else ()), *registry.fallbacks(candidate)
    window, known = slice(validation.start, validation.stop), history.known_in(validation)
    axis, observed = history.days()[window][known], history.observed[window][known]
    validated = {name: fitted[name].validation_probability[known] for name in compared}
    gate = verdict_on(forecasts_table(axis, np.nonzero(in_coverage), observed, validated), candidate, city.gate)
    counts = partial(AlertCounts.of_days, history, *windows, fitted[gate.served].validation_probability)
    training.add(records.COUNTS, counts if observed.any() else lambda: COUNTS_OF_OTHERS)
    history.clear_cache()
    _fit_hours(training, history, hourly, incidents, fitted)
    offset = weekly_offset(validated[gate.served], observed, axis, history.lead)
    return training, training.record(history, gate.served, offset), gate


def train_fold(
    stored: CityHistory,
    cutoff: date,
    windows: Windows,
    names: Sequence[str],
    *,
    context: FitContext,
    config: dict[str, JsonValue],
    weights_from: date | None = None,
) -> tuple[records.FoldRecord, ModelFiles]:
    """Return (record, files by model) of a fold's own forecasters, of every baseline, and of hours and types."""
    hourly = [name for name in registry.NEXT_HOURS if name not in HOURLY_MEMBERS]
    trained = (*names, *registry.BASELINES), hourly
    # No report scores minutes.
    training, record, _ = train(stored, cutoff, windows, *trained, incidents=None, context=context)
    if stored.city.factors:
        _fit_without_factors(training, cutoff, names[0], context)
    return records.FoldRecord(cutoff=cutoff, config=config, weights_from=weights_from, **record), training.files


def _fit_without_factors(training: Training, cutoff: date, name: str, context: FitContext) -> None:
    """Add the candidate fitted without contributing factors, whose row in reports shows their worth."""
    stored = training.stored
    history = stored.daily(stored.coverage_on(cutoff)).without_factors()
    settings = registry.city_settings(stored.city, name, context.changes.get(name))
    chosen = registry.forecaster(name, settings)
    training.add(records.WITHOUT_FACTORS, partial(chosen.fit, history, *training.windows, context))


def live_windows(days: Sequence[date], validation_days: int) -> Windows:
    """Return the windows of a history's days, of which at most a third are for validation."""
    cutoff = len(days) - min(validation_days, len(days) // 3)
    return range(cutoff), range(cutoff, len(days))


def train_live(
    stored: CityHistory, windows: Windows, reason: str, *, incidents: Incidents, context: FitContext
) -> tuple[ServingRecord, ModelFiles]:
    """Return (record, files by stored name) of models that serve after the issue date."""
    names, hourly = registry.live_forecasters(stored.city), [records.HOURLY_STACK]
    tomorrow = stored.issue_date + ONE_DAY
    training, record, gate = train(stored, tomorrow, windows, names, hourly, incidents=incidents, context=context)
    in_words = training.models[names[0]].chosen.get("in_words")
    weights = f"Weights: {in_words}." if in_words else ""
    why = f"{reason[:1].upper()}{reason[1:]}.", weights, *gate.reasons, training.types_reason
    return training.to_serve(record, gate, [sentence for sentence in why if sentence])


def train_new_city(stored: CityHistory, context: FitContext) -> tuple[ServingRecord, ModelFiles]:
    """Return (record, files by stored name) of models that serve until a city has `MIN_HISTORY_DAYS`.

    Rates start at those of other cities. Cells are those of the published coverage, else all of the box. Hours and types
    are not forecast. Raises ValueError without a model of all cities.
    """
    city, all_days = stored.city, range(len(stored.days))
    in_coverage = np.ones(city.shape, dtype=bool)
    if city.coverage is not None and (published := stored.coverage_on(stored.issue_date + ONE_DAY)).any():
        in_coverage = published
    training, history = Training(stored, (all_days, all_days)), stored.daily(in_coverage)
    fits = history, all_days, all_days, context
    new_city = training.add(registry.NEW_CITY, partial(registry.forecaster(registry.NEW_CITY).fit, *fits))
    training.add(registry.HISTORICAL_MEAN, partial(registry.forecaster(registry.HISTORICAL_MEAN).fit, *fits))
    training.add(records.COUNTS, lambda: COUNTS_OF_OTHERS)
    why = f"The city has {number_of(stored.is_known.sum(), 'known day')}, and its own models need {MIN_HISTORY_DAYS}."
    where = "the published coverage" if city.coverage else "the whole box, as its coverage is not published"
    uncertain = (
        f"Until then rates start at those of other cities ({new_city.chosen['shared']}), for {where}. The rate of this city "
        f"may be up to {new_city.city_factor(history):.1f} times as high, or as low (80% interval)."
    )
    verdict = Verdict(
        served=registry.NEW_CITY,
        candidate=registry.NEW_CITY,
        best_baseline=registry.HISTORICAL_MEAN,
        gain=Gain(gain=None, low=None, high=None, weeks=0),
        predicted_over_observed=None,
        positives=int(history.observed.sum()),
        reasons=(why,),
        outcome="not worse, not shown to be better",
    )
    training.without |= dict.fromkeys((records.HOURLY_STACK, records.NEXT_MINUTES, records.TYPES), why)
    return training.to_serve(training.record(history, verdict.served, (0.0, 0.0)), verdict, (why, uncertain))


def _fit_hours(
    training: Training, history: History, names: Sequence[str], incidents: Incidents | None, next_day: dict[str, Fitted]
) -> None:
    stored, city, without = training.stored, training.stored.city, training.without
    if city.time_precision == "day":
        without |= dict.fromkeys((*names, records.TYPES, records.NEXT_MINUTES), "The source publishes days, not hours.")
        return
    by_hour = stored.hourly(history.in_coverage)

    def hours_of(window: range) -> range:
        first, stop = stored.days[window[0]], stored.days[window[-1]] + ONE_DAY
        return range(*(by_hour.hour_at(day_start(day, city.zone)) for day in (first, stop)))

    train, validation = map(hours_of, training.windows)
    for name in names:
        hours = training.try_add(name, partial(registry.forecaster(name).fit, by_hour, train, validation))
        if name == records.HOURLY_STACK and hours is not None and incidents is not None:
            training.try_add(records.NEXT_MINUTES, partial(fit_on_hours, incidents, by_hour, hours))
        elif name == records.HOURLY_STACK and hours is None:
            without[records.NEXT_MINUTES] = without[name]
    if not city.is_of_gunfire:
        without[records.TYPES] = f"Forecasts of {city.target} have no kinds."
    elif types := training.try_add(records.TYPES, lambda: GunshotTypes.fit(by_hour, train, validation)):
        table = type_forecasts(types, next_day, by_hour, history, validation, validation=True)
        training.types_by, training.types_reason = shown_types(table)
        without |= {} if training.types_by else {records.TYPES: training.types_reason}
