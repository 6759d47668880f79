"""Landed files as a kind of source."""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from shotspotter_assets.cities.city import City
from shotspotter_assets.sources.alert_source import Access, AlertSource
from shotspotter_assets.sources.tabular_settings import TabularSettings


class LandingSettings(TabularSettings):
    """Files in `landing/<city>/`, local or on S3: Parquet, CSV, JSON lines, GeoJSON, XLSX, zipped shapefile."""

    kind: Literal["landing"]
    arrival: ClassVar = "landed"
    folder: str | None = Field(default=None, pattern=r"^[^/\\.][^/\\]*(/[^/\\.][^/\\]*)*$")
    """Path below the landing root; null for the city's name. No two sources share one."""
    path: Path | None = None
    """Folder of files that come with the city's file, beside it, instead of a folder below the landing root."""
    file_date: str | None = Field(default=None, pattern="%Y")
    """`strptime` pattern of the local date in daily files' names (`alerts_%Y%m%d`); null for files of any days."""
    sheet: str | None = None  # sheet of XLSX files; null for the first
    settle_seconds: float = Field(default=10.0, ge=0, le=3600)
    """Age below which a local file is left for later, as its transfer may not be over. S3 objects never wait."""

    def open(self, city: City, access: Access) -> AlertSource:
        from shotspotter_assets.sources.landing.folder import LandingFolder

        folder = str(self.path or f"{access.landing_root.rstrip('/')}/{self.folder or city.name}")
        return LandingFolder(city, self, folder, access.store, access.s3_client)
