import json
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from shotspotter_assets.calendar.local_time import days_between
from shotspotter_assets.cities.city import City, Coverage
from shotspotter_assets.city_files import PACKAGE_CITIES, load_city
from shotspotter_assets.geometry.cells import cells_at
from shotspotter_assets.geometry.shapes import polygon_feature
from shotspotter_assets.gridding.coverage import (
    coverage_starts,
    estimate_coverage,
    estimate_coverage_starts,
    published_starts,
)
from shotspotter_assets_tests.conftest import TEST_CITIES

CITY = load_city(TEST_CITIES / "landing_city.yaml")  # its box is a degree on each side, its cells a quarter


@pytest.fixture
def published(tmp_path: Path) -> City:
    """West is covered first, then the middle, which overlaps it; east is published but never covered."""
    ends = {"west": (-77, -76.55), "middle": (-76.7, -76.2), "east": (-76.2, -76)}
    areas = [polygon_feature((west, 38, east, 39), {"name": name}) for name, (west, east) in ends.items()]
    file = tmp_path / "areas.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": areas}))
    starts = {"middle": date(2024, 3, 7), "west": date(2024, 3, 1)}
    return CITY.model_copy(update={"coverage": Coverage(file=file, name_property="name", areas=starts)})


def test_published_areas_enter_on_their_first_day(published: City) -> None:
    first = coverage_starts(published, np.zeros((1, 4, 4), np.int64), [date(2024, 2, 29)])
    assert first.shape == (4, 4)
    expected = np.array(["2024-03-01", "2024-03-01", "2024-03-07", "NaT"], dtype="datetime64[D]")
    assert (np.isnat(first) == np.isnat(expected)).all()
    assert (first[:, :3] == expected[:3]).all()


def test_points_are_inside_from_the_first_day_of_their_area(published: City) -> None:
    longitude = np.array([-76.9, -76.6, -76.3, -76.3, -76.1, -70.0])
    days = ["2024-03-01", "2024-03-01", "2024-03-06", "2024-03-07", "2024-04-01", "2024-04-01"]
    inside = published_starts(published.coverage, longitude, np.full(6, 38.5)) <= np.array(days, "datetime64[D]")
    assert inside.tolist() == [True, True, False, True, False, False]


def test_estimate_covers_cells_with_enough_alerts_over_all_days() -> None:
    daily = np.zeros((4, 2, 3), dtype=np.uint16)
    daily[0, 0, 0], daily[3, 0, 0] = 1, 2  # three alerts on two days
    daily[:2, 1, 2] = 1  # two alerts
    assert estimate_coverage(daily).tolist() == [[True, False, False], [False, False, False]]


def test_estimated_starts_of_an_area_that_was_added() -> None:
    random = np.random.default_rng(5)
    days = days_between(date(2022, 1, 1), date(2023, 12, 31))
    daily = random.poisson(0.03, (len(days), 8, 12))
    daily[:300, :, 6:] = 0
    daily[100, :, 8] = 50  # one misplaced burst does not begin a coverage
    daily[:, :, 11] = 0
    first = estimate_coverage_starts(daily, days)
    assert (first[:, :5] == np.datetime64("2022-01-01")).all()
    assert (np.abs((first[:, 7:10] - np.datetime64(days[300])).astype(int)) <= 14).all()
    assert np.isnat(first[:, 11]).all()


@pytest.mark.parametrize("rate", [0.003, 0.02, 0.2])
def test_quiet_cells_of_a_constant_rate_do_not_seem_to_start_late(rate: float) -> None:
    random = np.random.default_rng(6)
    days = days_between(date(2019, 1, 1), date(2021, 12, 31))
    # Cells that are not neighbours.
    daily = np.zeros((len(days), 60, 60), dtype=np.int64)
    daily[:, ::2, ::2] = random.random((len(days), 30, 30)) < rate
    first = estimate_coverage_starts(daily, days)[::2, ::2]
    in_coverage = ~np.isnat(first)
    assert in_coverage.sum() > 300
    assert (first[in_coverage] > np.datetime64(days[0])).mean() <= 0.005


def real_daily(file: Path, days: list[date], city: City) -> npt.NDArray[np.int64]:
    alerts = pd.read_parquet(file)
    alerts["day"] = (pd.to_datetime(alerts["occurred_at"].dt.date) - pd.Timestamp(days[0])).dt.days
    inside = city.box.holds(alerts["longitude"], alerts["latitude"])
    alerts = alerts[inside & alerts["day"].between(0, len(days) - 1)]
    row, column = cells_at(city, alerts["longitude"].to_numpy(), alerts["latitude"].to_numpy())
    daily = np.zeros((len(days), *city.shape), dtype=np.int64)
    np.add.at(daily, (alerts["day"].to_numpy(), row, column), 1)
    return daily


def test_washingtons_districts_start_as_documented(real_data: Path) -> None:
    washington = load_city(TEST_CITIES / "washington_dc.yaml")
    days = days_between(date(2006, 1, 1), date(2010, 12, 31))
    daily = real_daily(real_data / "washington_dc_2006_2013.parquet", days, washington)
    first = estimate_coverage_starts(daily, days)
    # SOURCES.md; for 6D it says 2008-01, but the file has 3 alerts there before 2008-03-01 and 487 in that month.
    starts = {"Seventh": "2006-01", "Sixth": "2008-03", "Fifth": "2008-03"}
    starts |= {"Third": "2008-07", "First": "2008-09", "Fourth": "2008-09"}
    file = PACKAGE_CITIES / "washington_dc" / "police_districts.geojson"
    for name, start in starts.items():
        areas = {f"{name} District": date.fromisoformat(f"{start}-01")}
        coverage = Coverage(file=file, name_property="name", areas=areas)
        of_area = coverage_starts(washington.model_copy(update={"coverage": coverage}), daily, days)
        found = first[~np.isnat(of_area) & ~np.isnat(first)]
        late = np.median((found - np.datetime64(f"{start}-01")).astype(int))
        assert len(found) > 30
        assert -31 <= late <= 92, f"{name}: the median cell starts {late:.0f} days after {start}"
