"""One city's warning stays in sight while other cities are checked, until a run of its own finds it well."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from shotspotter_assets.cities.city import Box
from shotspotter_assets.partitions import range_tags
from shotspotter_assets.quality.all_checks import ALL_CHECKS
from shotspotter_assets.quality.city_state import OTHER_CHECKS, CityState, cities_are_well, keep_outcome
from shotspotter_assets.quality.finding import Finding
from shotspotter_assets.storage.file_names import ARRIVALS, UNREADABLE_FILE
from shotspotter_assets.storage.store import Partition, Store
from shotspotter_assets_tests.defs.chain import DEFINITIONS, materialize, resources, with_city

HEADER = "when,lon,lat,kind,rounds,id\n"
ROWS = [
    f"2024-03-{day:02d}T{hour}:12:00Z,-76.5{hour},38.5{day},Single_Gunshot,1,{day}-{hour}"
    for day in range(1, 11)
    for hour in (11, 12, 15, 17)
]
ASSETS = ("raw_alerts", "cleaned_alerts")


class Towns:
    """Runs over days of the tests' cities, with the checks of their data."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.folder, self.instance = folder, instance
        self.file = folder / "landing" / "landing_city" / "a.csv"
        self.file.parent.mkdir(parents=True)

    def land(self, far: int) -> None:
        rows = [row.replace("-76.5", "-66.5") if at < far else row for at, row in enumerate(ROWS)]
        self.file.write_text(HEADER + "\n".join(rows) + "\n")

    def check(self, city: str, first: str, last: str, **changes: Any) -> dict[str, dg.AssetCheckEvaluation]:
        cities = with_city("landing_city", **changes)
        done = materialize(
            ASSETS,
            resources(str(self.folder / "store"), str(self.folder / "landing"), cities),
            checks=[*ALL_CHECKS, "cities_are_well"],
            instance=self.instance,
            tags=range_tags(city, first, last),
            raise_on_error=False,
        )
        return {check.check_name: check for check in done.get_asset_check_evaluations()}


@pytest.fixture
def towns(tmp_path: Path, instance: dg.DagsterInstance) -> Towns:
    return Towns(tmp_path, instance)


def test_a_city_that_is_not_well_is_not_hidden_by_another(towns: Towns) -> None:
    towns.land(far=15)
    found = towns.check("landing_city", "2024-03-01", "2024-03-10")
    assert not found["share_rejected"].passed
    assert found["cities_are_well"].description.startswith(
        "Not well: landing_city (2024-03-01 to 2024-03-10: share_rejected"
    )
    found = towns.check("tiny_city", "2023-08-01", "2023-08-04")
    assert found["share_rejected"].passed, "the light of the check itself is the last city's"
    well = found["cities_are_well"]
    assert not well.passed
    assert well.severity == dg.AssetCheckSeverity.WARN
    assert "Not well: landing_city" in well.description
    assert "Well: tiny_city" in well.description
    assert "Never checked: live_city, washington_dc" in well.description
    assert "15 of 40 rows" in well.metadata["landing_city share_rejected"].value
    towns.land(far=0)
    found = towns.check("landing_city", "2024-03-01", "2024-03-10")
    assert found["cities_are_well"].passed, found["cities_are_well"].description


def test_a_city_whose_run_was_refused_is_not_well(towns: Towns) -> None:
    towns.land(far=0)
    box = Box(west=-75.0, south=38.0, east=-74.0, north=39.0)
    assert towns.check("landing_city", "2024-03-01", "2024-03-10", box=box) == {}
    found = towns.check("tiny_city", "2023-08-01", "2023-08-04")
    assert "Correct box" in found["cities_are_well"].metadata["landing_city share_rejected"].value


def test_a_city_that_was_never_checked_raises_nothing(tmp_path: Path) -> None:
    assert CityState.load(Store(str(tmp_path)), "slow_town") == []
    assert cities_are_well({"slow_town": []}, {}, {}).passed


def test_a_city_whose_file_cannot_be_used_is_not_well() -> None:
    finding = cities_are_well({"slow_town": []}, {"fast_town": "fast_town.yaml: box: is missing"}, {})
    assert not finding.passed
    assert "Their files cannot be used: fast_town" in finding.message
    assert finding.numbers["fast_town file"] == "fast_town.yaml: box: is missing"


@pytest.mark.parametrize("check", OTHER_CHECKS)
def test_every_other_check_of_a_city_is_in_sight_until_it_passes_for_that_city(check: str, tmp_path: Path) -> None:
    store, day = Store(str(tmp_path)), date(2024, 3, 1)
    keep_outcome(store, "slow_town", check, [day], "The gate failed.")
    keep_outcome(store, "fast_town", check, [day], None)
    CityState.of_run([day], {}).keep(store, "slow_town")

    def found() -> Finding:
        return cities_are_well({city: CityState.load(store, city) for city in ("slow_town", "fast_town")}, {}, {})

    assert found().message == f"Not well: slow_town (2024-03-01: {check}). Never checked: fast_town."
    assert found().numbers == {f"slow_town {check}": "The gate failed."}
    keep_outcome(store, "slow_town", check, [day], None)
    assert found().message == "Well: slow_town. Never checked: fast_town."


def test_all_checks_of_the_project_are_kept_by_city() -> None:
    names = {key.name for key in DEFINITIONS.resolve_asset_graph().asset_check_keys}
    # A fold's verdict is no state of its city, and unreadable files are read from what the sensor has seen.
    apart = {"cities_are_well", "forecast_beats_best_baseline", "unreadable_files"}
    assert names - apart == {*ALL_CHECKS, *OTHER_CHECKS}


def test_a_city_with_a_landed_file_that_cannot_be_read_is_not_well(towns: Towns) -> None:
    towns.land(far=0)
    store = Store(str(towns.folder / "store"))
    unreadable = {"landing_city/b.csv": {"version": "1", "error": "landing_city/b.csv: not a CSV file; land it again."}}
    store.write_bytes(Partition(ARRIVALS, "landing_city"), UNREADABLE_FILE, json.dumps(unreadable).encode())
    found = towns.check("tiny_city", "2023-08-01", "2023-08-04")["cities_are_well"]
    assert "Not well: landing_city (unreadable files)" in found.description
    assert "b.csv: not a CSV file; land it again." in found.metadata["landing_city unreadable_files"].value


def test_a_check_is_plotted_by_city(towns: Towns) -> None:
    towns.land(far=15)
    found = towns.check("landing_city", "2024-03-01", "2024-03-10")
    assert found["share_rejected"].metadata["landing_city: rows"].value == 15
    assert "share" not in found["share_rejected"].metadata
    assert (
        found["cities_are_well"].metadata["landing_city: its days"].value.startswith("![landing_city](data:image/png")
    )
