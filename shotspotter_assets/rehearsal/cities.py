"""The cities of a rehearsal: their alerts up to the last day, and the files that describe them."""

from copy import deepcopy
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import yaml

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.registry import PACKAGE_CITIES

COLUMNS: Final = ("occurred_at", "longitude", "latitude", "alert_type", "rounds", "source_id")
FILE_DATE: Final = "alerts_%Y-%m-%d"
BURST_DAYS: Final = 14

HISTORY, DAILY = "history", "daily"
"""A city's folders for files that hold any days, and for those whose name says their day."""

PATROL: Final = {
    "shifts": [
        {"name": "day", "start": 6, "end": 18, "units": 2},
        {"name": "night", "start": 18, "end": 6, "units": 4},
    ]
}


@dataclass(frozen=True)
class Rhythm:
    """How a city publishes that does not land files."""

    days_late: int
    burst_days: int
    """Days that are published together."""
    origin: date
    """A day that ends a burst."""

    def through(self, newest: date) -> date:
        """The last day that is published once `newest` is over."""
        late = (newest - self.origin).days - self.days_late
        return self.origin + timedelta(days=late // self.burst_days * self.burst_days)


@dataclass(frozen=True)
class RehearsedCity:
    """One city."""

    name: str
    file: dict[str, Any]
    """What the city's file says."""
    alerts: pa.Table
    """`COLUMNS`, the times on the city's clock without a zone."""
    remark: str
    rhythm: Rhythm | None = None
    """Null for a city whose alerts land in files."""

    def of_days(self, first: date, last: date) -> pa.Table:
        """Alerts of the local days from `first` to `last`, both included."""
        day = pc.cast(self.alerts["occurred_at"], pa.date32(), safe=False)
        chosen = pc.and_(pc.greater_equal(day, pa.scalar(first)), pc.less_equal(day, pa.scalar(last)))
        return self.alerts.filter(chosen)


def simulated_city(first: date, last: date) -> RehearsedCity:
    """The embedded simulation on a smaller grid, as if its alerts were sent in files."""
    return landed_city("simulated_city", first, last)


def landed_city(name: str, first: date, last: date) -> RehearsedCity:
    """A simulated city of any name whose alerts land in files."""
    settings = _simulated_settings(name, first)
    alerts = _simulated_alerts(settings, first, last)
    return RehearsedCity(name, _landed(settings), alerts, f"{alerts.num_rows:,} simulated alerts")


def late_city(first: date, last: date) -> RehearsedCity:
    """A simulated city whose layer is three days late, and whose file does not say so."""
    return published_city("three_days_late", {}, Rhythm(3, 1, last), first, last)


def burst_city(first: date, last: date, eve: date) -> RehearsedCity:
    """A simulated city whose layer is loaded every two weeks, for the last time a week before the first day lands."""
    rule = {"publication": {"period_days": BURST_DAYS}}
    return published_city(
        "fortnightly", rule, Rhythm(0, BURST_DAYS, eve - timedelta(days=BURST_DAYS // 2)), first, last
    )


def published_city(name: str, rule: dict[str, Any], rhythm: Rhythm, first: date, last: date) -> RehearsedCity:
    """A simulated city that is asked at a layer, whose address is yet to be written into its file."""
    settings = _simulated_settings(name, first)
    alerts = _simulated_alerts(settings, first, last)
    columns = {
        "time": "OCCURRED", "longitude": "LONGITUDE", "latitude": "LATITUDE", "gunshot_type": "TYPE",
        "source_id": "SOURCE_ID",
    }  # fmt: skip
    file = (
        settings | rule | {"automation": "history", "source": {"kind": "arcgis", "columns": columns}, "patrol": PATROL}
    )
    remark = f"{alerts.num_rows:,} simulated alerts, of a layer"
    return RehearsedCity(name, file, alerts, remark, rhythm)


def _simulated_settings(name: str, first: date) -> dict[str, Any]:
    """The embedded city on a smaller grid; a city of another name has other alerts."""
    settings: dict[str, Any] = yaml.safe_load((PACKAGE_CITIES / "simulated_city.yaml").read_text())
    source = settings["source"] | {"seed": sum(name.encode())}
    return settings | {
        "name": name,
        "start": first.isoformat(),
        "grid": {"rows": 12, "columns": 12},
        "source": settings["source"] if name == settings["name"] else source,
    }


def _simulated_alerts(settings: dict[str, Any], first: date, last: date) -> pa.Table:
    """The alerts of the simulation, as `COLUMNS`."""
    from shotspotter_assets.sources.simulated.source import SimulatedSource

    city = City.model_validate(settings)
    raw = SimulatedSource(city).read(first, last)
    return pa.table(
        {
            "occurred_at": pc.local_timestamp(pc.assume_timezone(_naive(raw["time_utc"]), "UTC").cast(
                pa.timestamp("us", city.time_zone)
            )),
            "longitude": raw["longitude"],
            "latitude": raw["latitude"],
            "alert_type": raw["gunshot_type"],
            "rounds": raw["rounds"],
            "source_id": raw["source_id"],
        }
    )  # fmt: skip


def real_city(alerts: Path, first: date, last: date) -> RehearsedCity:
    """Washington DC from a Parquet file of real alerts, moved by whole weeks so that they end on `last`.

    Raises:
        SystemExit: the file lacks a column or has too few days.
    """
    import pyarrow.parquet as pq

    settings = yaml.safe_load((PACKAGE_CITIES / "washington_dc.yaml").read_text()) | {"start": first.isoformat()}
    table = pq.read_table(alerts)
    missing = [name for name in COLUMNS if name not in table.column_names]
    if missing:
        raise SystemExit(f"{alerts} lacks {', '.join(missing)}: a rehearsal needs the columns {', '.join(COLUMNS)}.")
    local = pc.local_timestamp(table["occurred_at"].cast(pa.timestamp("us", settings["time_zone"])))
    newest = pc.max(local).as_py().date()
    # The same weekday as `last`, so that every alert keeps its weekday.
    end = newest - timedelta(days=(newest - last).days % 7)
    moved_by = last - end
    if pc.min(local).as_py().date() + moved_by > first:
        raise SystemExit(f"{alerts} has no {(last - first).days + 1} days up to {end}: choose fewer (--history-days).")
    moved = table.select(COLUMNS).set_column(0, "occurred_at", pc.add(local, pa.scalar(moved_by)))
    city = RehearsedCity(
        "washington_dc", _landed(settings), moved,
        f"real alerts up to {end}, moved by {moved_by.days // 7:,} whole weeks to end on {last}",
    )  # fmt: skip
    return RehearsedCity(city.name, city.file, city.of_days(first, last), city.remark)


def _landed(settings: dict[str, Any]) -> dict[str, Any]:
    """A city's file with two landing folders in place of its source."""
    name = settings["name"]
    source = {
        "kind": "landing",
        "settle_seconds": 0,
        "naive_times": "local",
        "columns": {"time": "occurred_at", "gunshot_type": "alert_type"}
        | {name: name for name in ("longitude", "latitude", "rounds", "source_id")},
    }
    daily = source | {"folder": f"{name}/{DAILY}", "file_date": FILE_DATE}
    return settings | {
        "automation": "history",
        "source": daily,
        "other_sources": [deepcopy(source) | {"folder": f"{name}/{HISTORY}"}],  # its file may have no YAML aliases
        "patrol": PATROL,
    }


def _naive(times: pa.ChunkedArray) -> pa.ChunkedArray:
    return times.cast(pa.timestamp("us"))
