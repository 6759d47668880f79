"""Makes the kept store of release 0.2.0 (`store_0_2_0.tar.xz`), by the code of that release.

    git worktree add ../release_0_2_0 8fcce82d
    PYTHONPATH=../release_0_2_0 python shotspotter_assets_tests/migration/make_store_0_2_0.py store_0_2_0.tar.xz

`town` is a made-up city of landed files, run by the sensor of 0.2.0 and the tests' clock of that release. The archive has its
store, its city file, its street file and the landed files, with their times. Paths of landed files start at the folder that the
archive is unpacked in. Scripts of pages, which are several megabytes, are left out. 0.2.0 had no approvals.
"""

import json
import os
import sys
import tarfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg
import numpy as np

from shotspotter_assets.settings import Settings
from shotspotter_assets_tests.automation.living_city import NAME, LivingCity
from shotspotter_assets_tests.defs.chain import Installation, materialize

START = date(2025, 1, 1)
FIRST = date(2025, 4, 20)  # first issue date under the sensor
GAP = (date(2025, 4, 25), date(2025, 4, 26), date(2025, 4, 27), date(2025, 4, 28))  # days whose file lands late
LAST = date(2025, 5, 8)
REPLAYED = date(2025, 4, 10)  # issue date of a forecast that is made after its day
FOLD = date(2025, 4, 1)
PLACES = ((-76.90, 38.10), (-76.60, 38.40), (-76.35, 38.62), (-76.10, 38.90))
KINDS = ("Single_Gunshot", "Multiple_Gunshots", "Gunshot_or_Firecracker", "Unheard_Of")
FOLDERS = ("cities", "landing", "store")
MORE = """
retraining: weekly
max_share_rejected: 0.5
streets: {path: streets.geojson, name: name}
nowcasts: {}
patrol:
  shifts:
    - {name: evening, start: 16, end: 0, units: 2}
    - {name: night, start: 20, end: 4, units: 2}
"""


class Town(LivingCity):
    """The city in the working folder, with relative paths."""

    def load(self) -> None:
        with self.clock():
            folders = {f"SHOTSPOTTER_{name.upper()}": name for name in FOLDERS}
            settings = Settings.from_environment(folders | {"DAGSTER_HOME": "home"})
        self.on = Installation(settings)
        self.city = settings.cities[NAME]


def rows_of(day: date) -> list[str]:
    """The rows of a day: about nine alerts near four places, most of them in the evening, and now and then a wrong one."""
    random = np.random.default_rng(day.toordinal())
    rows = []
    for number in range(random.poisson(9)):
        longitude, latitude = np.array(PLACES[random.choice(4, p=[0.55, 0.25, 0.15, 0.05])]) + random.normal(0, 0.02, 2)
        when = datetime(day.year, day.month, day.day, 15, tzinfo=UTC) + timedelta(seconds=int(random.integers(43_000)))
        kind = random.choice(KINDS, p=[0.4, 0.4, 0.18, 0.02])
        rows.append(f"{when:%Y-%m-%dT%H:%M:%SZ},{longitude:.5f},{latitude:.5f},{kind},{day}-{number}\n")
    if day.day % 10 == 3:
        rows.append(f"{day}T18:00:00Z,-70.0,38.5,Single_Gunshot,{day}-outside\n")
    return rows


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


def settle(town: LivingCity) -> None:
    """Tick and run until nothing but folds is requested."""
    while requests := [one for one in town.tick() if dg.AssetKey([NAME, "fold_models"]) not in one.asset_selection]:
        for request in requests:
            assert town.run(request, checks=False), request.tags


def by_hand(town: LivingCity, assets: list[str], key: date | None = None, **config: dict[str, object]) -> None:
    """Materialize assets as a person does."""
    with town.clock():
        partition = None if key is None else str(key)
        how = {"partition_key": partition, "checks": (), "config": config, "instance": town.instance}
        assert materialize(NAME, assets, town.on, **how).success


def fill(folder: Path) -> None:
    """Let 0.2.0 live for two weeks on the data of four months."""
    os.chdir(folder)
    town = Town(Path(), START, datetime(2025, 4, 20, 6, tzinfo=UTC))
    write_streets(Path("cities", "streets.geojson"))
    town.write_city_file(grid=4, publication="{days_late: 0, longest_lead: 2}", more=MORE)
    town.load()
    for month in (1, 2, 3, 4):
        of_month = [day for day in days(START, FIRST - timedelta(days=1)) if day.month == month]
        town.land(f"month_{month}.csv", *(row for day in of_month for row in rows_of(day)))
    town.now = datetime(2025, 4, 20, 12, tzinfo=UTC)
    settle(town)
    by_hand(town, ["live_models", "risk_forecasts", "street_risk", "patrol_plans"], REPLAYED)
    by_hand(town, ["fold_models"], FOLD, fold_models={"models": ["residual_boosting"]})
    tuning = {"forecaster": "residual_boosting", "trials": 2, "minutes": 2.0}
    by_hand(town, ["tuned_settings"], FOLD, tuned_settings=tuning)
    settle(town)
    for day in days(FIRST, LAST):
        town.now = datetime(day.year, day.month, day.day, 12, tzinfo=UTC) + timedelta(days=1)
        landed = [] if day in GAP[:-1] else [*GAP] if day == GAP[-1] else [day]
        for of_day in landed:
            town.land(f"{of_day}.csv", *rows_of(of_day))
        settle(town)
        if day >= LAST - timedelta(days=2):
            for hour in (14, 20):
                town.now = town.now.replace(hour=hour, minute=30)
                by_hand(town, ["nowcasts"])
    town.close()


def main(archive: Path) -> None:
    with TemporaryDirectory() as folder:
        fill(Path(folder))
        with tarfile.open(archive, "w:xz", preset=9) as packed:
            for name in FOLDERS:
                packed.add(Path(folder, name), name, filter=small)


def small(item: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out locks and the scripts of pages; no owner of a file is kept."""
    if "/.locks" in item.name or item.name.endswith((".js", ".css")):
        return None
    item.uid = item.gid = 0
    item.uname = item.gname = ""
    return item


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
