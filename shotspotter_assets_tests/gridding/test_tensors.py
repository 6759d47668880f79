import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotspotter_assets.calendar.local_time import days_between
from shotspotter_assets.city_files import load_city
from shotspotter_assets.geometry.grid import Grid
from shotspotter_assets.gridding.tensors import dense_window, hourly_window, sparse_tensors
from shotspotter_assets_tests.conftest import TEST_CITIES

CITY = load_city(TEST_CITIES / "landing_city.yaml")
SPRING = days_between(date(2024, 3, 9), date(2024, 3, 11))
AUTUMN = days_between(date(2024, 11, 2), date(2024, 11, 4))
ALL_CELLS = np.ones(CITY.shape, dtype=bool)
HALF_HEARD = np.indices(CITY.shape).sum(axis=0) % 2 == 0


def alerts(rows: list[tuple[datetime, float, float, int | None]]) -> pa.Table:
    return pa.table(
        {
            "date": pa.array([row[0].astimezone(CITY.zone).date() for row in rows], pa.date32()),
            "time_utc": pa.array([row[0] for row in rows], pa.timestamp("us", "UTC")),
            "longitude": pa.array([row[1] for row in rows], pa.float64()),
            "latitude": pa.array([row[2] for row in rows], pa.float64()),
            "gunshot_type": pa.array([row[3] for row in rows], pa.int8()),
        }
    )


def with_dates(tensors: dict[date, pa.Table]) -> pa.Table:
    return pa.concat_tables(
        [table.append_column("date", pa.repeat(pa.scalar(day), table.num_rows)) for day, table in tensors.items()]
    )


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
grid_lines = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, 0.1, 0.333])
an_alert = st.tuples(
    instants, grid_lines.map(lambda x: -77 + x), grid_lines.map(lambda y: 38 + y), st.sampled_from([None, 0, 1, 2])
)


@given(rows=st.lists(an_alert), order=st.randoms(use_true_random=False))
def test_windows_count_every_alert_once(rows: list[Any], order: Any) -> None:
    frames = with_dates(sparse_tensors(alerts(rows), AUTUMN, CITY))
    mixed = list(range(frames.num_rows))
    order.shuffle(mixed)
    frames = frames.take(pa.array(mixed, pa.int64()))
    by_day, by_hour = dense_window(frames, AUTUMN, CITY), hourly_window(frames, AUTUMN, CITY, ALL_CELLS)
    assert by_day.sum() == by_hour.sum() == len(rows)
    expected = np.zeros_like(by_day)
    for moment, longitude, latitude, kind in rows:
        day = AUTUMN.index(moment.astimezone(CITY.zone).date())
        row, column = min(int((latitude - 38) * 4), 3), min(int((longitude + 77) * 4), 3)
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
    with pytest.raises(ValueError, match=r"landing_city: spans of 1 h .* Use 24 h or longer"):
        hourly_window(with_dates(tensors), SPRING, city, ALL_CELLS)


def test_frames_of_another_grid_are_refused() -> None:
    frames = with_dates(sparse_tensors(alerts([(datetime(2024, 3, 9, 12, tzinfo=UTC), -76.99, 38.1, 0)]), SPRING, CITY))
    other = CITY.model_copy(update={"grid": Grid(rows=8, columns=8)})
    with pytest.raises(ValueError, match=r"landing_city.*Rebuild raw_alerts, cleaned_alerts and grid_tensors"):
        dense_window(frames, SPRING, other)
    with pytest.raises(ValueError, match="landing_city"):
        hourly_window(frames, SPRING, other, ALL_CELLS)
