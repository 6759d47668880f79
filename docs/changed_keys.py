"""The tables of changed keys in `city_file.md`, made from the declarations of assets: `python -m docs.changed_keys` prints them."""

from collections import defaultdict
from collections.abc import Iterable

from shotspotter_assets.cities.stored_settings import HARMLESS_KEYS
from shotspotter_assets.storage.catalogue import Asset


def rebuilt() -> str:
    """Return the assets that a change of each key rebuilds, as a Markdown table."""
    assets_of: dict[str, list[Asset]] = defaultdict(list)
    for asset in Asset:
        for key in (*asset.spec.keys, *asset.spec.other_keys):
            assets_of[key].append(asset)
    keys_of: dict[tuple[Asset, ...], list[str]] = defaultdict(list)
    for key, assets in assets_of.items():
        keys_of[(*assets,)].append(key)
    rows = [f"| {_code(keys)} | {_code(assets)} |" for assets, keys in keys_of.items()]
    return "\n".join(["| changed key | rebuilt, with its dependents |", "| --- | --- |", *rows])


def harmless() -> str:
    """Return the keys that rebuild nothing, with the reasons, as a Markdown table."""
    rows = [f"| `{key}` | {reason} |" for key, reason in HARMLESS_KEYS.items()]
    return "\n".join(["| other key | effect |", "| --- | --- |", *rows])


def _code(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


if __name__ == "__main__":
    print(rebuilt(), harmless(), sep="\n\n")
