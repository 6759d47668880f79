"""The sensor that stops tuning jobs whose run is over, on the stand-in of SageMaker."""

from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from shotspotter_assets.defs.automation.tuning_jobs import definitions, tuning_jobs_without_run
from shotspotter_assets.defs.resources import SageMakerResource
from shotspotter_assets.models.tuning.sagemaker.request import RUN_TAG, Machines, Place, job_name, tuning_request
from shotspotter_assets_tests.defs.chain import SETTINGS
from shotspotter_assets_tests.models.tuning.sagemaker.stand_in import IMAGE, aws
from shotspotter_assets_tests.models.tuning.tasks import task_of


def test_there_is_no_sensor_where_nothing_is_set_up_on_sagemaker() -> None:
    assert not definitions(SETTINGS).sensors
    [sensor] = definitions(replace(SETTINGS, sagemaker_role="arn:aws:iam::123456789012:role/training")).sensors or []
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING


def test_a_tuning_job_of_a_run_that_is_over_is_stopped_and_no_other(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    @dg.asset
    def nothing() -> None:
        """A run that ends."""

    over, unknown = dg.materialize([nothing], instance=instance).run_id, "77777777-0000-4000-8000-000000000000"
    with aws(tmp_path / "machines") as cloud:
        for name, value in cloud.environment().items():
            monkeypatch.setenv(name, value)
        machines = Machines(cloud.role, IMAGE, "ml.m5.xlarge", False, 60.0)
        for run_id in (over, unknown):
            request = tuning_request(
                job_name("0" * 16, run_id), task_of("regime_regression").space, Place("s3://bucket/task.npz", "s3://bucket/made"),
                machines, jobs=10**6, parallel=1, minutes=30, seed=0, tags={RUN_TAG: run_id},
            )  # fmt: skip
            # No machine is found for any of its training jobs, which end at once.
            cloud.service.faults.no_capacity = set(range(10**6))
            cloud.client("sagemaker").create_hyper_parameter_tuning_job(**request)
        sagemaker = SageMakerResource(role=cloud.role, image=IMAGE)
        said = [tuning_jobs_without_run(dg.build_sensor_context(instance), sagemaker).skip_message for _ in range(2)]
        mine, others = (cloud.service.tunings[job_name("0" * 16, run_id)] for run_id in (over, unknown))
        assert mine.stopping.is_set()
        assert not others.stopping.is_set()
    assert said == [f"Stopped {mine.name} of run {over}.", "No tuning job goes on without its run."]
