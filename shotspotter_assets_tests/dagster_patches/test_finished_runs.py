"""A run that was given up or ended stays so, whatever its process reports later; stock, each of these would count."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import (
    DagsterEvent,
    DagsterEventBatchMetadata,
    DagsterEventType,
    JobFailureData,
    RunFailureReason,
    StepMaterializationData,
)

from shotspotter_assets.dagster_patches.finished_runs import RunIsOverError
from shotspotter_assets.dagster_patches.instance import PatchedInstance

SHIPPED = Path(__file__).parents[2] / ".dagster_home" / "dagster.yaml"
STEP_FAILED = JobFailureData(error=None, failure_reason=RunFailureReason.STEP_FAILURE)


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    shutil.copy(SHIPPED, tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert isinstance(instance, PatchedInstance)
        yield instance


def started(instance: dg.DagsterInstance) -> dg.DagsterRun:
    return instance.create_run_for_job(dg.job(name="nothing")(lambda: None), status=dg.DagsterRunStatus.STARTED)


def ends(instance: dg.DagsterInstance, run: dg.DagsterRun, how: DagsterEventType, data: JobFailureData | None) -> None:
    """What a run's process reports last."""
    event = DagsterEvent(how.value, run.job_name, event_specific_data=data, message=f"It says {how.value}.")
    instance.report_dagster_event(event, run.run_id)


@pytest.mark.parametrize(
    ("later", "data"),
    [
        (DagsterEventType.RUN_SUCCESS, None),
        (DagsterEventType.RUN_FAILURE, STEP_FAILED),
        (DagsterEventType.RUN_CANCELED, None),
    ],
)
def test_a_run_that_was_given_up_stays_so_and_is_made_again(
    instance: dg.DagsterInstance, later: DagsterEventType, data: JobFailureData | None
) -> None:
    run = started(instance)
    instance.report_run_failed(run, "Its worker was lost.")
    instance.add_run_tags(run.run_id, {"dagster/auto_retry_run_id": "another"})
    ends(instance, run, later, data)
    found = instance.get_run_by_id(run.run_id)
    assert found.status is dg.DagsterRunStatus.FAILURE
    assert found.tags["dagster/will_retry"] == "true"
    assert [entry.message for entry in instance.all_logs(run.run_id, of_type=DagsterEventType.RUN_FAILURE)] == [
        "Its worker was lost."
    ]
    [told] = instance.all_logs(run.run_id, of_type=DagsterEventType.ENGINE_EVENT)
    assert told.message == f"Its process came to an end later: {later.value}. It says {later.value}."


def test_a_run_that_had_made_all_when_it_was_given_up_has_succeeded(instance: dg.DagsterInstance) -> None:
    run = started(instance)
    instance.report_run_failed(run, "Its worker was lost.")
    ends(instance, run, DagsterEventType.RUN_SUCCESS, None)
    assert instance.get_run_by_id(run.run_id).is_success


def test_a_run_that_is_about_to_be_made_again_is(instance: dg.DagsterInstance) -> None:
    run = started(instance)
    instance.report_run_failed(run, "Its worker was lost.")
    ends(instance, run, DagsterEventType.RUN_FAILURE, STEP_FAILED)
    assert instance.get_run_by_id(run.run_id).tags["dagster/will_retry"] == "true"


def test_a_run_that_was_canceled_has_not_failed(instance: dg.DagsterInstance) -> None:
    run = started(instance)
    instance.report_run_canceled(run)
    ends(instance, run, DagsterEventType.RUN_FAILURE, STEP_FAILED)
    found = instance.get_run_by_id(run.run_id)
    assert found.status is dg.DagsterRunStatus.CANCELED
    assert "dagster/will_retry" not in found.tags


def test_any_other_run_ends_as_its_process_says(instance: dg.DagsterInstance) -> None:
    run = started(instance)
    ends(instance, run, DagsterEventType.RUN_FAILURE, STEP_FAILED)
    found = instance.get_run_by_id(run.run_id)
    assert (found.status, found.tags["dagster/will_retry"]) == (dg.DagsterRunStatus.FAILURE, "false")


def test_nothing_is_recorded_as_made_by_a_run_that_is_over(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, key = started(instance), dg.AssetKey("grids")

    def make(batch: DagsterEventBatchMetadata | None = None) -> int:
        made = StepMaterializationData(dg.AssetMaterialization(key))
        event = DagsterEvent(DagsterEventType.ASSET_MATERIALIZATION.value, run.job_name, event_specific_data=made)
        instance.report_dagster_event(event, run.run_id, batch_metadata=batch)
        return len(instance.fetch_materializations(key, limit=10).records)

    assert make() == 1
    instance.report_run_failed(run)
    with pytest.raises(RunIsOverError, match="counts as failure"):
        make()
    for size, is_end in (("500", True), ("2", False)):
        monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", size)
        make(DagsterEventBatchMetadata(size, is_end=False))
        with pytest.raises(RunIsOverError):
            make(DagsterEventBatchMetadata(size, is_end=is_end))
    instance.report_runless_asset_event(dg.AssetMaterialization(key))
    assert len(instance.fetch_materializations(key, limit=10).records) == 2
