"""The code location as a whole: it loads light, is fully described, and Dagster's host can read it."""

import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster._serdes import deserialize_value, serialize_value

from shotspotter_assets.definitions import build_definitions
from shotspotter_assets.models.registry import FORECASTERS
from shotspotter_assets.settings import Settings
from shotspotter_assets_tests.defs.chain import CITIES, DEFINITIONS

ROOT = Path(__file__).parents[2]

HEAVY = (
    "tensorflow", "keras", "sklearn", "matplotlib", "lightgbm", "pandas", "pyarrow", "numpy", "scipy", "sqlalchemy",
)  # fmt: skip


def test_heavy_libraries_are_not_imported() -> None:
    code = (
        "import sys, warnings; import shotspotter_assets.definitions as d; d.defs();"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_the_repository_snapshot_survives_serialisation() -> None:
    # A custom partition mapping passes `definitions validate` and breaks here, in the UI and in the daemon.
    snapshot = RepositorySnap.from_def(DEFINITIONS.get_repository_def())
    assert deserialize_value(serialize_value(snapshot), RepositorySnap) == snapshot


def test_definitions_of_other_cities_are_built_beside_these() -> None:
    twin = CITIES["tiny_city"].model_copy(update={"name": "twin", "start": date(2024, 1, 1)})
    others = build_definitions(Settings({"twin": twin}, store_root="other", landing_root="landing"))
    for built, first in ((others, "twin|2024-01-01"), (DEFINITIONS, f"{min(CITIES)}|2014-01-01")):
        partitions = built.resolve_asset_graph().get(dg.AssetKey("raw_alerts")).partitions_def
        assert min(partitions.get_partition_keys()) == first
    assert [schedule.name for schedule in others.schedules or []] == [
        "daily_america_new_york", "late_cities_clock", "weekly_shared_models",
    ]  # fmt: skip


def test_every_asset_is_described_and_grouped() -> None:
    assets = list(DEFINITIONS.resolve_all_asset_specs())
    assert {spec.key.to_user_string() for spec in assets} == {
        "raw_alerts", "cleaned_alerts", "grid_tensors", "tuned_settings", "fold_models", "evaluation_reports",
        "walk_forward_reports", "shared_models", "live_models", "risk_forecasts", "street_risk", "nowcasts", "nowcast_scores",
        "patrol_plans",
        "forecast_scores", "street_scores", "city_pages",
    }  # fmt: skip
    for spec in assets:
        assert spec.description
        assert spec.group_name != "default"
        assert spec.code_version
        assert spec.kinds


def test_every_check_of_a_partitioned_asset_declares_its_partitions() -> None:
    graph = DEFINITIONS.resolve_asset_graph()
    assert graph.asset_check_keys
    for key in graph.asset_check_keys:
        assert graph.get(key).partitions_def == graph.get(key.asset_key).partitions_def


def test_models_train_one_at_a_time() -> None:
    assert DEFINITIONS.resolve_asset_graph().get(dg.AssetKey("fold_models")).pools == {"training"}


def test_the_launchpad_explains_every_setting_of_every_forecaster() -> None:
    schema = (
        DEFINITIONS.resolve_implicit_global_asset_job_def().graph.node_named("fold_models").definition.config_schema
    )
    fields = (
        schema.config_type.fields["config"].config_type.fields
        if "config" in schema.config_type.fields
        else schema.config_type.fields
    )
    sections = {name: entry.settings for name, entry in FORECASTERS.items() if entry.settings.model_fields}
    # In the order of the launchpad, which sorts by name: what is chosen most comes before the long sections.
    assert sorted(fields) == ["models", "settings", "validation_share"]
    of_forecasters = fields["settings"].config_type.fields
    assert set(of_forecasters) == set(sections)
    for name, section in sections.items():
        shown = of_forecasters[name].config_type.fields
        assert set(shown) == set(section.model_fields)
        for key, field in shown.items():
            assert field.description.endswith(f"By default {section.model_fields[key].get_default()}."), (name, key)


def test_there_is_no_job_over_single_run_assets() -> None:
    # A backfill launched from a job's page would process only the first partition of each run.
    assert not DEFINITIONS.jobs


@pytest.mark.parametrize(
    "command",
    [
        ["dagster", "definitions", "validate", "--workspace", "workspace.yaml"],
        ["dg", "check", "defs"],
    ],
)
def test_the_command_line_finds_nothing_wrong(command: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [str(Path(sys.executable).parent / command[0]), *command[1:]],
        capture_output=True, text=True, cwd=ROOT, check=False, env={**os.environ, "DAGSTER_HOME": str(tmp_path)},
    )  # fmt: skip
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    ours = [line for line in output.splitlines() if "arning" in line and "site-packages" not in line]
    assert ours == []
