"""A store of the tiny city with a reported fold and one issued forecast, made once; not to be changed."""

from datetime import date

import pytest

from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.defs.chain import materialize, resources, run_days, run_fold, with_city
from shotspotter_assets_tests.instances import instance_in_memory

CITY = "tiny_city"
FOLD = date(2024, 1, 1)
MODEL = "regime_regression"
ISSUED = date(2024, 3, 30)  # issue date of the one forecast


@pytest.fixture(scope="session")
def explored(tmp_path_factory: pytest.TempPathFactory) -> Store:
    root = tmp_path_factory.mktemp("explored")
    on = resources(str(root / "store"), cities=with_city(CITY, serves=MODEL))
    with instance_in_memory(root) as instance:
        assert run_days(CITY, "2023-07-01", "2024-03-31", on, instance).success
        assert run_fold("fold_models", CITY, str(FOLD), on, instance, {"models": [MODEL]}).success
        assert run_fold("evaluation_reports", CITY, str(FOLD), on, instance, horizons=[4]).success
        live = ["live_models", "risk_forecasts"]
        assert materialize(CITY, live, on, checks=(), instance=instance, partition_key=str(ISSUED)).success
    return Store(str(root / "store"))
