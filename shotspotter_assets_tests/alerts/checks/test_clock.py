from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from shotspotter_assets.cities.box import Grid
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import days_between
from shotspotter_assets.city_files import CityFile
from shotspotter_assets.grid.cells import cell_metres
from shotspotter_assets_tests.alerts.checks.sound_city import CITY, LAST, city_of, findings, firing, local_day, sound
from shotspotter_assets_tests.forecasts.street_town import lattice


def test_reports_spread_evenly_over_the_day_raise_no_warning() -> None:
    city = CityFile.model_validate(CITY.model_dump() | {"event_types": {"robbery": ["Multiple_Gunshots"]}})
    for seed in range(3):
        rows = sound(seed=seed)
        seconds = np.random.default_rng(seed).integers(0, 86_400, len(rows))
        even = rows["time_utc"].dt.tz_convert(CITY.zone).dt.normalize() + pd.to_timedelta(seconds, "s")
        assert "clock" not in firing(
            rows.assign(time_utc=even.dt.tz_convert("UTC").astype("datetime64[us, UTC]")), city
        )


def test_filled_in_times_are_found() -> None:
    rows = sound(seed=6)
    at = np.arange(len(rows)) % 8 == 0
    noon = rows["time_utc"].dt.tz_convert(CITY.zone).dt.normalize() + pd.Timedelta(hours=12)
    rows["time_utc"] = rows["time_utc"].mask(at, noon.dt.tz_convert("UTC"))
    assert "exactly 12:00" in firing(rows)["clock"].message


def test_years_in_the_wrong_zone_are_found() -> None:
    rows = sound(seed=4)
    rows = rows[local_day(rows) < LAST]
    found = firing(rows.assign(time_utc=rows["time_utc"] + pd.Timedelta(hours=5)))
    assert set(found) == {"clock"}
    assert "5 hours too late" in found["clock"].message


NOVEMBER = (date(2023, 11, 1), date(2023, 11, 30))


@pytest.mark.parametrize(("hours", "direction"), [(5, "late"), (-5, "early")])
def test_a_month_in_the_wrong_zone_is_found_among_years_and_on_its_days(hours: int, direction: str) -> None:
    rows = sound(seed=7)
    inside = local_day(rows).between(*NOVEMBER)
    moved = rows.assign(time_utc=rows["time_utc"].mask(inside, rows["time_utc"] + pd.Timedelta(hours=hours)))
    clock = firing(moved)["clock"]
    assert f"5 hours too {direction}, as in UTC" in clock.message
    assert set(clock.days) == {date(2023, 12, 7)}, "30 days back from the end, of which 23 are in November"
    assert set(firing(moved, days=[NOVEMBER[1]])["clock"].days) == {NOVEMBER[1]}
    assert "clock" not in firing(moved, days=[date(2024, 1, 15)])


@pytest.mark.parametrize(("hours", "direction"), [(5, "late"), (-5, "early")])
def test_a_month_with_every_alert_in_both_zones_is_found(hours: int, direction: str) -> None:
    rows = sound(25.0, seed=7)
    again = rows[local_day(rows).between(*NOVEMBER)]
    again = again.assign(time_utc=again["time_utc"] + pd.Timedelta(hours=hours), source_id=None)
    clock = firing(pd.concat([rows, again]), days=days_between(*NOVEMBER))["clock"]
    assert f"5 hours too {direction}, as in UTC" in clock.message


def of_cells(metres: float) -> City:
    height, width = cell_metres(CITY)
    rows = round(CITY.grid.rows * height / metres)
    columns = round(CITY.grid.columns * width / metres)
    return CITY.model_copy(update={"grid": Grid(rows=rows, columns=columns)})


def rounded(decimals: int) -> pd.DataFrame:
    rows = sound(seed=4)
    return rows.assign(longitude=rows["longitude"].round(decimals), latitude=rows["latitude"].round(decimals))


def test_a_default_point_is_found() -> None:
    rows = sound(seed=4)
    at = np.arange(len(rows)) % 15 == 0
    rows = rows.assign(longitude=rows["longitude"].mask(at, -76.85), latitude=rows["latitude"].mask(at, 38.85))
    found = firing(rows)
    assert set(found) == {"points"}
    assert "38.850000, -76.850000" in found["points"].message


def test_cells_of_less_than_two_steps_are_found_with_a_remedy() -> None:
    city = of_cells(120)
    assert set(firing(rounded(3), city)) == {"points"}
    message = firing(rounded(3), city)["points"].message
    assert "ows of 120 m are too narrow for points rounded to 0.001 degrees: use at most 100 rows in grid" in message
    assert "columns of 120 m are too narrow for points rounded to 0.001 degrees: use at most 100 columns" in message
    # The finest grid that it allows is right.
    assert firing(rounded(3), city.model_copy(update={"grid": Grid(rows=99, columns=99)})) == {}


@pytest.mark.parametrize(("decimals", "metres"), [(3, 300), (4, 120), (5, 120), (12, 120)])
def test_exact_points_raise_no_warning(decimals: int, metres: float) -> None:
    assert "points" not in firing(rounded(decimals), of_cells(metres))


def test_a_city_with_streets_is_told_how_far_points_are_rounded(tmp_path: Path) -> None:
    with_streets = CITY.model_copy(update={"streets": lattice(tmp_path / "streets.parquet", CITY.box, 3, 3)})
    for city, decimals, states_it in ((CITY, 3, False), (with_streets, 3, True), (with_streets, 4, False)):
        found = findings(city_of(rounded(decimals), city).window())["points"]
        assert found.passed
        assert ("rounded to 0.001 degrees (111 x 87 m)" in found.message) == states_it


def test_a_few_exact_points_do_not_hide_rounded_ones() -> None:
    rows = rounded(3)
    exact = sound(seed=4)
    for every, fires in ((20, True), (5, False)):
        mixed = rows.mask(pd.Series(np.arange(len(rows)) % every == 0), exact)
        assert ("points" in firing(mixed, of_cells(120))) == fires
