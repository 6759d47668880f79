"""Settings of a city's file through the chain: incidents counted once, other events, and two sources of one city."""

from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from shotspotter_assets.cities.city import City
from shotspotter_assets.gridding.tensors import GridMismatchError, dense_window
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.defs.chain import CITIES, resources, run_days

CITY = "landing_city"
ALERTS = """when,lon,lat,kind,rounds,id
2024-03-03T04:58:00Z,-76.5,38.5,Single_Gunshot,1,a
2024-03-03T05:01:00Z,-76.5001,38.5,Multiple_Gunshots,4,b
2024-03-03T05:02:00Z,-76.2,38.5,Bang,1,c
"""
REPORTS = """reported,x,y,offence
2024-03-02 20:00:00,-76.5,38.5,ROBBERY
2024-03-03 12:00:00,-76.5,38.5,Homicide
2024-03-03 13:00:00,-76.5,38.5,THEFT/OTHER
2024-03-03 14:00:00,-76.5,38.5,ARSON
"""


def changed_city(**changes: Any) -> City:
    return City.model_validate(CITIES[CITY].model_dump() | changes)


def land(folder: Path, city: City, **files: str) -> dict[str, Any]:
    for name, content in files.items():
        (folder / "landing" / name).mkdir(parents=True)
        (folder / "landing" / name / "file.csv").write_text(content)
    return resources(str(folder / "store"), str(folder / "landing"), {**CITIES, CITY: city})


def grid(store: Store, city: City) -> Any:
    frames = store.read_window("grid_tensors", CITY, "grid.parquet", date(2024, 3, 2), date(2024, 3, 3))
    return dense_window(frames, [date(2024, 3, 2), date(2024, 3, 3)], city)


def test_an_incident_over_midnight_is_counted_once(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    city = changed_city(counted="incidents")
    on = land(tmp_path, city, landing_city=ALERTS)
    # Day by day, as the days come.
    assert run_days(CITY, "2024-03-02", "2024-03-02", on, instance).success
    assert run_days(CITY, "2024-03-03", "2024-03-03", on, instance).success
    counts = grid(Store(str(tmp_path / "store")), city)
    # The second alert belongs to the first one's incident; the third, far away, is one of unknown type.
    assert counts.sum(axis=(2, 3)).tolist() == [[1, 0, 0, 0], [0, 0, 0, 1]]
    with pytest.raises(GridMismatchError, match="Materialise"):
        grid(Store(str(tmp_path / "store")), changed_city())


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
    assert run_days(
        CITY, "2024-03-02", "2024-03-03", land(tmp_path, city, landing_city=ALERTS, police=REPORTS), instance
    ).success
    counts = grid(Store(str(tmp_path / "store")), city)
    assert counts.sum(axis=(2, 3)).tolist() == [[1, 0, 0, 0, 1, 0, 0], [1, 1, 0, 0, 0, 1, 1]]
    assert [city.type_names[code] for code in (4, 5, 6)] == ["robbery", "homicide", "theft"]
    # What the city's file does not list is no gunshot of unknown type.
    rejected = Store(str(tmp_path / "store")).read_window(
        "cleaned_alerts", CITY, "rejected.parquet", date(2024, 3, 2), date(2024, 3, 3)
    )
    assert rejected.select(["gunshot_type_as_received", "reason"]).to_pylist() == [
        {"gunshot_type_as_received": "ARSON", "reason": "other_event"}
    ]
