"""Sources of side tables as the city's file names them, read in the same way as sources of alerts."""

from dataclasses import replace
from typing import Final

from shotspotter_assets.alerts.sources.tabular_settings import LandingSettings, SideColumns, TabularSettings
from shotspotter_assets.cities.accountability import SideTable
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.source_settings import Site
from shotspotter_assets.storage.catalogue import FROM_TABLES
from shotspotter_assets.storage.stored_file import Partitions

SECTIONS: Final = tuple(dict.fromkeys(section for asset in FROM_TABLES for section in asset.spec.rows))
"""Sections of a city's file that name a side table."""


def sections_of(city: City) -> list[str]:
    """Return the sections of the city's file that name a side table."""
    return [section for section in SECTIONS if getattr(city, section) is not None]


def table_folder(city: str, section: str) -> str:
    """Return the name under which the store keeps what was received for a side table."""
    return f"{city}/{section}"


def table_site(city: City, section: str) -> Site:
    """Return the site of a side table, under the name of its `table_folder`."""
    table: SideTable = getattr(city, section)
    source = table.source
    assert isinstance(source, TabularSettings)  # `source_kinds` allows no other
    columns = SideColumns(
        **dict(source.columns), further=table.further_columns, further_times=tuple(table.time_columns)
    )
    changes: dict[str, object] = {"columns": columns}
    if isinstance(source, LandingSettings):
        changes["folder"] = source.folder or f"{city.name}_{section}"
    # Rows without a readable time are filed under the first day, which has to be a partition of the table's asset.
    days = {asset.spec.partitions for asset in FROM_TABLES if section in asset.spec.rows}
    start = city.start if Partitions.DAYS in days else city.first_issue_date
    return replace(
        city.site,
        name=table_folder(city.name, section),
        start=start,
        sources=(source.model_copy(update=changes),),
    )
