"""Rehearses nowcasts with the real daemon and a gateway that gives alerts at once: `make minutes`.

The last week of the record is emitted again, sixty times as fast, with its bursts and silences; `gateway` says what else it does.
The account says whether every nowcast had each alert once and each type that had come, how long that took
(`minutes_account`), and what a nowcast costs the sensor and what it would cost a run.
"""

import argparse
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import date, datetime, timedelta
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.calendar.local_time import today
from shotspotter_assets.cities.city import City
from shotspotter_assets.definitions import build_definitions
from shotspotter_assets.partitions import key_of, range_tags
from shotspotter_assets.rehearsal.__main__ import ZONE, end, log
from shotspotter_assets.rehearsal.cities import RehearsedCity, real_city, simulated_city
from shotspotter_assets.rehearsal.gateway import SOURCE, Emitted, Gateway, emitted, serving
from shotspotter_assets.rehearsal.minutes_account import EVERY_SECONDS, Made, account, in_words
from shotspotter_assets.rehearsal.processes import MAX_STOP_SECONDS, prepare
from shotspotter_assets.serving.nowcast_poller import NowcastPoller, Snapshot
from shotspotter_assets.settings import Settings
from shotspotter_assets.sources.registry import Access, open_sources
from shotspotter_assets.storage.store import Store

SPEED: Final = 60.0
HISTORY_DAYS: Final = 200
RECORD_DAYS: Final = 7
TYPED_AFTER_SECONDS: Final = 300.0
"""By the clock, as is how long the gateway is down: they try the running system, which nothing makes sixty times as fast."""
DOWN_SECONDS: Final = 600.0
MAX_SHARE: Final = 1 / 4
"""In a short rehearsal types come after this share of it at most, and the gateway is down for no more."""
AFTER_SECONDS: Final = 90.0
"""The daemon goes on for so long after the last alert or type, and the outage."""
NOWCASTS: Final = dg.AssetKey("nowcasts")


def main() -> None:
    """Rehearse, print the account, and exit with 1 if anything is lost, double or late."""
    options = _options()
    folder = Path(tempfile.mkdtemp(prefix="rehearsal_minutes_")).resolve()
    passed = False
    signal.signal(signal.SIGTERM, end)
    try:
        passed = rehearse(folder, options.alerts, options.minutes)
    finally:
        if passed:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            log(f"Instance, store and logs are in {folder}")
    sys.exit(0 if passed else 1)


def rehearse(folder: Path, alerts: Path | None, minutes: float) -> bool:
    """Whether every alert, and every type, was in the nowcasts once, within a minute of its arrival."""
    last = today(ZONE) - timedelta(days=1)
    first = last - timedelta(days=HISTORY_DAYS - 1)
    city = simulated_city(first, last) if alerts is None else real_city(alerts, first, last)
    with ExitStack() as stack:
        gateway = Gateway(_history(city))
        address = stack.enter_context(serving(gateway))
        city.file.update(
            source=SOURCE | {"url": address},
            other_sources=[],
            patrol=None,
            automation="recent",
            publication={"days_late": 0},
            nowcasts={"every_seconds": EVERY_SECONDS},
        )
        environment = prepare(folder, {city.name: json.dumps(city.file)})
        os.environ |= {name: environment[name] for name in environment if name.startswith(("DAGSTER_", "SHOTSPOTTER_"))}
        settings = Settings.from_environment(os.environ)
        instance = stack.enter_context(dg.DagsterInstance.get())
        log(f"{city.name}: {city.remark}; the history of {HISTORY_DAYS} days is made, and the models are trained")
        _make_history(settings, instance, city.name, first, last)
        daemon = _start_daemon(folder, environment)
        try:
            _sleep_until(lambda: bool(_nowcasts(instance, settings.cities[city.name])), daemon)
            live = _live(city, time.time(), minutes)
            length = live[-1].at - live[0].at
            down_for = min(DOWN_SECONDS, MAX_SHARE * length)
            begins = live[len(live) // 2].at
            gateway.down = (begins, begins + down_for)
            gateway.answers.clear()
            gateway.alerts = [*gateway.alerts, *live]
            log(f"{in_words(live)}; the gateway is down for {down_for:.0f} s from the middle one on")
            over = max(gateway.down[1], *(alert.typed_at for alert in live)) + AFTER_SECONDS
            _sleep_until(lambda: time.time() > over, daemon)
        finally:
            daemon.terminate()
            try:
                daemon.wait(MAX_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                daemon.kill()
        made = [one for one in _nowcasts(instance, settings.cities[city.name]) if one.now >= live[0].at]
        problems = account(made, live, gateway, settings.cities[city.name])
        costs(settings, environment, city.name)
    for problem in problems:
        log(f"WRONG: {problem}")
    return not problems


@dg.definitions
def definitions() -> dg.Definitions:
    """The installation's definitions with the sensor of nowcasts alone, so that no other run takes its time."""
    whole = build_definitions(Settings.from_environment(os.environ))
    sensors = [sensor for sensor in whole.sensors or [] if sensor.name == "live_nowcasts"]
    return dg.Definitions(assets=whole.assets, sensors=sensors, resources=whole.resources)


def costs(settings: Settings, environment: dict[str, str], city: str) -> None:
    """Print the seconds of CPU of a nowcast in a run's process, and of a further one in a process that keeps the models."""
    command = ["dagster", "asset", "materialize", "--select", "nowcasts", "--partition", city, "-m"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(  # noqa: S603 - the project's own command
        [str(Path(sys.executable).parent / command[0]), *command[1:], "shotspotter_assets.definitions"],
        env=environment, check=True, capture_output=True,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    store = Store(settings.store_root)
    access = Access(landing=lambda: (_ for _ in ()).throw(AssertionError), environ=os.environ)
    poller = NowcastPoller(settings.cities[city], lambda: store, lambda: open_sources(settings.cities[city], access))
    seconds = []
    for _ in range(4):
        started = time.process_time()
        poller.poll(Snapshot())
        seconds.append(time.process_time() - started)
    first, further = seconds[0], float(np.median(seconds[1:]))
    log(
        f"CPU: a run {run:.1f} s; the sensor {first:.2f} s for the first nowcast of an hour, {further:.2f} s for a further one"
    )


def _history(city: RehearsedCity) -> list[Emitted]:
    return [
        Emitted(f"past-{number}", second, longitude, latitude, kind, second)
        for number, (second, longitude, latitude, kind) in enumerate(_recorded(city.alerts, city))
    ]


def _live(city: RehearsedCity, begin: float, minutes: float) -> list[Emitted]:
    """Of the last week, as many hours as fit the minutes, where it has the most alerts."""
    recorded = _recorded(city.alerts, city)
    week = [one for one in recorded if one[0] >= recorded[-1][0] - RECORD_DAYS * 86_400]
    times = np.array([one[0] for one in week])
    number = np.searchsorted(times, times + 60 * minutes * SPEED, "right") - np.arange(len(times))
    first = int(np.argmax(number))
    chosen = week[first : first + int(number[first])]
    length = (chosen[-1][0] - chosen[0][0]) / SPEED
    return emitted(chosen, begin, SPEED, min(TYPED_AFTER_SECONDS, MAX_SHARE * length))


def _recorded(alerts: pa.Table, city: RehearsedCity) -> list[tuple[float, float, float, str]]:
    """(seconds since 1970, longitude, latitude, type) of each alert, by time."""
    zone = city.file["time_zone"]
    utc = pc.assume_timezone(alerts["occurred_at"], zone, ambiguous="earliest", nonexistent="latest")
    seconds = utc.cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy() / 1e6
    columns = [seconds.tolist(), *(alerts[name].to_pylist() for name in ("longitude", "latitude", "alert_type"))]
    return sorted(zip(*columns, strict=True), key=itemgetter(0))


def _make_history(settings: Settings, instance: dg.DagsterInstance, city: str, first: date, last: date) -> None:
    """The stored days, the models after the last one, and the pages."""
    whole = build_definitions(settings)
    assets: Any = list(whole.assets or [])
    steps: list[tuple[tuple[str, ...], dict[str, Any]]] = [
        (("raw_alerts", "cleaned_alerts", "grid_tensors"), {"tags": range_tags(city, first, last)}),
        (("live_models",), {"partition_key": key_of(city, last)}),
        (("city_pages",), {"partition_key": city}),
    ]
    for names, how in steps:
        selection = dg.AssetSelection.assets(*names).without_checks()
        dg.materialize(assets, selection=selection, resources=whole.resources, instance=instance, **how)


def _start_daemon(folder: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    with (folder / "daemon.log").open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - the project's own command
            [str(Path(sys.executable).parent / "dagster-daemon"), "run", "-m", __spec__.name, "-a", "definitions"],
            cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip


def _sleep_until(is_over: Callable[[], bool], daemon: subprocess.Popen[bytes]) -> None:
    while not is_over():
        if daemon.poll() is not None:
            raise SystemExit("The daemon has ended; see daemon.log.")
        time.sleep(1)


def _nowcasts(instance: dg.DagsterInstance, city: City) -> list[Made]:
    records = instance.fetch_materializations(dg.AssetRecordsFilter(asset_key=NOWCASTS), limit=10_000, ascending=True)
    made = []
    for record in records.records:
        event = record.asset_materialization
        assert event is not None
        now = datetime.fromisoformat(str(event.metadata["now"].value))
        alerts = event.metadata["alerts_since_midnight"].value
        assert isinstance(alerts, int)
        untyped = event.metadata["untyped_since_midnight"].value
        assert isinstance(untyped, int)
        day = now.astimezone(city.zone).date()
        made.append(Made(record.timestamp, now.timestamp(), str(day), alerts, alerts - untyped))
    return made


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make minutes", description=__doc__)
    parser.add_argument(
        "--alerts", type=Path, help="Parquet file of Washington DC's alerts; without it, a simulated city"
    )
    parser.add_argument("--minutes", type=float, default=168.0, help="how long (168 for the whole week)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
