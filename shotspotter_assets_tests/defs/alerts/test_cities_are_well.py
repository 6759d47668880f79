"""One city's warning stays in sight while other cities are checked, until a run of its own finds it well."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from shotspotter_assets.cities.city import Box
from shotspotter_assets.partitions import range_tags
from shotspotter_assets.quality.all_checks import ALL_CHECKS
from shotspotter_assets.quality.city_state import CityState, cities_are_well
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.defs.chain import materialize, resources, with_city

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
    store = Store(str(tmp_path))
    assert CityState.load(store, "slow_town") is None
    assert cities_are_well({"slow_town": None}, {}).passed


def test_a_city_whose_file_cannot_be_used_is_not_well() -> None:
    finding = cities_are_well({"slow_town": None}, {"fast_town": "fast_town.yaml: box: is missing"})
    assert not finding.passed
    assert "Their files cannot be used: fast_town" in finding.message
    assert finding.numbers["fast_town file"] == "fast_town.yaml: box: is missing"
