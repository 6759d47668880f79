"""Figures of an audit, outcomes of alerts and patrols made never reach a model."""

import ast
from pathlib import Path

import shotspotter_assets
from shotspotter_assets.cities.stored_settings import grid_settings, model_settings
from shotspotter_assets.storage import catalogue
from shotspotter_assets.storage.catalogue import FROM_TABLES, Asset
from shotspotter_assets.storage.stored_file import StoredFile
from shotspotter_assets_tests.accountability.layers import write_halves
from shotspotter_assets_tests.evaluation.cities import square_city

PACKAGE = Path(shotspotter_assets.__file__).parent
ACCOUNTABLE = (*FROM_TABLES, Asset.BURDEN_AUDITS, Asset.ANNUAL_REPORTS)
READERS = ("accountability", "defs/accountability", "pages", "cities/city.py", "city_files.py")


def test_no_model_depends_on_accountability() -> None:
    keys = {"audit", "accountability", "outcomes", "patrols"}
    readers = {asset for asset in Asset if keys & {*asset.spec.keys, *asset.spec.other_keys, *asset.spec.rows}}
    assert {*ACCOUNTABLE} <= readers
    models = (
        Asset.FOLD_MODELS,
        Asset.LIVE_MODELS,
        Asset.RISK_FORECASTS,
        Asset.SHARED_MODELS,
        Asset.PATROL_PLANS,
        Asset.NOWCASTS,
    )
    assert [asset for asset in models if readers & {asset, *asset.ancestors}] == []


def test_only_accountability_names_its_files() -> None:
    files = {
        name for name, file in vars(catalogue).items() if isinstance(file, StoredFile) and file.asset in ACCOUNTABLE
    }
    assert {"ALERT_OUTCOMES", "PATROLS_MADE", "BURDEN", "ANNUAL_REPORT"} <= files
    readers = {
        file.relative_to(PACKAGE).as_posix()
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.alias) and node.name in files
    }
    assert [file for file in readers if not file.startswith((*READERS, "__main__.py"))] == []


def test_settings_of_models_are_those_of_a_city_without_an_audit(tmp_path: Path) -> None:
    city = square_city()
    audited = square_city(audit=write_halves(tmp_path, city))
    assert model_settings(audited) == model_settings(city)
    assert grid_settings(audited) == grid_settings(city)


def test_only_accountability_reads_the_key() -> None:
    readers = {
        file.relative_to(PACKAGE).as_posix()
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "audit"
        and isinstance(node.value, ast.Name) and node.value.id in ("city", "self", "view")
    }  # fmt: skip
    assert "accountability/burden_report.py" in readers
    assert [file for file in readers if not file.startswith(READERS)] == []
