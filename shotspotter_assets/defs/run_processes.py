"""Runs that a command executes itself, in its own process: nobody else notices when it is killed."""

from collections.abc import Mapping
from typing import Final

import dagster as dg

from shotspotter_assets.storage.processes import is_gone, this_process

PROCESS_TAG: Final = "shotspotter/process"
"""Of a run, with the machine and the process that executes it."""


def process_tag() -> dict[str, str]:
    """The tag of a run that this process executes."""
    return {PROCESS_TAG: this_process()}


def end_killed_runs(instance: dg.DagsterInstance, tags: Mapping[str, str]) -> list[dg.DagsterRun]:
    """Mark runs as failed whose process is gone, as they would hold their places in the queue for a day.

    Args:
        instance: the instance.
        tags: of the runs that are looked at.

    Returns:
        The runs that are left: their process runs, or is one of another machine.
    """
    statuses = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING]
    left = []
    for run in instance.get_runs(dg.RunsFilter(tags=dict(tags), statuses=statuses)):
        process = run.tags.get(PROCESS_TAG, "")
        # What this process has executed before is over, too.
        if is_gone(process) or process == this_process():
            instance.report_run_failed(run, "The process that executed the run was ended.")
        else:
            left.append(run)
    return left
