"""Times one morning of many small cities whose files land at once: `one_morning.py [--cities 60] [--workers 2]`.

On the running system, until each city's newest day has its patrol plan; with `--grids`, until all days are on the grid. Workers
are runs at a time, each a process; as many may train at a time. With `--folder`, one that was killed goes on when it is started
again, with the time in between counted. With `--recorded`, all is recorded in a PostgreSQL server of its own, in which every city
has as many days before: as events alone, so that they weigh on daemon, queue and database, and not on the models.
"""

import argparse
import contextlib
import json
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from pathlib import Path
from statistics import median

import dagster as dg
import psutil
import yaml
from launch_backfill import cpu_seconds
from sensor_ticks import postgres_home, record_years
from shotspotter_assets.defs.automation.under_way import UNDER_WAY
from shotspotter_assets.rehearsal.__main__ import ZONE, end
from shotspotter_assets.rehearsal.account import materializations, runs_of, typical
from shotspotter_assets.rehearsal.cities import RehearsedCity, landed_city
from shotspotter_assets.rehearsal.drops import Drop, land
from shotspotter_assets.rehearsal.processes import Installation, free_port, prepare

from shotspotter_assets.calendar.local_time import days_between, today
from shotspotter_assets.dagster_patches.run_launcher import process_of
from shotspotter_assets.partitions import key_of

DAYS = 3
"""Of each city, a file a day."""
LOOK_SECONDS, DAYS_LOOK_SECONDS = 2.0, 10.0
"""Between two looks at what the workers do, and at which days are made, which costs more."""


@dataclass
class Morning:
    """What has been noted of a morning, and is kept for the case that it is killed."""

    last: str
    """The newest day that lands."""
    landed: float = 0.0
    """When, in seconds since 1970; 0 before."""
    at_once: int = 0
    """Most runs at a time, and most that waited:"""
    waiting: int = 0
    cpu_s: float = 0.0
    """Of all processes from the landing on."""
    by_process: dict[str, float] = field(default_factory=dict)
    """CPU seconds of the process of each run, by its id."""
    memory: dict[str, int] = field(default_factory=dict)
    """Most bytes of it, with its children."""

    @classmethod
    def of(cls, file: Path) -> "Morning":
        """The one that is kept, or a new one."""
        if file.exists():
            return cls(**json.loads(file.read_text()))
        return cls(str(today(ZONE) - timedelta(days=1)))

    def keep(self, file: Path) -> None:
        """Write it down."""
        part = file.with_suffix(".part")
        part.write_text(json.dumps(asdict(self)))
        part.replace(file)


def main() -> None:
    """Land, wait, and print what became of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cities", type=int, default=60)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--grids", action="store_true", help="stop once all days are on the grid")
    parser.add_argument("--patience", type=float, default=3600, help="most seconds")
    parser.add_argument("--folder", type=Path, help="where all of it is kept, to go on after a kill")
    parser.add_argument(
        "--recorded", type=int, default=0, metavar="DAYS", help="before, in PostgreSQL: 3650 are ten years"
    )
    options = parser.parse_args()
    if options.folder and options.recorded:
        parser.error("what PostgreSQL has recorded ends with it: --recorded and --folder do not go together")
    signal.signal(signal.SIGTERM, end)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(kept_in(options.folder))
        state = folder / "morning.json"
        morning = Morning.of(state)
        last = date.fromisoformat(morning.last)
        days = days_between(last - timedelta(days=DAYS - 1), last)
        cities = [landed_city(f"city_{number:03}", days[0], last) for number in range(options.cities)]
        for city in cities:
            del city.file["other_sources"]  # its folder would be empty
        before = days[0] - timedelta(days=1)
        first = before - timedelta(days=options.recorded - 1)
        # All cities share one calendar, which begins with the first day of the oldest city.
        oldest = [landed_city("oldest", first, first)] if options.recorded else []
        environment = environment_of(folder, [*cities, *oldest], options.workers)
        installation = Installation(folder, environment, free_port())
        end_what_is_left(installation)
        if options.recorded:
            stack.enter_context(postgres_home(Path(environment["DAGSTER_HOME"])))
        # The installation's processes are found by it, and the database is none of them.
        os.environ["DAGSTER_HOME"] = environment["DAGSTER_HOME"]
        with dg.DagsterInstance.get() as instance:
            if options.recorded:
                record_years(instance, [city.name for city in cities], options.recorded, before)
            stack.enter_context(installation)
            if not morning.landed:
                for city in cities:
                    for day in days:
                        land(folder / "landing", city, Drop(day, "daily"))
                morning.landed = time.time()
                morning.keep(state)
            follow(instance, installation, morning, state, cities, days, options)
            report(instance, morning, cities, days)


def end_what_is_left(installation: Installation) -> None:
    """End the processes of a morning that was killed; the daemon notices that its runs are gone."""
    left = list(installation.processes())
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left)


@contextlib.contextmanager
def kept_in(folder: Path | None) -> Iterator[Path]:
    """The folder, or a temporary one."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="one_morning_") as name:
        yield Path(name)


def environment_of(folder: Path, cities: list[RehearsedCity], workers: int) -> dict[str, str]:
    """Of the installation's processes; its folders are made unless they are there."""
    file = folder / "environment.json"
    if not file.exists():
        environment = prepare(folder, {city.name: json.dumps(city.file) for city in cities})
        home = Path(environment["DAGSTER_HOME"]) / "dagster.yaml"
        settings = yaml.safe_load(home.read_text())
        settings["concurrency"]["runs"]["max_concurrent_runs"] = workers
        settings["concurrency"]["pools"]["default_limit"] = workers
        home.write_text(yaml.safe_dump(settings))
        own = {name: value for name, value in environment.items() if name.startswith(("DAGSTER_HOME", "SHOTSPOTTER_"))}
        file.write_text(json.dumps(own))
    return {**os.environ, **json.loads(file.read_text())}


def follow(
    instance: dg.DagsterInstance, installation: Installation, morning: Morning, state: Path,
    cities: list[RehearsedCity], days: list[date], options: argparse.Namespace,
) -> None:  # fmt: skip
    """Note what goes on until all is made, or patience ends."""
    before, used = morning.cpu_s, cpu_seconds(installation)
    grids = {key_of(city.name, day) for city in cities for day in days}
    newest = {key_of(city.name, days[-1]) for city in cities}
    until, next_look = time.time() + options.patience, 0.0
    while time.time() < until:
        runs = instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY))
        launched = [run for run in runs if run.status is not dg.DagsterRunStatus.QUEUED]
        morning.at_once = max(morning.at_once, len(launched))
        morning.waiting = max(morning.waiting, len(runs) - len(launched))
        look_at_workers(instance, installation, morning, launched)
        morning.cpu_s = before + cpu_seconds(installation) - used
        morning.keep(state)
        if time.time() >= next_look:
            if grids <= made_of(instance, "grid_tensors", grids).keys() and (
                options.grids or newest <= made_of(instance, "patrol_plans", newest).keys()
            ):
                return
            next_look = time.time() + DAYS_LOOK_SECONDS
        time.sleep(LOOK_SECONDS)


def made_of(instance: dg.DagsterInstance, asset: str, keys: set[str]) -> dict[str, float]:
    """When those of the partitions that are made were first made, in seconds since 1970."""
    made = materializations(instance, [asset], sorted(keys))
    return {key: times[0].at for (_, key), times in made.items()}


def look_at_workers(
    instance: dg.DagsterInstance, installation: Installation, morning: Morning, runs: list[dg.DagsterRun]
) -> None:
    """Note what the processes of runs have used until now."""
    by_process = {process_of(instance, run.run_id): run.run_id for run in runs}
    for worker in installation.run_workers():
        with contextlib.suppress(psutil.Error):  # it has ended
            if (run_id := by_process.get(worker.pid)) is not None:
                used = sum(worker.cpu_times()[:4])  # with those of its children
                memory = sum(process.memory_info().rss for process in (worker, *worker.children(recursive=True)))
                morning.by_process[run_id] = used
                morning.memory[run_id] = max(morning.memory.get(run_id, 0), memory)


def grids_and_plans(
    instance: dg.DagsterInstance, morning: Morning, cities: list[RehearsedCity], days: list[date]
) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds from the landing to each day on the grid, and to the plan of each city's newest day, by partition."""
    asked = {
        "grid_tensors": {key_of(city.name, day) for city in cities for day in days},
        "patrol_plans": {key_of(city.name, days[-1]) for city in cities},
    }
    made, planned = (
        {key: at - morning.landed for key, at in made_of(instance, asset, keys).items()}
        for asset, keys in asked.items()
    )
    return made, planned


def report(instance: dg.DagsterInstance, morning: Morning, cities: list[RehearsedCity], days: list[date]) -> None:
    """Print what a table of workers and cities needs."""
    made, planned = grids_and_plans(instance, morning, cities, days)
    runs = runs_of(instance)
    count = sum(runs.by_status.values())
    by_city = [max(made.get(key_of(city.name, day), float("inf")) for day in days) for city in cities]
    print(
        f"{len(cities)} cities x {DAYS} files landed at once: {len(made)} of {len(cities) * len(days)} days are on the grid"
    )
    print(
        f"first city {min(by_city):.0f} s, median {median(by_city):.0f} s, last {max(by_city):.0f} s after the landing"
    )
    if planned:
        print(
            f"{len(planned)} of {len(cities)} newest days have a patrol plan: the first after {min(planned.values()):.0f} s, "
            f"half of them after {median(planned.values()):.0f} s, the last after {max(planned.values()):.0f} s"
        )
    print(
        f"{count} runs ({dict(runs.by_status)}); at most {morning.at_once} at once, {morning.waiting} in the queue at most"
    )
    if runs.phases:
        queued_s, starting_s, working_s = typical(runs.phases)
        print(
            f"a run (median): {queued_s:.0f} s in the queue, {starting_s:.1f} s of overhead to its first step, "
            f"{working_s:.1f} s of steps"
        )
    others = morning.cpu_s - sum(morning.by_process.values())
    print(
        f"{morning.cpu_s:.0f} s of CPU in all, {morning.cpu_s / max(count, 1):.1f} a run; of them outside of the processes of "
        f"runs (daemon, code server, web server) {others:.0f}"
    )
    if morning.memory:
        most, usual = max(morning.memory.values()) / 1e6, median(morning.memory.values()) / 1e6
        print(f"memory of a worker, the process of its run: {usual:.0f} MB (median), {most:.0f} MB at most")
    kinds: dict[str, list[tuple[float, int]]] = {}
    for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.SUCCESS])):
        kind = ", ".join(sorted(key.to_user_string() for key in run.asset_selection or ()))
        if run.run_id in morning.memory:
            kinds.setdefault(kind, []).append((morning.by_process[run.run_id], morning.memory[run.run_id]))
    for kind, used in kinds.items():
        seconds, memory = median(one for one, _ in used), max(one for _, one in used) / 1e6
        print(
            f"    {len(used)} runs of {kind}: {seconds:.1f} s of CPU in their process (median), {memory:.0f} MB at most"
        )
    print(f"load of the machine in the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")


if __name__ == "__main__":
    main()
