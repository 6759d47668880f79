"""Past evaluations of an asset check. The instance hands out only the latest one; its storage, all of them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from shotspotter_assets.dagster_patches.guard import known

known(
    "dagster._core.storage.event_log.base:EventLogStorage.get_asset_check_execution_history",
    parameters="self, check_key, limit, cursor, status, partition_filter",
    sources=("bda649913ad8",),
    purpose="notices tell of checks that failed",
)

MAX_RUN: Final = timedelta(days=1)
"""An evaluation is found if its run was planned at most so long before."""


@dataclass(frozen=True)
class Evaluation:
    """One evaluation of a check, and the run and partition that it was made in."""

    run_id: str
    partition: str | None
    at: datetime
    result: dg.AssetCheckEvaluation


def evaluations(instance: dg.DagsterInstance, check: dg.AssetCheckKey, since: datetime, limit: int) -> list[Evaluation]:
    """Evaluations of the check after `since`, the newest first, among the last `limit` that were planned."""
    statuses = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}
    found = []
    for record in instance.event_log_storage.get_asset_check_execution_history(check, limit, status=statuses):
        # A record is as old as the plan of its run; its event is the evaluation.
        if record.event is not None and record.create_timestamp > (since - MAX_RUN).timestamp():
            at = datetime.fromtimestamp(record.event.timestamp, UTC)
            result = record.event.get_dagster_event().asset_check_evaluation_data
            found.append(Evaluation(record.run_id, record.partition, at, result))
    return sorted((one for one in found if one.at > since), key=lambda one: one.at, reverse=True)
