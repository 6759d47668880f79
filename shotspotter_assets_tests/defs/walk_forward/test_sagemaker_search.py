"""Searches on SageMaker in the chain, from the launchpad: the stand-in of its API, and a store on moto's S3."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from shotspotter_assets.defs.resources import SageMakerResource
from shotspotter_assets.defs.walk_forward.sagemaker_search import NotOnSageMakerError
from shotspotter_assets.models.tuning.tuned_settings import read_tuned
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.defs.chain import copy_days, materialize, resources
from shotspotter_assets_tests.models.tuning.sagemaker.stand_in import BUCKET, IMAGE, Aws, aws

CITY, FOLD, REGRESSION = "tiny_city", date(2024, 1, 1), "regime_regression"


@pytest.fixture
def cloud(tmp_path: Path, tiny_city_days: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    """The servers, found by the usual variables, with the tiny city's days in the store."""
    with aws(tmp_path / "machines") as running:
        for name, value in running.environment().items():
            monkeypatch.setenv(name, value)
        s3, root = running.service.client("s3"), copy_days(tiny_city_days, tmp_path / "store", "2023-12-31")
        for file in root.rglob("grid_tensors/**/*"):
            if file.is_file():
                s3.upload_file(str(file), BUCKET, f"store/{file.relative_to(root)}")
        yield running


def tune(cloud: Aws, instance: dg.DagsterInstance, root: str | None = None, **config: Any) -> dg.ExecuteInProcessResult:
    on_sagemaker = SageMakerResource(role=cloud.role, image=IMAGE, poll_s=0.2)
    return materialize(
        ["tuned_settings"],
        resources(root or cloud.store_root) | {"sagemaker": on_sagemaker},
        instance=instance,
        partition_key=f"{CITY}|{FOLD}",
        run_config={
            "ops": {
                "tuned_settings": {"config": {"forecaster": REGRESSION, "engine": "sagemaker", "parallel": 2} | config}
            }
        },
    )


@pytest.mark.slow
def test_a_search_on_sagemaker_from_the_launchpad(cloud: Aws, instance: dg.DagsterInstance) -> None:
    result = tune(cloud, instance, trials=3, sagemaker={"instance_type": "ml.c6i.large", "price_per_hour": 0.1})
    [event] = result.get_asset_materialization_events()
    metadata = event.step_materialization_data.materialization.metadata
    tuned = read_tuned(Store(cloud.store_root, cloud.service.client("s3")), CITY, FOLD, REGRESSION)
    assert (tuned.trials, tuned.failed, tuned.config["engine"]) == (3, 0, "sagemaker")
    assert tuned.loss <= tuned.start_loss
    assert metadata["training_jobs"].value == 2
    assert "2 training jobs took 0.0" in metadata["cost"].value
    assert "USD" in metadata["cost"].value
    [tuning] = cloud.service.tunings.values()
    assert tuning.tags["shotspotter:run"] == result.run_id
    assert tuning.tags["shotspotter:city"] == CITY
    definition = tuning.request["TrainingJobDefinition"]
    assert definition["ResourceConfig"]["InstanceType"] == "ml.c6i.large"
    assert definition["OutputDataConfig"]["S3OutputPath"].startswith(f"{cloud.store_root}/tuned_settings/city={CITY}/")
    lines = [entry.message for entry in instance.all_logs(result.run_id)]
    assert sum("tuning log_loss=" in line for line in lines) == 2


@pytest.mark.slow
def test_what_is_missing_for_sagemaker_is_said(cloud: Aws, instance: dg.DagsterInstance, tmp_path: Path) -> None:
    nowhere = cloud
    nowhere.role = ""
    with pytest.raises(NotOnSageMakerError, match=r"needs SHOTSPOTTER_SAGEMAKER_ROLE, SHOTSPOTTER_STORE \(s3://"):
        tune(nowhere, instance, str(tmp_path / "store"))
