"""The running system under files, faults and kills in a seeded random order, with an account at the end: `make chaos`."""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import date, timedelta
from pathlib import Path
from statistics import median
from typing import Final

import dagster as dg

from shotspotter_assets.calendar.local_time import days_between, today
from shotspotter_assets.partitions import key_of
from shotspotter_assets.rehearsal.__main__ import POLL_SECONDS, QUIET_SECONDS, ZONE, end, log
from shotspotter_assets.rehearsal.account import DAILY_CHAIN, LIVE_CHAIN, is_idle, materializations
from shotspotter_assets.rehearsal.chaos import account
from shotspotter_assets.rehearsal.chaos.hostile_files import shown
from shotspotter_assets.rehearsal.chaos.plan import Kill, LandedCity, Step, plan
from shotspotter_assets.rehearsal.chaos.world import (
    FORECAST_CITY,
    LIVE_CITY,
    MIXED_CITY,
    PARTS,
    Clock,
    World,
    tick_texts,
)
from shotspotter_assets.rehearsal.cities import RehearsedCity, Rhythm, landed_city, published_city
from shotspotter_assets.rehearsal.processes import Installation, free_port, prepare, webhook
from shotspotter_assets.rehearsal.publisher import Publisher, publishing
from shotspotter_assets.rehearsal.story import Notice
from shotspotter_assets.serving.training import MIN_HISTORY_DAYS
from shotspotter_assets.storage.store import Store

HISTORY_DAYS: Final = {FORECAST_CITY: MIN_HISTORY_DAYS - 1, MIXED_CITY: 20, LIVE_CITY: 20}
"""Before the first day that lands; the forecast city has enough for forecasts from this day on, the others have not."""

LOOK_SECONDS: Final = 1.0
LONGEST_WAIT: Final = 300.0
"""Seconds that a city may wait for what has landed, while nothing that it needs is killed, spoiled or away."""

FAKETIME: Final = "/usr/lib/*/faketime/libfaketimeMT.so.1"
"""Where Debian's package `libfaketime` has the library that moves the clock."""

TICKS: Final = 1000

MAX_LATE_SECONDS: Final = 5.0
"""By which something may happen later than planned without a word."""


def main() -> None:
    """Do harm, print the account, and exit with 1 if it is not as it has to be."""
    options = _options()
    folder = Path(options.folder or tempfile.mkdtemp(prefix="chaos_")).resolve()
    if options.folder and folder.exists() and any(folder.iterdir()):
        raise SystemExit(f"{folder} is not empty: chaos begins with an empty instance. Name another folder.")
    folder.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, end)
    passed = False
    try:
        passed = chaos(folder, options)
    finally:
        if passed and not options.folder:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            log(f"Instance, store and logs are in {folder}")
    sys.exit(0 if passed else 1)


def chaos(folder: Path, options: argparse.Namespace) -> bool:
    """Whether nothing was lost, nothing is there twice, every bad file was named, and all cities went on."""
    last = today(ZONE) - timedelta(days=1)
    days = days_between(last - timedelta(days=options.days - 1), last)
    first_days = {name: days[0] - timedelta(days=number) for name, number in HISTORY_DAYS.items()}
    with ExitStack() as stack:
        world, notices = _world(stack, folder, options, first_days, last)
        eve = days[0] - timedelta(days=1)
        world.begin(first_days, eve)
        started = time.monotonic()
        system = stack.enter_context(world.system)
        log(f"dg dev is up after {time.monotonic() - started:.0f} s: {system.url}")
        _wait(world, lambda: world.is_settled(min(first_days.values()), eve), options.patience, "the history is made")
        seconds = options.minutes * 60
        landed = [LandedCity(name, parts) for name, parts in PARTS.items()]
        can_move, second = world.clock.can_move, options.second_daemon
        steps = plan(options.seed, seconds, landed, days, clock=can_move, second_daemon=second)
        log(f"Seed {options.seed}: {len(steps)} things happen in {options.minutes:g} minutes")
        _happen(world, steps, seconds)
        world.calm()
        _wait(world, system.answers, options.patience, "the web server answers")
        _wait(world, lambda: not list(_not_told(world, notices)), options.patience, "every bad file is named")
        found = _names(world, notices)
        world.mend()
        _wait(world, _is_over(world, days), options.patience, "all is made")
        found += _account(world, min(first_days.values()), days)
    _print_account(world, steps, notices)
    for problem in dict.fromkeys(found):
        log(f"WRONG: {problem}")
    if not found:
        log(
            "Nothing was lost, nothing is there twice, every bad file was named in ticks and notices, every city went on, "
            "the statuses of all runs are true, and no file of the store is half-written."
        )
    return not found


def _world(
    stack: ExitStack, folder: Path, options: argparse.Namespace, first_days: Mapping[str, date], last: date
) -> tuple[World, list[Notice]]:
    """The installation before it is started, and the notices that it will send."""
    cities = _cities(first_days, last)
    library = options.faketime or next(iter(sorted(Path("/").glob(FAKETIME.removeprefix("/")))), None)
    clock = Clock(folder, library)
    if not clock.can_move:
        log("The clock is not moved: there is no libfaketime (Debian: apt install libfaketime; else --faketime FILE).")
    webhook_url, notices = stack.enter_context(webhook())
    publisher = Publisher()
    layers = stack.enter_context(publishing(publisher))
    for city in cities:
        if city.rhythm:
            publisher.add(city.name, city.alerts, str(ZONE))
            city.file["source"]["layer"] = f"{layers}/{city.name}/MapServer/0"
    port = free_port()
    environment = prepare(
        folder,
        {city.name: json.dumps(city.file, indent=1) for city in cities},  # YAML too, and without aliases
        SHOTSPOTTER_POLL_SECONDS=str(POLL_SECONDS),
        SHOTSPOTTER_WEBHOOK_URL=webhook_url,
        SHOTSPOTTER_UI_URL=f"http://127.0.0.1:{port}",
        **clock.environment(),
    )
    os.environ["DAGSTER_HOME"] = environment["DAGSTER_HOME"]
    instance = stack.enter_context(dg.DagsterInstance.get())
    system, store = Installation(folder, environment, port), Store(environment["SHOTSPOTTER_STORE"])
    return World(system, instance, store, folder / "landing", cities, publisher, clock), notices


def _happen(world: World, steps: Sequence[Step], seconds: float) -> None:
    began = time.monotonic()
    for number, step in enumerate(steps, start=1):
        while time.monotonic() - began < step.at:
            _look(world)
        remark = world.do(step.action)
        late = time.monotonic() - began - step.at
        behind = f" ({late:.0f} s late)" if late > MAX_LATE_SECONDS else ""
        log(f"{number:3d} {step.at:4.0f} s: {step.action}{f': {remark}' if remark else ''}{behind}")
    while time.monotonic() - began < seconds:
        _look(world)
    log("All has happened. The clock is true, the layer is there, and nothing is killed any more.")


def _names(world: World, notices: Sequence[Notice]) -> list[str]:
    """Bad files that are not named, and good ones that count as bad."""
    ledger = world.ledger
    ticks = tick_texts(world.system, ["landing_arrivals"], TICKS)
    log(
        f"{len(ledger.refused())} bad files were to be told of; the {len(ledger.spoiled)} cut ones of them land whole now"
    )
    return [
        *account.unnamed_files(ledger.refused() | set(ledger.bad_files), ticks, notices),
        *account.wrong_unreadable(world.store, ledger, [city.name for city in world.cities]),
    ]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="for which things happen (default 10)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same order (default 1)")
    parser.add_argument("--days", type=int, help="days that land one by one (default 8; of less than 5 minutes 4)")
    parser.add_argument("--faketime", type=Path, help=f"library that moves the clock (default: {FAKETIME})")
    parser.add_argument(
        "--second-daemon",
        action="store_true",
        help="start a second daemon for a while, which Dagster does not support: days may be made twice then",
    )
    parser.add_argument("--folder", help="where instance, store and logs are kept (default: a temporary folder)")
    parser.add_argument("--patience", type=float, default=1200, help="most seconds until all is made in the end")
    options = parser.parse_args()
    options.days = options.days or (8 if options.minutes >= 5 else 4)
    return options


def _cities(first_days: Mapping[str, date], last: date) -> list[RehearsedCity]:
    """Two cities whose alerts land, and one that is asked at a layer; none has days after the last one."""
    cities = [landed_city(name, first_days[name], last) for name in (FORECAST_CITY, MIXED_CITY)]
    cities.append(published_city(LIVE_CITY, {}, Rhythm(0, 1, last), first_days[LIVE_CITY], last))
    for city in cities:
        city.file["end"] = last.isoformat()
        city.file["retraining"] = "weekly"
        log(f"{city.name}: {city.remark}; history from {city.file['start']}")
    return cities


def _look(world: World) -> None:
    for remark in world.look():
        log(f"          {remark}")
    time.sleep(LOOK_SECONDS)


def _not_told(world: World, notices: Sequence[Notice]) -> Iterator[str]:
    files = world.ledger.refused()
    yield from account.wrong_unreadable(world.store, world.ledger, {file.city for file in files})
    yield from account.unnamed_files(files, "".join(shown(file.name) for file in files), notices)


def _is_over(world: World, days: Sequence[date]) -> Callable[[], bool]:
    """Whether all is made and no run was under way for a while."""
    plans = [key_of(FORECAST_CITY, day) for day in days]
    quiet_since = time.monotonic()

    def is_over() -> bool:
        nonlocal quiet_since
        if not is_idle(world.instance) or not world.is_settled(days[0], days[-1]):
            quiet_since = time.monotonic()
            return False
        if len(materializations(world.instance, ["patrol_plans"], plans)) < len(plans):
            return False
        return time.monotonic() - quiet_since > QUIET_SECONDS

    return is_over


def _wait(world: World, is_over: Callable[[], bool], patience: float, what: str) -> None:
    """Until it is so, or patience ends, which the account will show."""
    began = time.monotonic()
    while not is_over():
        if time.monotonic() - began > patience:
            log(f"Patience ended after {patience:.0f} s, before {what}")
            return
        _look(world)
    log(f"After {time.monotonic() - began:.0f} s, {what}")


def _account(world: World, first: date, days: Sequence[date]) -> Iterator[str]:
    names = [city.name for city in world.cities]
    runs = world.instance.get_run_records()
    materialized = materializations(world.instance, (*DAILY_CHAIN, *LIVE_CHAIN), None)
    yield from account.stored_wrong(world.store, world.ledger, names, first, days[-1])
    if not world.ledger.daemons:
        yield from account.made_too_often(world.ledger, materialized, runs)
    yield from sorted(world.ledger.together)
    yield from account.wrong_statuses(world.instance, world.ledger, materialized, runs)
    yield from account.broken_files(Path(world.store.root))
    yield from account.broken_databases(Path(world.system.home))
    for process in world.system.run_workers():
        yield f"process {process.pid} works on, and no run is under way"
    for day in days:
        if ("patrol_plans", key_of(FORECAST_CITY, day)) not in materialized:
            yield f"patrol_plans of {key_of(FORECAST_CITY, day)} is missing"
    for city, waits in world.waited.items():
        for seconds, disturbed in waits:
            if seconds > LONGEST_WAIT and not disturbed:
                yield f"{city} waited {seconds:.0f} s for what had landed, and nothing that it needs was killed or spoiled"


def _print_account(world: World, steps: Sequence[Step], notices: Sequence[Notice]) -> None:
    kinds = Counter(
        f"SIGKILL to a {step.action.what}" if isinstance(step.action, Kill) else type(step.action).__name__.lower()
        for step in steps
    )
    statuses = Counter(record.dagster_run.status.value for record in world.instance.get_run_records())
    print(f"\nHappened: {', '.join(f'{number} x {kind}' for kind, number in kinds.items())}")
    print(f"Runs: {', '.join(f'{number} {status}' for status, number in sorted(statuses.items()))}")
    print(f"{len(notices)} posts to the webhook")
    for city, waits in world.waited.items():
        seconds = [one for one, _ in waits]
        print(
            f"{city}: what landed was cleaned and on the grid after {median(seconds):.0f} s (median of {len(seconds)}; "
            f"at most {max(seconds):.0f} s)"
        )


if __name__ == "__main__":
    main()
