"""A store of the tiny city with a few days of its daily chain, whose file, streets and types try to be HTML."""

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import geopandas
import shapely

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.layers import Layer, Layers, Streets
from shotspotter_assets.cities.patrol_rules import PatrolRules, Shift
from shotspotter_assets.city_files import Cities
from shotspotter_assets.forecasts.serving_record import ServingRecord
from shotspotter_assets.models.gunshot_types import TYPE_REGRESSION
from shotspotter_assets.models.trained_models import TYPES
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.defs.chain import materialize, resources, run_days, with_city
from shotspotter_assets_tests.instances import instance_in_memory

CITY = "tiny_city"
FIRST = date(2023, 7, 1)
ISSUED = date(2023, 11, 14)  # the first issue date; the city needs 120 days of history
DAYS = 4
LIVE = ("live_models", "risk_forecasts", "street_risk", "patrol_plans", "forecast_scores", "street_scores")
SHIFTS = (Shift(name="day", start=6, end=14, units=2), Shift(name="night", start=22, end=6, units=3))
HOSTILE = "<img src=x onerror=alert(1)>"


@dataclass(frozen=True)
class TinySite:
    store: Store
    cities: Cities
    root: Path

    @property
    def city(self) -> City:
        return self.cities[CITY]

    @property
    def last_issued(self) -> date:
        return ISSUED + timedelta(days=DAYS - 1)


def make_store(root: Path) -> TinySite:
    """The days of the city, and the daily chain of its last days, as runs."""
    named = layers(root)
    streets = Streets(path=root / "streets.parquet", name="street")
    cities = with_city(CITY, patrol=PatrolRules(shifts=SHIFTS), retraining="weekly", layers=named, streets=streets)
    on = resources(str(root / "store"), cities=cities)
    last = ISSUED + timedelta(days=DAYS)
    with instance_in_memory(root) as instance:
        assert run_days(CITY, str(FIRST), str(last), on, instance).success
        for back in range(DAYS):
            day = ISSUED + timedelta(days=back)
            run = materialize(CITY, LIVE, on, checks=(), instance=instance, partition_key=str(day))
            assert run.success
            if not back:
                show_types(Store(str(root / "store")))
    return TinySite(Store(str(root / "store")), cities, root)


def show_types(store: Store) -> None:
    """Let the record of the first day show types, for which its weeks of validation are too few."""
    record = ServingRecord.load(store, CITY, ISSUED)
    others = {name: why for name, why in record.without.items() if name != TYPES}
    record.model_copy(update={"types_by": TYPE_REGRESSION, "without": others}).write(store)


def layers(folder: Path) -> Layers:
    """Two districts side by side, and streets that cross: one of them with a name that tries to be HTML."""
    west = -77.06
    middle = -77.03
    east = -77.0
    south = 38.88
    north = 38.93
    districts = geopandas.GeoDataFrame(
        {"ward": [1, 2]},
        geometry=[shapely.box(west, south, middle, north), shapely.box(middle, south, east, north)],
        crs=4326,
    )
    across = [shapely.LineString([(west, y), (east, y)]) for y in (38.885, 38.897, 38.909, 38.921)]
    along = [shapely.LineString([(x, south), (x, north)]) for x in (-77.055, -77.04, -77.02, -77.005)]
    names = ["A St", f"B{HOSTILE} St", "C St", "D St", "1st St", "2nd St", "3rd St", "4th St"]
    streets = geopandas.GeoDataFrame({"street": names}, geometry=across + along, crs=4326)
    districts.to_file(folder / "wards.geojson", driver="GeoJSON")
    streets.to_parquet(folder / "streets.parquet")
    parks = geopandas.GeoDataFrame(
        {"park": ["West Park"]}, geometry=[shapely.box(-77.05, 38.89, -77.04, 38.9)], crs=4326
    )
    parks.to_file(folder / "parks.gpkg")
    return Layers(
        districts=Layer(path=folder / "wards.geojson", name="ward"),
        streets=Layer(path=folder / "streets.parquet", name="street"),
        parks=Layer(path=folder / "parks.gpkg", name="park"),
    )
