"""Live models, by city and day: trained when due, accepted by the gate, else the record says what serves and why."""

from dataclasses import dataclass
from datetime import date, timedelta
from time import perf_counter
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
import pyarrow as pa
from pydantic import Field

from shotspotter_assets.calendar.local_time import hours_of_days
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.registry import Cities
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.automation.conditions import TRAIN_ONCE
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.models.city_history import CityHistory, covered_cells
from shotspotter_assets.models.records import TrainedModel, counts_sha256, files_sha256, installed_versions
from shotspotter_assets.models.stored_models import read_pretrained, write_models
from shotspotter_assets.partitions import LAST_FORTNIGHT, Partitions, single_day
from shotspotter_assets.serving.files import (
    LIVE_MODELS,
    day_partition,
    next_day_forecasts,
    read_live_record,
    record_before,
    scores_before,
    stored_name,
)
from shotspotter_assets.storage.file_names import RECORD_FILE

if TYPE_CHECKING:
    from shotspotter_assets.serving.live_models import LiveRecord
    from shotspotter_assets.storage.store import Store


class LiveModelConfig(dg.Config):
    """How live models are trained, and by hand: that they are, or which ones serve."""

    validation_days: int = Field(91, ge=28, description="The last so many days judge and calibrate (a third at most).")
    retrain: bool = Field(False, description="Train although the city's cadence says that it is not due.")
    serve_from: str = Field(
        "", description="Roll back: no training, but serve what was in force after this earlier day (YYYY-MM-DD)."
    )


def definitions(partitions: Partitions) -> dg.Definitions:
    """The asset."""
    asset = dg.asset(
        partitions_def=partitions.city_date,
        group_name="forecasts",
        kinds={"lightgbm", "json"},
        code_version="2",
        pool="training",
        deps=[dg.AssetDep("grid_tensors", partition_mapping=LAST_FORTNIGHT)],
        automation_condition=TRAIN_ONCE,
    )
    return dg.Definitions(assets=[asset(live_models)])


def live_models(
    context: dg.AssetExecutionContext, config: LiveModelConfig, cities: dg.ResourceParam[Cities], store: StoreResource
) -> dg.MaterializeResult:
    """The models in force after the day, trained on the days to it, and why those: the candidate has to pass the gate.

    The last 91 days are for validation. Where training is not due, or what was trained does not hold, the record points
    to the files of an earlier day. Made again, a day has the same models, whatever was made of later days since; with
    `pretrained`, they start at the other city's fold as it is then.
    """
    from shotspotter_assets.serving.live_models import input_names, is_due

    city, day = single_day(context, cities)
    opened, key = store.open(), context.partition_key
    before, scores = record_before(opened, city.name, day), scores_before(opened, city.name, day)
    drift = scores is not None and scores["drift"]["drifted"]
    usable = before if before is not None and before.inputs == input_names(city) else None
    due = (
        "trained for the first time" if before is None
        else "retrained, as the inputs are others than the models in force were fitted on" if usable is None
        else "retrained by hand" if config.retrain
        else is_due(city.retraining, day, before.last_trained, drift)
    )  # fmt: skip
    files: dict[str, dict[str, bytes]] = {}
    if config.serve_from:
        record = _rolled_back(opened, city.name, day, config.serve_from)
    elif due or before is None:
        record, files = _train(context, opened, city, day, config, usable, due or "")
        record = _after_scores(record, scores)
    else:
        reason = f"Not retrained ({city.retraining}): last on {before.last_trained}."
        held = before.model_copy(update={"day": day, "trained": False, "served": _by_gate(before)})
        record = _after_scores(held.model_copy(update={"reasons": (reason,)}), scores)
    context.log.info(f"{key}: {record.served} of {record.models_from} serves. {' '.join(record.reasons)}")
    partition = day_partition(LIVE_MODELS, city.name, day)
    write_models(opened, partition, files, record.model_dump_json(indent=2))
    gain = record.gate["gain"]
    seconds = {f"seconds_{name}": of.seconds_to_train for name, of in record.models.items()}
    return dg.MaterializeResult(
        data_version=dg.DataVersion(record.data_version),
        metadata={
            "served": record.served,
            "why": panel.bullets(record.reasons),
            "trained": record.trained,
            "models_from": str(record.models_from),
            "hours_from": str(record.hours_from),
            "covered_cells": len(record.covered),
            "train_days": (record.train_last - record.train_first).days + 1,
            "validation_days": (record.validation_last - record.validation_first).days + 1,
            **panel.rounded({f"gate_{end}": gain[end] for end in ("gain", "low", "high") if gain[end] is not None}),
            **panel.rounded(seconds if record.trained else {}),
            **({"not_for_this_city": dg.MetadataValue.json(record.without)} if record.without else {}),
            "path": opened.uri(partition, RECORD_FILE),
        },
    )


def _by_gate(record: "LiveRecord") -> str:
    """What the gate of its own training says; a rolling gate may have put a baseline there for a while."""
    return str(record.gate["served"])


def _rolled_back(store: "Store", city: str, day: date, serve_from: str) -> "LiveRecord":
    earlier = date.fromisoformat(serve_from)
    if earlier >= day:
        raise ValueError(f"{city}|{day}: serve_from is {earlier}; name a day before {day}.")
    reason = f"Rolled back by hand to what was in force after {earlier}."
    return read_live_record(store, city, earlier).model_copy(
        update={"day": day, "trained": False, "last_trained": day, "reasons": (reason,)}
    )


def _after_scores(record: "LiveRecord", scores: dict[str, Any] | None) -> "LiveRecord":
    """The record, with the best baseline in the candidate's place where the rolling gate of issued forecasts fails."""
    from shotspotter_assets.serving.live_models import CANDIDATE

    if (
        record.served != CANDIDATE
        or scores is None
        or scores["rolling_gate"] is None
        or scores["rolling_gate"]["passed"]
    ):
        return record
    gate = scores["rolling_gate"]
    reason = f"The forecasts to {scores['day']} fail the rolling gate, so {gate['served']} serves: {' '.join(gate['reasons'])}"
    return record.model_copy(update={"served": gate["served"], "reasons": (*record.reasons, reason)})


def _train(
    context: dg.AssetExecutionContext,
    store: "Store",
    city: City,
    day: date,
    config: LiveModelConfig,
    before: "LiveRecord | None",
    due: str,
) -> "tuple[LiveRecord, dict[str, dict[str, bytes]]]":
    """(record, files to write by stored name) of the models trained on the days to `day`, or of those kept instead.

    `before` is the record of models that could be kept.
    """
    from shotspotter_assets.calendar.firework_days import is_holiday_fireworks
    from shotspotter_assets.evaluation.forecasts_table import forecasts_table
    from shotspotter_assets.models.alert_counts import AlertCounts
    from shotspotter_assets.serving.live_gate import against_issued, gate_of
    from shotspotter_assets.serving.live_models import (
        BASELINES,
        CANDIDATE,
        COUNTS,
        LiveRecord,
        fit_next_day,
        input_names,
        level_interval,
        live_windows,
        validation_of,
        version_of,
    )

    started = perf_counter()
    train, validation = live_windows(city, (day - city.start).days + 1, config.validation_days)
    history_days = CityHistory.load(store, city, day)
    days = history_days.days
    covered = history_days.covered(day + timedelta(days=1))
    history = history_days.daily(covered)
    context.log.info(f"{city.name}|{day}: {len(days):,} days read in {perf_counter() - started:.1f} s")

    fitted = fit_next_day(history, train, validation, read_pretrained(store, city, day))
    window = slice(validation.start, validation.stop)
    axis, observed = history.days()[window], history.observed[window]
    validated = {name: validation_of(model) for name, model in fitted.models.items()}
    judged = forecasts_table(axis, np.nonzero(covered), observed, validated)
    gate = gate_of(judged, CANDIDATE, BASELINES)
    issued = None if before is None else _issued(store, city.name, days[validation.start], day)
    comparison = against_issued(judged, gate["served"], issued)
    reasons = (f"{due[:1].upper()}{due[1:]}.", *gate["reasons"], comparison["words"])
    if comparison["keep_issued"] and before is not None:
        kept = {"day": day, "trained": True, "last_trained": day, "served": _by_gate(before)}
        return before.model_copy(update=kept | {"reasons": reasons, "against_issued": comparison}), {}

    served = validation_of(fitted.models[gate["served"]])
    fireworks = is_holiday_fireworks(axis)
    distribution = AlertCounts.fit(history.alerts[window][:, covered], served, fireworks)
    files = {name: of.files() for name, of in fitted.models.items()} | {COUNTS: distribution.files()}
    settings: dict[str, dict[str, Any]] = {name: of.settings for name, of in fitted.models.items()} | {COUNTS: {}}
    models = {
        name: TrainedModel(
            settings=settings[name], files=files_sha256(of), seconds_to_train=fitted.seconds.get(name, 0.0)
        )
        for name, of in files.items()
    }
    version = version_of(files)
    hours = _hours(context, history_days, covered, train, validation, before, day)
    record = LiveRecord(
        city=city.name,
        day=day,
        served=gate["served"],
        reasons=reasons,
        trained=True,
        last_trained=day,
        models_from=day,
        models_version=version,
        models=models,
        inputs=input_names(city),
        hours_from=hours.fitted_on,
        hours_version=hours.version,
        hours=hours.models,
        without=hours.without,
        train_first=days[0],
        train_last=days[train[-1]],
        validation_first=days[validation[0]],
        validation_last=day,
        covered=covered_cells(covered),
        level=level_interval(served, observed, axis),
        data_sha256=counts_sha256(history.counts),
        config=config.model_dump(),
        versions=installed_versions(),
        gate=gate,
        against_issued=comparison,
    )
    stored = {stored_name(name, version): of for name, of in files.items()}
    return record, stored | {stored_name(name, hours.version): of for name, of in hours.files.items()}


def _issued(store: "Store", city: str, first: date, last: date) -> pa.Table | None:
    """The next-day forecasts issued for the days from `first` to `last`, with their `date`."""
    one = timedelta(days=1)
    tables = [
        table.select(["row", "column", "probability"]).append_column(
            "date", pa.repeat(pa.scalar(day, pa.date32()), len(table))
        )
        for day, table in next_day_forecasts(store, city, first - one, last - one).items()
    ]
    return pa.concat_tables(tables) if tables else None


@dataclass(frozen=True)
class _Hours:
    """The models of hours and types in force: newly fitted ones, with `files`, or those of an earlier day."""

    fitted_on: date
    version: str
    models: dict[str, TrainedModel]
    files: dict[str, dict[str, bytes]]
    without: dict[str, str]


def _hours(
    context: dg.AssetExecutionContext,
    history_days: CityHistory,
    covered: Any,
    train: range,
    validation: range,
    before: "LiveRecord | None",
    day: date,
) -> _Hours:
    """Fitted at most weekly: they take as long as all else, and hour profiles and labels change slowly."""
    from shotspotter_assets.models.gunshot_types import GunshotTypes
    from shotspotter_assets.models.hourly_history import HourlyHistoryError
    from shotspotter_assets.models.next_hours.next_hours import NextHours
    from shotspotter_assets.serving.live_models import NEXT_HOURS, TYPES, WEEK, version_of

    city = history_days.city
    if before is not None and day - before.hours_from < WEEK:
        return _Hours(before.hours_from, before.hours_version, before.hours, {}, before.without)
    if city.time_precision == "day":
        words = "The source publishes days, not hours."
        return _Hours(day, "none", {}, {}, {NEXT_HOURS: words, TYPES: words})
    history = history_days.hourly(covered)
    first_hours = np.r_[0, np.cumsum(hours_of_days(history_days.days, city.zone))]
    windows = [range(int(first_hours[of.start]), int(first_hours[of.stop])) for of in (train, validation)]
    files, models, without = {}, {}, {}
    for name, fit in ((NEXT_HOURS, NextHours().fit), (TYPES, GunshotTypes.fit)):
        began = perf_counter()
        try:
            fitted = fit(history, *windows)
        except HourlyHistoryError as error:
            without[name] = str(error)
            continue
        files[name] = fitted.files()
        models[name] = TrainedModel(
            settings={}, files=files_sha256(files[name]), seconds_to_train=perf_counter() - began
        )
        context.log.info(f"{city.name}|{day}: {name} fitted in {models[name].seconds_to_train:.1f} s")
    return _Hours(day, version_of(files), models, files, without)
