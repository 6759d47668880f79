"""A store of the tiny city with a reported fold and one issued forecast, made once; not to be changed."""

import shutil
from datetime import date
from pathlib import Path

import pytest

from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.defs.chain import materialize, resources, with_city
from shotspotter_assets_tests.instances import instance_in_memory

CITY = "tiny_city"
FOLD = date(2024, 1, 1)
MODEL = "residual_boosting"
ISSUED = date(2024, 3, 30)  # issue date of the one forecast


@pytest.fixture(scope="session")
def explored(reported_fold: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    root = tmp_path_factory.mktemp("explored")
    shutil.copytree(reported_fold, root / "store")
    on = resources(str(root / "store"), cities=with_city(CITY, serves=MODEL))
    with instance_in_memory(root) as instance:
        live = ["live_models", "risk_forecasts"]
        assert materialize(CITY, live, on, checks=(), instance=instance, partition_key=str(ISSUED)).success
    return Store(str(root / "store"))
