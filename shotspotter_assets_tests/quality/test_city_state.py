"""Open warnings of a city outlive runs over other days."""

from datetime import date
from pathlib import Path

import pytest

from shotspotter_assets.quality.all_checks import all_findings
from shotspotter_assets.quality.city_state import keep_findings
from shotspotter_assets.quality.finding import Finding
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.quality.real_cities import cities, load

DAYS = [date(2024, 3, day) for day in range(1, 11)]
WELL = Finding(True, "No silence.")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


def silent(*days: date) -> Finding:
    return Finding(False, f"Silent on {len(days)} days.", {}, dict.fromkeys(days, 0.0))


def test_warnings_of_later_years_outlive_a_run_over_an_earlier_one(store: Store, real_data: Path) -> None:
    city = load(cities()["cincinnati_oh"], real_data)
    later = [day for day in city.days if date(2018, 1, 1) <= day <= date(2023, 12, 31)]
    earlier = [day for day in city.days if day < date(2018, 1, 1)]
    found = keep_findings(store, "cincinnati_oh", later, all_findings(city.window(later)))
    assert {check for check, finding in found.items() if not finding.passed} == {"level_change", "new_area"}
    alone = all_findings(city.window(earlier))
    assert alone["level_change"].passed
    after = keep_findings(store, "cincinnati_oh", earlier, alone)
    assert {check for check, finding in after.items() if not finding.passed} == {"level_change", "new_area"}
    assert "Earlier warnings: (2020-01-07 to" in after["level_change"].message


def test_a_warning_ends_when_its_days_are_found_well(store: Store) -> None:
    keep_findings(store, "town", DAYS, {"silent_days": silent(DAYS[1], DAYS[5])})
    partly = keep_findings(store, "town", DAYS[:3], {"silent_days": WELL})
    assert not partly["silent_days"].passed
    assert "(2024-03-06 to 2024-03-06)" in partly["silent_days"].message
    assert keep_findings(store, "town", DAYS[5:6], {"silent_days": WELL})["silent_days"].passed


def test_a_later_start_ends_warnings_about_the_days_before_it(store: Store) -> None:
    keep_findings(store, "town", DAYS, {"silent_days": silent(DAYS[0])})
    assert keep_findings(store, "town", DAYS[3:], {"silent_days": WELL}, start=DAYS[2])["silent_days"].passed


def test_a_finding_without_days_holds_for_the_last_day(store: Store) -> None:
    keep_findings(store, "town", DAYS, {"clock": Finding(False, "Five hours late.")})
    assert not keep_findings(store, "town", DAYS[:5], {"clock": WELL})["clock"].passed
    assert keep_findings(store, "town", DAYS[-1:], {"clock": WELL})["clock"].passed


def test_many_warnings_are_quoted_by_the_newest(store: Store) -> None:
    for day in DAYS:
        found = keep_findings(store, "town", [day], {"silent_days": silent(day)})
    message = found["silent_days"].message
    assert "(2024-03-09 to 2024-03-09)" in message
    assert "(2024-03-01 to" not in message
    assert message.endswith("And 6 older warnings.")
