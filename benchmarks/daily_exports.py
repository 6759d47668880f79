"""CPU seconds of one more full export under a new name: `python benchmarks/daily_exports.py [--rows 60000] [--exports 30]`.

A city with that many alerts in five years lands a full export each day, and the older ones stay. The last export has one
late row of yesterday more than the one before. Measured are the tick that reads it and the run that rebuilds the day up to
the grid, with the process that reads files. Target: 5 s.
"""

import argparse
import os
import resource
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import dagster as dg
import numpy as np
import pandas as pd
import yaml

DAYS: Final = 1_826
CITY: Final = {
    "name": "town",
    "time_zone": "America/New_York",
    "box": {"west": -77.0, "south": 38.0, "east": -76.0, "north": 39.0},
    "source": {
        "kind": "landing",
        "columns": {"time": "when", "longitude": "lon", "latitude": "lat", "source_id": "id"},
    },
    "automation": "history",
}
ALERTS: Final = ("raw_alerts", "cleaned_alerts", "grid_tensors")


def main() -> None:
    """Land exports, build all days, land one more, and print the seconds that it costs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--exports", type=int, default=30)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("home", "cities", "landing/town"):
            (folder / part).mkdir(parents=True)
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        start = (today - timedelta(days=DAYS)).date()
        (folder / "cities" / "town.yaml").write_text(yaml.safe_dump(CITY | {"start": start}))
        os.environ |= {f"SHOTSPOTTER_{part.upper()}": str(folder / part) for part in ("cities", "store", "landing")}
        os.environ["DAGSTER_HOME"] = str(folder / "home")
        alerts = made_up_alerts(asked.rows, today)
        for number in range(asked.exports):
            # Each export has some days more than the one before, and a late row of a day that that had.
            land(folder, alerts[: len(alerts) - (asked.exports - number) * 30 - number % 2], number)
        with dg.DagsterInstance.ephemeral() as instance:
            town = Town(instance)
            town.cost("all days")
            land(folder, alerts[: len(alerts) - 21], asked.exports)
            town.cost("one more export with late rows")
            land(folder, alerts[: len(alerts) - 21], asked.exports + 1)
            town.cost("the same rows under a new name")


def made_up_alerts(rows: int, today: datetime) -> pd.DataFrame:
    """Return alerts of all days in order of time."""
    rng = np.random.default_rng(0)
    seconds = np.sort(rng.integers(1, DAYS * 86_400 - 40_000, rows))
    times = pd.to_datetime(today) - pd.to_timedelta(seconds[::-1], unit="s")
    points = {"lon": rng.uniform(-76.9, -76.1, rows).round(6), "lat": rng.uniform(38.1, 38.9, rows).round(6)}
    return pd.DataFrame({"when": times.strftime("%Y-%m-%dT%H:%M:%SZ"), **points, "id": np.arange(rows)})


def land(folder: Path, alerts: pd.DataFrame, number: int) -> None:
    """Land an export, so long ago that its transfer is over."""
    path = folder / "landing" / "town" / f"export_{number:03}.csv"
    alerts.to_csv(path, index=False)
    moment = time.time() - 3_600 + number
    os.utime(path, (moment, moment))


class Town:
    """The installation with its sensor."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        from shotspotter_assets.definitions import build_definitions
        from shotspotter_assets.defs.resources import resources
        from shotspotter_assets.settings import Settings

        settings = Settings.from_environment(os.environ)
        self.instance = instance
        self.cursor = None
        self.definitions = build_definitions(settings)
        self.on = resources(settings)
        self.job = self.definitions.resolve_implicit_global_asset_job_def()

    def cost(self, title: str) -> None:
        """Tick and run the assets of days until none is requested; print the CPU seconds of both."""
        before = cpu_seconds()
        ticks = 0.0
        runs = 0
        while True:
            at = cpu_seconds()
            requests = self.tick()
            ticks += cpu_seconds() - at
            if not requests:
                break
            for request in requests:
                runs += 1
                keys = {dg.AssetKey(["town", name]) for name in ALERTS}
                job = self.job.get_subset(asset_selection=keys, asset_check_selection=set())
                tags = dict(request.tags)
                job.execute_in_process(resources=self.on, instance=self.instance, tags=tags)
        whole = cpu_seconds() - before
        print(f"{title}: {ticks:.1f} s of CPU in ticks, {whole - ticks:.1f} s in {runs} runs", flush=True)

    def tick(self) -> list[dg.RunRequest]:
        """Return the requested runs of days."""
        sensor = self.definitions.resolve_sensor_def("town_automation")
        ticking = {name: self.on[name] for name in ("store", "sources")}
        context = dg.build_sensor_context(self.instance, self.cursor, definitions=self.definitions, resources=ticking)
        result: Any = sensor(context)
        self.cursor = result.cursor
        raw = dg.AssetKey(["town", "raw_alerts"])
        return [request for request in result.run_requests or () if raw in (request.asset_selection or ())]


def cpu_seconds() -> float:
    """CPU seconds of this process and of the ended process that read files."""
    from shotspotter_assets.alerts.sources.landing.reader import _end_idle

    _end_idle()
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


if __name__ == "__main__":
    main()
