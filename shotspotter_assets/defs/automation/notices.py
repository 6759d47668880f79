"""The sensor that tells someone what went wrong: failed runs and checks, late cities, files that cannot be read.

It looks for problems itself rather than being a run failure sensor, because Dagster moves the cursor of such a one on
even if it failed: what a webhook did not take would be lost.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from shotspotter_assets.cities.registry import Cities, unusable_files
from shotspotter_assets.defs.automation.automated_cities import sensor_status
from shotspotter_assets.defs.automation.under_way import WILL_RETRY
from shotspotter_assets.defs.resources import NoticesResource, StoreResource
from shotspotter_assets.defs.run_summary import failure_cause
from shotspotter_assets.notifications.messages import (
    Message,
    corrupt_file,
    drift,
    failed_gate,
    folder_without_files,
    late_city,
    run_failure,
    wrong_city_file,
)
from shotspotter_assets.partitions import key_of, parse_key, parse_range_tags
from shotspotter_assets.settings import Settings
from shotspotter_assets.sources.registry import arrivals

if TYPE_CHECKING:
    from shotspotter_assets.dagster_patches.check_history import Evaluation
    from shotspotter_assets.storage.store import Store

LATE_CITIES: Final = dg.AssetCheckKey(dg.AssetKey("raw_alerts"), "late_cities")
REPORT_GATE: Final = dg.AssetCheckKey(dg.AssetKey("walk_forward_reports"), "forecast_beats_best_baseline")
ROLLING_GATE: Final = dg.AssetCheckKey(dg.AssetKey("forecast_scores"), "rolling_gate")

LEVEL_IS_OFF: Final = "Forecast and observed alerts of the last weeks differ by more than the gate allows."

FIRST_LOOK: Final = timedelta(days=1)
"""What happened before is no news when notices are switched on."""
OVERLAP: Final = timedelta(minutes=5)
"""Events are stored a little after their time; what is seen twice is told once."""

MAX_RUNS: Final = 200
MAX_EVALUATIONS: Final = 200
"""Failed runs, and evaluations of one check, that one look is at."""


def definitions(settings: Settings) -> dg.Definitions:
    """The sensor."""
    sensor = dg.sensor(
        minimum_interval_seconds=30,
        default_status=sensor_status(settings.cities),
        description="Tells of failed runs, late cities, failed gates, drift and unusable files by webhook and e-mail.",
    )
    return dg.Definitions(sensors=[sensor(notices)])


def notices(
    context: dg.SensorEvaluationContext,
    cities: dg.ResourceParam[Cities],
    store: StoreResource,
    notices_to: NoticesResource,
) -> dg.SensorResult:
    """Tells of failed runs, late cities, failed gates, drift and unusable files by webhook and e-mail, once a day each.

    The cursor holds what was sent and since when to look; a channel that did not take its notices gets them again.
    """
    notifier = notices_to.open()
    if notifier is None:
        nobody = "Nobody is told of problems: set SHOTSPOTTER_WEBHOOK_URL or SHOTSPOTTER_SMTP_URL."
        return dg.SensorResult(skip_reason=nobody)
    now = datetime.now(UTC)
    cursor: dict[str, Any] = json.loads(context.cursor or "{}")
    since = datetime.fromisoformat(cursor["since"]) if "since" in cursor else now - FIRST_LOOK
    messages = [
        *_failed_runs(context.instance, since, notices_to),
        *_late_cities(context.instance, cities, since, notices_to),
        *_failed_gates(context.instance, since, notices_to),
        *_failed_scores(context.instance, since, store.open(), notices_to),
        *_unreadable_files(cities, store.open()),
        *(wrong_city_file(name, file.problem) for name, file in unusable_files(cities).items()),
    ]
    outcome = notifier.send(messages, cursor.get("sent", {}), now)
    for channel, reason in outcome.failures.items():
        context.log.error(f"Notices could not be sent by {channel}, and are due again: {reason}")
    sent = "; ".join(f"{channel}: {', '.join(keys)}" for channel, keys in outcome.sent.items())
    failed = "; ".join(f"not sent by {channel}: {reason}" for channel, reason in outcome.failures.items())
    return dg.SensorResult(
        skip_reason=". ".join(filter(None, [f"Told {sent}" if sent else "Nothing new to tell", failed])) + ".",
        cursor=json.dumps({"sent": outcome.state, "since": (since if outcome.failures else now - OVERLAP).isoformat()}),
    )


def _failed_runs(instance: dg.DagsterInstance, since: datetime, to: NoticesResource) -> Iterator[Message]:
    """All but those that Dagster starts again itself."""
    wanted = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=since)
    for record in reversed(instance.get_run_records(wanted, limit=MAX_RUNS)):
        run = record.dagster_run
        if run.tags.get(WILL_RETRY) != "true":
            step, error = _failure(instance, run.run_id)
            assets = ", ".join(sorted(key.to_user_string() for key in run.asset_selection or ()))
            yield run_failure(assets or run.job_name, _partition(run), step, error, to.run_url(run.run_id))


def _failure(instance: dg.DagsterInstance, run_id: str) -> tuple[str | None, str]:
    """The first step that failed and its innermost error; no step for a run that failed outside of one."""
    kinds = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE}
    events = [entry.get_dagster_event() for entry in instance.all_logs(run_id, of_type=kinds)]
    for event in events:
        if event.is_step_failure:
            return event.step_key, failure_cause(event)
    return None, (events and events[0].message) or "its process ended without a word"


def _late_cities(
    instance: dg.DagsterInstance, cities: Cities, since: datetime, to: NoticesResource
) -> Iterator[Message]:
    from shotspotter_assets.calendar.local_time import day_start
    from shotspotter_assets.dagster_patches.check_history import evaluations

    for evaluation in evaluations(instance, LATE_CITIES, since, MAX_EVALUATIONS)[:1]:  # each one is of all cities
        for name, silent_days in _numbers(evaluation.result, "days_late_").items():
            if not evaluation.result.passed and name in cities:
                zone = cities[name].zone
                last = evaluation.at.astimezone(zone).date() - timedelta(days=1 + int(silent_days))
                due = day_start(last + timedelta(days=2), zone).astimezone(zone)
                yield late_city(name, last, due, to.run_url(evaluation.run_id))


def _failed_gates(instance: dg.DagsterInstance, since: datetime, to: NoticesResource) -> Iterator[Message]:
    """Forecasts that were not shown to be better than the best baseline, so that this one is served."""
    for failed in _newly_failed_partitions(instance, REPORT_GATE, since):
        served, reason = str(failed.result.metadata["served"].value), failed.result.description or ""
        yield failed_gate(str(failed.partition), failed.at.date(), served, reason, to.run_url(failed.run_id))


def _failed_scores(
    instance: dg.DagsterInstance, since: datetime, store: "Store", to: NoticesResource
) -> Iterator[Message]:
    """Issued forecasts that no longer hold, and alerts that have drifted."""
    from shotspotter_assets.serving.forecast_scores import ScoreRecord

    for failed in _newly_failed_partitions(instance, ROLLING_GATE, since):
        city, day = parse_key(str(failed.partition))
        scores, url = ScoreRecord.load(store, city, day), to.run_url(failed.run_id)
        gate = scores.rolling_gate
        if gate is not None and not gate.passed:
            yield failed_gate(city, day, "", " ".join(gate.reasons), url)
        reasons = [*scores.drift.reasons, *([LEVEL_IS_OFF] if scores.level_is_off else [])]
        if reasons:
            yield drift(city, day, reasons, url)


def _unreadable_files(cities: Cities, store: "Store") -> Iterator[Message]:
    from shotspotter_assets.sources.seen import read_unreadable

    for city in cities.values():
        if "landed" in arrivals(city):
            for path, file in sorted(read_unreadable(store, city.name).items()):
                name = PurePosixPath(path).name
                yield (folder_without_files if file.is_folder else corrupt_file)(city.name, name, file.error)


def _newly_failed_partitions(
    instance: dg.DagsterInstance, key: dg.AssetCheckKey, since: datetime
) -> "list[Evaluation]":
    """The newest evaluation of each partition where it failed."""
    from shotspotter_assets.dagster_patches.check_history import evaluations

    newest: dict[str | None, Evaluation] = {}
    for evaluation in evaluations(instance, key, since, MAX_EVALUATIONS):
        newest.setdefault(evaluation.partition, evaluation)
    return [evaluation for evaluation in newest.values() if not evaluation.result.passed]


def _numbers(evaluation: dg.AssetCheckEvaluation, prefix: str) -> dict[str, float]:
    """The numbers of an evaluation's metadata whose names begin with the prefix, without it."""
    return {
        name.removeprefix(prefix): float(entry.value)
        for name, entry in evaluation.metadata.items()
        if name.startswith(prefix) and isinstance(entry.value, int | float)
    }


def _partition(run: dg.DagsterRun) -> str | None:
    named = parse_range_tags(run.tags)
    if named is None:
        return run.tags.get("dagster/partition")
    city, first, last = named
    return key_of(city, first) if first == last else f"{key_of(city, first)} to {key_of(city, last)}"
