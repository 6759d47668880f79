import json
from datetime import date

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from shotspotter_assets.forecasts.risk_tables import hourly_table, risk_geojson, risk_table, top_locations
from shotspotter_assets.models.alert_counts import AlertCounts, CountDistribution
from shotspotter_assets.storage.catalogue import FORECAST
from shotspotter_assets_tests.forecasts.town import SOME_CELLS, TOWN

CELLS = int(SOME_CELLS.sum())
COUNTS = AlertCounts((0.0, 0.0), 0.3, (0.0, 0.0), 0.1)


def next_day(probability: np.ndarray, counts: AlertCounts = COUNTS) -> pa.Table:
    offset = np.array([[-6.0], [1.0]]) - np.log(probability / (1 - probability))
    forecast = counts.distribution(probability, np.array(False))
    period = np.datetime64("2024-03-10T05", "us"), 23
    return risk_table("day", period, SOME_CELLS, offset, forecast, np.ones(24), None)


def test_a_horizon_has_a_row_per_cell_with_counts() -> None:
    p = np.linspace(0.01, 0.6, CELLS)
    table = next_day(p)
    assert table.schema == FORECAST.schema
    np.testing.assert_array_equal(table["probability"].to_numpy(), p)
    assert table["low"][0].as_py() == pytest.approx(1 / (1 + np.exp(6)))
    np.testing.assert_allclose(table["expected"].to_numpy(), COUNTS.distribution(p, np.array(False)).expected)
    stored = CountDistribution.of_forecast(table)
    np.testing.assert_allclose(stored.variance, COUNTS.distribution(p, np.array(False)).variance)
    assert table["type_0"].null_count == CELLS


@pytest.mark.parametrize(("day", "hours"), [(date(2024, 3, 10), 23), (date(2024, 6, 1), 24), (date(2024, 11, 3), 25)])
def test_hours_of_a_day_make_it_up(day: date, hours: int) -> None:
    profile = 1 + np.cos(2 * np.pi * np.arange(168) / 24) ** 2 + np.arange(168) / 168
    table = next_day(np.linspace(0.05, 0.5, CELLS))
    hourly = hourly_table(table, profile, TOWN.zone, day)
    assert hourly.num_rows == (hours + 12) * CELLS
    expected, probability = (hourly[name].to_numpy().reshape(-1, CELLS) for name in ("expected", "probability"))
    np.testing.assert_allclose(expected[:hours].sum(axis=0), table["expected"].to_numpy())
    np.testing.assert_allclose(1 - np.prod(1 - probability[:hours], axis=0), table["probability"].to_numpy())
    starts = hourly["starts_utc"].to_numpy()[::CELLS]
    assert (np.diff(starts) == np.timedelta64(1, "h")).all()
    local = [instant.astimezone(TOWN.zone) for instant in hourly["starts_utc"].to_pylist()[::CELLS]]
    assert (local[0].hour, local[hours].hour, local[-1].hour) == (0, 0, 11)
    levels = np.array([profile[hour.weekday() * 24 + hour.hour] for hour in local])
    np.testing.assert_allclose(expected[:, 0] / expected[0, 0], levels / levels[0])


@given(
    arrays(np.float64, CELLS, elements=st.floats(1e-6, 1 - 1e-6)),
    st.floats(-8, 3), st.floats(-1, 2), st.floats(-5, 5),
)  # fmt: skip
def test_numbers_and_chances_of_all_periods_agree(p: np.ndarray, mean: float, growth: float, size: float) -> None:
    table = next_day(p, AlertCounts((mean, 0.0), growth, (size, 0.0), 0.1))
    hourly = hourly_table(table, 1 + np.arange(168) / 24, TOWN.zone, date(2024, 6, 1))
    stored = CountDistribution.of_forecast(table)
    np.testing.assert_array_equal(stored.probability, p)
    np.testing.assert_allclose(stored.expected, table["expected"].to_numpy())
    for of_period in (table, hourly, top_locations(table, None, TOWN)):
        expected, probability = (of_period[name].to_numpy() for name in ("expected", "probability"))
        assert (expected >= probability).all()
    day = hourly["expected"].to_numpy().reshape(-1, CELLS)[:24].sum(axis=0)
    np.testing.assert_allclose(day, table["expected"].to_numpy())


def test_places_are_ranked_and_lie_in_the_middle_of_their_cells() -> None:
    p = np.linspace(0.01, 0.6, CELLS)
    top = top_locations(next_day(p), [("near",)] * (CELLS - 1) + [()], TOWN).to_pylist()
    assert [row["probability"] for row in top] == list(p[::-1])
    assert (top[0]["row"], top[0]["column"], top[0]["longitude"], top[0]["latitude"]) == (3, 3, -76.125, 38.875)
    assert [row["why"] for row in top[:3]] == ["no single reason stands out", "near", "near"]
    first = top_locations(next_day(p), None, TOWN).to_pylist()[0]
    assert first["why"] == "the model gives no reasons"


def test_the_map_has_a_polygon_for_each_cell() -> None:
    features = json.loads(risk_geojson(next_day(np.full(CELLS, 0.2)), TOWN))["features"]
    assert len(features) == CELLS
    [ring] = features[0]["geometry"]["coordinates"]
    assert ring == [[-77.0, 38.0], [-76.75, 38.0], [-76.75, 38.25], [-77.0, 38.25], [-77.0, 38.0]]
    assert features[0]["properties"]["probability"] == 0.2
