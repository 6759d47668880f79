"""The next minutes from any instant: the hours' forecast spread evenly, with what recent incidents trigger."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from shotspotter_assets.models.hourly_history import HourlyHistory, HourlyHistoryError
from shotspotter_assets.models.next_hours.forecaster import Array, Indexes
from shotspotter_assets.models.next_minutes.even import MINUTES, EvenForecast
from shotspotter_assets.models.next_minutes.forecast import fit_on_hours, forecast_minutes
from shotspotter_assets.models.next_minutes.incidents import Incidents, seconds_of
from shotspotter_assets.models.next_minutes.self_exciting import FittedMinutes, Trigger
from shotspotter_assets.models.next_minutes.stack import EVEN, MEMBERS, PROCESS, FittedMinutesStack
from shotspotter_assets_tests.models.next_minutes.simulated_incidents import (
    CITY,
    TRUTH,
    even_forecast,
    quiet_history,
    simulated,
)


class KnownRates:
    """A forecaster of hours that knows the rate of every hour."""

    name, models = "known_rates", {1: None, 2: None}

    def __init__(self, even: np.ndarray) -> None:
        self.even = np.concatenate([even, even[:24]])

    def predict(self, history: HourlyHistory, issues: Indexes, horizon: int) -> Array:
        return -np.expm1(-sum(self.even[issues + step] for step in range(horizon)))

    @property
    def on_train(self) -> "KnownRates":
        return self

    def files(self) -> Mapping[str, Any]:
        return {}


def stack_of(process: FittedMinutes, weights: tuple[float, float] = (0.0, 1.0)) -> FittedMinutesStack:
    """The process, trusted as much as the weights say."""
    by_member = dict(zip(MEMBERS, weights, strict=True))
    return FittedMinutesStack(process, dict.fromkeys(MINUTES, by_member), dict.fromkeys(MINUTES, -9.0), 0)


@pytest.fixture(scope="module")
def history() -> HourlyHistory:
    return quiet_history(160)


@pytest.fixture(scope="module")
def rates(history: HourlyHistory) -> KnownRates:
    return KnownRates(even_forecast(history, 40.0))


def test_a_period_over_the_end_of_the_hour_has_its_part_of_both_hours(
    history: HourlyHistory, rates: KnownRates
) -> None:
    even = EvenForecast.of(rates, history, np.array([100, 101]))
    ahead = even.ahead(np.array([50.0, 0.0]), 30)
    np.testing.assert_allclose(ahead[0], rates.even[100] * 10 / 60 + rates.even[101] * 20 / 60)
    np.testing.assert_allclose(ahead[1], rates.even[101] / 2)


def test_a_forecast_is_the_hours_spread_evenly_where_nothing_has_happened(
    history: HourlyHistory, rates: KnownRates
) -> None:
    process = stack_of(FittedMinutes(0.8, 0.5, (Trigger(0.3, 10.0, 200.0),), TRUTH.city_wide, 1.0, 0, 0.0))
    now = datetime.fromtimestamp(seconds_of(history.starts)[500] + 20 * 60, UTC)
    nothing = Incidents(np.empty(0), np.empty((0, 2)), np.empty((0, 2), np.int64))
    forecast = forecast_minutes(rates, process, history, nothing, now)
    spread = [rates.even[500] / 4, rates.even[500] / 2, rates.even[500] * 2 / 3 + rates.even[501] / 3]
    likely = np.array(spread) > 1e-4
    np.testing.assert_allclose(forecast.expected[likely], 0.8 * np.array(spread)[likely])
    np.testing.assert_allclose(forecast.even[likely], -np.expm1(-np.array(spread))[likely])


def test_what_comes_after_now_changes_nothing(history: HourlyHistory, rates: KnownRates) -> None:
    now = datetime.fromtimestamp(seconds_of(history.starts)[500] + 20 * 60, UTC)
    before = Incidents(np.array([now.timestamp() - 300]), np.full((1, 2), 4_000.0), np.array([[6, 6]]))
    both = Incidents(np.r_[before.seconds, now.timestamp() + 1], np.full((2, 2), 4_000.0), np.array([[6, 6], [6, 6]]))
    counted = history.counts.copy()
    counted[500:] = 7
    later = HourlyHistory(CITY, history.first_day, counted, history.in_coverage)
    first, second = (
        forecast_minutes(rates, stack_of(TRUTH), some, incidents, now)
        for some, incidents in ((history, before), (later, both))
    )
    np.testing.assert_array_equal(first.probability, second.probability)
    assert (first.probability > first.even).any()


def test_a_longer_forecast_is_of_no_less(history: HourlyHistory, rates: KnownRates) -> None:
    now = datetime.fromtimestamp(seconds_of(history.starts)[500] + 20 * 60, UTC)
    before = Incidents(np.array([now.timestamp() - 60]), np.full((1, 2), 4_000.0), np.array([[6, 6]]))
    stack = stack_of(TRUTH)
    bold = FittedMinutesStack(TRUTH, {**stack.weights, 15: {EVEN: 0.0, PROCESS: 0.2}}, stack.centre | {15: -1.0}, 0)
    forecast = forecast_minutes(rates, bold, history, before, now)
    assert (np.diff(forecast.probability, axis=0) >= 0).all()
    assert (np.diff(forecast.expected, axis=0) >= 0).all()


VALIDATION = range(130 * 24, 160 * 24)


def test_the_process_is_fitted_after_the_first_hours_of_the_history(history: HourlyHistory, rates: KnownRates) -> None:
    incidents = simulated(history, rates.even[: len(history)])
    fitted = fit_on_hours(incidents, history, rates, VALIDATION)
    starts = seconds_of(history.starts)
    from_day_90 = incidents.within(starts[90 * 24], np.inf)
    assert fitted.process.incidents == int((from_day_90.covered_cells(history.in_coverage) >= 0).sum())
    assert 0 < fitted.learned_from < len(from_day_90)
    with pytest.raises(
        HourlyHistoryError, match=r"made_up_city: 240 hours, and the next minutes are fitted from hour 2160"
    ):
        fit_on_hours(incidents, quiet_history(10), rates, range(200, 240))


def test_a_history_that_only_reaches_into_validation_has_the_prior_weights(rates: KnownRates) -> None:
    short = quiet_history(110)
    fitted = fit_on_hours(simulated(short, rates.even[: len(short)]), short, rates, range(80 * 24, 110 * 24))
    assert fitted.learned_from == 0


def test_a_city_that_publishes_hours_has_no_next_minutes(history: HourlyHistory, rates: KnownRates) -> None:
    by_hour = HourlyHistory(
        CITY.model_copy(update={"time_precision": "hour"}), history.first_day, history.counts, history.in_coverage
    )
    with pytest.raises(HourlyHistoryError, match=r"no minute \(time_precision: hour\)"):
        fit_on_hours(Incidents(np.empty(0), np.empty((0, 2)), np.empty((0, 2), np.int64)), by_hour, rates, VALIDATION)
