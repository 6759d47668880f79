"""Rehearses a fortnight in minutes with the real daemon and webserver, and ends with an account: `make rehearsal`."""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import dagster as dg

from shotspotter_assets.calendar.local_time import days_between, today
from shotspotter_assets.partitions import LOOK_BACK_DAYS, key_of
from shotspotter_assets.rehearsal.account import DAILY_CHAIN, LIVE_CHAIN, is_idle, materializations, runs_of
from shotspotter_assets.rehearsal.cities import (
    BURST_DAYS,
    RehearsedCity,
    burst_city,
    late_city,
    real_city,
    simulated_city,
)
from shotspotter_assets.rehearsal.drops import MIN_DAYS, Drop, land, land_history, steps_of
from shotspotter_assets.rehearsal.judgement import is_made, problems
from shotspotter_assets.rehearsal.processes import Processes, free_port, prepare, webhook
from shotspotter_assets.rehearsal.publisher import Publisher, publishing
from shotspotter_assets.rehearsal.story import Landing, Story
from shotspotter_assets.rehearsal.tables import print_days, print_runs

ZONE: Final = ZoneInfo("America/New_York")
"""Of all cities."""

POLL_SECONDS: Final = 5
"""Between two looks at the layers of the cities that publish late."""

QUIET_SECONDS: Final = 12.0
"""Sensors look every 5 to 10 s; without a run for so long, everything asked for has been made."""


def main() -> None:
    """Rehearse, print the account, and exit with 1 if anything is missing, double or not named."""
    options = _options()
    folder = Path(options.folder or tempfile.mkdtemp(prefix="rehearsal_")).resolve()
    if options.folder and folder.exists() and any(folder.iterdir()):
        raise SystemExit(f"{folder} is not empty: a rehearsal begins with an empty instance. Name another folder.")
    last = today(ZONE) - timedelta(days=1 + (LOOK_BACK_DAYS - options.days if options.short else 0))
    days = days_between(last - timedelta(days=options.days - 1), last)
    first = days[0] - timedelta(days=options.history_days)
    earlier = first - timedelta(days=2 * BURST_DAYS)  # so that as many days are known of them as of the others
    cities = [simulated_city(first, last), late_city(earlier, last)]
    if options.days >= BURST_DAYS // 2:
        cities.append(burst_city(earlier, last, days[0] - timedelta(days=1)))
    if options.alerts:
        cities.append(real_city(options.alerts, first, last))
    else:
        log("Only simulated cities: name a Parquet file of Washington DC's real alerts with --alerts.")
    for city in cities:
        city.file["retraining"] = options.retraining
        if options.short and city.rhythm:
            city.file["end"] = last.isoformat()  # what lies between it and today is not part of the rehearsal
        log(f"{city.name}: {city.remark}; history from {city.file['start']}")
    if options.short:
        log(
            f"The days that land end on {last}, so that the automation's look-back of {LOOK_BACK_DAYS} days begins with them."
        )
    passed = False
    signal.signal(signal.SIGTERM, end)
    try:
        passed = rehearse(folder, cities, first, days, kill=options.kill, patience=options.patience)
    finally:
        if passed and not options.folder:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            log(f"Instance, store and logs are in {folder}")
    sys.exit(0 if passed else 1)


def rehearse(
    folder: Path, cities: Sequence[RehearsedCity], first: date, days: list[date], *, kill: bool, patience: float
) -> bool:
    """Whether all days became complete, none was made twice without cause, and the corrupt files were named."""
    started, port, names = time.monotonic(), free_port(), [city.name for city in cities]
    eve, steps = days[0] - timedelta(days=1), steps_of(days)
    with ExitStack() as stack:
        webhook_url, notices = stack.enter_context(webhook())
        story = Story(days, notices)
        publisher = Publisher()
        layers = stack.enter_context(publishing(publisher))
        for city in cities:
            if city.rhythm:
                publisher.add(city.name, city.alerts, str(ZONE))
                city.file["source"]["layer"] = f"{layers}/{city.name}/MapServer/0"
        _publish(publisher, story, cities, eve)
        environment = prepare(
            folder,
            {city.name: json.dumps(city.file, indent=1) for city in cities},  # YAML too, and without aliases
            SHOTSPOTTER_POLL_SECONDS=str(POLL_SECONDS),
            SHOTSPOTTER_WEBHOOK_URL=webhook_url,
            SHOTSPOTTER_UI_URL=f"http://127.0.0.1:{port}",
        )
        os.environ["DAGSTER_HOME"] = environment["DAGSTER_HOME"]
        landing = Path(environment["SHOTSPOTTER_LANDING"])
        instance = stack.enter_context(dg.DagsterInstance.get())
        processes = stack.enter_context(Processes(folder, environment, port))
        for city in cities:
            if not city.rhythm:
                land_history(landing, city, first, eve)
        processes.start_daemon()
        processes.start_webserver()
        log(f"Daemon and webserver are up after {time.monotonic() - started:.0f} s: http://127.0.0.1:{port}")
        _wait(instance, _has_grids(instance, [key_of(name, eve) for name in names]), patience, "the history")
        for number, step in enumerate(steps, start=1):
            dropped = time.monotonic()
            for city in cities:
                for drop in step if not city.rhythm else ():
                    story.add(_land(landing, city, drop))
            _publish(publisher, story, cities, max(drop.day for past in steps[:number] for drop in past))
            if kill and number == len(steps) // 2 + 1:
                _kill_under_way(processes, instance, patience)
            landed = ", ".join(f"{drop.day} ({drop.kind})" for drop in step)
            _wait(instance, is_made(instance, story, names), patience, landed)
            seconds = time.monotonic() - dropped - QUIET_SECONDS
            log(f"Step {number} of {len(steps)}: {landed} landed; all made {seconds:.0f} s later")
        materialized = materializations(instance, (*DAILY_CHAIN, *LIVE_CHAIN), None)
        runs = runs_of(instance)
    print_days(names, story, materialized)
    print_runs(runs, story, materialized, time.monotonic() - started)
    found = list(problems(story, names, days_between(first, eve), materialized, runs))
    for problem in found:
        log(f"WRONG: {problem}")
    if not found:
        log(
            "Every day is complete, none was made twice without cause or by two runs at once, every corrupt file was named, "
            "no day was stored as known before it was published, and every forecast says its lead."
        )
    return not found


def end(*_: object) -> None:
    """Answer to the first SIGTERM: leave, so that what was started is stopped, which no further one interrupts."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(1)


def log(text: str) -> None:
    """A line at once."""
    print(f"{datetime.now():%H:%M:%S} {text}", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make rehearsal", description=__doc__)
    parser.add_argument(
        "--alerts", type=Path, help="Parquet file of Washington DC's alerts; without it, only simulated cities"
    )
    parser.add_argument(
        "--days", type=int, default=LOOK_BACK_DAYS, help=f"days that land one by one ({MIN_DAYS} to {LOOK_BACK_DAYS})"
    )
    parser.add_argument("--history-days", type=int, help="days that land before, in one file (default 450; short: 120)")
    parser.add_argument("--short", action="store_true", help="few days of history, for continuous integration")
    parser.add_argument("--retraining", choices=("daily", "weekly"), default="daily", help="when the cities retrain")
    parser.add_argument("--kill", action="store_true", help="SIGKILL the daemon in the middle and start it again")
    parser.add_argument("--folder", help="where instance, store and logs are kept (default: a temporary folder)")
    parser.add_argument("--patience", type=float, default=900, help="most seconds that one step may take")
    options = parser.parse_args()
    options.history_days = options.history_days or (120 if options.short else 450)
    if not MIN_DAYS <= options.days <= LOOK_BACK_DAYS:
        parser.error(f"--days must be {MIN_DAYS} to {LOOK_BACK_DAYS}")
    return options


def _land(landing: Path, city: RehearsedCity, drop: Drop) -> Landing:
    file = land(landing, city, drop)
    return Landing(time.time(), city.name, drop, file.name)


def _publish(publisher: Publisher, story: Story, cities: Sequence[RehearsedCity], newest: date) -> None:
    """Let the layers show what their publishers have published once `newest` is over."""
    for city in cities:
        if city.rhythm:
            through = city.rhythm.through(newest)
            story.publish(city.name, through)
            publisher.publish(city.name, through)


def _kill_under_way(processes: Processes, instance: dg.DagsterInstance, patience: float) -> None:
    """Kill the daemon while one run works and, with several cities, others wait."""
    under_way = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])
    until = time.monotonic() + patience
    while not (runs := instance.get_runs(under_way, limit=1)) and time.monotonic() < until:
        time.sleep(0.1)
    processes.kill_daemon()
    working = f"run {runs[0].run_id[:8]} was under way" if runs else "no run was under way"
    log(f"SIGKILL to the daemon while {working}; it starts again in 5 s")
    time.sleep(5)
    processes.start_daemon()


def _has_grids(instance: dg.DagsterInstance, keys: list[str]) -> Callable[[], bool]:
    return lambda: len(materializations(instance, [DAILY_CHAIN[-1]], keys)) == len(keys)


def _wait(instance: dg.DagsterInstance, made: Callable[[], bool], patience: float, what: str) -> None:
    """Until it is made and nothing has run for `QUIET_SECONDS`, or patience ends, which the account will show."""
    until = time.monotonic() + patience
    quiet_since: float | None = None
    while time.monotonic() < until:
        if not (is_idle(instance) and made()):
            quiet_since = None
        elif quiet_since is None:
            quiet_since = time.monotonic()
        elif time.monotonic() - quiet_since > QUIET_SECONDS:
            return
        time.sleep(0.5)
    log(f"Patience ended after {patience:.0f} s: {what}")


if __name__ == "__main__":
    main()
