from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from shotspotter_assets.arrays import Array, Integers
from shotspotter_assets.models.hourly_history import HourlyHistory, HourlyHistoryError
from shotspotter_assets.models.next_minutes.incident_points import Incidents, seconds_of
from shotspotter_assets.models.next_minutes.lift_table import (
    AGES_MINUTES,
    DISTANCES_METRES,
    LiftTable,
    fit_on_hours,
    forecast_minutes,
    spread_evenly,
)
from shotspotter_assets_tests.models.next_minutes import simulated_incidents

TRIPLE = LiftTable(((3.0,) * (len(DISTANCES_METRES) - 1),) * (len(AGES_MINUTES) - 1), 0)
NOTHING = Incidents(np.empty(0), np.empty((0, 2)), np.empty((0, 2), np.int64))


class KnownRates:
    name, models = "known_rates", {1: None, 2: None}

    def __init__(self, even: np.ndarray) -> None:
        self.even = np.concatenate([even, even[:24]])

    def predict(self, history: HourlyHistory, issues: Integers, horizon: int) -> Array:
        return -np.expm1(-sum(self.even[issues + step] for step in range(horizon)))


@pytest.fixture(scope="module")
def history() -> HourlyHistory:
    return simulated_incidents.quiet_history(110)


@pytest.fixture(scope="module")
def rates(history: HourlyHistory) -> KnownRates:
    return KnownRates(simulated_incidents.even_forecast(history, 40.0))


def test_period_over_the_end_of_the_hour_has_its_part_of_both_hours() -> None:
    one, two = np.array([[0.6], [0.6]]), np.array([[0.9], [0.9]])
    np.testing.assert_allclose(spread_evenly(one, two, np.array([50.0, 0.0]), 30), [[0.1 + 0.1], [0.3]])


def test_quiet_city_has_the_hours_spread_evenly(history: HourlyHistory, rates: KnownRates) -> None:
    now = datetime.fromtimestamp(seconds_of(history.starts)[500] + 20 * 60, UTC)
    forecast = forecast_minutes(rates, TRIPLE, history, NOTHING, now)
    spread = np.array([rates.even[500] / 4, rates.even[500] / 2, rates.even[500] * 2 / 3 + rates.even[501] / 3])
    np.testing.assert_allclose(forecast.expected, spread)
    np.testing.assert_array_equal(forecast.probability, forecast.even)


def test_later_incidents_and_counts_change_nothing(history: HourlyHistory, rates: KnownRates) -> None:
    now = datetime.fromtimestamp(seconds_of(history.starts)[500] + 20 * 60, UTC)
    before = Incidents(np.array([now.timestamp() - 300]), np.full((1, 2), 4_000.0), np.array([[6, 6]]))
    both = Incidents(np.r_[before.seconds, now.timestamp() + 1], np.full((2, 2), 4_000.0), np.array([[6, 6], [6, 6]]))
    counted = history.counts.copy()
    counted[500:] = 7
    later = replace(history, counts=counted)
    first, second = (
        forecast_minutes(rates, TRIPLE, some, incidents, now) for some, incidents in ((history, before), (later, both))
    )
    np.testing.assert_array_equal(first.probability, second.probability)
    np.testing.assert_allclose(first.expected[0], 3 * rates.even[500] / 4)
    assert (np.diff(first.probability, axis=0) >= 0).all()


def test_lifts_are_fitted_after_the_first_hours_of_the_history(history: HourlyHistory, rates: KnownRates) -> None:
    incidents = simulated_incidents.simulated(history, rates.even[: len(history)])
    later = incidents.within(seconds_of(history.starts)[90 * 24], np.inf)
    assert fit_on_hours(incidents, history, rates).incidents == (later.covered_cells(history.in_coverage) >= 0).sum()
    with pytest.raises(HourlyHistoryError, match=r"240 hours, and the next minutes are fitted from hour 2160"):
        fit_on_hours(incidents, simulated_incidents.quiet_history(10), rates)


def test_city_that_publishes_hours_has_no_next_minutes(history: HourlyHistory, rates: KnownRates) -> None:
    by_hour = replace(history, city=simulated_incidents.CITY.model_copy(update={"time_precision": "hour"}))
    with pytest.raises(HourlyHistoryError, match=r"no minute \(time_precision: hour\)"):
        fit_on_hours(NOTHING, by_hour, rates)
