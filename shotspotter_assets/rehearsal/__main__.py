"""Rehearses a fortnight in minutes with the real daemon and webserver, and ends with an account: `make rehearsal`."""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import dagster as dg
import yaml

from shotspotter_assets.rehearsal.account import (
    DAILY_CHAIN,
    LIVE_CHAIN,
    Made,
    Materializations,
    Runs,
    is_idle,
    key_of,
    materializations,
    runs_of,
    typical,
)
from shotspotter_assets.rehearsal.cities import RehearsedCity, real_city, simulated_city, yesterday
from shotspotter_assets.rehearsal.drops import Drop, land, land_history, steps_of
from shotspotter_assets.rehearsal.processes import Processes, Webhook, free_port, webhook
from shotspotter_assets.settings import CHECKOUT

ZONE: Final = ZoneInfo("America/New_York")
"""Of both cities."""

QUIET_SECONDS: Final = 12.0
"""Sensors look every 5 to 10 s; without a run for so long, everything asked for has been made."""

LOOK_BACK_DAYS: Final = 14
"""Of the project's automation."""


@dataclass
class Story:
    """What the rehearsal did itself: when files landed, and what was sent to the webhook."""

    landed: dict[tuple[str, date], list[tuple[float, str]]] = field(default_factory=lambda: defaultdict(list))
    """By city and day: (seconds since 1970, kind of drop)."""
    corrupt: list[tuple[str, date, str]] = field(default_factory=list)
    """City, day and name of each file that cannot be read."""
    notices: list[tuple[float, str]] = field(default_factory=list)


def main() -> None:
    """Rehearse, print the account, and exit with 1 if anything is missing, double or not told."""
    options = _options()
    folder = Path(options.folder or tempfile.mkdtemp(prefix="rehearsal_")).resolve()
    if options.folder and folder.exists() and any(folder.iterdir()):
        raise SystemExit(f"{folder} is not empty: a rehearsal begins with an empty instance. Name another folder.")
    last = yesterday(ZONE) - timedelta(days=LOOK_BACK_DAYS - options.days if options.short else 0)
    days = [last - timedelta(days=back) for back in range(options.days - 1, -1, -1)]
    first = days[0] - timedelta(days=options.history_days)
    cities = [simulated_city(first, last)]
    if options.alerts:
        cities.append(real_city(options.alerts, first, last))
    else:
        say("Only the simulated city: name a Parquet file of Washington DC's real alerts with --alerts.")
    for city in cities:
        city.described["retraining"] = options.retraining
        say(f"{city.name}: {city.remark}; history of {options.history_days} days from {first}")
    if options.short:
        say(
            f"The days that land end on {last}, so that the automation's look-back of {LOOK_BACK_DAYS} days begins with them."
        )
    ok = False
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is stopped
    try:
        ok = rehearse(folder, cities, first, days, kill=options.kill, patience=options.patience)
    finally:
        if ok and not options.folder:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            say(f"Instance, store and logs are in {folder}")
    sys.exit(0 if ok else 1)


def rehearse(
    folder: Path, cities: list[RehearsedCity], first: date, days: list[date], *, kill: bool, patience: float
) -> bool:
    """Whether all days became complete, none was made twice without cause, and the corrupt files were named."""
    started = time.monotonic()
    port = free_port()
    with ExitStack() as stack:
        receiver = stack.enter_context(webhook())
        environment = _environment(folder, cities, receiver, port)
        os.environ["DAGSTER_HOME"] = environment["DAGSTER_HOME"]
        landing, story = Path(environment["SHOTSPOTTER_LANDING"]), Story(notices=receiver.posts)
        instance = stack.enter_context(dg.DagsterInstance.get())
        processes = stack.enter_context(Processes(folder, environment, port))
        eve = days[0] - timedelta(days=1)
        for city in cities:
            land_history(landing, city, first, eve)
            story.landed[city.name, eve].append((time.time(), "history"))
        processes.start_daemon()
        processes.start_webserver()
        assets = processes.assets()
        say(f"Daemon and webserver are up after {time.monotonic() - started:.0f} s: http://127.0.0.1:{port}")
        made: list[str] = [asset for asset in (*DAILY_CHAIN, *LIVE_CHAIN) if asset in assets]
        complete = "patrol_plans" if "patrol_plans" in assets else DAILY_CHAIN[-1]
        _wait(
            instance,
            _has(instance, DAILY_CHAIN[-1], [key_of(city.name, eve) for city in cities]),
            patience,
            "the history",
        )
        steps = steps_of(days)
        for at, step in enumerate(steps):
            names = ", ".join(f"{drop.day} ({drop.kind})" for drop in step)
            dropped = time.monotonic()
            for city in cities:
                for drop in step:
                    _drop(landing, city, drop, story)
            if kill and at == len(steps) // 2:
                _kill_under_way(processes, instance, patience)
            _wait(instance, _is_made(instance, story, complete, days), patience, names)
            seconds = time.monotonic() - dropped - QUIET_SECONDS
            say(f"Step {at + 1} of {len(steps)}: {names} landed; all made {seconds:.0f} s later")
        found = materializations(instance, made, None)
        runs = runs_of(instance)
    _print_days(cities, days, made, found, story)
    _print_runs(runs, found, story, time.monotonic() - started)
    problems = [*_problems(cities, first, days, made, found, story), *_failures(runs)]
    for problem in problems:
        say(f"WRONG: {problem}")
    if not problems:
        say("Every day is complete, none was made twice without cause, and every corrupt file was named.")
    return not problems


def say(text: str) -> None:
    """A line at once."""
    print(f"{datetime.now():%H:%M:%S} {text}", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make rehearsal", description=__doc__)
    parser.add_argument(
        "--alerts", type=Path, help="Parquet file of Washington DC's alerts; without it, only the simulated city"
    )
    parser.add_argument("--days", type=int, default=14, help="days that land one by one (default 14, at least 4)")
    parser.add_argument("--history-days", type=int, help="days that land before, in one file (default 450; short: 120)")
    parser.add_argument("--short", action="store_true", help="few days of history, for continuous integration")
    parser.add_argument(
        "--retraining", choices=("daily", "weekly", "on_drift"), default="daily", help="when both cities retrain"
    )
    parser.add_argument("--kill", action="store_true", help="SIGKILL the daemon in the middle and start it again")
    parser.add_argument("--folder", help="where instance, store and logs are kept (default: a temporary folder)")
    parser.add_argument("--patience", type=float, default=900, help="most seconds that one step may take")
    options = parser.parse_args()
    options.history_days = options.history_days or (120 if options.short else 450)
    if not 4 <= options.days <= LOOK_BACK_DAYS:
        parser.error(f"--days must be 4 to {LOOK_BACK_DAYS}")
    return options


def _environment(folder: Path, cities: list[RehearsedCity], receiver: Webhook, port: int) -> dict[str, str]:
    """The children's environment, with the folders that it names."""
    home, described, landing = folder / "dagster_home", folder / "cities", folder / "landing"
    for made in (home, described, landing):
        made.mkdir(parents=True)
    shutil.copy(CHECKOUT / ".dagster_home" / "dagster.yaml", home)
    for city in cities:
        (described / f"{city.name}.yaml").write_text(yaml.safe_dump(city.described))
    others = {name: value for name, value in os.environ.items() if not name.startswith("SHOTSPOTTER_")}
    return others | {
        "DAGSTER_HOME": str(home),
        "SHOTSPOTTER_CITIES": str(described),
        "SHOTSPOTTER_LANDING": str(landing),
        "SHOTSPOTTER_STORE": str(folder / "store"),
        "SHOTSPOTTER_AUTOMATION": "on",
        "SHOTSPOTTER_WEBHOOK_URL": receiver.url,
        "SHOTSPOTTER_UI_URL": f"http://127.0.0.1:{port}",
    }


def _drop(landing: Path, city: RehearsedCity, drop: Drop, story: Story) -> None:
    path = land(landing, city, drop)
    story.landed[city.name, drop.day].append((time.time(), drop.kind))
    if not drop.is_readable:
        story.corrupt.append((city.name, drop.day, path.name))


def _kill_under_way(processes: Processes, instance: dg.DagsterInstance, patience: float) -> None:
    """Kill the daemon while one run works and, with several cities, others wait."""
    under_way = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])
    until = time.monotonic() + patience
    while not (runs := instance.get_runs(under_way, limit=1)) and time.monotonic() < until:
        time.sleep(0.1)
    processes.kill_daemon()
    working = f"run {runs[0].run_id[:8]} was under way" if runs else "no run was under way"
    say(f"SIGKILL to the daemon while {working}; it starts again in 5 s")
    time.sleep(5)
    processes.start_daemon()


def _has(instance: dg.DagsterInstance, asset: str, keys: list[str]) -> Callable[[], bool]:
    return lambda: len(materializations(instance, [asset], keys)) == len(keys)


def _is_made(instance: dg.DagsterInstance, story: Story, last_asset: str, days: list[date]) -> Callable[[], bool]:
    """Whether all that has landed is made, as far as it can be, and the corrupt files are named."""
    landed = {place: drops for place, drops in story.landed.items() if place[1] in days}
    versions = {key_of(*place): _versions(drops) for place, drops in landed.items()}
    wanted = {key: number for key, number in versions.items() if number}
    # A day's forecast waits for the days before it.
    cities = {city for city, _ in landed}
    whole = [
        key_of(city, day)
        for city in cities
        for at, day in enumerate(days)
        if all(versions.get(key_of(city, earlier), 0) for earlier in days[: at + 1])
    ]

    def made() -> bool:
        grids = materializations(instance, [DAILY_CHAIN[-1]], list(wanted))
        plans = materializations(instance, [last_asset], whole)
        enough = all(len(grids.get((DAILY_CHAIN[-1], key), [])) >= number for key, number in wanted.items())
        return enough and len(plans) == len(whole) and all(_named(story, city, name) for city, _, name in story.corrupt)

    return made


def _versions(drops: list[tuple[float, str]]) -> int:
    """Landed versions of a day that can be read."""
    return sum(kind != "corrupt" for _, kind in drops)


def _wait(instance: dg.DagsterInstance, is_made: Callable[[], bool], patience: float, what: str) -> None:
    """Until it is made and nothing has run for `QUIET_SECONDS`, or patience ends, which the account will show."""
    until = time.monotonic() + patience
    quiet_since: float | None = None
    while time.monotonic() < until:
        if not (is_idle(instance) and is_made()):
            quiet_since = None
        elif quiet_since is None:
            quiet_since = time.monotonic()
        elif time.monotonic() - quiet_since > QUIET_SECONDS:
            return
        time.sleep(0.5)
    say(f"Patience ended after {patience:.0f} s: {what}")


def _print_days(
    cities: list[RehearsedCity], days: list[date], made: list[str], found: Materializations, story: Story
) -> None:
    shown = {"raw_alerts": "raw", "cleaned_alerts": "cleaned", "grid_tensors": "grid", "live_models": "model",
             "risk_forecasts": "forecast", "patrol_plans": "plan", "forecast_scores": "score"}  # fmt: skip
    titles = "".join(f"{title:>12s}" for title in shown.values())
    for city in cities:
        print(
            f"\n{city.name} (times when each was first made, x times in all; seconds from the first landing that can be read)"
        )
        print(f"{'day':11s} {'landed':44s}{titles}{'retrained':>10s}{'to grid':>9s}{'to plan':>9s}  told")
        for day in days:
            drops, key = story.landed[city.name, day], key_of(city.name, day)
            landed = ", ".join(f"{_clock(at)} {kind}" for at, kind in drops)
            # The first day has no forecast of the day before to be scored.
            due = [asset for asset in made if asset != "forecast_scores" or day != days[0]]
            times = "".join(_cell(found.get((asset, key), [])) if asset in due else f"{'-':>12s}" for asset in shown)
            trained = "yes" if any(of.trained for of in found.get(("live_models", key), [])) else "-"
            to_grid, to_plan = (
                _seconds(drops, found.get((asset, key), [])) for asset in ("grid_tensors", "patrol_plans")
            )
            messages = [message for _, text in story.notices for message in text.split("\n\n")]
            told = sorted({_title(text) for text in messages if str(day) in text and f": {city.name}, " in text})
            print(f"{day!s:11s} {landed:44s}{times}{trained:>10s}{to_grid:>9s}{to_plan:>9s}  {'; '.join(told) or '-'}")


def _print_runs(runs: Runs, found: Materializations, story: Story, seconds: float) -> None:
    counts = ", ".join(f"{number} {status}" for status, number in sorted(runs.by_status.items()))
    print(
        f"\n{sum(runs.by_status.values())} runs ({counts}) in {seconds:.0f} s; {sum(map(len, found.values())):,} partitions made"
    )
    if runs.phases:
        queued, starting, working = typical(runs.phases)
        total = sum(sum(of) for of in runs.phases)
        share = sum(of.starting for of in runs.phases) / total
        print(
            f"A run (median): {queued:.1f} s in the queue, {starting:.1f} s until its process is at the first step, "
            f"{working:.1f} s of steps. Process starts are {share:.0%} of the runs' time."
        )
    print(f"{len(story.notices)} posts to the webhook:")
    for at, text in story.notices:
        print(f"  {_clock(at)} " + " / ".join(line for line in text.splitlines() if line.startswith("*")))


def _problems(
    cities: list[RehearsedCity], first: date, days: list[date], made: list[str], found: Materializations, story: Story
) -> list[str]:
    """What is missing, double without a cause, or was not told."""
    problems = []
    history = [first + timedelta(days=at) for at in range((days[0] - first).days)]
    for city in cities:
        for day in [*history, *days]:
            key, drops = key_of(city.name, day), story.landed.get((city.name, day), [])
            versions = _versions(drops) if day in days else 1
            for asset in made:
                times = len(found.get((asset, key), []))
                if asset in DAILY_CHAIN and times != versions:
                    problems.append(f"{asset} of {key} was made {times} times of {versions} landed versions")
                elif asset in LIVE_CHAIN and day in days:
                    # The first day has no forecast of the day before that could be scored.
                    least = 0 if asset == "forecast_scores" and day == days[0] else 1
                    most = _causes(story, city.name, day)
                    if not least <= times <= most:
                        problems.append(f"{asset} of {key} was made {times} times (expected {least} to {most})")
    problems += [
        f"{name} of {city} cannot be read, and nobody was told"
        for city, _, name in story.corrupt
        if not _named(story, city, name)
    ]
    return problems


def _causes(story: Story, city: str, day: date) -> int:
    """At most so often may a day's forecast be made: once, and again for each later landing of a day that it looks at."""
    window = [day - timedelta(days=back) for back in range(LOOK_BACK_DAYS)]
    drops = [at for of in window for at, kind in story.landed.get((city, of), []) if kind != "corrupt"]
    own = min((at for at, kind in story.landed[city, day] if kind != "corrupt"), default=0.0)
    return 1 + sum(at > own for at in drops)


def _failures(runs: Runs) -> list[str]:
    failed = runs.by_status.get("FAILURE", 0)
    return [f"{failed} runs failed; see them with: dg dev"] if failed else []


def _named(story: Story, city: str, file: str) -> bool:
    return any(f"Corrupt file: {city}, {file}" in text for _, text in story.notices)


def _cell(made: list[Made]) -> str:
    if not made:
        return f"{'missing':>12s}"
    again = f" x{len(made)}" if len(made) > 1 else ""
    return f"{_clock(made[0].at) + again:>12s}"


def _seconds(drops: list[tuple[float, str]], made: list[Made]) -> str:
    """From the first landing that could be read to the first time made."""
    readable = [at for at, kind in drops if kind != "corrupt"]
    return f"{made[0].at - readable[0]:.0f} s" if made and readable else "-"


def _title(text: str) -> str:
    return text.splitlines()[0].strip("*").split(":")[0].lower()


def _clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at):%H:%M:%S}"


if __name__ == "__main__":
    main()
