"""Named jobs, tags and config of due runs, the runs under way, and those that are lost.

Lost runs ended without a message, as in a power cut, and would keep their place in the queue.
"""

import json
import os
import socket
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import takewhile
from typing import Any, Final, NamedTuple

import dagster as dg

from shotspotter_assets.automation.under_way import DueRun, RunUnderWay
from shotspotter_assets.cities.city import City
from shotspotter_assets.defs.partitions import PARTITION, RANGE_END, RANGE_START, asset_key, range_tags
from shotspotter_assets.storage.catalogue import ALERTS, PRODUCTS, SCORES, Asset
from shotspotter_assets.storage.stored_file import Partitions
from shotspotter_assets.storage.wording import number_of

CITY_TAG: Final = "shotspotter/city"
TARGET_TAG: Final = "shotspotter/target"  # city, first asset and days
VERSION_TAG: Final = "shotspotter/version"  # hash of the inputs
REPLACES_TAG: Final = "shotspotter/replaces"  # version of the stored partitions
CODE_SERVER_TAG: Final = ".dagster/grpc_info"  # address of the server that started a run; it takes cancellations
PROCESS_TAG: Final = "shotspotter/process"  # address on which the process of a command's run listens, and its machine
LOST: Final = "The process of this run ended, and the run with it."
REASON_TAG: Final = "shotspotter/reason"
PRIORITY_TAG: Final = "dagster/priority"
LONG_TAG: Final = "shotspotter/long"  # of runs that `dagster.yaml` limits, so that a place is free for the newest day
SIMULATED_TAG: Final = "shotspotter/simulated"  # of simulated cities' runs, of which `dagster.yaml` allows one
BACKFILL_TAG: Final = "dagster/backfill"  # of a person's runs, which `dagster.yaml` limits too
NICENESS: Final = 10  # of processes that give way: about a tenth of the share of another one
WAITING: Final = {dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING}
WAITS: Final = tuple(timedelta(minutes=wait) for wait in (1, 10, 60, 360, 1440))
"""A failed run is requested again after each of these: a source that is away for hours must not leave a hole."""
ACTIVE: Final = [dg.DagsterRunStatus[name] for name in ("QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING")]


class Job(NamedTuple):
    """Assets of one kind of partitions that people launch together under a name."""

    assets: tuple[Asset, ...]
    description: str
    is_long: bool = False


CHAIN: Final = "chain"
JOBS: Final = {
    "pages": Job(
        (Asset.WALK_FORWARD_REPORTS, Asset.BURDEN_AUDITS, Asset.CITY_PAGES), "Report of all folds, audit and pages."
    ),
    "training": Job((Asset.LIVE_MODELS,), "Live models, trained on the days so far.", is_long=True),
    "daily": Job((*PRODUCTS, *SCORES), "Forecasts, plans and scores of days."),
    "days": Job(ALERTS, "Alerts and grids of days."),
    "folds": Job((Asset.FOLD_MODELS,), "Models of walk-forward folds.", is_long=True),
    "reports": Job((Asset.EVALUATION_REPORTS,), "Reports of folds whose test window is over.", is_long=True),
    "outcomes": Job((Asset.ALERT_OUTCOMES,), "Outcomes of the alerts of days."),
    "patrols": Job((Asset.PATROLS_MADE,), "Patrols made on days."),
    "years": Job((Asset.ANNUAL_REPORTS,), "Annual reports.", is_long=True),
    CHAIN: Job((Asset.CITY_PAGES,), "The newest day from alerts to pages, as its sensor requests it; else the pages."),
}
"""A city's jobs by the end of their names. A run has the first job with all of its partitions, or the chain.

A job is of one kind of partitions, and a run may select others beside it only if the job has none, as the chain.
"""


def city_jobs(city: City) -> list[Any]:
    """Return the jobs of a city, without those whose section its file lacks."""
    return [
        dg.define_asset_job(
            f"{city.name}_{name}",
            [asset_key(city, asset) for asset in job.assets if city.has(asset)],
            description=job.description,
            tags={CITY_TAG: city.name} | limit_tags(city, is_long=job.is_long),
        )
        for name, job in JOBS.items()
        if any(map(city.has, job.assets))
    ]


def job_name(city: str, assets: Sequence[Asset]) -> str:
    """Return the name of the job of a run."""
    dated = {asset for asset in assets if asset.spec.partitions is not Partitions.NONE}
    return f"{city}_{next((name for name, job in JOBS.items() if dated <= {*job.assets}), CHAIN)}"


def runs_under_way(instance: dg.DagsterInstance, city: City) -> list[RunUnderWay]:
    """Return the city's runs that have not ended. One of a command that was killed has ended, whatever its status says."""
    runs = instance.get_runs(dg.RunsFilter(statuses=ACTIVE))
    described = [_described(run, city.name) for run in runs if not (PROCESS_TAG in run.tags and _is_lost(run.tags))]
    return [run for run in described if run.assets]


def fail_lost_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark active runs without their process, and runs that nobody queued, as failed; return their ids."""
    lost = [run for run in instance.get_runs(dg.RunsFilter(statuses=ACTIVE)) if _is_lost(run.tags)]
    # A sensor queues the runs that it has made, unless it is stopped in between for longer than Dagster resumes its tick.
    yesterday = datetime.now(UTC) - timedelta(days=1)
    unqueued = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.NOT_STARTED], created_before=yesterday))
    lost += [run for run in unqueued if run not in lost]
    for run in lost:
        instance.report_run_failed(run, LOST)
    return [run.run_id for run in lost]


def process_address(server: socket.socket) -> str:
    """Return the value of `PROCESS_TAG` for a process that listens on a loopback socket."""
    host, port = server.getsockname()
    return json.dumps({"host": host, "port": port, "machine": socket.gethostname()})


def _is_lost(tags: Mapping[str, str]) -> bool:
    """Return True if the tags of a run name a process that has ended; unknown for another machine's command."""
    address = json.loads(tags.get(CODE_SERVER_TAG) or tags.get(PROCESS_TAG) or "{}")
    is_here = address.get("machine", socket.gethostname()) == socket.gethostname()
    return bool(address) and is_here and not _listens(address)


def _listens(address: Mapping[str, Any]) -> bool:
    try:
        if path := address.get("socket"):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(path)
        else:
            socket.create_connection((address["host"], address["port"]), timeout=5).close()
    except OSError:
        return False
    return True


def target_of(city: City, run: DueRun) -> str:
    """Return the tag that requests for the same assets and days of a city share."""
    first, last = run.days or ("", "")
    return f"{city.name} {run.assets[0]} {first}...{last}"


def last_runs(instance: dg.DagsterInstance, city: City, run: DueRun) -> Sequence[dg.RunRecord]:
    """Return the last requested runs of the same assets and days, the newest first."""
    return instance.get_run_records(dg.RunsFilter(tags={TARGET_TAG: target_of(city, run)}), limit=len(WAITS) + 1)


def why_not_again(city: City, run: DueRun, records: Sequence[dg.RunRecord], now: datetime) -> str:
    """Return why a run is not requested now although it is due; "" if it may be.

    One that has just failed, or has built nothing new, is tried again less and less often. `records` are `last_runs`.
    """
    versions = {VERSION_TAG: run.version, REPLACES_TAG: run.replaces}
    tried = list(takewhile(lambda record: versions.items() <= record.dagster_run.tags.items(), records))
    if not tried:
        return ""
    ended = f"{run.why} Its run ended as {tried[0].dagster_run.status.value.lower()}"
    if len(tried) > len(WAITS):
        return f"{ended} {number_of(len(tried), 'time')}; launch it by hand."
    again = datetime.fromtimestamp(tried[0].end_time or 0, UTC) + WAITS[len(tried) - 1]
    if now >= again:
        return ""
    return f"{ended}; it is tried again at {again.astimezone(city.zone):%H:%M}."


def retries(instance: dg.DagsterInstance, city: City, runs: Sequence[DueRun], now: datetime) -> list[str]:
    """Return why due runs that failed are not requested now."""
    texts = (why_not_again(city, run, last_runs(instance, city, run), now) for run in runs)
    return [text for text in texts if text]


def _described(run: dg.DagsterRun, city: str) -> RunUnderWay:
    assets = {key.path[-1] for key in run.asset_selection or () if key.path[0] == city}
    if not run.asset_selection and run.tags.get(CITY_TAG) == city:  # launched whole, from the job's page
        assets = {*JOBS[run.job_name.removeprefix(f"{city}_")].assets}
    has_started = run.status not in WAITING
    return RunUnderWay(frozenset(assets), _days(run.tags), run.tags.get(VERSION_TAG, ""), has_started)


def tags_of(city: City, run: DueRun) -> dict[str, str]:
    """Return the tags of a due run: its city, its days, and those by which it is limited."""
    days = {} if run.days is None else range_tags(*run.days)
    return {CITY_TAG: city.name} | days | limit_tags(city, is_long=run.is_long)


def limit_tags(city: City, *, is_long: bool) -> dict[str, str]:
    """Return the tags by which `dagster.yaml` limits a run; runs of simulated cities take no place of a long one."""
    if city.is_simulated:
        return {SIMULATED_TAG: "true"}
    return {LONG_TAG: "true"} if is_long else {}


def give_way(tags: Mapping[str, str]) -> None:
    """Lower the priority of a long run's process, or one of a backfill or a simulated city, so that no newest day is slowed."""
    if tags.keys() & {LONG_TAG, SIMULATED_TAG, BACKFILL_TAG}:
        os.setpriority(os.PRIO_PROCESS, 0, NICENESS)


def config_of(run: DueRun) -> Mapping[str, Mapping[str, Any]]:
    """Return the config of a due run by asset: only a run of the live models alone trains them."""
    return {Asset.LIVE_MODELS: {"train": False}} if Asset.LIVE_MODELS in run.assets and not run.is_training else {}


def _days(tags: Mapping[str, str]) -> tuple[date, date] | None:
    first = tags.get(RANGE_START) or tags.get(PARTITION)
    last = tags.get(RANGE_END) or first
    try:
        return (date.fromisoformat(first), date.fromisoformat(last)) if first and last else None
    except ValueError:  # partitions of another version of the project
        return None
