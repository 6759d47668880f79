"""The sensor of each city, which requests due runs and reports why others wait."""

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from shotspotter_assets.cities import local_time
from shotspotter_assets.cities.city import City
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.partitions import asset_key
from shotspotter_assets.defs.requested_runs import (
    PRIORITY_TAG,
    REASON_TAG,
    REPLACES_TAG,
    TARGET_TAG,
    VERSION_TAG,
    city_jobs,
    config_of,
    job_name,
    last_runs,
    retries,
    runs_under_way,
    tags_of,
    target_of,
    why_not_again,
)
from shotspotter_assets.defs.resources import SourcesResource, Store, StoreResource
from shotspotter_assets.settings import Settings
from shotspotter_assets.storage.catalogue import Asset
from shotspotter_assets.storage.store_format import FormatError

if TYPE_CHECKING:
    from shotspotter_assets.alerts.checks.finding import Finding
    from shotspotter_assets.alerts.sources.snapshot import Snapshot
    from shotspotter_assets.automation.due import Due
    from shotspotter_assets.automation.under_way import DueRun

TICK_SECONDS: Final = 10  # seconds between two ticks of a city
POLLED_TICK_SECONDS: Final = 60  # seconds between two ticks of a city that has only polled sources
MAX_SECONDS: Final = 30.0  # maximum time of a tick before files are left for the next one: Dagster ends a tick of 60 s
MAX_TABLE_SECONDS: Final = 5.0  # maximum time for the files of a side table in a tick
LATENESS_PERIOD_S: Final = 3600  # seconds between two evaluations of a city's `alerts_are_on_time`
MAX_SHOWN: Final = 8  # sentences that a tick shows; the checks name all files
MAX_REASON: Final = 250  # characters of a reason in a tag
NOT_AUTOMATED: Final = "The city is not automated; write `automation: recent` in its file."


def definitions(settings: Settings) -> dg.Definitions:
    """Build the sensor of each city."""
    return dg.Definitions(sensors=[_sensor(city, settings.poll_seconds) for city in settings.cities.values()])


def _sensor(city: City, poll_seconds: int) -> dg.SensorDefinition:
    """Build the sensor of a city."""

    @dg.sensor(
        name=f"{city.name}_automation",
        jobs=city_jobs(city),
        minimum_interval_seconds=POLLED_TICK_SECONDS if city.arrivals == {"polled"} else TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING if city.is_automated else dg.DefaultSensorStatus.STOPPED,
        description="Compares what is stored with what the sources hold, and requests the runs that are due.",
    )
    def sensor(context: dg.SensorEvaluationContext, store: StoreResource, sources: SourcesResource) -> dg.SensorResult:
        """Request the runs that are due; skip a store in another format."""
        try:
            tick = _Tick(context, city, store.open(), poll_seconds)
        except FormatError as error:
            return dg.SensorResult(skip_reason=str(error), cursor=context.cursor)
        return tick.result(sources) if city.is_automated else tick.manual_result()

    return sensor


class _Tick:
    """One evaluation of a city's sensor; the cursor holds only what was last reported to the checks."""

    def __init__(self, context: dg.SensorEvaluationContext, city: City, store: Store, poll_seconds: int) -> None:
        self._instance = context.instance
        self._log = context.log
        self._city = city
        self._store = store
        self._poll_seconds = poll_seconds
        self._now = local_time.now()
        self._reported: dict[str, Any] = json.loads(context.cursor or "{}")
        self._waits: list[str] = []

    def manual_result(self) -> dg.SensorResult:
        """Show the stored days, and request no run."""
        from shotspotter_assets.alerts.days.city_now import stored_now
        from shotspotter_assets.alerts.days.day_table import DayTable
        from shotspotter_assets.pages.addresses import show_now

        table = DayTable.read(self._store, self._city.name)
        show_now(self._store, self._city, stored_now(self._city, table, self._now))
        return dg.SensorResult(skip_reason=NOT_AUTOMATED, cursor=json.dumps(self._reported))

    def result(self, sources: SourcesResource) -> dg.SensorResult:
        """Compare, and request the runs that are due."""
        from shotspotter_assets.automation.due import due
        from shotspotter_assets.automation.stored import Stored
        from shotspotter_assets.pages.addresses import show_now

        under_way = runs_under_way(self._instance, self._city)
        snapshot = sources.snapshot(
            self._city, self._store, self._now, poll_seconds=self._poll_seconds, max_seconds=MAX_SECONDS
        )
        sources.look_at_tables(
            self._city, self._store, self._now, poll_seconds=self._poll_seconds, max_seconds=MAX_TABLE_SECONDS
        )
        stored = Stored.read(self._store, self._city)
        work = due(self._city, snapshot, stored, under_way, self._now)
        failed = retries(self._instance, self._city, work.runs, self._now)
        requests = self._all_requests(work)
        for request in requests:
            self._log.info(f"{request.tags[TARGET_TAG]}: {request.tags[REASON_TAG]}")
        for run in work.waiting:
            self._log.info(run.waiting_text)
        show_now(self._store, self._city, work.now(stored, under_way, failed, self._now))
        sentences = [*(run.waiting_text for run in work.waiting), *self._waits, *work.waits]
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else _skip_reason(sentences),
            asset_events=list(self._events(snapshot)),
            cursor=json.dumps(self._reported),
        )

    def _all_requests(self, work: "Due") -> list[dg.RunRequest]:
        """Request the runs that can start: a stopgap only without another run, and at most one training."""
        requests: list[dg.RunRequest] = []
        for run in work.runs:
            # Days whose runs fail must not stop the forecasts.
            if not (run.is_stopgap and requests):
                requests += self._requests(run)
        models = [asset_key(self._city, Asset.LIVE_MODELS)]
        if any(request.asset_selection == models for request in requests):  # the next fold waits for it
            return requests
        training = (list(self._requests(run)) for run in work.training)
        return requests + next(filter(None, training), [])

    def _requests(self, run: "DueRun") -> Iterator[dg.RunRequest]:
        """Request a run; one that has just failed, or has built nothing new, is tried again less and less often."""
        target = target_of(self._city, run)
        records = last_runs(self._instance, self._city, run)
        if wait := why_not_again(self._city, run, records, self._now):
            self._waits.append(wait)
            return
        tags = tags_of(self._city, run) | {PRIORITY_TAG: str(run.priority)}
        config = {f"{self._city.name}__{asset}": {"config": values} for asset, values in config_of(run).items()}
        versions = {VERSION_TAG: run.version, REPLACES_TAG: run.replaces}
        yield dg.RunRequest(
            run_key=f"{target} {run.version} {run.replaces} {records[0].dagster_run.run_id if records else ''}",
            job_name=job_name(self._city.name, run.assets),
            run_config={"ops": config} if config else None,
            asset_selection=[asset_key(self._city, name) for name in run.assets],
            tags=tags | versions | {TARGET_TAG: target, REASON_TAG: run.why[:MAX_REASON]},
        )

    def _events(self, snapshot: "Snapshot") -> Iterator[dg.AssetCheckEvaluation]:
        """Yield outcomes of checks that no run reports: files that cannot be used, and a source that is silent."""
        from shotspotter_assets.alerts.days.city_now import lateness, readable_files

        folders = snapshot.folders_without_files if len(self._city.all_sources) > 1 else []
        unusable = {"files": dict(snapshot.unusable), "folders": folders}
        if unusable != self._reported.get("unusable", {"files": {}, "folders": []}):
            yield self._evaluation("files_are_readable", readable_files(snapshot.unusable, folders), "ERROR")
            self._reported["unusable"] = unusable
        now = self._now.timestamp()
        if now - self._reported.get("evaluated_at", 0.0) > LATENESS_PERIOD_S and self._city.end is None:
            yield self._evaluation("alerts_are_on_time", lateness(self._store, self._city))
            self._reported["evaluated_at"] = now

    def _evaluation(self, check: str, finding: "Finding", severity: str = "WARN") -> dg.AssetCheckEvaluation:
        """Return the outcome of a check of `raw_alerts`."""
        result = panel.check_result(finding, severity)
        return dg.AssetCheckEvaluation(
            asset_key=asset_key(self._city, Asset.RAW_ALERTS),
            check_name=check,
            passed=result.passed,
            metadata=result.metadata,
            severity=result.severity,
            description=result.description,
        )


def _skip_reason(sentences: Sequence[str]) -> str:
    """Return the text of a tick that requests no run: the first sentences on what waits."""
    if not sentences:
        return "Everything is built from what the sources hold."
    more = (
        f" And {len(sentences) - MAX_SHOWN} more: see the checks of raw_alerts." if len(sentences) > MAX_SHOWN else ""
    )
    return " ".join(sentences[:MAX_SHOWN]) + more
