"""Scores of streets, by hand on a town of straight streets."""

import numpy as np
import pytest

from shotspotter_assets.cities.city import City
from shotspotter_assets.evaluation.street_scores import (
    Network,
    StreetScores,
    mean_rates,
)
from shotspotter_assets.streets.alerts import Alerts
from shotspotter_assets.streets.segments import Parts, Segments, parts_of, read_segments
from shotspotter_assets_tests.streets.town import city_with, town, written

DAYS = np.arange("2021-03-01", "2021-03-04", dtype="datetime64[D]")


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> City:
    city = city_with(written(tmp_path_factory.mktemp("town"), town()))
    return city.model_copy(update={"grid": city.grid.model_copy(update={"rows": 4, "columns": 4})})


@pytest.fixture(scope="module")
def segments(city: City) -> Segments:
    return read_segments(city)


@pytest.fixture(scope="module")
def parts(city: City, segments: Segments) -> Parts:
    return parts_of(city, segments)


def on_segments(city: City, segments: Segments, numbers: list[int], days: list[int]) -> Alerts:
    """An alert a quarter along each of the segments."""
    import shapely

    from shotspotter_assets.gridding.cells import Plane

    points = shapely.get_coordinates(shapely.line_interpolate_point(segments.lines[numbers], 0.25, normalized=True))
    return Alerts(DAYS[days], *Plane.of(city).degrees(points).T)


def test_an_alert_is_on_its_segment_and_day(city: City, segments: Segments, parts: Parts) -> None:
    network = Network.of(parts, np.ones(city.shape, dtype=bool))
    alerts = on_segments(city, segments, [41, 41, 40], [0, 0, 2])
    expected = np.zeros((3, len(segments)))
    expected[0, 41] = expected[2, 40] = 1
    np.testing.assert_array_equal(network.alert_days(city, parts, alerts, DAYS).toarray(), expected)


def test_alerts_and_streets_in_cells_that_are_not_covered_do_not_count(
    city: City, segments: Segments, parts: Parts
) -> None:
    in_coverage = np.zeros(city.shape, dtype=bool)
    in_coverage[:2] = True
    network = Network.of(parts, in_coverage)
    assert 0 < network.metres.sum() < 0.6 * segments.metres.sum()
    northern = int(np.argmax(segments.middles(city)[:, 1]))
    assert northern not in network.shown
    alerts = on_segments(city, segments, [northern], [0])
    assert network.alert_days(city, parts, alerts, DAYS).sum() == 0


def test_scores_of_a_period_are_those_by_hand() -> None:
    probability, mean = np.array([0.5, 0.1, 0.01, 0.001]), np.array([0.1, 0.2, 0.01, 0.01])
    observed, metres = np.array([1.0, 0.0, 0.25, 0.0]), np.array([1.0, 2.0, 60.0, 37.0])
    scores = StreetScores.of(probability, mean, observed, metres)
    losses = [
        -(observed * np.log(forecast) + (1 - observed) * np.log(1 - forecast)) for forecast in (probability, mean)
    ]
    assert scores.log_loss == pytest.approx(losses[0].mean())
    assert scores.log_loss_of_mean == pytest.approx(losses[1].mean())
    assert scores.gain_over_historical_mean == pytest.approx((losses[1] - losses[0]).sum() / 1.25)
    assert (scores.segments, scores.observed, scores.predicted) == (4, 1.25, pytest.approx(0.611))
    # The first has the most per metre and is 1% of the length, the second is two more; of the third 2 of 60 m are left.
    assert scores.hit_rate == {
        1: pytest.approx(0.8),
        2: pytest.approx(0.8),
        5: pytest.approx((1 + 0.25 * 2 / 60) / 1.25),
    }
    assert scores.pai[1] == pytest.approx(80)
    # By the mean, the second is before the first.
    assert scores.hit_rate_of_mean == {1: 0, 2: 0, 5: pytest.approx(0.8)}


def test_a_day_without_alerts_has_a_loss_and_no_rates() -> None:
    scores = StreetScores.of(np.array([0.5, 0.1]), np.array([0.5, 0.1]), np.zeros(2), np.ones(2))
    assert scores.log_loss == pytest.approx(-np.log([0.5, 0.9]).mean())
    assert scores.gain_over_historical_mean is None
    assert scores.hit_rate == {1: None, 2: None, 5: None}
    assert scores.pai == scores.hit_rate


def test_the_mean_is_between_the_own_past_and_the_length() -> None:
    metres, seen = np.array([100.0, 100.0, 200.0]), np.array([8.0, 0.0, 0.0])
    by_length = mean_rates(seen, 100, metres, 1e9)
    np.testing.assert_allclose(by_length, 0.08 * metres / 400, rtol=1e-4)
    np.testing.assert_allclose(mean_rates(seen, 100, metres, 1e-9), seen / 100, atol=1e-9)
    between = mean_rates(seen, 100, metres, 1.0)
    assert by_length[0] < between[0] < 0.08
    assert 0 < between[1] < by_length[1]
    assert mean_rates(np.zeros(3), 100, metres, 1.0).tolist() == [0, 0, 0]
