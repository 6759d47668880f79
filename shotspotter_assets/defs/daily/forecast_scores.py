"""Forecast scores of a city by day: the forecast issued the day before, and the last weeks."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import TYPE_CHECKING

import dagster as dg

from shotspotter_assets.cities.city import City
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.materialize import Check, Product, for_each_target
from shotspotter_assets.defs.partitions import run_days
from shotspotter_assets.defs.resources import Log, Store, StoreResource
from shotspotter_assets.models.forecaster_registry import HISTORICAL_MEAN
from shotspotter_assets.storage.catalogue import SCORED_FORECASTS_DAYS, SCORES_HISTORY_DAYS, Asset

if TYPE_CHECKING:
    from shotspotter_assets.forecasts.issued_scores import ScoreRecord


@Product(Asset.FORECAST_SCORES, kinds={"json"}, code_version="1")
@for_each_target
def forecast_scores(_: Log, store: Store, city: City, scored_date: date) -> panel.Metadata:
    """Scores of the forecast issued the day before, with rolling skill, calibration, drift, level and gate.

    A day without an earlier forecast, or that is not known yet, has a record with a note. Rolling scores use forecasts
    of one lead, or of all above two weeks. Rebuilt when alerts or forecasts of the last year change.
    """
    from shotspotter_assets.forecasts.headline_scores import jumpiness
    from shotspotter_assets.forecasts.issued_forecasts import next_day_forecasts
    from shotspotter_assets.forecasts.issued_scores import issued_level, score
    from shotspotter_assets.forecasts.serving_record import ServingRecord
    from shotspotter_assets.models.city_history import CityHistory, DaysNotKnownError
    from shotspotter_assets.storage.fingerprints import sha256

    first = max(city.start, scored_date - timedelta(days=SCORES_HISTORY_DAYS - 1))
    forecasts = next_day_forecasts(store, city, scored_date - timedelta(days=SCORED_FORECASTS_DAYS - 1), scored_date)
    serving = ServingRecord.latest_before(store, city.name, scored_date)
    try:
        history = CityHistory.load(store, city, scored_date, first)
    except DaysNotKnownError:  # no day of the last year is known
        history = CityHistory.load(store, city, scored_date)
    steadiness = {"flip_flop": jumpiness(store, city, forecasts, scored_date)}
    record = score(history, forecasts, serving, issued_level(store, history)).model_copy(update=steadiness)
    path = record.write(store)
    numbers = {"note": record.note, "lead": record.lead, "last_known": str(record.last_known), **steadiness}
    numbers |= _numbers_of_day(record, city.event) | _numbers_of_weeks(record)
    defined = {name: value for name, value in numbers.items() if value is not None}
    version = sha256(record.facts())[:16]
    return panel.rounded(defined) | {"data_version": version, "path": dg.MetadataValue.path(path)}


def _numbers_of_day(record: "ScoreRecord", event: str) -> panel.Metadata:
    """Return panel entries of the day's scores, with the word for an event; none for a day that was not scored."""
    scores = record.scores
    if scores is None:
        return {}
    return {
        f"{event}s": scores.observed_alerts,
        f"{event}s expected": scores.expected_alerts,
        f"gain over {HISTORICAL_MEAN} (nats per {event})": scores.gain_over_historical_mean,
        "hit rate in 5% of the area": scores.hit_rate_5,
        "log loss": scores.log_loss,
        **{f"numbers: log loss by {name}": by_name.get("log_loss") for name, by_name in scores.numbers.items()},
    }


def _numbers_of_weeks(record: "ScoreRecord") -> panel.Metadata:
    """Return panel entries of the last weeks' scores and of the gate, as far as the record has them."""
    from shotspotter_assets.evaluation.forecasts_table import SERVED

    numbers: panel.Metadata = {}
    rolling = record.rolling
    if rolling is not None:
        of_served = rolling.numbers.get(SERVED, {})
        numbers |= {
            "last weeks: days scored": rolling.days,
            "last weeks: numbers within the city's 80% interval": of_served.get("within_80_city"),
            "last weeks: log score of the city's number": of_served.get("log_score_city"),
            "last weeks: expected / observed": rolling.predicted_over_observed,
            "last weeks: drift (log loss above the promised one)": rolling.drift,
        }
        if HISTORICAL_MEAN in rolling.gain_over:  # it is not where it is the candidate itself
            numbers[f"last weeks: gain over {HISTORICAL_MEAN}"] = rolling.gain_over[HISTORICAL_MEAN].value
    if record.level is not None:
        numbers["last 365 days: level"] = record.level.sentence()
    if record.shadow is not None:
        numbers["last weeks: shadow"] = record.shadow.text()
    gate = record.rolling_gate
    if gate is not None:
        numbers |= {"rolling_gate_passed": gate.passed, "rolling_gate": panel.bullets(gate.reasons)}
    return numbers


@Check(Asset.FORECAST_SCORES)
def rolling_gate(context: dg.AssetCheckExecutionContext, store: StoreResource, city: City) -> dg.AssetCheckResult:
    """The candidate's issued forecasts of the last 13 weeks pass the gate, and the served ones are calibrated."""
    return _checked(
        context,
        store,
        city,
        words=lambda record: " ".join(record.warnings()),
        has_failed=lambda record: bool(record.warnings()),
    )


@Check(Asset.FORECAST_SCORES)
def level(context: dg.AssetCheckExecutionContext, store: StoreResource, city: City) -> dg.AssetCheckResult:
    """The served forecasts of the last 365 days expected as many events as were observed."""
    return _checked(
        context,
        store,
        city,
        words=lambda record: "" if record.level is None else record.level.sentence(),
        has_failed=lambda record: record.level is not None and record.level.is_off,
    )


def _checked(
    context: dg.AssetCheckExecutionContext,
    store: StoreResource,
    city: City,
    *,
    words: "Callable[[ScoreRecord], str]",
    has_failed: "Callable[[ScoreRecord], bool]",
) -> dg.AssetCheckResult:
    """Return the result of a check of the day's scores of all targets, with words about each."""
    from shotspotter_assets.forecasts.issued_scores import ScoreRecord

    scored_date = run_days(context, city)[-1]
    targets = city.by_target(store.open())
    records = [(view, ScoreRecord.load(of_target, city.name, scored_date)) for of_target, view in targets]
    return dg.AssetCheckResult(
        passed=not any(has_failed(record) for _, record in records),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"scored_date": str(scored_date)},
        description=panel.sentences([(view, words(record)) for view, record in records]) or None,
    )
