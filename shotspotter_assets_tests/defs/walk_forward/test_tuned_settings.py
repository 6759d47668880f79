from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from shotspotter_assets.defs.resources import SageMakerResource
from shotspotter_assets.defs.walk_forward.tuned_settings import STORAGE_VARIABLE
from shotspotter_assets.models.tuning.search import TunedSettings
from shotspotter_assets.storage.catalogue import TUNED_SETTINGS
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.store_format import MARKER
from shotspotter_assets_tests.defs.chain import copy_days, materialize, resources
from shotspotter_assets_tests.models.tuning.fake_aws import FakeAws, Job
from shotspotter_assets_tests.models.tuning.tasks import VALUES, texts
from shotspotter_assets_tests.s3_server import S3Server

CITY = "tiny_city"
FOLD = date(2024, 1, 1)
BOOSTING = "residual_boosting"


def tune(root: str, instance: dg.DagsterInstance, on_aws: Any = None, **config: Any) -> Mapping[str, Any]:
    on = resources(root)
    if on_aws is not None:
        on["sagemaker"] = on_aws
    config = {"tuned_settings": config}
    result = materialize(CITY, ["tuned_settings"], on, partition_key=str(FOLD), config=config, instance=instance)
    [event] = result.get_asset_materialization_events()
    return event.step_materialization_data.materialization.metadata


def found(store: Store) -> TunedSettings:
    return TunedSettings.model_validate_json(store.read_bytes(TUNED_SETTINGS.named(forecaster=BOOSTING), CITY, FOLD))


@pytest.fixture
def root(tmp_path: Path, tiny_city_days: Path) -> Path:
    return copy_days(tiny_city_days, tmp_path / "store", "2023-12-31")


def test_search_from_the_launchpad_goes_on_with_more_trials(
    root: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = tune(str(root), instance, trials=3)
    store = Store(str(root))
    tuned = found(store)
    assert (tuned.forecaster, tuned.trials) == (BOOSTING, 3)
    assert tuned.loss <= tuned.start_loss
    assert tuned.yaml in metadata["for_the_city_file"].value
    folder = root / "tuned_settings" / f"city={CITY}" / "target=gunfire" / f"fold={FOLD}"
    assert (folder / f"{BOOSTING}.yaml").read_text() == tuned.yaml
    assert len(metadata["best_trials"].value.records) == 3
    tune(str(root), instance, trials=4)
    assert found(store).trials == 4
    tune(str(root), instance, trials=50, minutes=0)
    assert found(store).trials == 4
    monkeypatch.setenv(STORAGE_VARIABLE, f"sqlite:///{root.parent}/shared.db")
    tune(str(root), instance, trials=1)
    assert found(store).trials == 1


def test_unusable_requests_are_refused(root: Path, instance: dg.DagsterInstance) -> None:
    with pytest.raises(ValueError, match="boosting"):
        tune(str(root), instance, forecaster="boosting")
    with pytest.raises(ValueError, match="stack"):
        tune(str(root), instance, forecaster="stack")
    with pytest.raises(ValueError, match=r"SHOTSPOTTER_SAGEMAKER_ROLE.*SHOTSPOTTER_STORE"):
        tune(str(root), instance, SageMakerResource(role="", image=""), trials=1, engine="sagemaker")


@pytest.mark.slow
def test_search_on_sagemaker_with_a_store_on_s3(
    root: Path, instance: dg.DagsterInstance, s3_server: S3Server, s3_store_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3_server.use(monkeypatch)
    bucket, _, prefix = s3_store_root.removeprefix("s3://").partition("/")
    for file in [root / MARKER, *(root / "grid_tensors").rglob("*")]:
        if file.is_file():
            s3_server.client().upload_file(str(file), bucket, f"{prefix}/{file.relative_to(root)}")
    aws = FakeAws(*[Job(texts(VALUES), objective=1e-9)] * 2, statuses=("InProgress", "Completed"))
    monkeypatch.setattr(SageMakerResource, "client", lambda self: aws)
    machines = SageMakerResource(role="arn:aws:iam::123456789012:role/training", image="image", poll_s=0.0)
    settings = {"instance_type": "ml.c6i.large"}
    tune(s3_store_root, instance, machines, trials=3, engine="sagemaker", sagemaker=settings)
    tuned = found(Store(s3_store_root, s3_server.client()))
    assert tuned.settings == VALUES
    definition = aws.request["TrainingJobDefinition"]
    assert definition["ResourceConfig"]["InstanceType"] == "ml.c6i.large"
    assert definition["OutputDataConfig"]["S3OutputPath"].startswith(f"{s3_store_root}/tuned_settings/city={CITY}/")
    assert {"Key": "shotspotter:city", "Value": CITY} in aws.request["Tags"]
