"""Facts about an asset for Dagster's catalogue: tags, table, address, rows, source code and freshness."""

from collections.abc import Callable
from datetime import date, timedelta
from functools import cache
from inspect import unwrap
from pathlib import Path
from typing import Any, Final

import dagster as dg

from shotspotter_assets.cities.city import City
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.resources import Store
from shotspotter_assets.storage.catalogue import Asset
from shotspotter_assets.storage.stored_file import StoredTable

DAILY_PRODUCTS: Final = frozenset({Asset.RISK_FORECASTS, Asset.PATROL_PLANS, Asset.CITY_PAGES})
"""Assets of which only the newest state counts, and which are made each day."""
HOURS_TO_MAKE: Final = 2  # from the hour from which the next day's forecast is issued to the deadline
MAX_TAG_CHARACTERS: Final = 63


def tags(city: City, asset: Asset) -> dict[str, str]:
    """Return the tags of a city's asset: its city, its kind of partitions, and its targets if it has files of each."""
    targets = [name[:MAX_TAG_CHARACTERS] for name in city.targets] if asset.is_by_target else []
    return {
        "shotspotter/city": city.name,
        "shotspotter/partitions": asset.spec.partitions.name.lower(),
        **{f"target/{name}": "" for name in targets},
    }


def definition_metadata(
    city: City, asset: Asset, table: StoredTable | None, body: Callable[..., Any]
) -> dict[str, Any]:
    """Return the place of the function that makes an asset, and the name and columns of its table."""
    code = unwrap(body).__code__
    source = dg.LocalFileCodeReference(file_path=code.co_filename, line_number=code.co_firstlineno)
    references = {"dagster/code_references": dg.CodeReferencesMetadataValue(code_references=[source])}
    if table is None:
        return references
    return references | {"dagster/table_name": f"{city.name}.{asset}"} | panel.column_schema(table)


def with_address(spec: dg.AssetSpec, store_root: str) -> dg.AssetSpec:
    """Return the spec of a city's asset with the address of its folder in the store."""
    city, asset = spec.key.path
    root = store_root.rstrip("/") if "://" in store_root else str(Path(store_root).absolute())
    return spec.merge_attributes(metadata={"dagster/uri": f"{root}/{asset}/city={city}"})


def freshness_policy(city: City, asset: Asset) -> dg.FreshnessPolicy | None:
    """Return the daily deadline of a product of an automated city; None for other assets."""
    if asset not in DAILY_PRODUCTS or city.automation == "manual" or city.end is not None:
        return None
    return _daily_deadline((city.publication.next_day_from + HOURS_TO_MAKE) % 24, city.time_zone)


@cache  # Dagster computes the shortest interval of the cron schedule, which takes milliseconds
def _daily_deadline(hour: int, time_zone: str) -> dg.FreshnessPolicy:
    return dg.FreshnessPolicy.cron(f"0 {hour} * * *", timedelta(hours=HOURS_TO_MAKE), time_zone)


def table_of_partition(store: Store, city: City, table: StoredTable, key: date | None) -> panel.Metadata:
    """Return the address of a stored table, that of the main target, and the rows of all targets; empty without it."""
    stores = [of_target for of_target, _ in city.by_target(store)] if table.is_by_target else [store]
    present = [of_target for of_target in stores if of_target.exists(table, city.name, key)]
    if not present:
        return {}
    rows = sum(of_target.row_count(table, city.name, key) for of_target in present)
    return stored_rows(present[0], city, table, key, rows)


def stored_rows(store: Store, city: City, table: StoredTable, key: date | None, rows: int) -> panel.Metadata:
    """Return the address and the number of rows of a table under the names that Dagster displays."""
    name = "dagster/row_count" if key is None else "dagster/partition_row_count"
    return {"dagster/uri": store.uri(table, city.name, key), name: rows}
