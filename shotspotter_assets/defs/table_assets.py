"""Builder of assets that are made from the rows of a side table beside their inputs."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import TYPE_CHECKING

import dagster as dg

from shotspotter_assets.cities import local_time
from shotspotter_assets.cities.city import City
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.catalogue_facts import table_of_partition
from shotspotter_assets.defs.materialize import asset_decorator
from shotspotter_assets.defs.partitions import run_days
from shotspotter_assets.defs.resources import Log, SourcesResource, Store, StoreResource
from shotspotter_assets.storage.catalogue import Asset
from shotspotter_assets.storage.stored_file import StoredTable

if TYPE_CHECKING:
    import pyarrow as pa

TableBody = Callable[[Log, Store, City, date, "pa.Table"], panel.Metadata]
"""Function of log, store, city, day and rows (`RAW_SCHEMA` with `row_texts`) that writes a day and returns its panel."""


def table_asset(
    city: City, asset: Asset, body: TableBody, *, kinds: set[str], code_version: str, table: StoredTable
) -> dg.AssetsDefinition:
    """Build an asset of days whose `body` gets the rows of the days that `Spec.rows` names; a run reads them once."""
    [(section, relation)] = asset.spec.rows.items()
    assert relation.first is not None
    before = timedelta(days=relation.first)
    after = timedelta(days=relation.last)

    def materialize(context: dg.AssetExecutionContext, store: StoreResource, sources: SourcesResource) -> None:
        """Write the partitions of a run from the present rows of the side table."""
        import pyarrow.compute as pc

        from shotspotter_assets.alerts.sources.side_tables import table_rows
        from shotspotter_assets.automation.stored import Stored

        opened = store.open()
        days = run_days(context, city)
        sources.look_at_tables(city, opened, local_time.now(), poll_seconds=None)
        stored = Stored.read(opened, city)
        stored.table_state(section)  # before the rows: a change in between makes the days due
        of_table, readers = sources.table(city, section, opened)
        rows = table_rows(of_table, readers, opened, days[0] + before, days[-1] + after)

        def write(day: date | None) -> str:
            assert day is not None
            of_day = rows.filter((pc.field("date") >= day + before) & (pc.field("date") <= day + after))
            metadata = body(context.log, opened, city, day, of_day)
            metadata |= table_of_partition(opened, city, table, day)
            context.add_asset_metadata(metadata, partition_key=str(day))
            return str(metadata.get("data_version", ""))

        stored.write(asset, days, write)

    materialize.__name__ = str(asset)
    decorator = asset_decorator(city, asset, kinds=kinds, code_version=code_version, table=table, body=body)
    return decorator(materialize)
