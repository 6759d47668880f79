"""Takes a real data set from its city file alone through raw, cleaned, grid and all checks, without Dagster."""

import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.alerts.checks.window import CONTEXT_DAYS, Window
from shotspotter_assets.alerts.cleaning import CleanedDay, clean_alerts
from shotspotter_assets.alerts.sources.landing.folder import LandingFolder
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import days_between
from shotspotter_assets.city_files import load_cities
from shotspotter_assets.grid.tensors import sparse_tensors
from shotspotter_assets.storage.store import Store, dated

REAL_CITIES = Path(__file__).parents[2] / "data" / "real_cities"


@dataclass(frozen=True)
class RealCity:
    """The tables of one data set with the local `date`, and its days from the start to the last row."""

    city: City
    days: list[date]
    raw: pa.Table
    alerts: pa.Table
    rejected: pa.Table
    cleaned: dict[date, CleanedDay]

    def window(self, days: list[date] | None = None) -> Window:
        """The checks' window over all days, or over some of them with the year before as history."""
        days = days or self.days
        stored = [day for day in self.days if (days[0] - day).days <= CONTEXT_DAYS and day <= days[-1]]
        alerts = _within(self.alerts, stored[0], days[-1])
        raw, rejected = (_within(table, days[0], days[-1]) for table in (self.raw, self.rejected))
        return Window(self.city, days, sorted({*stored, *days}), alerts, raw, rejected)

    def gridded(self) -> int:
        tensors = sparse_tensors(self.alerts, self.days, self.city).values()
        return sum(int(pc.sum(day["count"]).as_py() or 0) for day in tensors)

    def account(self) -> dict[str, Any]:
        accounts = [day.account for day in self.cleaned.values()]
        rejected = sum((Counter(account.rejected) for account in accounts), Counter())
        counted = ("received", "cleaned", "untyped", "incidents")
        return {name: sum(getattr(one, name) for one in accounts) for name in counted} | {"rejected": dict(rejected)}


def cities() -> dict[str, City]:
    return dict(load_cities(REAL_CITIES))


def load(city: City, file: Path) -> RealCity:
    with tempfile.TemporaryDirectory() as folder:
        # Its old time of writing says that the transfer is over.
        landing = Path(folder, "landing")
        store = Store(str(Path(folder, "store")))
        landing.mkdir()
        shutil.copy2(file, landing)
        raw = LandingFolder(city.site, city.source, str(landing), store).read(city.start, datetime.now(UTC).date())
    return of_raw(city, raw)


def of_raw(city: City, raw: pa.Table) -> RealCity:
    days = days_between(city.start, pc.max(raw["date"]).as_py())
    cleaned = clean_alerts(raw, days, city)
    alerts = pa.concat_tables([dated(part.alerts, day) for day, part in cleaned.items()])
    rejected = pa.concat_tables([dated(part.rejected, day) for day, part in cleaned.items()])
    return RealCity(city, days, raw, alerts, rejected, cleaned)


def _within(table: pa.Table, first: date, last: date) -> pa.Table:
    return table.filter((pc.field("date") >= pa.scalar(first)) & (pc.field("date") <= pa.scalar(last)))
