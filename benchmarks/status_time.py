"""CPU seconds of `shotspotter status`: `python benchmarks/status_time.py [--cities 25] [--days 3650]`.

The cities are those of `sensor_ticks.py`. Measured are a process for one city, one for all cities, and one that only imports
Dagster, each the best of three, one after another. Targets, for ten years of days: one city costs at most 2 times the
import of Dagster, 25 cities at most 5 s.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sensor_ticks import ON_SQLITE, resources_of, store_days, write_cities


def main() -> None:
    """Store the days of all cities, and print the CPU seconds of each command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cities", type=int, default=25)
    parser.add_argument("--days", type=int, default=3_650, help="stored days of each city")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder, "home")
        home.mkdir()
        (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n" + ON_SQLITE)
        last = datetime.now(UTC).date() - timedelta(days=2)
        start = last - timedelta(days=asked.days - 1)
        write_cities(Path(folder, "cities"), asked.cities, start)
        os.environ |= {
            f"SHOTSPOTTER_{part.upper()}": str(Path(folder, part)) for part in ("cities", "store", "landing")
        }
        os.environ["DAGSTER_HOME"] = str(home)
        from shotspotter_assets.settings import Settings

        settings = Settings.from_environment(os.environ)
        for city in settings.cities.values():
            store_days(settings, resources_of(settings), city, start, last)
        command = (sys.executable, "-m", "shotspotter_assets", "status")
        imported = cpu_seconds((sys.executable, "-c", "import dagster"))
        opened = cpu_seconds((sys.executable, "-c", "import dagster; dagster.DagsterInstance.get()"))
        of_one = cpu_seconds((*command, next(iter(settings.cities))))
        print(f"import dagster: {imported:.2f} s, with its run storage opened {opened / imported:.1f} times that")
        print(f"status of one city: {of_one:.2f} s, {of_one / imported:.1f} times the import")
        print(f"status of {asked.cities} cities: {cpu_seconds(command):.2f} s")


def cpu_seconds(command: Sequence[str]) -> float:
    """Return the least CPU seconds of three processes with a command, and of the processes that they start."""
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(seconds)


if __name__ == "__main__":
    main()
