"""Which models serve a city after a day: those trained on it if the gate accepts them, else those of an earlier day."""

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotspotter_assets.calendar.firework_days import is_holiday_fireworks
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.memory import require_memory
from shotspotter_assets.evaluation.forecasts_table import forecasts_table
from shotspotter_assets.evaluation.gains import table_gain
from shotspotter_assets.evaluation.gate import judge
from shotspotter_assets.models.alert_counts import AlertCounts
from shotspotter_assets.models.city_history import CityHistory, covered_cells
from shotspotter_assets.models.fold_training import NOTHING_TUNED
from shotspotter_assets.models.forecaster import ChosenSettings, FitContext, Fitted, HasMembers
from shotspotter_assets.models.next_minutes.incidents import Incidents
from shotspotter_assets.models.records import TunedUse, installed_versions
from shotspotter_assets.models.registry import candidate_of
from shotspotter_assets.serving.forecast_scores import ScoreRecord
from shotspotter_assets.serving.intervals import weekly_offset
from shotspotter_assets.serving.record import COUNTS, NEXT_HOURS, WEEK, IssuedComparison, ServingRecord, stored_name
from shotspotter_assets.serving.training import (
    HourModels,
    ModelFiles,
    Windows,
    fit_hours,
    fit_next_day,
    input_names,
    trained_model,
    version_of,
)
from shotspotter_assets.storage.store import Store

MIN_ISSUED_DAYS: Final = 28
"""Of issued forecasts within the validation window, below which they are not compared with."""

_TRAINED: Final = "trained"
_ISSUED: Final = "issued"


def outdated(city: City, before: ServingRecord) -> str:
    """Why the models of an earlier record cannot serve the city any more, in words; empty where they can."""
    if before.inputs != input_names(city):
        return "the inputs are others than the models in force were fitted on"
    if NEXT_HOURS not in {**before.hours, **before.without}:
        return "the models of the next hours are of an earlier version"
    candidate = candidate_of(city).name
    return "" if before.candidate == candidate else f"{candidate} is to serve instead of {before.candidate}"


def training_reason(
    city: City,
    day: date,
    before: ServingRecord | None,
    scores: ScoreRecord | None,
    by_hand: bool = False,
    lead: int = 1,
) -> str:
    """Why models are trained on the day, in words; empty where they are not.

    Args:
        before: the latest record before the day.
        scores: the latest ones before the day.
        by_hand: whether training is asked for.
        lead: days from the last known day to the one that is forecast.
    """
    if before is None:
        return "trained for the first time"
    if lead > city.publication.longest_lead and not by_hand:
        return ""
    if cause := outdated(city, before):
        return f"retrained, as {cause}"
    if before.lead != lead:
        return (
            f"retrained, as the day that is forecast is {lead} after the last known one, and the models in force were fitted "
            f"for {before.lead}"
        )
    has_drifted = scores is not None and scores.drift.drifted
    due = {
        "retrained by hand": by_hand,
        "retrained, as every day": city.retraining == "daily",
        f"retrained, a week after {before.last_trained}": city.retraining == "weekly"
        and day - before.last_trained >= WEEK,
        "retrained, as the latest score says drift": city.retraining == "on_drift" and has_drifted,
    }
    return next((reason for reason, is_due in due.items() if is_due), "")


def unchanged(before: ServingRecord, stored: CityHistory) -> ServingRecord:
    """The record of a day on which nothing is trained: what the gate accepted before serves on."""
    reason = f"Not retrained ({stored.city.retraining}): last on {before.last_trained}."
    if stored.is_too_late:
        reason = f"Not retrained, as no forecast is issued. {stored.lateness}"
    changes = {"trained": False, "served": before.gate.served, "reasons": (reason,)}
    return before.model_copy(update=_dated(stored) | changes)


def rolled_back(store: Store, stored: CityHistory, serve_from: date) -> ServingRecord:
    """The record of a day on which what was in force after an earlier day serves again.

    Raises:
        ValueError: `serve_from` is not earlier, or its models were fitted for another lead.
        MissingObjectError: it has no record.
    """
    city, day = stored.city.name, stored.issue_date
    if serve_from >= day:
        raise ValueError(f"{city}|{day}: serve_from is {serve_from}; name a day before {day}.")
    record = ServingRecord.load(store, city, serve_from)
    if record.lead != stored.lead:
        raise ValueError(
            f"{city}|{day}: what was in force after {serve_from} was fitted for a lead of {record.lead} days, and the last "
            f"known day is {stored.last_known}, a lead of {stored.lead}. Name a day with models of that lead, or train."
        )
    reason = f"Rolled back by hand to what was in force after {serve_from}."
    return record.model_copy(update=_dated(stored) | {"trained": False, "last_trained": day, "reasons": (reason,)})


def _dated(stored: CityHistory) -> dict[str, date]:
    return {"day": stored.issue_date, "last_known": stored.last_known}


def after_scores(record: ServingRecord, scores: ScoreRecord | None) -> ServingRecord:
    """The record, with the best baseline in the candidate's place where the rolling gate of issued forecasts fails.

    A gate on forecasts of another lead replaces nothing.
    """
    gate = None if scores is None or scores.lead != record.lead else scores.rolling_gate
    if scores is None or gate is None or gate.passed or record.served != gate.candidate:
        return record
    reason = f"The forecasts to {scores.day} fail the rolling gate, so {gate.served} serves: {' '.join(gate.reasons)}"
    return record.model_copy(update={"served": gate.served, "reasons": (*record.reasons, reason)})


def train(
    stored: CityHistory,
    windows: Windows,
    reason: str,
    *,
    before: ServingRecord | None,
    issued: Mapping[date, pa.Table],
    incidents: Incidents,
    context: FitContext,
    config: Mapping[str, Any],
    tuned: Mapping[str, TunedUse] = NOTHING_TUNED,
) -> tuple[ServingRecord, ModelFiles]:
    """(record, files by stored name) of the models trained on the stored days, or of those that are kept instead.

    Args:
        windows: of the stored days.
        reason: see `training_reason`.
        before: the record of models that may be kept, if they were fitted for the same lead, unless they are `outdated`.
        issued: next-day forecasts of the same lead for days of the validation window, by the day that they are for.
        incidents: of the stored days, at least of the last two years.
        context: of the fits.
        config: what the launchpad was set to, to be kept in the record.
        tuned: what is known of tuned settings; those in force are among the changes of the context.
    """
    city, days, day = stored.city, stored.days, stored.issue_date
    in_coverage = stored.in_coverage(day + timedelta(days=1))
    require_memory(city, days[-1], int(in_coverage.sum()))
    history = stored.daily(in_coverage)
    fitted = fit_next_day(history, windows, context)
    window = slice(windows.validation.start, windows.validation.stop)
    axis, observed = history.days()[window], history.observed[window]
    judged = forecasts_table(
        axis, np.nonzero(in_coverage), observed, {name: fitted.validation(name) for name in fitted.models}
    )
    candidate = candidate_of(city).name
    gate = judge(judged, candidate)
    comparison = against_issued(judged, gate.served, issued)
    reasons = (
        f"{reason[:1].upper()}{reason[1:]}.",
        *(use.words for use in tuned.values() if use.in_force),
        *_trusted(fitted.models[candidate]),
        *gate.reasons,
        comparison.words,
    )
    if comparison.keep_issued and before is not None and before.lead == stored.lead:
        kept = _dated(stored) | {"trained": True, "last_trained": day, "served": before.gate.served}
        return before.model_copy(update=kept | {"reasons": reasons, "against_issued": comparison}), {}

    served = fitted.validation(gate.served)
    counts = AlertCounts.fit(history.alerts[window][:, in_coverage], served, is_holiday_fireworks(axis))
    files = {name: model.files() for name, model in fitted.to_store.items()} | {COUNTS: counts.files()}
    settings: dict[str, ChosenSettings] = {name: model.settings for name, model in fitted.to_store.items()} | {
        COUNTS: {}
    }
    history.forget()
    version, hours = version_of(files), _hours(stored, in_coverage, windows, before, incidents, context.log)
    record = ServingRecord(
        city=city.name,
        day=day,
        served=gate.served,
        reasons=reasons,
        trained=True,
        last_trained=day,
        models_from=day,
        models_version=version,
        models={name: trained_model(settings[name], files[name], fitted.seconds.get(name, 0.0)) for name in files},
        lead=stored.lead,
        last_known=stored.last_known,
        inputs=input_names(city),
        hours_from=hours.fitted_on,
        hours_version=hours.version,
        hours=hours.models,
        without=hours.without,
        train_first=days[0],
        train_last=days[windows.train[-1]],
        validation_first=windows.validation_first,
        validation_last=days[-1],
        covered=covered_cells(in_coverage),
        level=weekly_offset(served, observed, axis),
        data_sha256=history.data_sha256(),
        config=dict(config),
        versions=installed_versions(),
        tuned=dict(tuned),
        gate=gate,
        against_issued=comparison,
    )
    stored_files = {stored_name(name, version): content for name, content in files.items()}
    return record, stored_files | {stored_name(name, hours.version): content for name, content in hours.files.items()}


def _trusted(candidate: Fitted) -> tuple[str, ...]:
    """Whom a candidate trusts that combines others."""
    return (f"Learned to trust: {candidate.in_words}.",) if isinstance(candidate, HasMembers) else ()


def _hours(
    stored: CityHistory,
    in_coverage: npt.NDArray[np.bool_],
    windows: Windows,
    before: ServingRecord | None,
    incidents: Incidents,
    log: Callable[[str], None],
) -> HourModels:
    """Fitted at most weekly: they take as long as all else, and hour profiles and labels change slowly."""
    is_present = before is not None and NEXT_HOURS in {**before.hours, **before.without}
    if before is not None and is_present and stored.issue_date - before.hours_from < WEEK:
        return HourModels(before.hours_from, before.hours_version, before.hours, {}, before.without)
    return fit_hours(stored, in_coverage, windows, incidents, log)


def against_issued(trained: pa.Table, served: str, issued: Mapping[date, pa.Table]) -> IssuedComparison:
    """Whether the forecasts that were issued are significantly better than what was trained, on the same cell-days.

    The trained model's forecasts are those of its fit without the validation window; issued ones knew the days to their
    issue date. That is in favour of those issued, so what is in force is left alone rather too often than too seldom.

    Args:
        trained: a forecasts table (see `evaluation.forecasts_table`).
        served: its column of what would be served.
        issued: row, column and probability, by the day that the forecast is for.
    """
    shared = _shared(trained, served, issued) if issued else None
    days = 0 if shared is None else len(np.unique(shared["date"].to_numpy()))
    if shared is None or days < MIN_ISSUED_DAYS:
        words = (
            f"Not compared with the model in force: it has forecast {days} days of the validation window, and "
            f"{MIN_ISSUED_DAYS} are needed."
        )
        return IssuedComparison(days=days, keep_issued=False, gain=None, words=words)
    gain = table_gain(shared, _ISSUED, _TRAINED)
    words = f"On {days} days, the forecasts issued gain {gain.text()} nats per positive over what was trained: " + (
        "the model in force is kept." if gain.is_shown else "not significantly better."
    )
    return IssuedComparison(days=days, keep_issued=gain.is_shown, gain=gain, words=words)


def _shared(trained: pa.Table, served: str, issued: Mapping[date, pa.Table]) -> pa.Table:
    """The cell-days of both, with the `observed`, the trained and the issued probability."""
    key = ["date", "row", "column"]
    left = trained.select([*key, "observed", served]).rename_columns([*key, "observed", _TRAINED])
    right = pa.concat_tables(
        [
            table.select(["row", "column", "probability"]).add_column(0, "date", pa.repeat(pa.scalar(day), len(table)))
            for day, table in issued.items()
        ]
    ).rename_columns([*key, _ISSUED])
    schema = pa.schema([*(left.schema.field(name) for name in key), pa.field(_ISSUED, pa.float64())])
    return left.join(right.cast(schema), keys=key, join_type="inner")
