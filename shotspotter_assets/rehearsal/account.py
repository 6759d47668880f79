"""What became of the days, read from the instance's event log: when each was made, how often, and in which runs."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from statistics import median
from typing import Final, NamedTuple

import dagster as dg

from shotspotter_assets.defs.automation.under_way import UNDER_WAY

DAILY_CHAIN: Final = ("raw_alerts", "cleaned_alerts", "grid_tensors")
LIVE_CHAIN: Final = ("live_models", "risk_forecasts", "street_risk", "patrol_plans", "forecast_scores")
PAGE: Final = 1_000


class Made(NamedTuple):
    """One materialisation of a partition."""

    at: float
    """Seconds since 1970."""
    run_id: str
    trained: bool
    """Whether a model was trained for it."""
    known: bool = True
    """Whether the day was known, so far as it says."""
    lead: int | None = None
    last_known: date | None = None
    """Of a forecast."""
    issued: bool = True
    """Whether there is a forecast, of a forecast."""


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
    spans: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Start and end of each run that is over, by its id."""


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
                    materialized[asset, event.partition].append(_made(record.timestamp, record.run_id, event.metadata))
            if not page.has_more:
                break
            cursor = page.cursor
    return materialized


def runs_of(instance: dg.DagsterInstance) -> Runs:
    """Counts of the runs, and where their time went."""
    by_status: dict[str, int] = defaultdict(int)
    phases = []
    spans = {}
    for record in instance.get_run_records():
        run = record.dagster_run
        by_status[run.status.value] += 1
        if record.start_time is not None and record.end_time is not None:
            spans[run.run_id] = (record.start_time, record.end_time)
        if run.status is not dg.DagsterRunStatus.SUCCESS:
            continue
        launched = _first(instance, run.run_id, dg.DagsterEventType.RUN_STARTING)
        first_step = _first(instance, run.run_id, dg.DagsterEventType.STEP_START)
        if launched is not None and first_step is not None and record.end_time is not None:
            asked = record.create_timestamp.timestamp()
            phases.append(Phases(launched - asked, first_step - launched, record.end_time - first_step))
    return Runs(dict(by_status), phases, spans)


def typical(phases: list[Phases]) -> Phases:
    """The median of each phase."""
    return Phases(*(median(values) for values in zip(*phases, strict=True)))


def _made(at: float, run_id: str, metadata: Mapping[str, dg.MetadataValue]) -> Made:
    facts = {name: value.value for name, value in metadata.items()}
    lead, last_known = facts.get("lead"), facts.get("last_known")
    return Made(
        at,
        run_id,
        trained=bool(facts.get("trained")),
        known=facts.get("known") is not False,
        lead=lead if isinstance(lead, int) else None,
        last_known=date.fromisoformat(last_known) if isinstance(last_known, str) else None,
        issued="no_forecast" not in facts,
    )


def _first(instance: dg.DagsterInstance, run_id: str, kind: dg.DagsterEventType) -> float | None:
    events = instance.all_logs(run_id, of_type=kind)
    return min((entry.timestamp for entry in events), default=None)
