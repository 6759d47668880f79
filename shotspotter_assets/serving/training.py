"""Training of the models of a day: the candidate, its fallbacks, counts, hours, minutes and types."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial
from time import perf_counter
from typing import Final, Protocol, TypeVar

import numpy as np

from shotspotter_assets.arrays import Booleans
from shotspotter_assets.calendar.dates import is_holiday_fireworks
from shotspotter_assets.calendar.local_time import day_start
from shotspotter_assets.evaluation.forecasts_table import forecasts_table
from shotspotter_assets.evaluation.gains import Gain
from shotspotter_assets.evaluation.gate import Verdict, verdict_on
from shotspotter_assets.models.alert_counts import AlertCounts
from shotspotter_assets.models.city_history import CityHistory, covered_cells
from shotspotter_assets.models.forecaster import FitContext, Fitted
from shotspotter_assets.models.forecaster_registry import candidate_of, city_settings, fallbacks, forecaster
from shotspotter_assets.models.gunshot_types import GunshotTypes
from shotspotter_assets.models.history import History
from shotspotter_assets.models.hourly_history import HourlyHistoryError
from shotspotter_assets.models.next_day.baselines import HISTORICAL_MEAN
from shotspotter_assets.models.next_day.daily_inputs import names_of_inputs
from shotspotter_assets.models.next_day.new_city import NewCityForecaster
from shotspotter_assets.models.next_minutes.forecast import fit_on_hours
from shotspotter_assets.models.next_minutes.incident_points import Incidents
from shotspotter_assets.models.records import TrainedModel, files_sha256, installed_versions
from shotspotter_assets.models.stack import FittedStack
from shotspotter_assets.serving.intervals import weekly_offset
from shotspotter_assets.serving.serving_record import (
    COUNTS,
    NEXT_HOURS,
    NEXT_MINUTES,
    TYPES,
    ServingRecord,
    stored_name,
)
from shotspotter_assets.storage.fingerprints import sha256

COUNTS_OF_OTHERS: Final = AlertCounts(intercept=(-1.9, 0.7), growth=0.5, size=(-1.0, 0.5), city_variance=0.07)
"""Middle of the fits in Oakland, Cincinnati, San Francisco and Fresno."""
ModelFiles = Mapping[str, Mapping[str, bytes]]
"""Content by model and file."""
MIN_HISTORY_DAYS: Final = 120
"""Minimum for a city's own models: the inputs' rates need weeks, and so do training and validation."""


class Storable(Protocol):
    """A fitted model."""

    def files(self) -> dict[str, bytes]: ...


_Model = TypeVar("_Model", bound=Storable)


@dataclass(frozen=True)
class Fits:
    """Fitted models of a day: files and records by name, and reasons for absent ones (`without`)."""

    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    models: dict[str, TrainedModel] = field(default_factory=dict)
    without: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, fit: Callable[[], _Model]) -> _Model:
        """Fit a model, and keep its files and record."""
        started = perf_counter()
        fitted = fit()
        self.files[name] = files = fitted.files()
        seconds, chosen = perf_counter() - started, getattr(fitted, "chosen", {})
        self.models[name] = TrainedModel(chosen=chosen, files=files_sha256(files), seconds_to_train=seconds)
        return fitted

    def try_add(self, name: str, fit: Callable[[], _Model]) -> _Model | None:
        """Add a model; None, with the reason in `without`, if the hours do not suffice."""
        try:
            return self.add(name, fit)
        except HourlyHistoryError as error:
            self.without[name] = str(error)
            return None

    @property
    def version(self) -> str:
        """Short hash of the files (eight hexadecimal digits)."""
        return sha256(json.dumps({name: model.files for name, model in self.models.items()}, sort_keys=True))[:8]

    def stored_files(self) -> dict[str, dict[str, bytes]]:
        """Return `files` by stored name."""
        return {stored_name(name, self.version): content for name, content in self.files.items()}


@dataclass(frozen=True)
class Windows:
    """Training and validation days, as indexes of the days from `first_day` on."""

    first_day: date
    train: range
    validation: range

    @property
    def validation_first(self) -> date:
        """First validation day."""
        return self.first_day + timedelta(days=self.validation.start)


def live_windows(days: Sequence[date], validation_days: int) -> Windows:
    """Return the windows of a history's days, of which at most a third are for validation."""
    cutoff = len(days) - min(validation_days, len(days) // 3)
    return Windows(days[0], range(cutoff), range(cutoff, len(days)))


def train(
    stored: CityHistory, windows: Windows, reason: str, *, incidents: Incidents, context: FitContext
) -> tuple[ServingRecord, ModelFiles]:
    """Return (record, files by stored name) of models trained on the stored days and the incidents of two years or more."""
    city, days, fits = stored.city, stored.days, Fits()
    in_coverage = stored.coverage_on(stored.issue_date + timedelta(days=1))
    history = stored.daily(in_coverage)
    fitted = _fit_next_day(fits, history, windows, context)
    window = slice(windows.validation.start, windows.validation.stop)
    known = history.known_in(windows.validation)
    axis, observed = history.days()[window][known], history.observed[window][known]
    alerts = history.alerts[window][known][:, in_coverage]
    validated = {name: model.validation_probability[known] for name, model in fitted.items()}
    candidate = candidate_of(city)
    gate = verdict_on(forecasts_table(axis, np.nonzero(in_coverage), observed, validated), candidate)
    served = validated[gate.served]
    fits.add(COUNTS, lambda: AlertCounts.fit(alerts, served, is_holiday_fireworks(axis)))
    history.clear_cache()
    _fit_hours(fits, stored, in_coverage, windows, incidents)
    combined = fitted[candidate]
    weights = [f"Weights: {combined.posterior.in_words}."] if isinstance(combined, FittedStack) else []
    reasons = (f"{reason[:1].upper()}{reason[1:]}.", *weights, *gate.reasons)
    validation, offset = (windows.validation_first, days[-1]), weekly_offset(served, observed, axis)
    return _serving_record(stored, history, gate, reasons, fits, validation, offset), fits.stored_files()


def train_new_city(stored: CityHistory, context: FitContext) -> tuple[ServingRecord, ModelFiles]:
    """Return (record, files by stored name) of models that serve until a city has `MIN_HISTORY_DAYS`.

    Rates start at those of other cities. Cells are those of the published coverage, else all of the box. Hours and types
    are not forecast.

    Raises:
        ValueError: there is no model of all cities.
    """
    city, days = stored.city, stored.days
    in_coverage = np.ones(city.shape, dtype=bool)
    if city.coverage is not None and (published := stored.coverage_on(stored.issue_date + timedelta(days=1))).any():
        in_coverage = published
    history, all_days = stored.daily(in_coverage), range(len(days))
    fits = Fits()
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
    fits.without.update(dict.fromkeys((NEXT_HOURS, NEXT_MINUTES, TYPES), why))
    record = _serving_record(stored, history, verdict, (why, uncertain), fits, (days[0], days[-1]), (0.0, 0.0))
    return record, fits.stored_files()


def _serving_record(
    stored: CityHistory,
    history: History,
    gate: Verdict,
    reasons: tuple[str, ...],
    fits: Fits,
    validation: tuple[date, date],
    offset: tuple[float, float],
) -> ServingRecord:
    return ServingRecord(
        city=stored.city.name,
        issue_date=stored.issue_date,
        served=gate.served,
        since=stored.issue_date,
        reasons=reasons,
        last_trained=stored.issue_date,
        models_from=stored.issue_date,
        version=fits.version,
        models=fits.models,
        without=fits.without,
        lead=stored.lead,
        last_known=stored.last_known,
        inputs=names_of_inputs(stored.city),
        validation=validation,
        covered=covered_cells(history.in_coverage),
        weekly_offset=offset,
        data_sha256=history.data_sha256(),
        versions=installed_versions(),
        gate=gate,
    )


def _fit_next_day(fits: Fits, history: History, windows: Windows, context: FitContext) -> dict[str, Fitted]:
    """Fit the city's candidate, whose files hold its members, and its fallbacks, by name."""
    candidate = candidate_of(history.city)
    models: dict[str, Fitted] = {}
    for name in (candidate, *fallbacks(candidate)):
        if name not in models:
            chosen = forecaster(name, city_settings(history.city, name, context.changes.get(name)))
            fit = partial(chosen.fit, history, windows.train, windows.validation, context)
            models[name] = fitted = fits.add(name, fit)
            models |= fitted.members if isinstance(fitted, FittedStack) else {}
    return models


def _fit_hours(fits: Fits, stored: CityHistory, in_coverage: Booleans, windows: Windows, incidents: Incidents) -> None:
    city = stored.city
    if city.time_precision == "day":
        fits.without.update(dict.fromkeys((NEXT_HOURS, TYPES, NEXT_MINUTES), "The source publishes days, not hours."))
        return
    history = stored.hourly(in_coverage)
    first, middle, last = (
        history.hour_at(day_start(windows.first_day + timedelta(days=at), city.zone))
        for at in (windows.train.start, windows.validation.start, windows.validation.stop)
    )
    training, validation = range(first, middle), range(middle, last)
    stack = fits.try_add(NEXT_HOURS, lambda: forecaster(NEXT_HOURS).fit(history, training, validation))
    if stack is None:
        fits.without[NEXT_MINUTES] = fits.without[NEXT_HOURS]
    else:
        fits.try_add(NEXT_MINUTES, lambda: fit_on_hours(incidents, history, stack))
    fits.try_add(TYPES, lambda: GunshotTypes.fit(history, training, validation))
