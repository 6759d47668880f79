from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from shotspotter_assets.cities.city import City
from shotspotter_assets.city_files import CityFile
from shotspotter_assets.gridding.tensors import dense_window
from shotspotter_assets.sources.alert_source import SourceError
from shotspotter_assets.storage.catalogue import REJECTED, TENSORS
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.defs.chain import CITIES, Installation, resources, run_days

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
    return CityFile.model_validate(CITIES[CITY].model_dump() | changes)


def land(folder: Path, city: City, **files: str) -> Installation:
    for name, content in files.items():
        (folder / "landing" / name).mkdir(parents=True)
        (folder / "landing" / name / "file.csv").write_text(content)
    return resources(str(folder / "store"), str(folder / "landing"), {**CITIES, CITY: city})


def grid(store: Store, city: City) -> Any:
    frames = store.read_window(TENSORS, CITY, date(2024, 3, 2), date(2024, 3, 3))
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
    with pytest.raises(ValueError, match="Rebuild"):
        grid(Store(str(tmp_path / "store")), changed_city())


FOUR_DAYS = """when,lon,lat,kind,rounds,id
2024-03-01T12:00:00Z,-76.5,38.5,Single_Gunshot,1,a
2024-03-02T12:00:00Z,-76.5,38.5,Multiple_Gunshots,4,b
2024-03-03T12:00:00Z,-76.2,38.5,Bang,1,c
2024-03-04T12:00:00Z,-76.2,38.5,Single_Gunshot,1,d
"""
MARCH = [date(2024, 3, day) for day in range(1, 5)]


def history(store: Store, city: City) -> Any:
    return dense_window(store.read_window(TENSORS, CITY, MARCH[0], MARCH[-1]), MARCH, city)


@pytest.mark.parametrize(
    ("changes", "assets"), [({"time_zone": "America/Chicago"}, 3), ({"gunshot_spellings": {"bang": 0}}, 2)]
)
def test_days_of_other_settings_are_refused_until_they_are_rebuilt(
    tmp_path: Path, instance: dg.DagsterInstance, changes: dict[str, Any], assets: int
) -> None:
    on = land(tmp_path, CITIES[CITY], landing_city=FOUR_DAYS)
    assert run_days(CITY, "2024-03-01", "2024-03-04", on, instance).success
    city, store = changed_city(**changes), Store(str(tmp_path / "store"))
    rebuilt = ["raw_alerts", "cleaned_alerts", "grid_tensors"][-assets:]
    with pytest.raises(ValueError, match="grid_tensors of 4 days"):
        history(store, city)
    on = resources(str(tmp_path / "store"), str(tmp_path / "landing"), {**CITIES, CITY: city})
    with pytest.raises(ValueError, match="cleaned_alerts of 1 days"):
        run_days(CITY, "2024-03-04", "2024-03-04", on, instance, assets=["grid_tensors"])
    if assets == 3:
        with pytest.raises(ValueError, match="raw_alerts of 1 days"):
            run_days(CITY, "2024-03-04", "2024-03-04", on, instance, assets=["cleaned_alerts"])
    assert run_days(CITY, "2024-03-01", "2024-03-04", on, instance, assets=rebuilt).success
    assert history(store, city).sum() == 4


def test_rows_of_a_lost_file_are_refused_under_other_settings(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    on = land(tmp_path, CITIES[CITY], landing_city=FOUR_DAYS)
    assert run_days(CITY, "2024-03-01", "2024-03-04", on, instance).success
    folder = tmp_path / "landing" / CITY
    (folder / "file.csv").rename(tmp_path / "old.csv")
    (folder / "new.csv").write_text("".join(FOUR_DAYS.splitlines(keepends=True)[:2]).replace("2024-03", "2024-04"))
    assert run_days(CITY, "2024-03-01", "2024-03-04", on, instance).success
    moved = {**CITIES, CITY: changed_city(time_zone="America/Chicago")}
    on = resources(str(tmp_path / "store"), str(tmp_path / "landing"), moved)
    with pytest.raises(SourceError, match=r"1 files with most of the rows of .* are gone"):
        run_days(CITY, "2024-03-01", "2024-03-04", on, instance)
    (tmp_path / "old.csv").rename(folder / "file.csv")
    assert run_days(CITY, "2024-03-01", "2024-03-04", on, instance).success


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
    rejected = Store(str(tmp_path / "store")).read_window(REJECTED, CITY, date(2024, 3, 2), date(2024, 3, 3))
    assert rejected.select(["gunshot_type_as_received", "reason"]).to_pylist() == [
        {"gunshot_type_as_received": "ARSON", "reason": "other_event"}
    ]
