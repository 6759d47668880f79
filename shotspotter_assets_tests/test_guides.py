import os
import re
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path
from textwrap import indent
from typing import Any

import dagster as dg
import pytest
import yaml

from docs.style import FAULTS, faults_of_code
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.patrol_rules import PatrolRules, Repeats, Shift
from shotspotter_assets.city_files import load_cities
from shotspotter_assets.definitions import build_definitions
from shotspotter_assets.defs.launchpad import with_windows
from shotspotter_assets.defs.walk_forward.fold_models import FoldModelConfig
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.models.forecaster_registry import city_settings
from shotspotter_assets.settings import CHECKOUT, Settings
from shotspotter_assets.storage import catalogue
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.defs.chain import resources, run_days

GUIDES = CHECKOUT / "docs" / "how-to"


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (GUIDES / page).read_text(), re.DOTALL)


def run_page(page: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec("\n".join(blocks(page, "python")), names)
    return names


def test_the_file_of_a_new_city_is_usable_and_all_keys_are_described(tmp_path: Path) -> None:
    (tmp_path / "springfield_ma.yaml").write_text(blocks("new_city.md", "yaml")[0])
    city = load_cities(tmp_path)["springfield_ma"]
    page = (GUIDES.parent / "city_file.md").read_text()
    assert city.shape == (16, 15)
    assert [key for key in type(city).model_fields if f"`{key}`" not in page] == []


LATE_SOURCE = """

from datetime import timedelta

from shotspotter_assets.forecasts.issued_forecasts import NoForecast, write_forecast
from shotspotter_assets.storage.catalogue import Asset
from shotspotter_assets.storage.lineage import read_lineage
from shotspotter_assets_tests.defs.chain import metadata_of


def test_a_day_without_forecast_has_no_list(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    store = Store(str(tmp_path / "store")).of(TOWN.target)
    late = NoForecast(
        city=TOWN.name, issue_date=DAY, forecast_date=DAY + timedelta(days=1), lead=40, last_known=DAY - timedelta(days=39),
        no_forecast="No forecast is issued. The last known day is too old.", last_issued=None,
    )
    write_forecast(store, late)
    on = resources(str(tmp_path / "store"), cities={TOWN.name: TOWN})
    ran = materialize(TOWN.name, ["watch_lists"], on, partition_key=str(DAY), instance=instance)
    [metadata] = metadata_of(ran).values()
    assert "too old" in str(metadata["note"].value)
    assert read_lineage(store, Asset.WATCH_LISTS, TOWN.name)[str(DAY)].version == "no forecast"
    assert not store.exists(WATCH_LIST, TOWN.name, DAY)
"""


def test_new_daily_product_has_its_asset_and_test(tmp_path: Path) -> None:
    """The guide's blocks, in a copy of the package as a reader would put them, pass the guide's test."""
    function, name, declaration, table, asset, test = blocks("new_daily_product.md", "python")
    package = shutil.copytree(Path(catalogue.__file__).parents[1], tmp_path / "shotspotter_assets")
    (package / "forecasts/watch_lists.py").write_text(function)
    (package / "defs/daily/watch_lists.py").write_text(asset)
    declared = package / "storage/catalogue.py"
    text = declared.read_text()
    for place, block in (
        ("    SHARED_MODELS = ", indent(name, "    ")),
        ("    Asset.SHARED_MODELS: ", indent(declaration, "    ")),
        ("# pages and checks\n", table),
    ):
        before, after = text.split(place)
        text = f"{before}{block}{place}{after}"
    declared.write_text(text)
    (tmp_path / "test_watch_lists.py").write_text(test + LATE_SOURCE)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "shotspotter_assets_tests.defs.conftest",
        "test_watch_lists.py",
    ]
    paths = os.pathsep.join([str(tmp_path), str(CHECKOUT)])
    environ = os.environ | {"PYTHONPATH": paths}
    ran = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert "2 passed" in ran.stdout, ran.stdout + ran.stderr


@pytest.mark.parametrize("page", ["new_check.md", "new_daily_product.md", "new_forecaster.md", "new_source.md"])
def test_modules_of_guides_are_read_once(page: str, tmp_path: Path) -> None:
    for number, code in enumerate(blocks(page, "python")):
        if code.startswith('"""'):
            (tmp_path / f"module_{number}.py").write_text(code)
    assert list(tmp_path.iterdir())
    assert [*faults_of_code(tmp_path, FAULTS["shotspotter_assets"])] == []


def test_the_second_target_counts_its_own_events(tmp_path: Path) -> None:
    for folder in ("cities", "landing/two_targets/alerts", "landing/two_targets/reports"):
        (tmp_path / folder).mkdir(parents=True)
    [text] = blocks("second_target.md", "yaml")
    (tmp_path / "cities" / "two_targets.yaml").write_text(
        text.replace("kind: landing", "kind: landing\n  settle_seconds: 0", 1).replace(
            "- kind: landing", "- kind: landing\n    settle_seconds: 0"
        )
    )
    alerts, reports, _ = blocks("second_target.md", "text")
    (tmp_path / "landing/two_targets/alerts/alerts.csv").write_text(alerts)
    (tmp_path / "landing/two_targets/reports/reports.csv").write_text(reports)
    cities = load_cities(tmp_path / "cities")
    on = resources(str(tmp_path / "store"), str(tmp_path / "landing"), cities)
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance:
        assert run_days("two_targets", "2026-01-01", "2026-01-03", on, instance).success
    counted = {}
    for store, view in cities["two_targets"].by_target(Store(str(tmp_path / "store"))):
        history = CityHistory.load(store, view, date(2026, 1, 3))
        counted[view.target] = history.alerts.sum(axis=(1, 2)).tolist()
    assert counted == {"gunfire": [2, 0, 1], "robbery": [1, 1, 1]}


def test_new_score_prints_the_shown_values(capsys: pytest.CaptureFixture[str]) -> None:
    run_page("new_score.md")
    assert capsys.readouterr().out == "".join(blocks("new_score.md", "text"))


@pytest.mark.parametrize(
    ("name", "start", "weight", "epochs"),
    [("conv_lstm", "regression", 1, 12), ("as_in_the_report", "nothing", 10, 100)],
)
def test_launches_of_the_network_run_on_the_launchpad(name: str, start: str, weight: float, epochs: int) -> None:
    launch = yaml.safe_load((GUIDES.parent / "launches" / f"{name}.yaml").read_text())
    op = "washington_dc__fold_models"
    definitions = build_definitions(Settings.from_environment({}))
    job = definitions.resolve_implicit_global_asset_job_def().get_subset(asset_selection={dg.AssetKey(op.split("__"))})
    resolved = dg.validate_run_config(job, launch)["ops"][op]["config"]
    city = with_windows(load_cities()["washington_dc"], FoldModelConfig(**launch["ops"][op]["config"]).folds)
    settings = launch["ops"][op]["config"].setdefault("settings", {}).setdefault("conv_lstm", {})
    network = city_settings(city, "conv_lstm", settings)
    assert (resolved["models"], city.shape) == (["conv_lstm"], (36, 36))
    assert (network.start, network.class_weight) == (start, weight)
    assert (network.epochs, network.batch_size) == (epochs, 20)
    [cutoff] = set(re.findall(r"fold_models --partition (\S+)", (GUIDES / "folds.md").read_text()))
    tested = city.folds.changed({"test": "1y"}).last_test_day(date.fromisoformat(cutoff))
    assert city.folds.problem(city.start, date.fromisoformat(cutoff)) == ""
    assert tested < min(city.site.live_since)  # the days come with the package
    settings["epoch"] = 3
    with pytest.raises(dg.DagsterInvalidConfigError, match="epoch"):
        dg.validate_run_config(job, launch)


def city_with_settings_of(page: str, folder: Path) -> City:
    """The simulated city with the section that a page shows; the files in it are empty."""
    shown = blocks(page, "yaml")[0]
    for path in re.findall(r"path: (\S+)", shown):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).touch()
    city = CHECKOUT / "shotspotter_assets" / "cities" / "simulated_city.yaml"
    shutil.copytree(city.with_suffix(""), folder / city.stem)
    (folder / city.name).write_text(yaml.safe_dump(yaml.safe_load(city.read_text()) | yaml.safe_load(shown)))
    return load_cities(folder)["simulated_city"]


def test_shown_factors_become_inputs(tmp_path: Path) -> None:
    factors = city_with_settings_of("contributing_factors.md", tmp_path).factors
    assert {factor.input_name(name) for name, factor in factors.items()} == {
        "factor_poverty_rate", "factor_liquor_density_500_m", "factor_arterials_length", "series_heat_1_days_late",
    }  # fmt: skip


def test_shown_streets_are_usable(tmp_path: Path) -> None:
    streets = city_with_settings_of("streets.md", tmp_path).streets
    assert streets.number_from == "number_min"


def test_shown_patrol_rules_are_usable_and_all_keys_are_described(tmp_path: Path) -> None:
    rules = city_with_settings_of("patrol_plans.md", tmp_path).patrol
    assert [shift.units for shift in rules.shifts] == [6, 14, 14]
    described = (GUIDES / "patrol_plans.md").read_text().partition("| key |")[2]
    keys = {key for part in (PatrolRules, Shift, Repeats) for key in part.model_fields}
    assert {key for key in keys if f"`{key}`" not in described} == set()
