"""Sensor that sends notices of failed runs and gates, late cities and unusable files.

It polls for problems, because the cursor of a run-failure sensor moves on even if a receiver refuses the notice.
"""

import json
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import PurePosixPath
from typing import Any, Final

import dagster as dg

from shotspotter_assets.automation.notifications import Message
from shotspotter_assets.cities import local_time
from shotspotter_assets.city_files import Cities, unusable_files
from shotspotter_assets.defs.partitions import PARTITION, RANGE_END, RANGE_START
from shotspotter_assets.defs.resources import NoticesResource, Store, StoreResource
from shotspotter_assets.settings import Settings
from shotspotter_assets.storage.catalogue import Asset
from shotspotter_assets.storage.store_format import FormatError

GATES: Final = (
    "forecast_beats_best_baseline",
    "rolling_gate",
    "level",
    "forecasts_are_as_sealed",
)  # checks whose failure is sent
FIRST_POLL: Final = timedelta(days=1)  # age of the oldest problems that the first notices report
OVERLAP: Final = timedelta(minutes=5)  # of polls: events are stored a little late; each problem is sent once
MAX_RUNS: Final = 200  # maximum number of finished runs in one poll


def definitions(settings: Settings) -> dg.Definitions:
    """Build the sensor; an unusable city file starts it too."""
    cities = settings.cities
    is_on = any(city.is_automated for city in cities.values()) or unusable_files(cities)

    @dg.sensor(
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING if is_on else dg.DefaultSensorStatus.STOPPED,
        description="Sends failed runs, late cities, failed checks and unusable files to chats and mailboxes.",
    )
    def notices(
        context: dg.SensorEvaluationContext, store: StoreResource, notices_to: NoticesResource
    ) -> dg.SensorResult:
        """Send each problem once a day; a channel that fails gets its notices again."""
        notifier = notices_to.open()
        if notifier is None:
            why = "No receiver: set SHOTSPOTTER_NOTIFY_URLS for notices of problems."
            return dg.SensorResult(skip_reason=why)
        try:
            opened = store.open()
        except FormatError as error:
            return dg.SensorResult(skip_reason=str(error), cursor=context.cursor)
        now = local_time.now()
        cursor: dict[str, Any] = json.loads(context.cursor or "{}")
        since = datetime.fromisoformat(cursor["since"]) if "since" in cursor else now - FIRST_POLL
        messages = [
            *_failed_runs(context.instance, since, notices_to),
            *_failed_gates(context.instance, since, notices_to),
            *_city_problems(cities, opened),
        ]
        for name, problem in unusable_files(cities).items():
            more = "" if name in cities else " (The city stands still until it is corrected and the code reloaded.)"
            messages.append(Message("wrong city file", name, f"{problem}{more}"))
        outcome = notifier.send(messages, cursor.get("sent", {}), now, partial(_seals, cities, opened))
        for channel, reason in outcome.failures.items():
            context.log.error(f"Notices could not be sent by {channel}, and are due again: {reason}")
        sent = "; ".join(f"{channel}: {', '.join(keys)}" for channel, keys in outcome.sent.items())
        failed = "; ".join(f"not sent by {channel}: {reason}" for channel, reason in outcome.failures.items())
        # Failed runs are looked for again until all of them were sent.
        since = now - OVERLAP if outcome.is_complete and not outcome.failures else since
        return dg.SensorResult(
            skip_reason=". ".join(filter(None, [f"Sent {sent}" if sent else "No new problem", failed])) + ".",
            cursor=json.dumps({"sent": outcome.state, "since": since.isoformat()}),
        )

    return dg.Definitions(sensors=[notices])


def _failed_runs(instance: dg.DagsterInstance, since: datetime, to: NoticesResource) -> Iterator[Message]:
    for run in _finished(instance, since, dg.DagsterRunStatus.FAILURE):
        if run.tags.get("dagster/will_retry") == "true":
            continue
        step, error = _failure(instance, run.run_id)
        assets = ", ".join(sorted(key.to_user_string() for key in run.asset_selection or ())) or run.job_name
        subject = f"{assets} for {partition}" if (partition := _partition(run)) else assets
        where = f"Step {step} failed" if step else "The run failed"
        yield Message("run failure", subject, f"{where}: {error}", to.run_url(run.run_id))


def _failed_gates(instance: dg.DagsterInstance, since: datetime, to: NoticesResource) -> Iterator[Message]:
    for run in _finished(instance, since, dg.DagsterRunStatus.SUCCESS):
        selected = {key.name for key in run.asset_check_selection or ()}
        selected |= {key.path[-1] for key in run.asset_selection or ()}
        if selected and selected.isdisjoint({*GATES, Asset.FORECAST_SCORES, Asset.WALK_FORWARD_REPORTS}):
            continue  # a whole job selects nothing
        for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION):
            check = entry.get_dagster_event().asset_check_evaluation_data
            if check.check_name in GATES and not check.passed:
                subject = ", ".join(filter(None, [check.asset_key.path[0], _partition(run), check.check_name]))
                yield Message("failed check", subject, check.description or "", to.run_url(run.run_id))


def _city_problems(cities: Cities, store: Store) -> Iterator[Message]:
    """Yield a message for each late city, for days held back, models that wait for approval, and unusable files."""
    from shotspotter_assets.alerts.days.city_now import lateness, usable_days
    from shotspotter_assets.alerts.days.day_table import DayTable
    from shotspotter_assets.alerts.sources.landing.received import read_received, unusable_files
    from shotspotter_assets.forecasts.approval import waiting_models

    for city in (city for city in cities.values() if city.is_automated):
        late = lateness(store, city)
        if not late.passed:
            yield Message("late city", city.name, late.message)
        held_back = usable_days(DayTable.read(store, city.name))
        if not held_back.passed:
            yield Message("days held back", city.name, held_back.message)
        for waiting in waiting_models(store, city, date.max):
            yield Message("models wait for approval", f"{city.name}, {waiting.models.version}", waiting.text)
        if "landed" in city.arrivals:
            for path, why in unusable_files(read_received(store, city.name), city.site).items():
                # The reason names the remedy: a file may be damaged, of another place, or read with wrong settings.
                yield Message("unusable file", f"{city.name}, {PurePosixPath(path).name}", why)


def _seals(cities: Cities, store: Store) -> str:
    """Return the heads of the sealed forecasts of all automated cities, a line each, for receivers to keep."""
    from shotspotter_assets.forecasts.seals import heads_in_words

    return "\n".join(line for city in cities.values() if city.is_automated for line in heads_in_words(store, city))


def _finished(instance: dg.DagsterInstance, since: datetime, status: dg.DagsterRunStatus) -> list[dg.DagsterRun]:
    wanted = dg.RunsFilter(statuses=[status], updated_after=since)
    return [record.dagster_run for record in reversed(instance.get_run_records(wanted, limit=MAX_RUNS))]


def _failure(instance: dg.DagsterInstance, run_id: str) -> tuple[str | None, str]:
    """Return the first failed step, None if the run failed outside of steps, and the innermost error."""
    kinds = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE}
    events = [entry.get_dagster_event() for entry in instance.all_logs(run_id, of_type=kinds)]
    for event in events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            while error is not None and error.cause is not None:
                error = error.cause
            return event.step_key, error.message.strip() if error else event.message or ""
    return None, (events and events[0].message) or "its process ended without a message"


def _partition(run: dg.DagsterRun) -> str | None:
    first = run.tags.get(RANGE_START)
    last = run.tags.get(RANGE_END)
    if first is None or last is None:
        return run.tags.get(PARTITION)
    return first if first == last else f"{first} to {last}"
