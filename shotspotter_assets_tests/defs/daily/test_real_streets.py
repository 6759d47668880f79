"""Streets of real cities through the assets: ranked, scored on the day, and on the pages."""

import json
import os
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import shapely

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.patrol_rules import PatrolRules, Shift
from shotspotter_assets.cities.streets import Streets
from shotspotter_assets.gridding.cells import Plane
from shotspotter_assets.serving.stored_streets import StreetRecord
from shotspotter_assets.serving.street_scores import StreetScoreRecord
from shotspotter_assets.storage.store import Partition, Store
from shotspotter_assets.streets.segments import read_segments
from shotspotter_assets_tests.defs.chain import DAILY, materialize, resources
from shotspotter_assets_tests.quality.real_cities import cities

DAYS = {"cincinnati_oh": date(2020, 6, 21), "washington_dc": date(2018, 6, 16)}
"""Busy days, which are scored."""
BEFORE = {"cincinnati_oh": timedelta(days=40), "washington_dc": timedelta(days=130)}
"""Cincinnati's first weeks start at the models of other cities, so that nothing is trained; there were none yet in 2018."""
ONE = timedelta(days=1)
RULES = PatrolRules(shifts=(Shift(name="day", start=8, end=16, units=2), Shift(name="night", start=20, end=4, units=4)))
STREETS = {
    "cincinnati_oh": {
        "path": "cincinnati_oh/streets_tiger_address_ranges.parquet",
        "number_from": "number_min",
        "number_to": "number_max",
    },
    "washington_dc": {
        "path": "washington_dc/streets_tiger_2018.parquet",
        "only": {"mtfcc": ("S1200", "S1400")},
    },
}


@dataclass(frozen=True)
class Made:
    """A city's weeks, two issued days and the scores of the day after."""

    city: City
    store: Store

    @property
    def day(self) -> date:
        return DAYS[self.city.name]

    @property
    def record(self) -> StreetScoreRecord:
        return StreetScoreRecord.load(self.store, self.city.name, self.day)

    @property
    def ranking(self) -> StreetRecord:
        return StreetRecord.model_validate_json(
            self.store.read_bytes(Partition("street_risk", self.city.name, "date", self.day - ONE), "record.json")
        )


def land_weeks(file: Path, folder: Path, first: date, last: date) -> None:
    """The rows of the weeks alone, in a file as old as the whole one: its transfer is over."""
    folder.mkdir(parents=True)
    rows = pq.read_table(file)
    days = pc.cast(rows["occurred_at"], pa.date32())
    within = pc.and_(pc.greater(days, pa.scalar(first)), pc.less_equal(days, pa.scalar(last + ONE)))
    pq.write_table(rows.filter(within), folder / file.name)
    os.utime(folder / file.name, (file.stat().st_atime, file.stat().st_mtime))


@pytest.fixture(scope="module", params=["cincinnati_oh", pytest.param("washington_dc", marks=pytest.mark.slow)])
def made(request: pytest.FixtureRequest, real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    name: str = request.param
    day = DAYS[name]
    first = day - BEFORE[name]
    root = tmp_path_factory.mktemp(name)
    settings = STREETS[name]
    path = real_data / "layers" / str(settings["path"])
    if not path.exists():
        pytest.skip(f"needs the file of streets {path}")
    streets = Streets.model_validate({**settings, "path": path, "name": "name"})
    city = cities()[name].model_copy(update={"start": first, "patrol": RULES, "streets": streets})
    land_weeks(real_data / f"{name}.parquet", root / "landing" / name, first, day)
    on = resources(str(root / "store"), str(root / "landing"), {name: city})
    daily = ("live_models", "risk_forecasts", "street_risk", "patrol_plans")
    with dg.DagsterInstance.ephemeral(tempdir=str(root)) as instance:
        materialize(name, DAILY, on, checks=(), instance=instance, days=(str(first), str(day)))
        for issue_date in (day - 2 * ONE, day - ONE):
            materialize(name, daily, on, checks=(), instance=instance, partition_key=str(issue_date))
        materialize(name, ["street_scores"], on, instance=instance, partition_key=str(day))
        materialize(name, ["city_pages"], on, instance=instance)
    return Made(city, Store(str(root / "store")))


def test_each_alert_counts_on_its_nearest_street(made: Made) -> None:
    alerts = made.store.read_table(Partition("cleaned_alerts", made.city.name, "date", made.day), "alerts.parquet")
    box = made.city.box
    points = np.column_stack([alerts[name].to_numpy() for name in ("longitude", "latitude")])
    inside = np.all((points >= [box.west, box.south]) & (points <= [box.east, box.north]), axis=1)
    scores = made.record
    segments = read_segments(made.city)
    at, nearest = shapely.STRtree(segments.lines).query_nearest(
        shapely.points(Plane.of(made.city).metres(points[inside])), max_distance=150, all_matches=False
    )
    assert len(at) > 3
    assert scores.observed == pytest.approx(len(set(nearest.tolist())), abs=2)
    table = made.store.read_table(
        Partition("street_risk", made.city.name, "date", made.day - ONE), "street_risk.parquet"
    )
    of_day = table.filter(pc.is_null(table["shift"]))
    p = of_day["probability"].to_numpy()
    seen = np.isin(of_day["segment"].to_numpy(), nearest)
    loss = -np.log(np.where(seen, p, 1 - p)).mean()
    assert scores.log_loss == pytest.approx(loss, rel=0.15)


def test_pages_draw_streets(made: Made) -> None:
    pages = Partition("city_pages", made.city.name)
    script = made.store.read_bytes(pages, "tomorrow.js").decode()
    data = json.loads(script.partition(", ")[2].rstrip().removesuffix(");"))
    assert len(data["streets"]) == 50
    assert len(json.dumps(data["streets"])) < 40_000
    box = shapely.box(made.city.box.west, made.city.box.south, made.city.box.east, made.city.box.north)
    for street in data["streets"]:
        assert box.buffer(1e-5).contains(shapely.from_geojson(json.dumps(street["geometry"])))
    assert made.ranking.segments > 1_000
