"""Keeps a run as it has ended: where its worker was cut off and the run was made again elsewhere, its process may go on.

Stock, whatever that process reports counts. A run that was given up, or ended in the UI, would then be shown as ended otherwise;
one that is about to be made again would not be, as an asset of it has failed; and days would be recorded twice.
"""

from typing import Final

from dagster import DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus, EventLogEntry

from shotspotter_assets.dagster_patches.guard import known

known(
    "dagster._core.instance.methods.event_methods:EventMethods.handle_new_event",
    parameters="self, event, batch_metadata",
    sources=("db900859da5b",),
    purpose="a run that is over stays as it ended",
)

ENDS: Final = (DagsterEventType.RUN_SUCCESS, DagsterEventType.RUN_FAILURE, DagsterEventType.RUN_CANCELED)

RETRIED_AS: Final = "dagster/auto_retry_run_id"
"""Tag of a failed run that has been made again."""


class RunIsOverError(RuntimeError):
    """What the run was to make has been, or is being, made by another one."""


def finished(instance: DagsterInstance, run_id: str) -> DagsterRun | None:
    """The run, if it has ended, was given up or canceled."""
    run = instance.get_run_by_id(run_id)
    return run if run is not None and run.is_finished else None


def require_under_way(instance: DagsterInstance, run_id: str) -> None:
    """Look at the run.

    Raises:
        RunIsOverError: it has failed, was canceled or has ended.
    """
    if (run := finished(instance, run_id)) is not None:
        raise RunIsOverError(
            f"Run {run_id} writes nothing any more, as it counts as {run.status.value.lower()}: it was given up, and what it was "
            "to make is made by another run. Its machine may have been cut off from the database for a while."
        )


def ended_before(instance: DagsterInstance, event: EventLogEntry, *, is_stored: bool) -> DagsterRun | None:
    """The run that an event is to end, if it is over already.

    Args:
        instance: of the run.
        event: of any kind.
        is_stored: whether the event is stored now, with those of its batch, in place of later.

    Raises:
        RunIsOverError: the event is to record what a run that is over has made.
    """
    kind = event.dagster_event.event_type if event.dagster_event else None
    if kind is DagsterEventType.ASSET_MATERIALIZATION and event.run_id and is_stored:
        require_under_way(instance, event.run_id)
    if kind not in ENDS:
        return None
    over = finished(instance, event.run_id)
    if over is None or kind is not DagsterEventType.RUN_SUCCESS:
        return over
    # It had made all when it was given up, and there is nothing to be made again.
    return None if over.status is DagsterRunStatus.FAILURE and RETRIED_AS not in over.tags else over
