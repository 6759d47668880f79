"""Makes the kept store of a release, by the program of its commit.

    python -m shotspotter_assets_tests.release.make_store shotspotter_assets_tests/release/store_1_0_0.tar.xz

`town` is a made-up city of landed files with all products, run by its sensor and the tests' clock. New models wait for a person
from the first issue date on. The archive has the store without scripts and pictures of pages, the city's files and the landed
files, whose paths start at the folder that the archive is unpacked in. All times are of the town's clock.
"""

import json
import os
import sys
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import dagster as dg
import numpy as np

from shotspotter_assets.alerts.sources.landing import reader
from shotspotter_assets.forecasts.approval import WaitingModels
from shotspotter_assets.forecasts.patrol.dispatch import read_plan
from shotspotter_assets.settings import Settings
from shotspotter_assets.storage.catalogue import PLAN
from shotspotter_assets_tests.automation.living_city import NAME, LivingCity, assets_of
from shotspotter_assets_tests.defs.chain import Installation, materialize

START: Final = date(2024, 12, 26)  # 120 days before the first issue date, which the city's own models need
FIRST: Final = date(2025, 4, 27)  # first issue date under the sensor
LAST: Final = date(2025, 5, 8)  # newest stored day
REPLAYED: Final = date(2025, 4, 10)  # issue date of a forecast that is made after its day
GAP: Final = (date(2025, 4, 30), date(2025, 5, 1), date(2025, 5, 2))  # days whose file lands late
MADE_AT: Final = datetime(LAST.year, LAST.month, LAST.day + 1, 21, tzinfo=UTC)  # time of files in the archive
APPROVED: Final = date(2025, 5, 4)  # first day on which waiting models are approved
PLACES: Final = ((-76.90, 38.10), (-76.60, 38.40), (-76.35, 38.62), (-76.10, 38.90))
KINDS: Final = ("Single_Gunshot", "Multiple_Gunshots", "Gunshot_or_Firecracker", "Unheard_Of")
FOLDERS: Final = ("cities", "landing", "store")
PRODUCTS: Final = ["live_models", "risk_forecasts", "street_risk", "patrol_plans"]
SETTINGS: Final = """
serves: residual_boosting
shadow: gradient_boosting
network: false
forecasters: {residual_boosting: {max_trees: 20}}
folds: {every: month}
streets: {path: streets.geojson, name: name}
nowcasts: {}
audit: {path: tracts.geojson, name: tract, year: 2023, residents: {column: people}}
patrol:
  lottery: 1.5
  shifts:
    - {name: evening, start: 16, end: 0, units: 2}
    - {name: night, start: 20, end: 4, units: 2}
patrols:
  source: {kind: landing, settle_seconds: 0, columns: {time: from, longitude: null, latitude: null}}
  columns: {unit: unit, until: to, cell: cell}
outcomes:
  source: {kind: landing, settle_seconds: 0, columns: {time: called, longitude: x, latitude: y, source_id: number}}
  columns: {alert_id: alert, code: disposition, cleared: cleared}
  codes: {GOA: unconfirmed, RPT: confirmed}
"""
PERSON: Final = "approval: person\n"
TRAINED: Final = {
    "fold_models": {"models": ["residual_boosting"]},
    "evaluation_reports": {"horizons": [], "types": False},
}


class Town(LivingCity):
    """The city in the working folder, with relative paths."""

    def load(self) -> None:
        with self.clock():
            folders = {f"SHOTSPOTTER_{name.upper()}": name for name in FOLDERS}
            settings = Settings.from_environment(folders | {"DAGSTER_HOME": "home"})
        self.on = Installation(settings)
        self.city = settings.cities[NAME]


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Work in a folder, as the landed files of the kept store have relative paths."""
    before = Path.cwd()
    os.chdir(folder)
    reader._end_idle()  # the process that reads landed files works in the folder in which it was started
    try:
        yield
    finally:
        reader._end_idle()
        os.chdir(before)


def alerts_of(day: date) -> list[str]:
    """Return about four alerts of a day near four places, most of them in the evening, and now and then a wrong one."""
    random = np.random.default_rng(day.toordinal())
    rows = []
    for number in range(random.poisson(9)):
        longitude, latitude = np.array(PLACES[random.choice(4, p=[0.55, 0.25, 0.15, 0.05])]) + random.normal(0, 0.02, 2)
        when = datetime(day.year, day.month, day.day, 15, tzinfo=UTC) + timedelta(seconds=int(random.integers(43_000)))
        kind = random.choice(KINDS, p=[0.4, 0.4, 0.18, 0.02])
        rows.append(f"{when:%Y-%m-%dT%H:%M:%SZ},{longitude:.5f},{latitude:.5f},{kind},{day}-{number}\n")
    if day.day % 10 == 3:
        rows.append(f"{day}T18:00:00Z,-70.0,38.5,Single_Gunshot,{day}-outside\n")
    return rows[::2]


def write_streets(path: Path) -> None:
    """Write two streets at each place."""
    features = []
    for number, (longitude, latitude) in enumerate(PLACES):
        for name, (east, north) in {f"Long {number}": (0.05, 0.0), f"Cross {number}": (0.0, 0.05)}.items():
            line = [[longitude - east, latitude - north], [longitude, latitude], [longitude + east, latitude + north]]
            geometry = {"type": "LineString", "coordinates": line}
            features.append({"type": "Feature", "properties": {"name": name}, "geometry": geometry})
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def by_hand(town: LivingCity, assets: list[str], key: date | None = None) -> None:
    """Materialize assets as a person does."""
    with town.clock():
        partition = None if key is None else str(key)
        made = materialize(NAME, assets, town.on, partition_key=partition, checks=(), instance=town.instance)
        assert made.success


def write_city_file(town: LivingCity, more: str) -> None:
    """Write the city's file."""
    town.write_city_file(grid=4, publication="{days_late: 0, longest_lead: 2}", more=more)  # type: ignore[arg-type]  # formatted


def write_tracts(path: Path) -> None:
    """Write each quarter of the box as a tract, with a number of residents."""
    features = []
    for number, (west, south) in enumerate([(-77.0, 38.0), (-76.5, 38.0), (-77.0, 38.5), (-76.5, 38.5)]):
        east = west + 0.5
        north = south + 0.5
        ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        geometry = {"type": "Polygon", "coordinates": [ring]}
        properties = {"tract": f"Tract {number}", "people": 1_000 * (number + 1)}
        features.append({"type": "Feature", "properties": properties, "geometry": geometry})
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def settle(town: LivingCity) -> None:
    """Tick and run until nothing is requested, with small folds."""
    for _ in range(40):
        requests = town.tick()
        if not requests:
            return
        for request in requests:
            config = {name: TRAINED[name] for name in assets_of(request) & TRAINED.keys()}
            assert town.run(request, config, checks=False), request.tags
    raise AssertionError(f"not settled: {town.message}")


def approve(town: LivingCity, issue_date: date) -> bool:
    """Approve the newest waiting models as a person does; False if none wait."""
    waiting = WaitingModels.find(town.store, NAME, issue_date)
    if waiting is None:
        return False
    launch = dg.RunRequest(
        asset_selection=[dg.AssetKey([NAME, "live_models"])], tags={"dagster/partition": str(issue_date)}
    )
    config = {"live_models": {"approve": waiting.models.version, "approver": "A. Smith"}}
    assert town.run(launch, config, checks=False)
    return True


def land_beside(town: LivingCity, table: str, name: str, *lines: str) -> None:
    """Land a file of a side table."""
    path = Path("landing", f"{NAME}_{table}", name)
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(lines))
    os.utime(path, (town.now.timestamp(), town.now.timestamp()))


def land_outcomes(town: LivingCity, of_days: Sequence[date]) -> None:
    """Land a call for two of three alerts."""
    lines = ["number,called,x,y,alert,disposition,cleared\n"]
    for row in (row for day in of_days for row in alerts_of(day)):
        when, longitude, latitude, _, alert = row.strip().split(",")
        number = sum(map(ord, alert)) % 3
        if number < 2:
            cleared = datetime.fromisoformat(when) + timedelta(minutes=20)
            code = ("GOA", "RPT")[number]
            lines.append(f"c{alert},{when},{longitude},{latitude},{alert},{code},{cleared:%Y-%m-%dT%H:%M:%SZ}\n")
    land_beside(town, "outcomes", f"{of_days[-1]}.csv", *lines)


def land_patrols(town: LivingCity, of_day: date) -> None:
    """Land a log of the evening's patrols as planned, if there is a plan of the day."""
    issue_date = of_day - timedelta(days=1)
    if not town.store.exists(PLAN, NAME, issue_date):
        return
    table, record = read_plan(town.store, NAME, issue_date)
    if record.forecast_date != of_day:
        return
    evening = [row["cell"] for row in table.to_pylist() if row["shift"] == "evening"]
    lines = [f"{number},{of_day}T20:00Z,{of_day}T23:30Z,{cell}\n" for number, cell in enumerate(evening)]
    land_beside(town, "patrols", f"{of_day}.csv", "unit,from,to,cell\n", *lines)


def begin(town: LivingCity) -> None:
    """Land and build four months, and replay a forecast."""
    write_streets(Path("cities", "streets.geojson"))
    write_tracts(Path("cities", "tracts.geojson"))
    write_city_file(town, SETTINGS)
    history = days(START, FIRST - timedelta(days=1))
    for month in (12, 1, 2, 3, 4):
        of_month = [day for day in history if day.month == month]
        town.land(f"month_{month}.csv", *(row for day in of_month for row in alerts_of(day)))
    land_outcomes(town, history)
    town.now = datetime(FIRST.year, FIRST.month, FIRST.day, 12, tzinfo=UTC)
    settle(town)
    by_hand(town, PRODUCTS, REPLAYED)
    write_city_file(town, SETTINGS + PERSON)
    settle(town)


def live(town: LivingCity, day: date) -> None:
    """Let the alerts of a day land in the morning after, and settle; once, approve models that wait."""
    town.now = datetime(day.year, day.month, day.day, 12, tzinfo=UTC) + timedelta(days=1)
    landed = [] if day in GAP[:-1] else [*GAP] if day == GAP[-1] else [day]
    for of_day in landed:
        town.land(f"{of_day}.csv", *alerts_of(of_day))
    if landed:
        land_outcomes(town, landed)
        land_patrols(town, day)
    settle(town)
    if day >= LAST - timedelta(days=1):
        town.now = town.now.replace(hour=20, minute=30)
        by_hand(town, ["nowcasts"])
        settle(town)


def fill(folder: Path) -> None:
    """Let the program live for twelve days on the data of four months, from noon of one day to the evening of another."""
    with inside(folder):
        town = Town(Path(), START, datetime(FIRST.year, FIRST.month, FIRST.day, 6, tzinfo=UTC))
        begin(town)
        for day in days(FIRST, LAST):
            live(town, day)
            for issue_date in (day, day + timedelta(days=1)):  # models for tomorrow's forecast have another lead
                if day >= APPROVED and approve(town, issue_date):
                    settle(town)


def packed(item: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out locks, owners, scripts and pictures; all but landed files have one time of the town's clock."""
    if "/.locks" in item.name or item.name.endswith((".js", ".css", ".png", ".svg")):
        return None
    item.uid = item.gid = 0
    item.uname = item.gname = ""
    if item.isdir() or not item.name.startswith("landing/"):
        item.mtime = int(MADE_AT.timestamp())
    return item


def main(archive: Path) -> None:
    with TemporaryDirectory() as folder:
        fill(Path(folder))
        with tarfile.open(archive, "w:xz", preset=9) as file:
            for name in FOLDERS:
                file.add(Path(folder, name), name, filter=packed)


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
