"""An installation that is done harm to: its cities, its processes with their service manager, and what is seen of it."""

import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import dagster as dg
import psutil
import pyarrow as pa

from shotspotter_assets.calendar.local_time import days_between
from shotspotter_assets.dagster_patches.run_launcher import process_of
from shotspotter_assets.rehearsal.account import is_idle
from shotspotter_assets.rehearsal.chaos.account import keys_of, made_together, stored_wrong
from shotspotter_assets.rehearsal.chaos.hostile_files import LIBRARY, Place, ids_of, shown
from shotspotter_assets.rehearsal.chaos.ledger import BadFile, Ledger, Spoiled
from shotspotter_assets.rehearsal.chaos.plan import (
    Action,
    ClockMove,
    Hostility,
    Kill,
    Landing,
    Outage,
    Publishing,
    SecondDaemon,
    Spoiling,
)
from shotspotter_assets.rehearsal.cities import DAILY, FILE_DATE, HISTORY, RehearsedCity
from shotspotter_assets.rehearsal.drops import corrected, csv_of, land_history, write_whole
from shotspotter_assets.rehearsal.processes import Installation
from shotspotter_assets.rehearsal.publisher import Publisher
from shotspotter_assets.storage.store import Store

RESTART_SECONDS: Final = 3.0
"""After which the service manager starts again what has ended."""

FORECAST_CITY: Final = "daily_files"
"""Lands a file a day after a history that forecasts can be made from."""
MIXED_CITY: Final = "any_files"
"""Lands two files for each day, of any name."""
LIVE_CITY: Final = "live_layer"
"""Is asked at a layer."""

PARTS: Final = {FORECAST_CITY: 1, MIXED_CITY: 2}
"""Files of a day of the cities whose alerts land."""


class Clock:
    """The clock of the installation's processes, through libfaketime; without its library it stays true."""

    def __init__(self, folder: Path, library: Path | None) -> None:
        self._file, self._library = folder / "clock", library
        self.set(0)

    @property
    def can_move(self) -> bool:
        """Whether there is a library to move it with."""
        return self._library is not None

    def environment(self) -> Mapping[str, str]:
        """Of the processes whose clock it is. Waiting goes by the true clock, as on a machine whose clock is set."""
        if self._library is None:
            return {}
        return {
            "LD_PRELOAD": str(self._library), "FAKETIME_TIMESTAMP_FILE": str(self._file), "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1",
        }  # fmt: skip

    def set(self, seconds: int) -> None:
        """Let it differ from the true time by so many seconds."""
        self._file.write_text(f"{seconds:+d}\n")


@dataclass
class Wait:
    """How long a city waits for what has landed."""

    since: float
    """When the first of it landed, on the monotonic clock."""
    days: set[date] = field(default_factory=set)
    disturbed: bool = False
    """Whether something that the city needs was killed, spoiled or away meanwhile."""


@dataclass
class World:
    """The installation and all that is done to it."""

    system: Installation
    instance: dg.DagsterInstance
    store: Store
    landing: Path
    cities: Sequence[RehearsedCity]
    publisher: Publisher
    clock: Clock
    ledger: Ledger = field(default_factory=Ledger)
    waited: dict[str, list[tuple[float, bool]]] = field(default_factory=dict)
    """By city, seconds from a landing to the cleaned alerts, and whether that was disturbed."""
    _waits: dict[str, Wait] = field(default_factory=dict)
    _restart_at: float | None = None
    _layer_back_at: float = 0.0
    _pending_kills: list[Kill] = field(default_factory=list)
    _second_daemon: subprocess.Popen[bytes] | None = None
    _second_daemon_ends_at: float = 0.0

    def begin(self, first_days: Mapping[str, date], eve: date) -> None:
        """Land and publish the days to the one before the first of the plan."""
        for city in self.cities:
            if not city.rhythm:
                land_history(self.landing, city, first_days[city.name], eve)
            rows = city.of_days(first_days[city.name], eve)
            self.ledger.take(city.name, rows)
            for day in days_between(first_days[city.name], eve):
                if not self.ledger.versions[city.name, day]:
                    self.ledger.take_ids(city.name, day, set())
        self.publisher.publish(LIVE_CITY, eve)
        [live] = (city for city in self.cities if city.rhythm)
        for day in days_between(eve + timedelta(days=1), date.fromisoformat(live.file["end"])):
            self.ledger.versions[LIVE_CITY, day] += 1  # the layer is asked for it before it shows it

    def do(self, action: Action) -> str:
        """Do it, or what can be done of it now: a remark, or nothing."""
        match action:
            case Landing():
                self._land(action)
            case Spoiling():
                self._spoil(action)
            case Hostility():
                self._drop_hostile(action)
            case Publishing(day):
                [city] = (city for city in self.cities if city.rhythm)
                self._take(city.name, day, city.of_days(day, day))
                self.publisher.publish(LIVE_CITY, day)
            case Outage(seconds):
                self.ledger.harms.add(f"/{LIVE_CITY}/")
                self.publisher.is_away = True
                self._disturb({LIVE_CITY})
                self._layer_back_at = time.monotonic() + seconds
            case SecondDaemon(seconds):
                self._second_daemon = self.system.start_second_daemon()
                self._second_daemon_ends_at = time.monotonic() + seconds
                self.ledger.daemons += 1
            case ClockMove(seconds):
                self.clock.set(seconds)
            case Kill():
                self._pending_kills.append(action)
                return self._kill_pending()
        return ""

    def look(self) -> list[str]:
        """Look after what has ended or is over, and at what has been made: remarks."""
        remarks = [self._look_after_processes()]
        if killed := self._kill_pending():
            remarks.append(f"SIGKILL to {killed}, which had to come first")
        if self.publisher.is_away and time.monotonic() > self._layer_back_at:
            self.publisher.is_away = False
            remarks.append("the layer's server is back")
        remarks.append(self._look_after_second_daemon())
        if not self.ledger.daemons:
            under_way = self.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
            self.ledger.together |= set(made_together(under_way))
        for name, wait in list(self._waits.items()):
            wait.days = {day for day in wait.days if self.lacks(name, day, day)}
            if not wait.days:
                self.waited.setdefault(name, []).append((time.monotonic() - wait.since, wait.disturbed))
                del self._waits[name]
        return [remark for remark in remarks if remark]

    def lacks(self, city: str, first: date, last: date) -> list[str]:
        """What is not yet, or not rightly, stored of a city's days."""
        return list(stored_wrong(self.store, self.ledger, [city], first, last))

    def calm(self) -> None:
        """Let the clock be true, the layer be there, one daemon be enough, and kill nothing any more."""
        self._second_daemon_ends_at = 0.0
        self.clock.set(0)
        self.publisher.is_away = False
        self._pending_kills.clear()

    def mend(self) -> None:
        """Land the spoiled files again, as they were."""
        for file in self.ledger.spoiled:
            write_whole(file.path, file.whole)
        self.ledger.spoiled.clear()

    def is_settled(self, first: date, last: date) -> bool:
        """Whether nothing is under way, and all that has landed is made."""
        return is_idle(self.instance) and not any(self.lacks(city.name, first, last) for city in self.cities)

    def _city(self, name: str) -> RehearsedCity:
        return next(city for city in self.cities if city.name == name)

    def _take(self, city: str, day: date, rows: pa.Table) -> None:
        self.ledger.take_ids(city, day, set(rows["source_id"].to_pylist()))
        self._wait_for(city, day)

    def _wait_for(self, city: str, day: date) -> None:
        self._waits.setdefault(city, Wait(time.monotonic())).days.add(day)

    def _path(self, city: str, day: date, part: int) -> Path:
        if city == FORECAST_CITY:
            return self.landing / city / DAILY / f"{day.strftime(FILE_DATE)}.csv"
        return self.landing / city / HISTORY / f"batch {day} {part}.csv"

    def _land(self, landing: Landing) -> None:
        city = self._city(landing.city)
        parts = PARTS[city.name]
        rows = city.of_days(landing.day, landing.day)
        half = rows.num_rows // parts
        rows = rows.slice(landing.part * half, half if landing.part < parts - 1 else None)
        if landing.version > 1:
            source_id = f"corrected {landing.city} {landing.day} {landing.part}"
            # At the same moment and place, two alerts of different files would count as one.
            rows = corrected(rows, city, landing.day, source_id, minutes=5 + 10 * landing.part)
        write_whole(self._path(city.name, landing.day, landing.part), csv_of(rows))
        self._take(city.name, landing.day, rows)

    def _spoil(self, spoiling: Spoiling) -> None:
        path = self._path(*spoiling)
        whole = path.read_bytes()
        header, _, _ = whole.partition(b"\n")
        write_whole(path, header[: len(header) // 2])
        self._disturb({spoiling.city})
        # A run that was under way may not have read it: its day is made again once it is mended.
        self.ledger.versions[spoiling.city, spoiling.day] += 1
        self.ledger.harms.add(str(path))
        self.ledger.spoiled.append(Spoiled(spoiling.city, spoiling.day, path, whole))

    def _drop_hostile(self, hostility: Hostility) -> None:
        city, file = self._city(hostility.city), LIBRARY[hostility.file]
        path = self.landing / city.name / HISTORY / hostility.file
        # Made beside the folder, as making a large one takes a while.
        aside = path.with_name(f".{hostility.file}") if file.outcome != "in transfer" else path
        file.make(aside, self._place(city, hostility.day))
        if aside != path:
            aside.rename(path)
        self.ledger.harms.add(shown(str(path)))
        self.ledger.bad_files.append(BadFile(city.name, hostility.file, file.outcome))
        if file.outcome in ("rejected", "taken"):
            ids = set(ids_of(path.stem))
            self.ledger.pass_over(city.name, hostility.day)
            self.ledger.take_ids(city.name, hostility.day, ids)
            self.ledger.rejected |= ids if file.outcome == "rejected" else set()
            self._wait_for(city.name, hostility.day)

    def _place(self, city: RehearsedCity, day: date) -> Place:
        point = city.alerts.slice(0, 1).to_pylist()[0]
        return Place(day, point["longitude"], point["latitude"])

    def _look_after_second_daemon(self) -> str:
        if self._second_daemon is None or time.monotonic() < self._second_daemon_ends_at:
            return ""
        self._second_daemon.terminate()
        self._second_daemon.wait()
        self._second_daemon = None
        return "the second daemon has ended"

    def _look_after_processes(self) -> str:
        now = time.monotonic()
        if self._restart_at is None and self.system.process.poll() is not None:
            self.ledger.killed |= set(self.system.stop())
            self.ledger.harms.add(dg.DagsterExecutionInterruptedError.__name__)  # of those that it has ended itself
            self._disturb(None)
            self._restart_at = now + RESTART_SECONDS
            return "dg dev has ended; it starts again"
        if self._restart_at is not None and now >= self._restart_at:
            self.system.start()
            self._restart_at = None
        return ""

    def _kill_pending(self) -> str:
        for kill in list(self._pending_kills):
            if victim := self._victim(kill):
                self._pending_kills.remove(kill)
                process, what = victim
                self.ledger.killed.add(process.pid)
                process.kill()
                return f"{what} (process {process.pid})"
        return ""

    def _victim(self, kill: Kill) -> tuple[psutil.Process, str] | None:
        if self._restart_at is not None:
            return None
        if kill.what == "run worker":
            return self._run_worker()
        found = {
            "code server": self.system.code_servers, "daemon": self.system.daemons, "web server": self.system.webservers
        }[kill.what]()  # fmt: skip
        if not found:
            return None
        self._disturb(None)
        return found[0], f"the {kill.what}"

    def _run_worker(self) -> tuple[psutil.Process, str] | None:
        for run in self.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
            number = process_of(self.instance, run.run_id)
            if number is not None and psutil.pid_exists(number):
                keys = keys_of(run)
                self._disturb({key.partition("|")[0] for key in keys})
                assets = ", ".join(sorted(asset.to_user_string() for asset in run.asset_selection or ()))
                return psutil.Process(number), f"the process of run {run.run_id[:8]} ({assets} of {keys[0]}...)"
        return None

    def _disturb(self, cities: set[str] | None) -> None:
        for name, wait in self._waits.items():
            wait.disturbed |= cities is None or name in cities


def tick_texts(system: Installation, sensors: Sequence[str], ticks: int) -> str:
    """All that the newest ticks of some sensors have said, in their line and their log."""
    query = """query($of: SensorSelector!, $ticks: Int!) { sensorOrError(sensorSelector: $of) { ... on Sensor { sensorState {
      ticks(limit: $ticks) { skipReason error { message } logEvents { events { message } } } } } } }"""
    texts: list[str] = []
    for name in sensors:
        of = {"repositoryLocationName": "shotspotter_assets", "repositoryName": "__repository__", "sensorName": name}
        answer: Any = system.ask(query, of=of, ticks=ticks)
        for tick in answer["sensorOrError"]["sensorState"]["ticks"]:
            events = (tick.get("logEvents") or {}).get("events", [])
            texts += [tick["skipReason"] or "", (tick["error"] or {}).get("message", "")]
            texts += [event["message"] for event in events]
    return "\n".join(texts)
