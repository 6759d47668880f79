"""The resources that assets ask for: the store, and the source of a city's alerts."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import dagster as dg
import numpy as np
import numpy.typing as npt
from dagster_aws.s3 import S3Resource
from pyarrow import fs

from shotspotter_assets.cities.model import City
from shotspotter_assets.defs.environment import LANDING_ROOT, STORE_ROOT
from shotspotter_assets.sources.landing import LandingFolder
from shotspotter_assets.sources.protocol import AlertSource
from shotspotter_assets.sources.simulated import SimulatedSource
from shotspotter_assets.storage.store import Store


class StoreResource(dg.ConfigurableResource):
    """The store that all assets read from and write to."""

    root: str
    s3: dg.ResourceDependency[S3Resource]

    def open(self) -> Store:
        """The store; S3 is only contacted for an `s3://` root."""
        return Store(self.root, self.s3.get_client() if self.root.startswith("s3://") else None)


class SourcesResource(dg.ConfigurableResource):
    """Where each city's alerts come from."""

    landing_root: str
    s3: dg.ResourceDependency[S3Resource]

    def open(self, city: City) -> AlertSource:
        """The source that the city's file names."""
        if city.source.kind == "simulated":
            return SimulatedSource(city)
        filesystem, root = self._landing()
        return LandingFolder(city, filesystem, f"{root}/{city.name}")

    def true_forecasts(
        self, city: City, days: Sequence[date], covered: npt.NDArray[np.bool_]
    ) -> dict[str, npt.NDArray[np.float64]]:
        """The truth as a forecast, shape (days, covered cells), under the name `true_intensity`; empty for a real city."""
        if city.source.kind != "simulated":
            return {}
        return {"true_intensity": SimulatedSource(city).true_probability(days[0], days[-1])[:, covered]}

    def _landing(self) -> tuple[fs.FileSystem, str]:
        if not self.landing_root.startswith("s3://"):
            return fs.LocalFileSystem(), self.landing_root.rstrip("/")
        client: Any = self.s3.get_client()
        filesystem = fs.S3FileSystem(
            access_key=self.s3.aws_access_key_id,
            secret_key=self.s3.aws_secret_access_key,
            session_token=self.s3.aws_session_token,
            region=client.meta.region_name,
            endpoint_override=client.meta.endpoint_url,
        )
        return filesystem, self.landing_root.removeprefix("s3://").rstrip("/")


@dg.definitions
def resources() -> dg.Definitions:
    """Resources by name; S3 credentials come from the usual AWS environment or configuration."""
    s3 = S3Resource()
    return dg.Definitions(
        resources={
            "store": StoreResource(root=STORE_ROOT, s3=s3),
            "sources": SourcesResource(landing_root=LANDING_ROOT, s3=s3),
        }
    )
