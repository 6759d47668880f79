from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.stored_settings import refuse_other_settings
from shotspotter_assets.city_files import CityFile
from shotspotter_assets.grid.tensors import dense_window
from shotspotter_assets.storage.catalogue import REJECTED, TENSORS, Asset
from shotspotter_assets.storage.lineage import read_lineage
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.defs.chain import CITIES, DAILY
from shotspotter_assets_tests.defs.daily.landing_town import CITY, LandingTown

ALERTS = [
    "2024-03-03T04:58:00Z,-76.5,38.5,Single_Gunshot,1,a",
    "2024-03-03T05:01:00Z,-76.5001,38.5,Multiple_Gunshots,4,b",
    "2024-03-03T05:02:00Z,-76.2,38.5,Bang,1,c",
]
FOUR_DAYS = [
    "2024-03-01T12:00:00Z,-76.5,38.5,Single_Gunshot,1,a",
    "2024-03-02T12:00:00Z,-76.5,38.5,Multiple_Gunshots,4,b",
    "2024-03-03T12:00:00Z,-76.2,38.5,Bang,1,c",
    "2024-03-04T12:00:00Z,-76.2,38.5,Single_Gunshot,1,d",
]
REPORTS = """reported,x,y,offence
2024-03-02 20:00:00,-76.5,38.5,ROBBERY
2024-03-03 12:00:00,-76.5,38.5,Homicide
2024-03-03 13:00:00,-76.5,38.5,THEFT/OTHER
2024-03-03 14:00:00,-76.5,38.5,ARSON
"""
MARCH = [date(2024, 3, day) for day in range(1, 5)]


def changed_city(**changes: Any) -> City:
    return CityFile.model_validate(CITIES[CITY].model_dump() | changes)


def grid(store: Store, city: City, days: list[date] = MARCH) -> Any:
    refuse_other_settings(read_lineage(store, Asset.GRID_TENSORS, CITY), days, city, Asset.GRID_TENSORS)
    return dense_window(store.read_window(TENSORS, CITY, days[0], days[-1]), days, city)


def test_an_incident_over_midnight_is_counted_once(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    town = LandingTown(tmp_path, instance, *ALERTS)
    city = changed_city(counted="incidents")
    town.use(city)
    for day in (2, 3):  # as the days come
        town.run(day, day)
    # The second alert belongs to the first one's incident; the third, far away, is one of unknown type.
    assert grid(town.store, city, MARCH[1:3]).sum(axis=(2, 3)).tolist() == [[1, 0, 0, 0], [0, 0, 0, 1]]
    with pytest.raises(ValueError, match=CITY):
        grid(town.store, changed_city(), MARCH[1:3])


@pytest.mark.parametrize(("changes", "assets"), [({"time_zone": "UTC"}, 3), ({"gunshot_spellings": {"bang": 0}}, 2)])
def test_days_of_other_settings_are_refused_until_they_are_rebuilt(
    tmp_path: Path, instance: dg.DagsterInstance, changes: dict[str, Any], assets: int
) -> None:
    town = LandingTown(tmp_path, instance, *FOUR_DAYS)
    city = changed_city(**changes)
    town.run(1, 4)
    with pytest.raises(ValueError, match="grid_tensors of 4 days"):
        grid(town.store, city)
    town.use(city)
    with pytest.raises(ValueError, match="cleaned_alerts of 1 day"):
        town.run(4, 4, assets=["grid_tensors"])
    if assets == 3:
        with pytest.raises(ValueError, match="raw_alerts of 1 day"):
            town.run(4, 4, assets=["cleaned_alerts"])
    town.run(1, 4, assets=DAILY[-assets:])
    assert grid(town.store, city).sum() == 4


def test_other_events_of_another_source_have_layers_of_their_own(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    police = {
        "kind": "landing", "folder": "police", "settle_seconds": 0, "naive_times": "local",
        "columns": {"time": "reported", "longitude": "x", "latitude": "y", "gunshot_type": "offence"},
    }  # fmt: skip
    city = changed_city(
        other_sources=[police],
        event_types={"robbery": ["ROBBERY"], "homicide": ["homicide"], "theft": ["theft/other"]},
        gunshot_spellings={"bang": 0},
    )
    town = LandingTown(tmp_path, instance, *ALERTS)
    (tmp_path / "landing" / "police").mkdir()
    (tmp_path / "landing" / "police" / "file.csv").write_text(REPORTS)
    town.use(city)
    town.run(2, 3)
    counts = grid(town.store, city, MARCH[1:3])
    assert counts.sum(axis=(2, 3)).tolist() == [[1, 0, 0, 0, 1, 0, 0], [1, 1, 0, 0, 0, 1, 1]]
    assert [city.type_names[code] for code in (4, 5, 6)] == ["robbery", "homicide", "theft"]
    # What the city's file does not list is no gunshot of unknown type.
    rejected = town.store.read_window(REJECTED, CITY, MARCH[1], MARCH[2])
    [arson] = rejected.to_pylist()
    assert (arson["gunshot_type_as_received"], arson["reason"]) == ("ARSON", "other_event")
