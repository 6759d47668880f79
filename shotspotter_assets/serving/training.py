"""Training of everything that serves, for a fold and for the daily chain: a candidate, baselines, counts, hours, minutes, types."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from time import perf_counter
from typing import Any, Final

import numpy as np
from pydantic import JsonValue

from shotspotter_assets.calendar.dates import is_holiday_fireworks
from shotspotter_assets.calendar.local_time import ONE_DAY, day_start
from shotspotter_assets.cities.city import FIRST_EVENT_CODE
from shotspotter_assets.evaluation.forecasts_table import forecasts_table
from shotspotter_assets.evaluation.gains import Gain
from shotspotter_assets.evaluation.gate import Verdict, verdict_on
from shotspotter_assets.evaluation.type_forecasts import shown_types, types_table
from shotspotter_assets.models.alert_counts import AlertCounts
from shotspotter_assets.models.city_history import CityHistory, covered_cells
from shotspotter_assets.models.forecaster import FitContext, Fitted
from shotspotter_assets.models.forecaster_registry import (
    BASELINES,
    HISTORICAL_MEAN,
    NEXT_HOURS,
    city_settings,
    fallbacks,
    forecaster,
    live_forecasters,
)
from shotspotter_assets.models.gunshot_types import TYPE_REGRESSION, GunshotTypes, typed_alerts
from shotspotter_assets.models.history import History
from shotspotter_assets.models.hourly_history import HourlyHistoryError
from shotspotter_assets.models.next_day.daily_inputs import names_of_inputs
from shotspotter_assets.models.next_day.new_city import NewCityForecaster
from shotspotter_assets.models.next_minutes.forecast import fit_on_hours
from shotspotter_assets.models.next_minutes.incident_points import Incidents
from shotspotter_assets.models.records import (
    COUNTS,
    HOURLY_STACK,
    NEXT_MINUTES,
    TYPES,
    FoldRecord,
    TrainedModel,
    files_sha256,
    installed_versions,
)
from shotspotter_assets.models.stack import HOURLY_MEMBERS, FittedStack
from shotspotter_assets.models.trained_models import ModelFiles
from shotspotter_assets.models.type_mixes import type_mixes
from shotspotter_assets.serving.intervals import weekly_offset
from shotspotter_assets.serving.serving_record import ServingRecord
from shotspotter_assets.storage.fingerprints import sha256

COUNTS_OF_OTHERS: Final = AlertCounts(intercept=(-1.9, 0.7), growth=0.5, size=(-1.0, 0.5), city_variance=0.07)
"""Middle of the fits in Oakland, Cincinnati, San Francisco and Fresno."""
MIN_HISTORY_DAYS: Final = 120
"""Minimum for a city's own models: the inputs' rates need weeks, and so do training and validation."""
Windows = tuple[range, range]
"""Training and validation days, as indexes of a history's days."""


@dataclass
class Fits:
    """Fitted models: files and records by name, and reasons for absent ones (`without`)."""

    log: Callable[[str], None] = lambda _: None
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    models: dict[str, TrainedModel] = field(default_factory=dict)
    without: dict[str, str] = field(default_factory=dict)
    types_by: str | None = None
    types_reason: str = ""  # empty where the city's data have no types

    def add(self, name: str, fit: Callable[[], Any]) -> Any:
        """Fit a model, and keep its files and record."""
        started = perf_counter()
        fitted = fit()
        self.files[name] = files = fitted.files()
        seconds, chosen = perf_counter() - started, getattr(fitted, "chosen", {})
        self.models[name] = TrainedModel(chosen=chosen, files=files_sha256(files), seconds_to_train=seconds)
        self.log(f"{name} fitted in {seconds:.0f} s")
        return fitted

    def try_add(self, name: str, fit: Callable[[], Any]) -> Any:
        """Add a model; None, with the reason in `without`, if the hours do not suffice."""
        try:
            return self.add(name, fit)
        except HourlyHistoryError as error:
            self.without[name] = str(error)
            return None


@dataclass(frozen=True)
class Training:
    """Models trained on a city's days before a cutoff."""

    record: Mapping[str, Any]  # fields of `TrainingRecord`
    files: ModelFiles
    gate: Verdict  # on the candidate in the validation window
    candidate: Fitted
    types_reason: str = ""


def train(
    stored: CityHistory,
    cutoff: date,
    windows: Windows,
    names: Sequence[str],
    hourly: Sequence[str],
    *,
    incidents: Incidents | None,
    context: FitContext,
) -> Training:
    """Train all models of days before a cutoff: next-day forecasters by `names`, the candidate first, and `hourly` ones.

    Minutes need `incidents` of two years or more. The gate chooses among the forecasters of the daily chain.
    """
    city, (train, validation) = stored.city, windows
    in_coverage = stored.coverage_on(cutoff)
    context.log(
        f"{city.name} {cutoff}: {len(train):,} days to train and {len(validation):,} to validate on, "
        f"{int(in_coverage.sum())} of {in_coverage.size} cells covered, {int(stored.alerts.sum()):,} alerts"
    )
    fits = Fits(lambda line: context.log(f"{city.name} {cutoff}: {line}"))
    history, candidate = stored.daily(in_coverage), names[0]
    fitted = _fit_next_day(fits, history, windows, names, context)
    stack = fitted[candidate]
    members = stack.members if isinstance(stack, FittedStack) else {}
    window, known = slice(validation.start, validation.stop), history.known_in(validation)
    axis, observed = history.days()[window][known], history.observed[window][known]
    alerts = history.alerts[window][known][:, in_coverage]
    validated = {
        name: fitted[name].validation_probability[known] for name in (candidate, *members, *fallbacks(candidate))
    }
    gate = verdict_on(forecasts_table(axis, np.nonzero(in_coverage), observed, validated), candidate, city.gate)
    served, fireworks = validated[gate.served], is_holiday_fireworks(axis)
    fits.add(COUNTS, lambda: AlertCounts.fit(alerts, served, fireworks) if alerts.any() else COUNTS_OF_OTHERS)
    history.clear_cache()
    _fit_hours(fits, stored, history, windows, hourly, incidents, fitted)
    record = _record_fields(stored, history, windows, fits, gate.served, weekly_offset(served, observed, axis))
    return Training(record, fits.files, gate, stack, fits.types_reason)


def train_fold(
    stored: CityHistory,
    cutoff: date,
    windows: Windows,
    names: Sequence[str],
    *,
    context: FitContext,
    config: dict[str, JsonValue],
) -> tuple[FoldRecord, ModelFiles]:
    """Return (record, files by model) of a fold's own forecasters, of every baseline, and of hours and types.

    `stored` are all days before the cutoff. `config` is the run's configuration, for the record. No report scores minutes.
    """
    hourly = [name for name in NEXT_HOURS if name not in HOURLY_MEMBERS]
    training = train(stored, cutoff, windows, (*names, *BASELINES), hourly, incidents=None, context=context)
    return FoldRecord(cutoff=cutoff, config=config, **training.record), training.files


def live_windows(days: Sequence[date], validation_days: int) -> Windows:
    """Return the windows of a history's days, of which at most a third are for validation."""
    cutoff = len(days) - min(validation_days, len(days) // 3)
    return range(cutoff), range(cutoff, len(days))


def train_live(
    stored: CityHistory, windows: Windows, reason: str, *, incidents: Incidents, context: FitContext
) -> tuple[ServingRecord, ModelFiles]:
    """Return (record, files by stored name) of models that serve after the issue date."""
    names, tomorrow = live_forecasters(stored.city), stored.issue_date + ONE_DAY
    training = train(stored, tomorrow, windows, names, [HOURLY_STACK], incidents=incidents, context=context)
    stack = training.candidate
    weights = [f"Weights: {stack.posterior.in_words}."] if isinstance(stack, FittedStack) else []
    reasons = (f"{reason[:1].upper()}{reason[1:]}.", *weights, *training.gate.reasons)
    return _to_serve(stored, training, (*reasons, *filter(None, [training.types_reason])))


def train_new_city(stored: CityHistory, context: FitContext) -> tuple[ServingRecord, ModelFiles]:
    """Return (record, files by stored name) of models that serve until a city has `MIN_HISTORY_DAYS`.

    Rates start at those of other cities. Cells are those of the published coverage, else all of the box. Hours and types
    are not forecast.

    Raises:
        ValueError: there is no model of all cities.
    """
    city, all_days = stored.city, range(len(stored.days))
    in_coverage = np.ones(city.shape, dtype=bool)
    if city.coverage is not None and (published := stored.coverage_on(stored.issue_date + ONE_DAY)).any():
        in_coverage = published
    history, fits = stored.daily(in_coverage), Fits()
    new_city = fits.add(NewCityForecaster.name, lambda: NewCityForecaster().fit(history, all_days, all_days, context))
    fits.add(HISTORICAL_MEAN, lambda: forecaster(HISTORICAL_MEAN).fit(history, all_days, all_days))
    fits.add(COUNTS, lambda: COUNTS_OF_OTHERS)
    why = f"The city has {stored.is_known.sum()} known days, and models of its own need {MIN_HISTORY_DAYS}."
    where = "the published coverage" if city.coverage else "the whole box, as its coverage is not published"
    uncertain = (
        f"Until then rates start at those of other cities ({new_city.chosen['shared']}), for {where}. The rate of this city "
        f"may be up to {new_city.city_factor(history):.1f} times as high, or as low (80% interval)."
    )
    verdict = Verdict(
        served=NewCityForecaster.name,
        candidate=NewCityForecaster.name,
        best_baseline=HISTORICAL_MEAN,
        gain=Gain(gain=None, low=None, high=None, weeks=0),
        predicted_over_observed=None,
        positives=int(history.observed.sum()),
        reasons=(why,),
        outcome="not worse, not shown to be better",
    )
    fits.without.update(dict.fromkeys((HOURLY_STACK, NEXT_MINUTES, TYPES), why))
    record = _record_fields(stored, history, (all_days, all_days), fits, verdict.served, (0.0, 0.0))
    return _to_serve(stored, Training(record, fits.files, verdict, new_city), (why, uncertain))


def _record_fields(
    stored: CityHistory, history: History, windows: Windows, fits: Fits, served: str, offset: tuple[float, float]
) -> dict[str, Any]:
    train, validation = ((stored.days[window[0]], stored.days[window[-1]]) for window in windows)
    return {
        "city": stored.city.name,
        "served": served,
        "models": fits.models,
        "without": fits.without,
        "types_by": fits.types_by,
        "train": train,
        "validation": validation,
        "covered": covered_cells(history.in_coverage),
        "weekly_offset": offset,
        "data_sha256": history.data_sha256(),
        "versions": installed_versions(),
    }


def _to_serve(stored: CityHistory, training: Training, reasons: tuple[str, ...]) -> tuple[ServingRecord, ModelFiles]:
    of_files = {name: model.files for name, model in training.record["models"].items()}
    record = ServingRecord(
        issue_date=stored.issue_date,
        since=stored.issue_date,
        reasons=reasons,
        last_trained=stored.issue_date,
        models_from=stored.issue_date,
        version=sha256(json.dumps(of_files, sort_keys=True))[:8],
        lead=stored.lead,
        last_known=stored.last_known,
        inputs=names_of_inputs(stored.city),
        gate=training.gate,
        **training.record,
    )
    return record, {f"{name}{record.suffix}": content for name, content in training.files.items()}


def _fit_next_day(
    fits: Fits, history: History, windows: Windows, names: Sequence[str], context: FitContext
) -> dict[str, Fitted]:
    """Return fitted forecasters by name; members of a stack, whose files hold them, are not fitted again."""
    models: dict[str, Fitted] = {}
    for name in names:
        if name not in models:
            chosen = forecaster(name, city_settings(history.city, name, context.changes.get(name)))
            models[name] = fitted = fits.add(name, partial(chosen.fit, history, *windows, context))
            models |= fitted.members if isinstance(fitted, FittedStack) else {}
    return models


def _fit_hours(
    fits: Fits,
    stored: CityHistory,
    history: History,
    windows: Windows,
    names: Sequence[str],
    incidents: Incidents | None,
    next_day: Mapping[str, Fitted],
) -> None:
    city = stored.city
    if city.time_precision == "day":
        fits.without.update(dict.fromkeys((*names, TYPES, NEXT_MINUTES), "The source publishes days, not hours."))
        return
    by_hour = stored.hourly(history.in_coverage)

    def hours_of(window: range) -> range:
        first, stop = stored.days[window[0]], stored.days[window[-1]] + ONE_DAY
        return range(*(by_hour.hour_at(day_start(day, city.zone)) for day in (first, stop)))

    training, validation = map(hours_of, windows)
    for name in names:
        hours = fits.try_add(name, partial(forecaster(name).fit, by_hour, training, validation))
        if name == HOURLY_STACK and hours is not None and incidents is not None:
            fits.try_add(NEXT_MINUTES, partial(fit_on_hours, incidents, by_hour, hours))
        elif name == HOURLY_STACK and hours is None:
            fits.without[NEXT_MINUTES] = fits.without[name]
    if city.forecast_codes != tuple(range(FIRST_EVENT_CODE)):
        fits.without[TYPES] = f"Forecasts are of {', '.join(city.forecast)}, which have no gunshot type."
    elif types := fits.try_add(TYPES, lambda: GunshotTypes.fit(by_hour, training, validation)):
        alerts = typed_alerts(by_hour).within(validation)
        rows = by_hour.day_issues(alerts.hour), alerts.hour, alerts.cell
        mixes = {**type_mixes(types, next_day, by_hour, history, rows), TYPE_REGRESSION: lambda: types.validation_mix}
        table = types_table(by_hour, alerts, {name: mix() for name, mix in mixes.items()})
        fits.types_by, fits.types_reason = shown_types(table)
        fits.without |= {} if fits.types_by else {TYPES: fits.types_reason}
