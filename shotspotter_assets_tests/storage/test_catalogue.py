from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.stored_settings import HARMLESS_KEYS
from shotspotter_assets.storage.catalogue import Asset
from shotspotter_assets.storage.stored_file import Whole

USED_KEYS = {key for asset in Asset for key in (*asset.spec.keys, *asset.spec.other_keys, asset.spec.section) if key}


def test_every_key_of_a_city_changes_an_asset_or_is_listed_as_harmless() -> None:
    assert USED_KEYS | HARMLESS_KEYS.keys() == City.model_fields.keys()
    changing = {key for asset in Asset for key in (*asset.spec.keys, *asset.spec.other_keys)}
    assert not changing & HARMLESS_KEYS.keys()
    assert all(HARMLESS_KEYS.values())


def test_assets_are_declared_after_their_inputs() -> None:
    declared = list[Asset]()
    for asset in Asset:
        made_from = [name for name, relation in asset.spec.inputs.items() if relation is not Whole.APPROVALS]
        assert {*made_from} <= {*declared}, asset
        declared.append(asset)


def test_the_pages_are_built_automatically_after_all_that_they_show() -> None:
    assert Asset.CITY_PAGES.spec.automatic
    assert all(asset.spec.automatic for asset in Asset.CITY_PAGES.inputs)
    assert Asset.RAW_ALERTS in Asset.CITY_PAGES.ancestors
