from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pytest

from shotspotter_assets.models.history import HourlyHistory, HourlyHistoryError
from shotspotter_assets.models.next_hours import lift_table
from shotspotter_assets.models.next_hours.incident_points import Incidents, seconds_of
from shotspotter_assets.models.next_hours.lift_table import LiftTable, fit_lifts, fit_on_hours, forecast_minutes
from shotspotter_assets.storage.arrays import Array, Integers
from shotspotter_assets_tests.models.next_hours import simulated_incidents
from shotspotter_assets_tests.models.next_hours.simulated_incidents import CITY, COVERED, NOON, alerts_at

BINS = len(lift_table.AGES_MINUTES) - 1, len(lift_table.DISTANCES_METRES) - 1


@pytest.fixture(scope="module")
def history() -> HourlyHistory:
    return simulated_incidents.quiet_history(120)


def table(**lifts: float) -> LiftTable:
    """Lifts of 1 except for some, as `age_0_ring_1=3.0`."""
    values = np.ones(BINS)
    for place, lift in lifts.items():
        values[int(place.split("_")[1]), int(place.split("_")[3])] = lift
    return LiftTable(tuple(map(tuple, values.tolist())), 0)


def incident(history: HourlyHistory, minutes_ago: float, metres: tuple[float, float]) -> Incidents:
    seconds = seconds_of(history.starts)[500] - 60 * minutes_ago
    return Incidents(np.array([seconds]), np.array([metres]), np.array([[6, 6]]))


def lift(lifts: LiftTable, history: HourlyHistory, incidents: Incidents) -> np.ndarray:
    return lifts.lift(incidents, history, seconds_of(history.starts)[500], np.array([15.0, 30.0, 60.0]))


def test_repeats_lift_young_near_cells_alone(history: HourlyHistory) -> None:
    even = simulated_incidents.even_forecast(history, 40.0)
    fitted = np.array(fit_lifts(simulated_incidents.simulated(history, even), history, range(len(history)), even).lifts)
    assert fitted[0, 0] > fitted[1, 0] > 1
    np.testing.assert_allclose(fitted[3:, 2:], 1, atol=0.35)


def test_period_averages_the_ages_that_it_crosses(history: HourlyHistory) -> None:
    lifts = table(age_2_ring_3=4.0)
    [found] = {tuple(row) for row in lift(lifts, history, incident(history, 10, (1e6, 1e6))).T}
    np.testing.assert_allclose(found, [1 + 3 * 5 / 15, 1 + 3 * 5 / 30, 1 + 3 * 5 / 60])


def test_ring_decides_the_cells_and_the_strongest_incident_counts(history: HourlyHistory) -> None:
    lifts = table(age_0_ring_0=4.0, age_1_ring_0=4.0, age_2_ring_0=2.0)
    cell = simulated_incidents.COVERED.ravel()[: 6 * 12 + 6].sum()
    middle = 6.5 / 12 * np.array([8_680.0, 8_905.0])
    young = incident(history, 0, tuple(middle))
    old = incident(history, 5, tuple(middle))
    found = lift(lifts, history, simulated_incidents.joined(old, young))
    assert found[0, cell] == pytest.approx((4 * 5 + 2 * 10) / 15)
    assert (found > 1).sum() == 3
    assert (lift(lifts, history, incident(history, 250, tuple(middle))) == 1).all()
    assert (lift(lifts, history, incident(history, -1, tuple(middle))) == 1).all()


def test_incidents_of_unknown_days_change_nothing(history: HourlyHistory) -> None:
    even = simulated_incidents.even_forecast(history, 40.0)
    known = np.ones(len(history), dtype=bool)
    known[30 * 24 : 40 * 24] = False
    gap = replace(history, is_known=known)
    incidents = simulated_incidents.simulated(history, even)
    there = known[np.searchsorted(seconds_of(history.starts), incidents.seconds, "right") - 1]
    others = Incidents(incidents.seconds[there], incidents.metres[there], incidents.places[there])
    found, expected = (fit_lifts(one, gap, range(len(history)), even) for one in (incidents, others))
    assert found == expected != fit_lifts(others, history, range(len(history)), even)


def test_few_incidents_are_refused(history: HourlyHistory) -> None:
    even = simulated_incidents.even_forecast(history, 0.1)
    with pytest.raises(HourlyHistoryError, match="50 are needed"):
        fit_lifts(simulated_incidents.simulated(history, even), history, range(len(history)), even)


def alerts(incident: list[int], kind: list[int | None], minute: list[float]) -> pa.Table:
    degrees = np.column_stack([np.linspace(-77.049, -76.951, len(incident)), np.full(len(incident), 38.89)])
    return alerts_at(NOON.timestamp() + 60 * np.array(minute), degrees, incident, kind)


def test_an_incident_is_at_its_first_alert_in_whatever_order_they_come() -> None:
    table = alerts([0, 0, 2, 0], [0, None, 1, 2], [0, 1, 2, 3])
    for mixed in (table, table.take([3, 1, 2, 0])):
        found = Incidents.of_alerts(mixed, CITY)
        np.testing.assert_array_equal(found.seconds - NOON.timestamp(), [0, 120])
        np.testing.assert_array_equal(found.places, [[6, 0], [6, 7]])


def test_events_that_are_not_forecast_are_no_incidents() -> None:
    city = CITY.model_copy(update={"event_types": {"robbery": ("robbery",)}, "targets": {"robbery": ("robbery",)}})
    table = alerts([0, 1], [4, 1], [0, 1])
    assert len(Incidents.of_alerts(table, city)) == 1
    assert Incidents.of_alerts(table, CITY).seconds.tolist() == [NOON.timestamp() + 60]


def test_a_point_that_no_sensor_covers_is_in_no_cell() -> None:
    found = Incidents(np.zeros(3), np.zeros((3, 2)), np.array([[0, 0], [0, 4], [11, 11]]))
    assert found.covered_cells(COVERED).tolist() == [-1, 0, int(COVERED.sum()) - 1]


TRIPLE = LiftTable(((3.0,) * BINS[1],) * BINS[0], 0)
NOTHING = Incidents(np.empty(0), np.empty((0, 2)), np.empty((0, 2), np.int64))


class KnownRates:
    name = "known_rates"
    models = MappingProxyType({1: None, 2: None})

    def __init__(self, even: np.ndarray) -> None:
        self.even = np.concatenate([even, even[:24]])

    def predict(self, history: HourlyHistory, issues: Integers, horizon: int) -> Array:
        return -np.expm1(-sum(self.even[issues + step] for step in range(horizon)))


@pytest.fixture(scope="module")
def rates(history: HourlyHistory) -> KnownRates:
    return KnownRates(simulated_incidents.even_forecast(history, 40.0))


def test_period_over_the_end_of_the_hour_has_its_part_of_both_hours() -> None:
    one = np.array([[0.6], [0.6]])
    two = np.array([[0.9], [0.9]])
    np.testing.assert_allclose(lift_table.spread_evenly(one, two, np.array([50.0, 0.0]), 30), [[0.1 + 0.1], [0.3]])


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
    first = forecast_minutes(rates, TRIPLE, history, before, now)
    second = forecast_minutes(rates, TRIPLE, later, both, now)
    np.testing.assert_array_equal(first.probability, second.probability)
    np.testing.assert_allclose(first.expected[0], 3 * rates.even[500] / 4)
    assert (np.diff(first.probability, axis=0) >= 0).all()


def test_lifts_are_fitted_after_the_first_hours_of_the_history(history: HourlyHistory, rates: KnownRates) -> None:
    incidents = simulated_incidents.simulated(history, rates.even[: len(history)])
    later = incidents.within(seconds_of(history.starts)[90 * 24], np.inf)
    assert fit_on_hours(incidents, history, rates).incidents == (later.covered_cells(history.in_coverage) >= 0).sum()
    with pytest.raises(HourlyHistoryError, match=r"240 hours.* 2160"):
        fit_on_hours(incidents, simulated_incidents.quiet_history(10), rates)


def test_city_that_publishes_hours_has_no_next_minutes(history: HourlyHistory, rates: KnownRates) -> None:
    by_hour = replace(history, city=simulated_incidents.CITY.model_copy(update={"time_precision": "hour"}))
    with pytest.raises(HourlyHistoryError, match="time_precision: hour"):
        fit_on_hours(NOTHING, by_hour, rates)
