"""Sensors that watch the landing folders and poll the live sources, and request runs of the days that changed.

A day is due while its rows at the source differ from those stored, so a request that was lost is repeated, and a request
for the same rows has the same run key. The newest day is one run of the whole daily chain; all other days are one run of
the alert assets for each stretch without a gap.
"""

import json
from collections.abc import Iterator, Mapping, Sequence, Set
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final

import dagster as dg

from shotspotter_assets.cities.city import City
from shotspotter_assets.defs.alerts.raw_alerts import late_evaluation, unreadable_evaluation
from shotspotter_assets.defs.automation.automated import (
    BACKLOG_PRIORITY,
    NEWEST_DAY_PRIORITY,
    PRIORITY_TAG,
    UNDER_WAY,
)
from shotspotter_assets.defs.automation.conditions import CHAIN_TAGS
from shotspotter_assets.defs.city_assets import ALERT_ASSETS, daily_chain
from shotspotter_assets.defs.resources import SourcesResource, StoreResource
from shotspotter_assets.partitions import LOOK_BACK_DAYS, asset_key, contiguous, range_tags
from shotspotter_assets.settings import Settings
from shotspotter_assets.sources.registry import Arrival, arrivals
from shotspotter_assets.storage.file_names import GRID_FILE, RECORD_FILE

if TYPE_CHECKING:
    from shotspotter_assets.sources.polls import Poll
    from shotspotter_assets.storage.store import Store

LANDING_SECONDS: Final = 10

NOT_AUTOMATED: Final = "The city is not automated; write `automation: recent` in its file."

LATENESS_PERIOD_S: Final = 3600
"""Seconds between two evaluations of a city's `alerts_are_on_time`."""

MAX_GAP_DAYS: Final = 366
"""`automation: recent` fills the gap since the newest stored day if it is no longer than this."""

MAX_NAMED: Final = 5
"""Unreadable files that a tick names; the check names all."""

CITY_TAG: Final = "shotspotter/city"
REQUEST_TAG: Final = "shotspotter/request"
"""Tag of a requested run: the days and a hash of their rows."""

WAITS: Final = tuple(timedelta(minutes=wait) for wait in (1, 10, 60, 360, 1440))
"""A failed run is requested again after each of these: a source that is away for hours must not leave a hole."""


def definitions(settings: Settings) -> dg.Definitions:
    """For each city a sensor for its landing folders, and one for its live sources."""
    return dg.Definitions(
        sensors=[
            _sensor(city, arrival, settings.poll_seconds)
            for city in settings.cities.values()
            for arrival in sorted(arrivals(city) & {"landed", "polled"})
        ]
    )


def _sensor(city: City, arrival: Arrival, poll_seconds: int) -> dg.SensorDefinition:
    name, seconds, description = {
        "landed": ("landing", LANDING_SECONDS, "Requests the days of files that were landed or replaced."),
        "polled": ("polling", poll_seconds, "Asks the live source for new and corrected days."),
    }[arrival]

    @dg.sensor(
        name=f"{city.name}_{name}",
        target=daily_chain(city),
        minimum_interval_seconds=seconds,
        default_status=dg.DefaultSensorStatus.RUNNING if city.is_automated else dg.DefaultSensorStatus.STOPPED,
        description=description,
    )
    def sensor(context: dg.SensorEvaluationContext, store: StoreResource, sources: SourcesResource) -> dg.SensorResult:
        return Tick(context, city, arrival, store.open()).result(sources)

    return sensor


class Tick:
    """One evaluation of a sensor.

    The cursor holds `files`, the file versions at which the city's stored days equalled its files, and what was last
    reported of its unreadable files and its lateness.
    """

    def __init__(self, context: dg.SensorEvaluationContext, city: City, arrival: Arrival, store: "Store") -> None:
        self._instance, self._city, self._arrival, self._store = context.instance, city, arrival, store
        kept = json.loads(context.cursor or "{}")
        self._files: dict[str, str] = kept.get("files", {})
        self._unreadable: dict[str, str] = kept.get("unreadable", {})
        self._evaluated_at: float = kept.get("evaluated_at", 0.0)
        self._cursor, self._note = context.cursor, ""
        self._waits = False
        """True if a run is requested or to be requested again, so that the files have to be compared once more."""

    def result(self, sources: SourcesResource) -> dg.SensorResult:
        """Poll the city's source and request runs of the days that are due."""
        from shotspotter_assets.sources.polls import poll

        if not self._city.is_automated:
            return dg.SensorResult(skip_reason=NOT_AUTOMATED, cursor=self._cursor)
        if _is_under_way(self._instance, self._city):
            return dg.SensorResult(skip_reason="Waits for a run of the city's alerts.", cursor=self._cursor)
        found = poll(self._city, self._arrival, sources.access, self._files, self._store)
        requests = list(self._wanted(found))
        in_transfer = f" Left alone until transferred: {', '.join(found.in_transfer)}." if found.in_transfer else ""
        left_out = [f" {path} is left out until replaced: {file.error}" for path, file in found.unreadable.items()]
        more = f" {len(left_out) - MAX_NAMED} more files are left out." if len(left_out) > MAX_NAMED else ""
        unreadable = "".join(left_out[:MAX_NAMED]) + more
        events = self._events(found)
        cursor = {
            "files": self._files if found.days or self._waits else dict(found.files),
            "unreadable": self._unreadable,
            "evaluated_at": self._evaluated_at,
        }
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else f"{self._note or 'Nothing new.'}{in_transfer}{unreadable}",
            cursor=json.dumps(cursor),
            asset_events=events,
        )

    def _wanted(self, found: "Poll") -> Iterator[dg.RunRequest]:
        """The runs that the city's due days need."""
        city = self._city
        days = dict(found.days)
        stored = self._store.days_present("grid_tensors", city.name, GRID_FILE)
        if self._arrival == "polled" and city.automation == "recent":
            first = _first_recent(city, stored)
            if any(day < first and day not in stored for day in days):
                days = {day: version for day, version in days.items() if day >= first or day in stored}
                self._note = (
                    f"Days before {first} were never built (automation: recent). For all of its history, write `automation: "
                    "history` in the city's file, or materialize raw_alerts, cleaned_alerts and grid_tensors."
                )
        newest = found.newest
        if newest is not None and city.end is None and (datetime.now(UTC).date() - newest).days > MAX_GAP_DAYS:
            self._note = (
                f"The newest day is {newest}. If the service has ended, write `end: {newest}` in the city's file: with "
                "`automation: recent`, folds of the year before it are trained then."
            )
        if newest is not None and self._is_chain_due(newest, days, stored):
            version = days.pop(newest, "first forecast")
            tags = {PRIORITY_TAG: NEWEST_DAY_PRIORITY, **CHAIN_TAGS}
            yield from self._request([newest], [version], daily_chain(city), tags)
        for stretch in reversed(contiguous(days)):
            assets = [asset_key(city, name) for name in ALERT_ASSETS]
            tags = {PRIORITY_TAG: BACKLOG_PRIORITY, **(range_tags(stretch[0], stretch[-1]) if len(stretch) > 1 else {})}
            yield from self._request(stretch, [days[day] for day in stretch], assets, tags)

    def _is_chain_due(self, newest: date, days: Mapping[date, str], stored: Set[date]) -> bool:
        """True if the newest day changed or was never forecast; a backlog before it is built first."""
        before = newest - timedelta(days=1)
        if newest > self._city.start and (before not in stored or before in days):
            return False
        if newest in days:
            return True
        forecasts = self._store.days_present("risk_forecasts", self._city.name, RECORD_FILE)
        return newest in stored and newest not in forecasts

    def _request(
        self,
        days: Sequence[date],
        versions: Sequence[str],
        assets: Sequence[dg.AssetKey],
        tags: Mapping[str, str],
    ) -> Iterator[dg.RunRequest]:
        """One run of the days, unless it ran already; a failed one is requested again after each of `WAITS`."""
        from shotspotter_assets.storage.fingerprints import sha256

        request = f"{self._city.name} {days[0]}...{days[-1]} {sha256(*versions)[:16]}"
        records = self._instance.get_run_records(dg.RunsFilter(tags={REQUEST_TAG: request}))
        if records and records[0].dagster_run.status is dg.DagsterRunStatus.FAILURE:
            attempts = sum(record.dagster_run.status is dg.DagsterRunStatus.FAILURE for record in records)
            ended = datetime.fromtimestamp(records[0].end_time or 0, UTC)
            self._waits = attempts <= len(WAITS)
            if not self._waits or datetime.now(UTC) < ended + WAITS[attempts - 1]:
                return
        elif records and records[0].dagster_run.run_id == _latest_run(self._instance, self._city):
            return  # the same rows again: only after another run of the city can they be due once more
        self._waits = True
        yield dg.RunRequest(
            run_key=f"{request} {len(records)}",  # rows that come back after a correction run again
            partition_key=str(days[0]) if len(days) == 1 else None,
            asset_selection=assets,
            tags={**tags, CITY_TAG: self._city.name, REQUEST_TAG: request},
        )

    def _events(self, found: "Poll") -> list[dg.AssetCheckEvaluation]:
        """Outcomes of checks that no run reports: files that cannot be read, and a source that is silent."""
        events = []
        unreadable = {path: file.version for path, file in sorted(found.unreadable.items())}
        if unreadable != self._unreadable:
            events.append(unreadable_evaluation(self._city, found.unreadable))
            self._unreadable = unreadable
        now = datetime.now(UTC).timestamp()
        if now - self._evaluated_at > LATENESS_PERIOD_S and self._city.end is None:
            events.append(late_evaluation(self._store, self._city))
            self._evaluated_at = now
        return events


def newest_day_request(city: City, day: date, source: str) -> dg.RunRequest:
    """One run of the daily chain of a day, without regard to what the source has."""
    return dg.RunRequest(
        run_key=f"{city.name} {day} {source}",
        partition_key=str(day),
        asset_selection=daily_chain(city),
        tags={PRIORITY_TAG: NEWEST_DAY_PRIORITY, CITY_TAG: city.name, **CHAIN_TAGS},
    )


def _is_under_way(instance: dg.DagsterInstance, city: City) -> bool:
    """True if a run of the city's alerts or live models has not ended: what it reads is not known, so the tick waits."""
    watched = {asset_key(city, name) for name in (*ALERT_ASSETS, "live_models")}
    runs = instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY))
    return any(watched & (run.asset_selection or set()) for run in runs)


def _latest_run(instance: dg.DagsterInstance, city: City) -> str | None:
    runs = instance.get_runs(dg.RunsFilter(tags={CITY_TAG: city.name}), limit=1)
    return runs[0].run_id if runs else None


def _first_recent(city: City, stored: Set[date]) -> date:
    """The first day that `automation: recent` builds although it never was: the last fortnight, or since the newest one."""
    newest = max(stored, default=date.min)
    yesterday = datetime.now(UTC).astimezone(city.zone).date() - timedelta(days=1)
    fortnight = yesterday - timedelta(days=LOOK_BACK_DAYS - 1)
    return min(fortnight, newest + timedelta(days=1)) if (yesterday - newest).days <= MAX_GAP_DAYS else fortnight
