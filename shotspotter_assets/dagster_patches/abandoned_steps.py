"""Names in one line what a run leaves out after a failure.

Dagster logs an error for each step whose inputs failed: a failed day of alerts leaves nine of them between the cause
and the end of the log. They are no setting's: the log of a step is a new one each time.
"""

import logging
from collections.abc import Iterator
from typing import Any

import dagster as dg
from dagster._core.execution.plan.active import ActiveExecution

from shotspotter_assets.dagster_patches.guard import known

STOCK = known(
    "dagster._core.execution.plan.active:ActiveExecution.plan_events_iterator",
    parameters="self, job_context",
    sources=("dbacdc0d17ac",),
    purpose="a failed run's log names what was left out in one line",
)


class _Quiet:
    """The context of a run whose steps keep to themselves that they are left out."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self.left_out: list[str] = []

    def for_step(self, step: Any) -> Any:
        """The context of a step."""
        context = self._context.for_step(step)

        def is_shown(record: logging.LogRecord) -> bool:
            if record.levelno < logging.ERROR:
                return True
            self.left_out.append(step.key)
            return False

        context.log.addFilter(is_shown)
        return context


def apply() -> None:
    """Let all runs of this process name what they leave out in one line."""
    ActiveExecution.plan_events_iterator = _in_one_line  # type: ignore[method-assign, assignment]


def _in_one_line(execution: ActiveExecution, job_context: Any) -> Iterator[dg.DagsterEvent]:
    context = _Quiet(job_context)
    yield from STOCK(execution, context)
    if context.left_out:
        job_context.log.error(f"Left out, as what they need was not made: {', '.join(context.left_out)}.")
