"""An installation that is upgraded: wheels in an environment of its own, a town whose files land, and its daemon."""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest

from shotspotter_assets.settings import CHECKOUT
from shotspotter_assets_tests.waiting import wait_until

BIN: Final = Path(sys.executable).parent
LONGITUDES: Final = {"America/New_York": -77.0, "Europe/Berlin": 10.0, "Asia/Tokyo": 139.0, "Pacific/Auckland": 174.0}
MAX_WAIT_SECONDS: Final = 600.0
SETTLED: Final = "Everything is built from what the sources hold."
CITY_FILE: Final = """\
name: town
time_zone: {zone}
start: {start}
automation: recent
box: {{west: {west}, south: 38.88, east: {east}, north: 38.93}}
grid: {{rows: 6, columns: 6}}
source:
  kind: landing
  columns: {{time: time, longitude: longitude, latitude: latitude, gunshot_type: type, source_id: id}}
  naive_times: local
serves: residual_boosting
patrol: {{shifts: [{{name: night, start: 20, end: 4, units: 2}}]}}
"""


def afternoon_zone() -> str:
    """Return a zone whose clock is between noon and 20:30, where yesterday is over and tomorrow's forecast is issued."""
    hours = {zone: datetime.now(ZoneInfo(zone)).hour for zone in LONGITUDES}
    return next(zone for zone, hour in hours.items() if 12 <= hour <= 20)


def run(*command: str | Path, **how: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, **how)


def wheel_of_commit(commit: str, folder: Path) -> Path:
    """Build the wheel of a commit from its files; skip the test without them."""
    packed = run("git", "-C", CHECKOUT, "archive", "--output", folder / "source.tar", commit)
    if packed.returncode:
        pytest.skip(f"needs commit {commit[:8]} of the last release: clone the whole history (git fetch --unshallow)")
    (folder / "source").mkdir()
    subprocess.run(["tar", "-xf", folder / "source.tar", "-C", folder / "source"], check=True)
    return wheel_of(folder / "source", folder / "wheel")


def wheel_of(source: Path, folder: Path) -> Path:
    command = [BIN / "uv", "build", "--quiet", "--no-build-isolation", "--python", sys.executable, "--out-dir", folder]
    subprocess.run([*command, source], check=True)  # from the archive of sources: not from an earlier build
    return next(folder.glob("*.whl"))


class UpgradedTown:
    """Folders and environment of an installation in which wheels replace each other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "store"
        self.home = folder / "home"
        self.zone = afternoon_zone()
        self.today = datetime.now(ZoneInfo(self.zone)).date()
        self.bin = folder / "environment" / "bin"
        self._random = random.Random(5)
        own = {"DAGSTER_HOME": str(self.home), "UV_LINK_MODE": "symlink", "PYTHONPATH": ""}
        for name in ("store", "landing", "cities"):
            own[f"SHOTSPOTTER_{name.upper()}"] = str(folder / name)
        others = {name: value for name, value in os.environ.items() if not name.startswith("SHOTSPOTTER_")}
        self.environ = others | own
        for new in (self.home, folder / "cities", folder / "landing" / "town"):
            new.mkdir(parents=True)
        west = LONGITUDES[self.zone]
        text = CITY_FILE.format(zone=self.zone, start=self.day(-60), west=west, east=west + 0.06)
        (folder / "cities" / "town.yaml").write_text(text)
        subprocess.run([BIN / "uv", "venv", "--quiet", "--python", sys.executable, folder / "environment"], check=True)

    def day(self, after: int) -> date:
        return self.today + timedelta(days=after)

    def install(self, wheel: Path, lock: Path) -> None:
        """Install a wheel with the packages of a lock; skip the test where these cannot be had."""
        command = [BIN / "uv", "pip", "install", "--quiet", "--python", self.bin / "python", "--constraint", lock]
        installed = run(*command, wheel, env=self.environ)
        if installed.returncode and ("fetch" in installed.stderr or "connect" in installed.stderr):
            pytest.skip(f"needs a package registry: {installed.stderr.strip().splitlines()[-1]}")
        assert installed.returncode == 0, installed.stderr

    def land(self, first: date, last: date) -> None:
        """Land a file with rows of each day."""
        lines = ["time,latitude,longitude,id,type"]
        for number in range((last - first).days + 1):
            day = first + timedelta(days=number)
            for row in range(self._random.randint(3, 9)):
                time = f"{day} {self._random.randrange(24):02}:{self._random.randrange(60):02}:{row:02}"
                latitude = 38.88 + 0.05 * self._random.random()
                longitude = LONGITUDES[self.zone] + 0.06 * self._random.random()
                lines.append(f"{time},{latitude:.5f},{longitude:.5f},{day}-{row},single gunshot")
        (self.folder / "landing" / "town" / f"{first}_{last}.csv").write_text("\n".join(lines) + "\n")

    def run(self, program: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return run(self.bin / program, *arguments, cwd=self.folder, env=self.environ | environ)

    def materialize(
        self, assets: Sequence[str], first: date, last: date, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        """Build days of some assets, as a person would."""
        selected = ",".join(f"key:town/{name}" for name in assets)
        command = ["asset", "materialize", "-m", "shotspotter_assets.definitions", "--select", selected]
        return self.run("dagster", *command, "--partition-range", f"{first}...{last}", **environ)

    @contextmanager
    def daemon(self, **environ: str) -> Iterator[Path]:
        """Run the daemon with its code location; yield the file of its messages."""
        log = self.folder / f"daemon_{datetime.now(UTC):%H%M%S}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [self.bin / "dagster-daemon", "run", "-m", "shotspotter_assets.definitions"],
                cwd=self.folder, env=self.environ | environ, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        try:
            yield log
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def run_daemon_until_built(self, *made: Path) -> str:
        """Run the daemon until some files are there and nothing is due; return its messages."""
        with self.daemon() as log:

            def is_built() -> bool:
                ticks = [line for line in log.read_text().splitlines() if "Sensor town_automation" in line]
                return all(file.exists() for file in made) and bool(ticks) and SETTLED in ticks[-1]

            wait_until(is_built, MAX_WAIT_SECONDS, every=0.5, details=lambda: log.read_text()[-3000:])
            return log.read_text()

    def record(self, *path: str) -> dict[str, Any]:
        return json.loads(self.store.joinpath(*path).read_bytes())
