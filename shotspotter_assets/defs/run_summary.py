"""What ends each run's log: every check that did not pass, and why the run failed; between thousands of lines both are lost."""

from collections.abc import Iterator
from typing import Any, Final, cast

import dagster as dg

LOST_DATABASE: Final = ("OperationalError", "InterfaceError", "DagsterPostgresException")
"""Errors of SQLAlchemy and of Dagster's storage where the instance's database went away."""

RETRY_TAG: Final = "dagster/retry_on_asset_or_op_failure"
"""Of a run that Dagster makes again although an asset of it has failed."""


class SummarisingExecutor(dg.Executor):
    """Runs the steps as another executor does, and ends their log with what is to be seen to."""

    def __init__(self, inner: dg.Executor) -> None:
        self._inner = inner

    @property
    def retries(self) -> Any:
        """Of the executor that runs the steps."""
        return self._inner.retries

    # Dagster has public names for none of these types.
    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[dg.DagsterEvent]:
        """The events of the steps, those of failures without a stack: they have been logged with it."""
        checks: list[dg.AssetCheckEvaluation] = []
        failures: list[str] = []
        for event in self._inner.execute(plan_context, execution_plan):
            if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
                checks.append(event.asset_check_evaluation_data)
            if event.is_step_failure:
                failures.append(f"{event.step_key}: {failure_cause(event)}")
                if _has_lost_database(event.step_failure_data.error):
                    plan_context.instance.add_run_tags(plan_context.run_id, {RETRY_TAG: "true"})
                # Dagster ends the run's log with the error of the first failure.
                yield _without_stack(event)
            else:
                yield event
        for check in checks:
            if not check.passed:
                is_warning = check.severity == dg.AssetCheckSeverity.WARN
                (plan_context.log.warning if is_warning else plan_context.log.error)(failed_check(check))
        for failure in failures[1:]:
            plan_context.log.error(failure)


# A run's steps are short beside the start of a process of their own, which imports everything again.
@dg.executor(name="in_process", config_schema=cast("Any", dg.in_process_executor.config_schema))
def summarising_in_process_executor(context: dg.InitExecutorContext) -> dg.Executor:
    """All steps in the run's process, one after the other, with a summary at the end."""
    create = dg.in_process_executor.executor_creation_fn
    assert create is not None
    return SummarisingExecutor(create(context))


def failed_check(check: dg.AssetCheckEvaluation) -> str:
    """Asset, check, and what it found and in which cities, in one line."""
    verdict = "warns" if check.severity == dg.AssetCheckSeverity.WARN else "failed"
    found = " ".join((check.description or "See its result in the UI.").split())
    return f"Check {check.check_name} of {check.asset_key.to_user_string()} {verdict}: {found}"


def failure_cause(event: dg.DagsterEvent) -> str:
    """The innermost error of a step's failure; those around it are Dagster's own."""
    error = event.step_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.strip() if error else event.message or ""


def _has_lost_database(error: Any) -> bool:
    """Whether what failed may come out well when it is made again: not the asset is at fault, but what records it."""
    return error is not None and (
        error.cls_name in LOST_DATABASE or _has_lost_database(error.cause) or _has_lost_database(error.context)
    )


def _without_stack(event: dg.DagsterEvent) -> dg.DagsterEvent:
    data = event.step_failure_data
    if data.error is None:
        return event
    error = data.error._replace(
        message=f"{event.step_key}: {failure_cause(event)}\n", stack=[], cause=None, context=None
    )
    return event._replace(event_specific_data=data._replace(error=error, user_failure_data=None))
