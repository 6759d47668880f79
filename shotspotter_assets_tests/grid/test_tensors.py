import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotspotter_assets.cities.city import City, Coverage
from shotspotter_assets.cities.local_time import days_between
from shotspotter_assets.city_files import PACKAGE_CITIES, load_city
from shotspotter_assets.grid import coverage
from shotspotter_assets.grid.cells import cells_at
from shotspotter_assets.grid.shapes import polygon_feature
from shotspotter_assets.grid.tensors import dense_window, hourly_window, sparse_tensors
from shotspotter_assets.storage.catalogue import CLEANED
from shotspotter_assets.storage.store import dated
from shotspotter_assets_tests.conftest import TEST_CITIES

CITY = load_city(TEST_CITIES / "landing_city.yaml")
SPRING = days_between(date(2024, 3, 9), date(2024, 3, 11))
AUTUMN = days_between(date(2024, 11, 2), date(2024, 11, 4))
ALL_CELLS = np.ones(CITY.shape, dtype=bool)
HALF_HEARD = np.indices(CITY.shape).sum(axis=0) % 2 == 0


def alerts(rows: list[tuple[datetime, float, float, int | None]]) -> pa.Table:
    names = ("date", "time_utc", "longitude", "latitude", "gunshot_type")
    schema = pa.schema([CLEANED.schema.field(name) for name in names[1:]]).insert(0, pa.field("date", pa.date32()))
    described = [(row[0].astimezone(CITY.zone).date(), *row) for row in rows]
    return pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in described], schema)


def with_dates(tensors: dict[date, pa.Table]) -> pa.Table:
    return pa.concat_tables([dated(table, day) for day, table in tensors.items()])


def test_place_of_one_alert() -> None:
    moment = datetime(2024, 3, 9, 22, 30, tzinfo=CITY.zone).astimezone(UTC)
    tensors = sparse_tensors(alerts([(moment, -76.99, 38.99, 2), (moment, -76.99, 38.99, None)]), SPRING, CITY)
    assert tensors[SPRING[0]].to_pylist() == [
        {"hour": 22, "gunshot_type": 2, "row": 3, "column": 0, "count": 1},
        {"hour": 22, "gunshot_type": 3, "row": 3, "column": 0, "count": 1},
    ]
    assert tensors[SPRING[1]].num_rows == 0
    hours = [json.loads(table.schema.metadata[b"shape"])["hours"] for table in tensors.values()]
    assert hours == [24, 23, 24]


@pytest.mark.parametrize(("days", "hours"), [(SPRING, 71), (AUTUMN, 73)])
def test_days_of_the_change_have_their_own_number_of_frames(days: list[date], hours: int) -> None:
    start = datetime(days[0].year, days[0].month, days[0].day, tzinfo=CITY.zone).astimezone(UTC)
    every_hour = [(start + timedelta(hours=at, minutes=59), -76.5, 38.5, 0) for at in range(hours)]
    counts = hourly_window(with_dates(sparse_tensors(alerts(every_hour), days, CITY)), days, CITY, ALL_CELLS)
    assert counts.shape == (hours, 4, 16)
    assert counts.sum(axis=(1, 2)).tolist() == [1] * hours


instants = st.datetimes(datetime(2024, 11, 2, 5), datetime(2024, 11, 5, 4, 59)).map(lambda at: at.replace(tzinfo=UTC))
lines = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, 0.1, 0.333])
kinds = st.sampled_from([None, 0, 1, 2])
an_alert = st.tuples(instants, lines.map(lambda x: -77 + x), lines.map(lambda y: 38 + y), kinds)


@given(rows=st.lists(an_alert), order=st.randoms(use_true_random=False))
def test_windows_count_every_alert_once(rows: list[Any], order: Any) -> None:
    frames = with_dates(sparse_tensors(alerts(rows), AUTUMN, CITY))
    frames = frames.take(pa.array(order.sample(range(len(frames)), len(frames)), pa.int64()))
    by_day = dense_window(frames, AUTUMN, CITY)
    by_hour = hourly_window(frames, AUTUMN, CITY, ALL_CELLS)
    assert by_day.sum() == by_hour.sum() == len(rows)
    expected = np.zeros_like(by_day)
    for moment, longitude, latitude, kind in rows:
        day = AUTUMN.index(moment.astimezone(CITY.zone).date())
        row = min(int((latitude - 38) * 4), 3)
        column = min(int((longitude + 77) * 4), 3)
        expected[day, 3 if kind is None else kind, row, column] += 1
    assert (by_day == expected).all()
    assert (by_hour[24:49].sum(axis=0) == by_day[1].reshape(4, -1)).all()
    heard = hourly_window(frames, AUTUMN, CITY, HALF_HEARD)
    assert (heard == by_hour[:, :, HALF_HEARD.ravel()]).all()


def test_events_have_layers_after_the_unknown_gunshots() -> None:
    city = CITY.model_copy(update={"event_types": {"robbery": ("robbery",), "homicide": ("homicide",)}})
    moment = datetime(2024, 3, 9, 12, tzinfo=UTC)
    tensors = sparse_tensors(alerts([(moment, -76.99, 38.1, kind) for kind in (None, 5, 5, 4)]), SPRING, city)
    assert json.loads(tensors[SPRING[0]].schema.metadata[b"shape"])["gunshot_types"] == 6
    dense = dense_window(with_dates(tensors), SPRING, city)
    assert dense[0].sum(axis=(1, 2)).tolist() == [0, 0, 0, 1, 1, 2]


def test_incidents_are_counted_once_at_their_first_alert() -> None:
    city = CITY.model_copy(update={"counted": "incidents"})
    start = datetime(2024, 3, 9, 23, 56, tzinfo=CITY.zone).astimezone(UTC)
    # The second alert goes on over midnight, and into another cell; the third is an incident of its own.
    rows = [(start + timedelta(minutes=5 * at), -76.751 + 0.0015 * at, 38.1, at) for at in range(3)]
    table = alerts(rows).append_column("user_id", pa.array([10, 20, 21]))
    table = table.append_column("incident_id", pa.array([10, 10, 21]))
    counts = hourly_window(with_dates(sparse_tensors(table, SPRING, city)), SPRING, city, ALL_CELLS)
    assert np.argwhere(counts).tolist() == [[23, 0, 0], [24, 2, 1]]
    assert dense_window(with_dates(sparse_tensors(table, SPRING, CITY)), SPRING, CITY).sum() == 3


def test_frames_by_the_hour_of_a_city_with_dates_alone_are_refused() -> None:
    city = CITY.model_copy(update={"time_precision": "day"})
    tensors = sparse_tensors(alerts([(datetime(2024, 3, 9, 12, tzinfo=UTC), -76.99, 38.1, 0)]), SPRING, city)
    assert tensors[SPRING[0]].schema.metadata[b"time_precision"] == b"day"
    assert dense_window(with_dates(tensors), SPRING, city).sum() == 1
    with pytest.raises(ValueError, match=r"landing_city.*1 h.*24 h"):
        hourly_window(with_dates(tensors), SPRING, city, ALL_CELLS)


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
    first = coverage.coverage_starts(published, np.zeros((1, 4, 4), np.int64), [date(2024, 2, 29)])
    assert first.shape == (4, 4)
    expected = np.array(["2024-03-01", "2024-03-01", "2024-03-07", "NaT"], dtype="datetime64[D]")
    assert (np.isnat(first) == np.isnat(expected)).all()
    assert (first[:, :3] == expected[:3]).all()


def test_points_are_inside_from_the_first_day_of_their_area(published: City) -> None:
    longitude = np.array([-76.9, -76.6, -76.3, -76.3, -76.1, -70.0])
    days = np.array([f"2024-{day}" for day in ("03-01", "03-01", "03-06", "03-07", "04-01", "04-01")], "datetime64[D]")
    starts = coverage.published_starts(published.coverage, longitude, np.full(6, 38.5))
    assert (starts <= days).tolist() == [True, True, False, True, False, False]


def test_estimate_covers_cells_with_enough_alerts_over_all_days() -> None:
    daily = np.zeros((4, 2, 3), dtype=np.uint16)
    daily[0, 0, 0] = 1
    daily[3, 0, 0] = 2  # three alerts on two days
    daily[:2, 1, 2] = 1  # two alerts
    assert coverage.estimate_coverage(daily).tolist() == [[True, False, False], [False, False, False]]


def test_estimated_starts_of_an_area_that_was_added() -> None:
    random = np.random.default_rng(5)
    days = days_between(date(2022, 1, 1), date(2023, 12, 31))
    daily = random.poisson(0.03, (len(days), 8, 12))
    daily[:300, :, 6:] = 0
    daily[100, :, 8] = 50  # one misplaced burst does not begin a coverage
    daily[:, :, 11] = 0
    first = coverage.estimate_coverage_starts(daily, days)
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
    first = coverage.estimate_coverage_starts(daily, days)[::2, ::2]
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
    first = coverage.estimate_coverage_starts(daily, days)
    # SOURCES.md; for 6D it says 2008-01, but the file has 3 alerts there before 2008-03-01 and 487 in that month.
    starts = {"Seventh": "2006-01", "Sixth": "2008-03", "Fifth": "2008-03"}
    starts |= {"Third": "2008-07", "First": "2008-09", "Fourth": "2008-09"}
    file = PACKAGE_CITIES / "washington_dc" / "police_districts.geojson"
    for name, start in starts.items():
        areas = {f"{name} District": date.fromisoformat(f"{start}-01")}
        published = Coverage(file=file, name_property="name", areas=areas)
        of_area = coverage.coverage_starts(washington.model_copy(update={"coverage": published}), daily, days)
        found = first[~np.isnat(of_area) & ~np.isnat(first)]
        late = np.median((found - np.datetime64(f"{start}-01")).astype(int))
        assert len(found) > 30
        assert -31 <= late <= 92, f"{name}: the median cell starts {late:.0f} days after {start}"
