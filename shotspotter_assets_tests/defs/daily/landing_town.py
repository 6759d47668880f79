"""The landing city: rows that tests land as one file, and runs over its days of March 2024."""

import os
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg

from shotspotter_assets.cities.city import City
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.defs.chain import CITIES, resources, run_days

CITY = "landing_city"
HEADER = "when,lon,lat,kind,rounds,id"


class LandingTown:
    """The city with its landing folder, its store and the version of its file that runs use."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance, *rows: str) -> None:
        self.instance = instance
        self.store = Store(str(folder / "store"))
        self.file = folder / "landing" / CITY / "alerts.csv"
        self.file.parent.mkdir(parents=True)
        self.land(*rows)
        self.use(CITIES[CITY])

    def use(self, city: City) -> None:
        self.on = resources(self.store.root, str(self.file.parents[1]), {CITY: city})

    def land(self, *rows: str, at: datetime | None = None) -> None:
        self.file.write_text("\n".join([HEADER, *rows, ""]))
        if at is not None:
            os.utime(self.file, (at.timestamp(), at.timestamp()))

    def run(self, first: int = 1, last: int = 5, **how: Any) -> dg.ExecuteInProcessResult:
        result = run_days(CITY, f"2024-03-{first:02}", f"2024-03-{last:02}", self.on, self.instance, **how)
        assert result.success
        return result
