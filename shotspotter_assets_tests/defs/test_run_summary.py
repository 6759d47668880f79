"""The end of a run's log: checks that did not pass, by city, and in the last words why it failed."""

from collections.abc import Callable

import dagster as dg
import psycopg2
import pytest

from shotspotter_assets.defs.run_summary import summarising_in_process_executor
from shotspotter_assets_tests.defs.chain import DEFINITIONS


@dg.asset
def alerts(context: dg.AssetExecutionContext) -> None:
    context.log.warning("in the middle of the run")


@dg.asset_check(asset="alerts")
def odd_data() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=False, severity=dg.AssetCheckSeverity.WARN, description="slow_town: half of the rows\ncannot be used."
    )


@dg.asset_check(asset="alerts")
def sound_data() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True, description="slow_town: all is well.")


@dg.asset(deps=[alerts])
def grids() -> None:
    raise ValueError("slow_town: the box is wrong") from None


@dg.asset(deps=[alerts])
def pictures() -> None:
    raise ValueError("no paint")


@dg.asset(deps=[grids])
def models() -> None:
    raise AssertionError("is never made")


def job_of(*assets: dg.AssetsDefinition) -> dg.JobDefinition:
    definitions = dg.Definitions(
        assets=assets,
        asset_checks=[odd_data, sound_data],
        executor=summarising_in_process_executor,
        jobs=[dg.define_asset_job("all_of_it")],
    )
    return definitions.resolve_job_def("all_of_it")


def sound_job() -> dg.JobDefinition:
    return job_of(alerts)


def failing_job() -> dg.JobDefinition:
    return job_of(alerts, grids, pictures, models)


def paragraphs(log: str) -> list[str]:
    return [part for part in log.split("\n") if part.strip()]


def test_checks_that_did_not_pass_end_the_log(instance: dg.DagsterInstance, capfd: pytest.CaptureFixture[str]) -> None:
    with dg.execute_job(dg.reconstructable(sound_job), instance) as result:
        assert result.success
    warnings = [line for line in paragraphs(capfd.readouterr().err) if "WARNING" in line or "ERROR" in line]
    assert warnings[0].endswith("in the middle of the run")
    assert len(warnings) == 2
    assert "Check odd_data of alerts warns: slow_town: half of the rows cannot be used." in warnings[-1]


def test_a_failed_run_ends_with_its_cause_and_keeps_the_stack_above(
    instance: dg.DagsterInstance, capfd: pytest.CaptureFixture[str]
) -> None:
    result = dg.execute_job(dg.reconstructable(failing_job), instance)
    log = paragraphs(capfd.readouterr().err)
    assert not result.success
    logged = instance.all_logs(result.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    assert all(entry.get_dagster_event().step_failure_data.error.stack for entry in logged)
    assert log[-1] == "grids: ValueError: slow_town: the box is wrong"
    assert "RUN_FAILURE" in log[-2]
    assert log[-3].endswith("pictures: ValueError: no paint")
    assert "Check odd_data of alerts warns" in log[-4]


def test_what_a_failure_leaves_out_is_named_in_one_line(
    instance: dg.DagsterInstance, capfd: pytest.CaptureFixture[str]
) -> None:
    result = dg.execute_job(dg.reconstructable(failing_job), instance)
    assert not result.success
    log = paragraphs(capfd.readouterr().err)
    assert [line.split(" - ")[-1] for line in log if "models" in line and "LOGS_CAPTURED" not in line] == [
        "Left out, as what they need was not made: models."
    ]
    assert not [line for line in log if "Dependencies for step" in line]
    assert "models" not in {entry.step_key for entry in instance.all_logs(result.run_id) if not entry.is_dagster_event}


@dg.asset
def recorded() -> None:
    raise RuntimeError("cannot be recorded") from psycopg2.OperationalError("server closed the connection")


def interrupted_job() -> dg.JobDefinition:
    return job_of(recorded)


@pytest.mark.parametrize(("job", "tag"), [(interrupted_job, "true"), (failing_job, None)])
def test_a_run_that_has_lost_its_database_is_made_again_and_no_other(
    instance: dg.DagsterInstance, job: Callable[[], dg.JobDefinition], tag: str | None
) -> None:
    result = dg.execute_job(dg.reconstructable(job), instance)
    assert not result.success
    run = instance.get_run_by_id(result.run_id)
    assert run is not None
    assert run.tags.get("dagster/retry_on_asset_or_op_failure") == tag


def test_the_chain_runs_with_it() -> None:
    assert DEFINITIONS.executor is summarising_in_process_executor
