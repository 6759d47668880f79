"""What became of the days, read from the instance's event log: when each was made, how often, and in which runs."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Final, NamedTuple

import dagster as dg

from shotspotter_assets.defs.automation.under_way import UNDER_WAY

DAILY_CHAIN: Final = ("raw_alerts", "cleaned_alerts", "grid_tensors")
LIVE_CHAIN: Final = ("live_models", "risk_forecasts", "patrol_plans", "forecast_scores")
PAGE: Final = 1_000


class Made(NamedTuple):
    """One materialisation of a partition."""

    at: float
    """Seconds since 1970."""
    run_id: str
    trained: bool
    """Whether a model was trained for it."""


Materializations = Mapping[tuple[str, str], list[Made]]
"""By (asset, partition key), the oldest first."""


class Phases(NamedTuple):
    """Seconds of one run."""

    queued: float
    """From being asked for to the launch of its process."""
    starting: float
    """From the launch to the first step: Python, Dagster and the definitions."""
    working: float
    """From the first step to the end."""


@dataclass(frozen=True)
class Runs:
    """All runs of an instance."""

    by_status: Mapping[str, int]
    phases: list[Phases]
    """Of those that ended well."""


def is_idle(instance: dg.DagsterInstance) -> bool:
    """Whether no run waits or works."""
    return not instance.get_run_records(dg.RunsFilter(statuses=UNDER_WAY), limit=1)


def materializations(instance: dg.DagsterInstance, assets: Iterable[str], keys: list[str] | None) -> Materializations:
    """All materialisations of the assets, or those of some partitions."""
    materialized: dict[tuple[str, str], list[Made]] = defaultdict(list)
    for asset in assets:
        cursor: str | None = None
        while True:
            wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=keys)
            page = instance.fetch_materializations(wanted, limit=PAGE, cursor=cursor, ascending=True)
            for record in page.records:
                event = record.asset_materialization
                if event is not None and event.partition is not None:
                    trained = event.metadata.get("trained")
                    made = Made(record.timestamp, record.run_id, bool(trained and trained.value))
                    materialized[asset, event.partition].append(made)
            if not page.has_more:
                break
            cursor = page.cursor
    return materialized


def runs_of(instance: dg.DagsterInstance) -> Runs:
    """Counts of the runs, and where their time went."""
    by_status: dict[str, int] = defaultdict(int)
    phases = []
    for record in instance.get_run_records():
        run = record.dagster_run
        by_status[run.status.value] += 1
        if run.status is not dg.DagsterRunStatus.SUCCESS:
            continue
        launched = _first(instance, run.run_id, dg.DagsterEventType.RUN_STARTING)
        first_step = _first(instance, run.run_id, dg.DagsterEventType.STEP_START)
        if launched is not None and first_step is not None and record.end_time is not None:
            asked = record.create_timestamp.timestamp()
            phases.append(Phases(launched - asked, first_step - launched, record.end_time - first_step))
    return Runs(dict(by_status), phases)


def typical(phases: list[Phases]) -> Phases:
    """The median of each phase."""
    return Phases(*(median(values) for values in zip(*phases, strict=True)))


def _first(instance: dg.DagsterInstance, run_id: str, kind: dg.DagsterEventType) -> float | None:
    events = instance.all_logs(run_id, of_type=kind)
    return min((entry.timestamp for entry in events), default=None)
