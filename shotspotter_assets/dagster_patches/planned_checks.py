"""Plans a check of a run over several partitions as it is evaluated: once, for the run.

Dagster plans it for each partition, each time with the set of all of them, so the size of a backfill's events grows
with the square of its days, and the plans of single partitions are never fulfilled. It came with the checks of
partitions (dagster-io/dagster#33231). A check without partitions is no way out: it loads all of its asset.
"""

from typing import Any

from dagster import EventLogEntry
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster_shared.record import replace

from shotspotter_assets.dagster_patches.guard import known

STOCK = known(
    "dagster._core.storage.event_log.sql_event_log:SqlEventLogStorage._store_asset_check_evaluation_planned",
    parameters="self, event, event_id",
    sources=("bbecef7ab5ce",),
    purpose="a check is planned once for a run over thousands of days",
)


def apply() -> None:
    """Let all event logs in databases that this process opens plan checks once a run."""
    SqlEventLogStorage._store_asset_check_evaluation_planned = _planned_once  # type: ignore[method-assign, assignment]


def _planned_once(storage: SqlEventLogStorage, event: EventLogEntry, event_id: int | None) -> None:
    dagster_event = event.get_dagster_event()
    planned: Any = dagster_event.event_specific_data
    if planned.partitions_subset is not None and len(planned.partitions_subset) > 1:
        of_run = dagster_event._replace(event_specific_data=replace(planned, partitions_subset=None))
        event = event._replace(dagster_event=of_run)
    STOCK(storage, event, event_id)
