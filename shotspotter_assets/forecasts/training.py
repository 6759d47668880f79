"""Training for a fold or the daily chain: candidate, baselines, counts, hours, types; minutes for the daily chain only."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from time import perf_counter, process_time
from typing import Final, Protocol, TypeVar

import numpy as np
from pydantic import JsonValue

from shotspotter_assets.cities.local_time import ONE_DAY, day_start
from shotspotter_assets.cities.stored_settings import model_settings
from shotspotter_assets.evaluation.estimates import Gain
from shotspotter_assets.evaluation.fold_tables import type_forecasts
from shotspotter_assets.evaluation.forecasts_table import forecasts_table
from shotspotter_assets.evaluation.gate import Verdict, shown_types, verdict_on
from shotspotter_assets.forecasts.serving_record import BY_HAND, ServingRecord
from shotspotter_assets.forecasts.shadow import with_shadow
from shotspotter_assets.grid.dates import is_holiday_fireworks
from shotspotter_assets.models import forecaster_registry as registry
from shotspotter_assets.models.alert_counts import ENDS, AlertCounts
from shotspotter_assets.models.city_history import CityHistory, covered_cells
from shotspotter_assets.models.forecaster import FitContext, FittedDaily
from shotspotter_assets.models.gunshot_types import GunshotTypes
from shotspotter_assets.models.history import History, HourlyHistoryError, TooFewEventsError
from shotspotter_assets.models.next_day.daily_inputs import names_of_inputs
from shotspotter_assets.models.next_day.new_city import FittedNewCity
from shotspotter_assets.models.next_hours.incident_points import Incidents
from shotspotter_assets.models.next_hours.lift_table import fit_on_hours
from shotspotter_assets.models.stack import HOURLY_MEMBERS, LONG_LEAD_DAYS, FittedStack
from shotspotter_assets.models.trained_models import (
    COUNTS,
    HOURLY_STACK,
    NEXT_MINUTES,
    TYPES,
    WITHOUT_FACTORS,
    FoldRecord,
    ModelFiles,
    TrainedModel,
    TrainingRecord,
    files_sha256,
    installed_versions,
)
from shotspotter_assets.storage.arrays import Array, Booleans, Days
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.progress import Steps
from shotspotter_assets.storage.wording import number_of

log = logging.getLogger(__name__)
COUNTS_OF_OTHERS: Final = AlertCounts(intercept=(-1.75, 0.6), growth=0.5, size=(-0.5, 0.5), city_variance=0.1)
"""Middle of the fits in Oakland, Cincinnati, San Francisco and Fresno."""
VALIDATION_DAYS: Final = 91  # last days of a live training, for validation and calibration
MIN_HISTORY_DAYS: Final = 120  # minimum history of own models: inputs, training and validation need weeks
USUAL_SECONDS: Final = {"stack": 75, registry.NETWORK: 40, "conv_lstm": 40, HOURLY_STACK: 10, NEXT_MINUTES: 10}
"""Seconds to train models, for the progress; others need about one."""
Windows = tuple[range, range]  # training and validation days, as indexes of a history's days


class FittedModel(Protocol):
    """A fitted model of any kind."""

    def files(self) -> dict[str, bytes]:
        """Return the content of each of its files by name."""


ModelT = TypeVar("ModelT", bound=FittedModel)


@dataclass
class Training:
    """Models trained on a city's days before a cutoff: files and records by name, and reasons for absent ones (`without`)."""

    stored: CityHistory
    history: History  # the stored days in the covered cells
    windows: Windows
    steps: Steps = field(default_factory=lambda: Steps("model", 1))  # the models to add
    gate: Verdict = field(init=False)  # verdict on the candidate in the validation window
    weekly_offset: tuple[float, float] = (0.0, 0.0)
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    models: dict[str, TrainedModel] = field(default_factory=dict)
    without: dict[str, str] = field(default_factory=dict)
    types_by: str | None = None
    types_reason: str = ""  # empty where the city's data have no types

    def add(self, name: str, fit: Callable[[], ModelT]) -> ModelT:
        """Fit a model, and keep its files and record."""
        started = perf_counter()
        before = process_time()
        fitted = fit()
        self.files[name] = fitted.files()
        seconds = perf_counter() - started
        self.models[name] = TrainedModel(
            chosen=getattr(fitted, "chosen", {}),
            files=files_sha256(self.files[name]),
            seconds_to_train=seconds,
            cpu_seconds_to_train=process_time() - before,
        )
        log.info("%s %s: %s fitted in %.0f s", self.stored.city.name, self.stored.issue_date + ONE_DAY, name, seconds)
        self.steps.advance()
        return fitted

    def try_add(self, name: str, fit: Callable[[], ModelT]) -> ModelT | None:
        """Add a model; None, with the reason in `without`, if the hours do not suffice."""
        try:
            return self.add(name, fit)
        except HourlyHistoryError as error:
            self.without[name] = str(error)
            return None

    def record(self) -> TrainingRecord:
        """Return the record of all models that were added."""
        days = self.stored.days
        train, validation = ((days[window[0]], days[window[-1]]) for window in self.windows)
        return TrainingRecord(
            city=self.stored.city.name,
            served=self.gate.served,
            models=self.models,
            without=self.without,
            types_by=self.types_by,
            train=train,
            validation=validation,
            covered=covered_cells(self.history.in_coverage),
            weekly_offset=self.weekly_offset,
            data_sha256=self.history.data_sha256(),
            versions=installed_versions(),
        )

    def to_serve(self, sentences: Sequence[str]) -> tuple[ServingRecord, ModelFiles]:
        """Return (record, files by stored name) of models that serve after the issue date, with the reasons for them."""
        stored = self.stored
        sha256_of_files = {name: model.files for name, model in self.models.items()}
        serving = ServingRecord(
            issue_date=stored.issue_date,
            since=stored.issue_date,
            reasons=tuple(filter(None, sentences)),
            last_trained=stored.issue_date,
            models_from=stored.issue_date,
            version=sha256(json.dumps(sha256_of_files, sort_keys=True))[:8],
            lead=stored.lead,
            last_known=stored.last_known,
            inputs=names_of_inputs(stored.city),
            settings=model_settings(stored.city),
            gate=self.gate,
            **dict(self.record()),
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
    withheld: str = "",
) -> Training:
    """Train models on the days before a cutoff, and judge the candidate in the validation window.

    `names` are next-day forecasters, the candidate first; `hourly` those of hours. Minutes need `incidents` of two years or
    more. The gate chooses among the forecasters of the daily chain, without the candidate if it is `withheld`. Raises
    TooFewEventsError if nothing was counted.
    """
    if stored.nothing_counted:
        raise TooFewEventsError(stored.nothing_counted)
    history = stored.daily(stored.coverage_on(cutoff))
    training = Training(stored, history, windows)
    train_days, validation_days = map(len, windows)
    in_coverage = history.in_coverage
    log.info(
        "%s %s: %s to train and %s to validate on, %s of %s cells covered, %s alerts",
        stored.city.name,
        cutoff,
        number_of(train_days, "day"),
        number_of(validation_days, "day"),
        in_coverage.sum(),
        in_coverage.size,
        f"{stored.alerts.sum():,}",
    )
    minutes = () if incidents is None else (NEXT_MINUTES,)
    models = list(dict.fromkeys([*names, COUNTS, *hourly, *minutes, TYPES]))
    seconds = [USUAL_SECONDS.get(name, 1) for name in models]
    with Steps("model", len(models), seconds=seconds) as training.steps:
        _judge(training, _fit_next_day(training, names, context), names[0], withheld)
        history.clear_cache()
        _fit_hours(training, hourly, incidents)
    return training


def _fit_next_day(training: Training, names: Sequence[str], context: FitContext) -> dict[str, FittedDaily]:
    """Fit forecasters of the next day; return them and the members of stacks by name."""
    city = training.stored.city
    train, validation = training.windows
    fitted: dict[str, FittedDaily] = {}
    for name in names:
        if name in fitted:  # as a member of a stack, whose files hold it
            training.steps.advance()
            continue
        chosen = registry.forecaster(name, registry.city_settings(city, name, context.changes.get(name)))
        model = training.add(name, partial(chosen.fit, training.history, train, validation, context))
        fitted |= {name: model, **(model.members if isinstance(model, FittedStack) else {})}
    return fitted


def _judge(training: Training, fitted: Mapping[str, FittedDaily], candidate: str, withheld: str) -> None:
    """Choose on the validation window what serves, and fit the counts and the weekly offset of that forecast."""
    history = training.history
    train, validation = training.windows
    stack = fitted[candidate]
    compared = candidate, *(stack.members if isinstance(stack, FittedStack) else ()), *registry.fallbacks(candidate)
    known = history.known_in(validation)
    days = history.days()[validation.start : validation.stop][known]
    observed = history.observed[validation.start : validation.stop][known]
    validated = {name: fitted[name].validation_probability[known] for name in compared}
    table = forecasts_table(days, np.nonzero(history.in_coverage), observed, validated)
    training.gate = verdict_on(table, candidate, history.city.gate, withheld)
    served = training.gate.served
    counts = partial(AlertCounts.of_days, history, train, validation, fitted[served].validation_probability)
    training.add(COUNTS, counts if observed.any() else lambda: COUNTS_OF_OTHERS)
    training.weekly_offset = weekly_offset(validated[served], observed, days, history.lead)


def weekly_offset(probability: Array, observed: Booleans, days: Days, lead: int = 1) -> tuple[float, float]:
    """Return the 10% and 90% quantiles, over ordinary weeks, of log(observed / predicted occupied cells).

    Chance adds to the model's error, which widens the interval. At a long `lead`, both sides take the wider one, because the level
    may drift back. `probability`, forecast without these days, and `observed` have the shape (days, cells).
    """
    whole = np.flatnonzero(~is_holiday_fireworks(days))
    whole = whole[len(whole) % 7 :]
    if not len(whole):
        return (0.0, 0.0)
    occupied, predicted = (cells[whole].sum(axis=1).reshape(-1, 7).sum(axis=1) for cells in (observed, probability))
    # From 13 weeks, numpy's default quantiles hold 69% of the next ones.
    low, high = np.quantile(np.log((occupied + 0.5) / (predicted + 0.5)), ENDS, method="weibull")
    widest = max(-float(low), float(high)) if lead >= LONG_LEAD_DAYS else 0.0
    return min(float(low), -widest), max(float(high), widest)


def train_fold(
    stored: CityHistory,
    cutoff: date,
    windows: Windows,
    names: Sequence[str],
    *,
    context: FitContext,
    config: dict[str, JsonValue],
    weights_from: date | None = None,
) -> tuple[FoldRecord, ModelFiles]:
    """Return (record, files by model) of a fold's own forecasters, of every baseline, and of hours and types."""
    training = train(
        stored,
        cutoff,
        windows,
        (*names, *registry.BASELINES),
        [name for name in registry.NEXT_HOURS if name not in HOURLY_MEMBERS],
        incidents=None,  # reports fit minutes anew
        context=context,
    )
    if stored.city.factors:
        _fit_without_factors(training, names[0], context)
    record = FoldRecord(cutoff=cutoff, config=config, weights_from=weights_from, **dict(training.record()))
    return record, training.files


def _fit_without_factors(training: Training, name: str, context: FitContext) -> None:
    """Add the candidate fitted without contributing factors, whose row in reports shows their worth."""
    train, validation = training.windows
    chosen = registry.forecaster(name, registry.city_settings(training.stored.city, name, context.changes.get(name)))
    history = training.history.without_factors()
    training.add(WITHOUT_FACTORS, partial(chosen.fit, history, train, validation, context))


def live_windows(days: Sequence[date]) -> Windows:
    """Return the windows of a history's days, of which at most a third are for validation."""
    cutoff = len(days) - min(VALIDATION_DAYS, len(days) // 3)
    return range(cutoff), range(cutoff, len(days))


def train_live(
    stored: CityHistory,
    windows: Windows,
    reason: str,
    *,
    incidents: Incidents,
    context: FitContext,
    withheld: str = "",
    is_interim: bool = False,
) -> tuple[ServingRecord, ModelFiles]:
    """Return (record, files by stored name) of models that serve after the issue date.

    Those of the `is_interim` record are simple methods, fitted in seconds, that serve until the city's own models are trained.
    """
    names = registry.INTERIM if is_interim else registry.live_forecasters(stored.city)
    tomorrow = stored.issue_date + ONE_DAY
    training = train(
        stored,
        tomorrow,
        windows,
        names,
        [HOURLY_STACK],
        incidents=incidents,
        context=context,
        withheld=withheld,
    )
    weights = training.models[names[0]].chosen.get("in_words")
    record, files = training.to_serve(
        [
            f"{reason[:1].upper()}{reason[1:]}.",
            f"Settings changed {BY_HAND}: {', '.join(context.changes)}." if context.changes else "",
            f"Weights: {weights}." if weights else "",
            *training.gate.reasons,
            training.types_reason,
        ]
    )
    if is_interim:
        return record.model_copy(update={"is_interim": True}), files
    return with_shadow(record, files, training.history, windows, context)


def train_new_city(stored: CityHistory, context: FitContext) -> tuple[ServingRecord, ModelFiles]:
    """Return (record, files by stored name) of models that serve until a city has `MIN_HISTORY_DAYS`.

    Rates start at those of other cities. Cells are those of the published coverage, else all of the box. Hours and types
    are not forecast. Raises ValueError without a model of all cities.
    """
    city = stored.city
    in_coverage = np.ones(city.shape, dtype=bool)
    if city.coverage is not None and (published := stored.coverage_on(stored.issue_date + ONE_DAY)).any():
        in_coverage = published
    all_days = range(len(stored.days))
    history = stored.daily(in_coverage)
    training = Training(stored, history, (all_days, all_days))
    fitted = {
        name: training.add(name, partial(registry.forecaster(name).fit, history, all_days, all_days, context))
        for name in (registry.NEW_CITY, registry.HISTORICAL_MEAN)
    }
    new_city = fitted[registry.NEW_CITY]
    assert isinstance(new_city, FittedNewCity)
    training.add(COUNTS, lambda: COUNTS_OF_OTHERS)
    why = f"The city has {number_of(stored.is_known.sum(), 'known day')}, and its own models need {MIN_HISTORY_DAYS}."
    where = "the published coverage" if city.coverage else "the whole box, because its coverage is not published"
    uncertain = (
        f"Until then rates start at those of other cities ({new_city.chosen['shared']}), for {where}. "
        f"The rate of this city may be up to {new_city.city_factor(history):.1f} times as high, or as low "
        "(80% interval)."
    )
    training.gate = Verdict(
        served=registry.NEW_CITY,
        candidate=registry.NEW_CITY,
        best_baseline=registry.HISTORICAL_MEAN,
        gain=Gain(None),
        predicted_over_observed=None,
        positives=int(history.observed.sum()),
        reasons=(why,),
        outcome="not worse, not shown to be better",
    )
    training.without |= dict.fromkeys((HOURLY_STACK, NEXT_MINUTES, TYPES), why)
    return training.to_serve((why, uncertain))


def _fit_hours(training: Training, names: Sequence[str], incidents: Incidents | None) -> None:
    """Fit forecasters of hours, minutes and types; `without` has the reasons for those that are absent or not shown."""
    city = training.stored.city
    without = training.without
    if city.time_precision == "day":
        without |= dict.fromkeys((*names, TYPES, NEXT_MINUTES), "The source publishes days, not hours.")
        return
    by_hour = training.stored.hourly(training.history.in_coverage)
    days = training.stored.days
    train, validation = (
        range(
            by_hour.hour_at(day_start(days[window[0]], city.zone)),
            by_hour.hour_at(day_start(days[window[-1]] + ONE_DAY, city.zone)),
        )
        for window in training.windows
    )
    for name in names:
        hours = training.try_add(name, partial(registry.hourly_forecaster(name).fit, by_hour, train, validation))
        if name == HOURLY_STACK and hours is not None and incidents is not None:
            training.try_add(NEXT_MINUTES, partial(fit_on_hours, incidents, by_hour, hours))
        elif name == HOURLY_STACK and hours is None:
            without[NEXT_MINUTES] = without[name]
    if not city.is_of_gunfire:
        without[TYPES] = f"Forecasts of {city.target} have no kinds."
    elif types := training.try_add(TYPES, lambda: GunshotTypes.fit(by_hour, train, validation)):
        # Networks, which have a map of each type, are left out: their mixes are no better (docs/results.md).
        table = type_forecasts(types, {}, by_hour, training.history, validation, validation=True)
        training.types_by, training.types_reason = shown_types(table)
        if training.types_by is None:
            without[TYPES] = training.types_reason
