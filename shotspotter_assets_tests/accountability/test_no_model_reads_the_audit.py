"""Figures of an audit never reach a model."""

import ast
from pathlib import Path

import shotspotter_assets
from shotspotter_assets.cities.stored_settings import grid_settings, model_settings
from shotspotter_assets.storage.catalogue import Asset
from shotspotter_assets_tests.accountability.layers import write_halves
from shotspotter_assets_tests.evaluation.cities import square_city

PACKAGE = Path(shotspotter_assets.__file__).parent
READERS = ("accountability", "defs/accountability", "pages", "cities/city.py", "city_files.py")


def test_no_model_depends_on_the_key_or_on_an_asset_that_does() -> None:
    readers = {asset for asset in Asset if "audit" in (*asset.spec.keys, *asset.spec.other_keys)}
    assert Asset.BURDEN_AUDITS in readers
    models = (
        Asset.FOLD_MODELS,
        Asset.LIVE_MODELS,
        Asset.RISK_FORECASTS,
        Asset.SHARED_MODELS,
        Asset.PATROL_PLANS,
        Asset.NOWCASTS,
    )
    assert [asset for asset in models if readers & {asset, *asset.ancestors}] == []


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
