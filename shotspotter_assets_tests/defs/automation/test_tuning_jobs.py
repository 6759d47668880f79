"""The sensor that stops tuning jobs whose run is over, on the stand-in of SageMaker."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from shotspotter_assets.defs.automation.tuning_jobs import TUNED_SETTINGS, definitions, tuning_jobs_without_run
from shotspotter_assets.defs.automation.under_way import RETRIED_AS
from shotspotter_assets.defs.resources import SageMakerResource
from shotspotter_assets.models.tuning.sagemaker.request import (
    CITY_TAG,
    FOLD_TAG,
    RUN_TAG,
    Machines,
    Place,
    job_name,
    tuning_request,
)
from shotspotter_assets.partitions import key_of
from shotspotter_assets_tests.defs.chain import DEFINITIONS, SETTINGS
from shotspotter_assets_tests.models.tuning.sagemaker.stand_in import IMAGE, Aws, Tuning, aws
from shotspotter_assets_tests.models.tuning.tasks import task_of

CITY, FOLD = "tiny_city", date(2024, 1, 1)
NOTHING_LEFT = "No tuning job goes on without its run."


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    """No machine is found for any training job, all of which end at once."""
    with aws(tmp_path / "machines") as cloud:
        for name, value in cloud.environment().items():
            monkeypatch.setenv(name, value)
        cloud.service.faults.no_capacity = set(range(10**6))
        yield cloud


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    settings = {"run_retries": {"enabled": True, "max_retries": 1}}
    with dg.instance_for_test(temp_dir=str(tmp_path), overrides=settings) as instance:
        yield instance


def start(instance: dg.DagsterInstance, retry_of: str | None = None, fold: date = FOLD) -> str:
    """A search that is under way."""
    job = DEFINITIONS.resolve_implicit_global_asset_job_def().get_subset(asset_selection={TUNED_SETTINGS})
    run = instance.create_run_for_job(
        job,
        tags={"dagster/partition": key_of(CITY, fold), **({"dagster/root_run_id": retry_of} if retry_of else {})},
        asset_selection=frozenset({TUNED_SETTINGS}),
        status=dg.DagsterRunStatus.STARTED,
        parent_run_id=retry_of,
        root_run_id=retry_of,
    )
    return run.run_id


def fail(instance: dg.DagsterInstance, run_id: str) -> None:
    """The process of a run is gone."""
    run = instance.get_run_by_id(run_id)
    assert run is not None
    instance.report_run_failed(run)


def tuning_of(cloud: Aws, run_id: str) -> Tuning:
    """A tuning job that a run has made."""
    name, machines = job_name("0" * 16, run_id), Machines(cloud.role, IMAGE, "ml.m5.xlarge", False, 60.0)
    request = tuning_request(
        name, task_of("regime_regression").space, Place("s3://bucket/task.npz", "s3://bucket/made"), machines,
        jobs=10**6, parallel=1, minutes=30, seed=0, tags={CITY_TAG: CITY, FOLD_TAG: FOLD.isoformat(), RUN_TAG: run_id},
    )  # fmt: skip
    cloud.client("sagemaker").create_hyper_parameter_tuning_job(**request)
    return cloud.service.tunings[name]


def look(cloud: Aws, instance: dg.DagsterInstance) -> str | None:
    """What a tick says."""
    sagemaker = SageMakerResource(role=cloud.role, image=IMAGE)
    return tuning_jobs_without_run(dg.build_sensor_context(instance), sagemaker).skip_message


def test_there_is_no_sensor_where_nothing_is_set_up_on_sagemaker() -> None:
    assert not definitions(SETTINGS).sensors
    [sensor] = definitions(replace(SETTINGS, sagemaker_role="arn:aws:iam::123456789012:role/training")).sensors or []
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING


def test_a_tuning_job_of_a_run_that_is_over_is_stopped_and_no_other(cloud: Aws, instance: dg.DagsterInstance) -> None:
    canceled, unknown = start(instance), "77777777-0000-4000-8000-000000000000"
    mine, others = tuning_of(cloud, canceled), tuning_of(cloud, unknown)
    assert look(cloud, instance) == NOTHING_LEFT
    run = instance.get_run_by_id(canceled)
    assert run is not None
    instance.report_run_canceled(run)
    # Of another fold, and so of no help.
    start(instance, fold=date(2024, 4, 1))
    assert [look(cloud, instance) for _ in range(2)] == [f"Stopped {mine.name} of run {canceled}.", NOTHING_LEFT]
    assert mine.stopping.is_set()
    assert not others.stopping.is_set()


def test_a_tuning_job_is_left_to_a_retry_until_that_is_over(cloud: Aws, instance: dg.DagsterInstance) -> None:
    first = start(instance)
    tuning = tuning_of(cloud, first)
    left = f"Left {tuning.name}, which another run of {key_of(CITY, FOLD)} may take over."
    fail(instance, first)
    assert look(cloud, instance) == left
    retry = start(instance, first)
    instance.add_run_tags(first, {RETRIED_AS: retry})
    assert look(cloud, instance) == left
    # Its process dies before it has taken anything over, and no other retry is allowed.
    fail(instance, retry)
    assert look(cloud, instance) == f"Stopped {tuning.name} of run {first}."
    assert tuning.stopping.is_set()


def test_a_tuning_job_is_left_to_a_run_that_was_launched_by_hand(cloud: Aws, instance: dg.DagsterInstance) -> None:
    first = start(instance)
    tuning = tuning_of(cloud, first)
    run = instance.get_run_by_id(first)
    assert run is not None
    instance.report_run_canceled(run)
    second = start(instance)
    assert "may take over" in str(look(cloud, instance))
    # It takes it over, and is killed, without a retry.
    tuning.tags[RUN_TAG] = second
    instance.add_run_tags(second, {"dagster/max_retries": "0"})
    fail(instance, second)
    assert look(cloud, instance) == f"Stopped {tuning.name} of run {second}."
