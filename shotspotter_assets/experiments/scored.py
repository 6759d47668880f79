"""Scores of a frozen experiment: equal bytes from equal stores, with all missing days and the reason for each."""

import json
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from shotspotter_assets.calendar import local_time
from shotspotter_assets.calendar.local_time import ONE_DAY, day_start, days_between
from shotspotter_assets.cities.city import City
from shotspotter_assets.city_files import Cities, read_keys
from shotspotter_assets.evaluation.count_scores import count_rows
from shotspotter_assets.evaluation.distribution_scores import COUNTS, YEAR
from shotspotter_assets.evaluation.forecasts_table import SERVED, cells_of
from shotspotter_assets.evaluation.score_rows import ALL, all_rows, gain_name
from shotspotter_assets.experiments.frozen import Experiment, ExperimentError, FrozenExperiment, targets_of
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.models.records import SOURCE, source_sha256
from shotspotter_assets.models.trained_models import read_files
from shotspotter_assets.serving.approval import WaitingModels
from shotspotter_assets.serving.forecast_facts import CANDIDATE_COLUMN, next_day_rows
from shotspotter_assets.serving.issued_forecasts import ForecastRecord, grid_version, is_over, load_record
from shotspotter_assets.serving.issued_scores import scored_counts, scored_days
from shotspotter_assets.serving.serving_record import BY_HAND, ServingRecord
from shotspotter_assets.storage.catalogue import FORECAST, FORECAST_RECORD, LIVE_MODEL
from shotspotter_assets.storage.errors import CorruptObjectError
from shotspotter_assets.storage.fingerprints import row_hashes, sha256
from shotspotter_assets.storage.store import Store, parquet_table

DECIMALS: Final = 6  # the last digits of floats differ between processors
REPEATED_FACTS: Final = {
    *("expected_alerts", "issued_at", "last_known", "lead", "made_by"),
    *("models_from", "served", "table_sha256", "written_at"),
}
"""Fields of a forecast's record that the result repeats."""


def score(store: Store, cities: Cities, file: Path) -> str:
    """Return the scores of a frozen record as JSON, without any trace of the machine and the time of scoring.

    Raises ExperimentError, with a line for each reason, before the last day is over, for other code than the frozen one, and
    for too many missing days; DaysNotKnownError if alerts of the last days are not known yet; CityFileError for another file.
    """
    if file.suffix != ".json":
        raise ExperimentError(f"{file} is the plan; name the frozen file, {file.with_suffix('.frozen.json')}.")
    content = file.read_text()
    frozen = read_keys(file, FrozenExperiment, content)
    experiment = frozen.experiment
    targets = targets_of(store, cities, experiment)
    if refusals := _refusals(frozen, targets):
        raise ExperimentError("\n".join(f"{file}: {refusal}." for refusal in refusals))
    scores = {name: _scored_target(of_target, city, frozen, name) for name, (of_target, city) in targets.items()}
    facts = {
        "experiment": experiment.model_dump(mode="json"),
        "frozen_at": frozen.frozen_at.isoformat(),
        "frozen_sha256": sha256(content),
        "targets": scores,
    }
    # + 0.0 removes the sign of a zero.
    rounded = json.loads(json.dumps(facts), parse_float=lambda text: round(float(text), DECIMALS) + 0.0)
    return json.dumps(rounded, indent=1, sort_keys=True)


def _refusals(frozen: FrozenExperiment, targets: Mapping[str, tuple[Store, City]]) -> list[str]:
    """Return the reasons why an experiment cannot be scored now, or by this code."""
    now = local_time.now()
    last = frozen.experiment.last_day
    version = frozen.versions.get("shotspotter_assets", "")
    refused = {
        "its models are not those of its cities and targets: it was changed after the freeze": (
            frozen.models.keys() != targets.keys()
        ),
        f"last_day: {last} is before first_day: it was changed after the freeze": last < frozen.experiment.first_day,
        f"it was frozen at {frozen.frozen_at}, and now is {now}: the clock went back": frozen.frozen_at > now,
        f"it was frozen with other code; install shotspotter_assets {version} as it was": (
            frozen.versions.get(SOURCE) != source_sha256()
        ),
        **{
            f"{last} is not over in {city.name}; score the experiment after it": not is_over(last, city, now)
            for _, city in targets.values()
        },
    }
    return [reason for reason, applies in refused.items() if applies]


def _scored_target(store: Store, city: City, frozen: FrozenExperiment, name: str) -> dict[str, Any]:
    """Return the scores of a target, with the facts of its forecasts, and the reasons for its missing days.

    Raises ExperimentError for too many of them.
    """
    experiment = frozen.experiment
    history = CityHistory.load(store, city, experiment.last_day, experiment.first_day).complete()
    days = {}
    missing = {}
    tables = {}
    for day in days_between(experiment.first_day, experiment.last_day):
        try:
            record, tables[day] = _counted_forecast(store, history, frozen, name, day)
            observed = int(history.alerts[(day - history.days[0]).days][cells_of(tables[day])].sum())
            days[str(day)] = record.model_dump(mode="json", include=REPEATED_FACTS) | {"observed_alerts": observed}
        except ValueError as error:
            missing[str(day)] = str(error)
        except CorruptObjectError:
            missing[str(day)] = "its stored files are damaged; restore them from a backup"
    if len(missing) > experiment.max_missing_days:
        lines = [f"{name}: {day} is missing: {reason}" for day, reason in missing.items()]
        raise ExperimentError("\n".join([*lines, f"{name}: max_missing_days is {experiment.max_missing_days}."]))
    return {
        "alerts_sha256": sha256(row_hashes(history.frames).tobytes()),
        "days": days,
        "missing": missing,
        "scores": _scores(tables, history, experiment),
    }


def _counted_forecast(
    store: Store, history: CityHistory, frozen: FrozenExperiment, name: str, day: date
) -> tuple[ForecastRecord, pa.Table]:
    """Return the record of a day's forecast, and its rows.

    Raises ExperimentError if it is missing, late, changed, or made by what was not frozen, ModelFilesError without the models.
    """
    city = history.city
    issue_date = day - ONE_DAY
    if day < history.days[0] or day in history.unknown:
        raise ExperimentError("its alerts are not known, although those of a later day are (shotspotter status)")
    record = load_record(store, city.name, issue_date) if store.exists(FORECAST_RECORD, city.name, issue_date) else None
    if not isinstance(record, ForecastRecord) or not store.exists(FORECAST, city.name, issue_date):
        raise ExperimentError(getattr(record, "no_forecast", "no forecast is stored"))
    content = store.read_bytes(FORECAST, city.name, issue_date)
    made_by = record.made_by
    trained = _trained_models(store, record)
    if trained is None:
        raise ExperimentError(
            f"the record of its models of {record.models_from} is missing or changed; restore it from a backup"
        )
    other = {key for key, value in frozen.models[name].made_by.items() if made_by.get(key) != value}
    is_new = not other.isdisjoint({"models", "last_trained"})
    models = f"its models of {record.models_from}"
    reasons = {
        **_wrong_times(record, frozen.frozen_at, day_start(day, city.zone)),
        "the city's file now has another grid, or counts other events; undo the change": record.grid
        != grid_version(city),
        "its table is not the one that was issued (SHA-256); restore it from a backup": sha256(content)
        != record.table_sha256,
        "it was made with other settings of the city's file": "settings" in other,
        "it was made by other code": SOURCE in other,
        f"{models} are not the frozen ones": "models" in other and frozen.experiment.models == "frozen",
        f"{models} were trained by other code": is_new and trained.versions.get(SOURCE) != made_by.get(SOURCE),
        f"{models} were trained with other settings": is_new and trained.settings != frozen.models[name].settings,
        f"{models} were trained by hand": is_new and any(BY_HAND in reason for reason in trained.reasons),
        f"{models} were rolled back by hand": is_new and made_by.get("last_trained") != str(record.models_from),
    }
    for reason, excludes in reasons.items():
        if excludes:
            raise ExperimentError(reason)
    read_files(store, LIVE_MODEL, trained, trained.models_from, trained.suffix)
    return record, next_day_rows(parquet_table(content))


def _trained_models(store: Store, record: ForecastRecord) -> ServingRecord | None:
    """Return the record of the models of a forecast, which may have waited for approval; None if it is lost or changed."""
    waited = WaitingModels.find_sound(store, record.city, record.models_from)
    served = ServingRecord.find_sound(store, record.city, record.models_from)
    candidates = (served, None if waited is None else waited.models)
    models = record.made_by.get("models")
    return next((trained for trained in candidates if trained is not None and trained.forecasts_from == models), None)


def _wrong_times(record: ForecastRecord, frozen_at: datetime, begins: datetime) -> dict[str, bool]:
    """Return whether each reason excludes a forecast by the instants at which its versions were issued."""
    issued = [*(version.issued_at for version in record.earlier), record.issued_at]
    times = [datetime.fromisoformat(time) for time in (*issued, record.written_at)]
    is_late = times[-1] >= begins
    return {
        f"it was replayed at {record.issued_at}": record.replayed,
        f"it was overwritten at {record.written_at}, after its day had begun": is_late
        and any(time < begins for time in times[:-2]),
        f"it was written at {record.written_at}, after its day had begun": is_late,
        f"it was issued at {times[0]}, before the freeze at {frozen_at}: the clock went back": min(times) < frozen_at,
        "a later time is that of an earlier version: the clock went back": times != sorted(times),
    }


def _scores(tables: Mapping[date, pa.Table], history: CityHistory, experiment: Experiment) -> dict[str, Any]:
    """Return values, with the ends of their intervals, by method and score: the frozen scores, and gains over references.

    A reference that was not forecast on each day has none.
    """
    scored = scored_days(tables, history, CANDIDATE_COLUMN)
    if scored is None:
        return {}
    counts = count_rows(scored_counts(tables, history))
    rows = all_rows(scored, [name for name in experiment.references if name in scored.column_names])
    rows |= {(COUNTS, ALL, name, f"{COUNTS}: {score}"): row for (_, _, name, score), row in counts.items()}
    shown = (*experiment.scores, gain_name(""))
    return {
        method: {
            score: {end: value for end, value in row._asdict().items() if value is not None}
            for (_, _, name, score), row in rows.items()
            if name == method and score.startswith(shown)
        }
        for method in (SERVED, YEAR, *experiment.references)
    }
