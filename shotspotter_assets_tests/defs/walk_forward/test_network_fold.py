"""A fold with a network, from raw alerts to its report."""

import shutil
from pathlib import Path

import dagster as dg
import numpy as np
import pyarrow.parquet as pq
import pytest

from shotspotter_assets.storage.errors import MissingObjectError, MissingPartitionsError
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.defs.chain import ReportedFold, copy_days, report_fold, resources, run_fold
from shotspotter_assets_tests.defs.walk_forward.test_chain import CITY, FOLD, check_report

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def network_fold(tiny_city_days: Path, tmp_path_factory: pytest.TempPathFactory) -> ReportedFold:
    """The fold with a network too; not to be changed."""
    root = tmp_path_factory.mktemp("network_fold") / "store"
    return report_fold(tiny_city_days, root, ["conv_lstm", "residual_boosting"])


def test_from_raw_alerts_to_the_report(network_fold: ReportedFold) -> None:
    root, trained, reported = network_fold
    # All that serves is in the fold, and what the report compares with.
    beside = {"alert_counts", "hourly_stack", "climatology", "gunshot_types"}
    check_report(Store(str(root)), trained, reported, {"conv_lstm", "residual_boosting"}, beside)


def test_missing_and_stale_inputs_are_named(
    tmp_path: Path, instance: dg.DagsterInstance, tiny_city_days: Path, network_fold: ReportedFold
) -> None:
    copy_days(tiny_city_days, tmp_path / "short", "2023-12-15")
    with pytest.raises(MissingPartitionsError, match=r"16 .*2023-12-16.*tiny_city/grid_tensors"):
        run_fold("fold_models", CITY, FOLD, resources(str(tmp_path / "short")), instance)
    on = resources(str(copy_days(tiny_city_days, tmp_path / "store", "2024-03-31")))
    settings = {"conv_lstm": {"days": 64, "recurrent_layers": 2}}
    with pytest.raises(ValueError, match="184 days"):
        run_fold("fold_models", CITY, FOLD, on, instance, {"models": ["conv_lstm"], "settings": settings})
    with pytest.raises(MissingObjectError, match=r"fold_models.*record\.json.*tiny_city.*2024-01-01"):
        run_fold("evaluation_reports", CITY, FOLD, on, instance)

    shutil.copytree(network_fold.root / "fold_models", tmp_path / "store" / "fold_models", dirs_exist_ok=True)
    grids = tmp_path / "store" / "grid_tensors" / "city=tiny_city"
    day = grids / "date=2023-11-01" / "grid.parquet"
    other = grids / "date=2023-11-02" / "grid.parquet"
    content = day.read_bytes()
    day.write_bytes(other.read_bytes())
    with pytest.raises(ValueError, match="fold_models for tiny_city 2024-01-01"):
        run_fold("evaluation_reports", CITY, FOLD, on, instance)
    day.write_bytes(content)
    model = (
        tmp_path
        / "store"
        / "fold_models"
        / "city=tiny_city"
        / "target=gunfire"
        / "fold=2024-01-01"
        / "conv_lstm.network_0.keras"
    )
    model.write_bytes(model.read_bytes()[:-1])
    with pytest.raises(ValueError, match="fold_models"):
        run_fold("evaluation_reports", CITY, FOLD, on, instance)


def test_a_network_forecasts_types(network_fold: ReportedFold) -> None:
    [file] = network_fold.root.glob("evaluation_reports/**/type_forecasts.parquet")
    types = pq.read_table(file)
    np.testing.assert_allclose(sum(types[f"conv_lstm_{code}"].to_numpy() for code in range(3)), 1)
