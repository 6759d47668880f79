from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from shotspotter_assets.models.hourly_history import HourlyHistory, HourlyHistoryError
from shotspotter_assets.models.next_minutes.incident_points import Incidents, seconds_of
from shotspotter_assets.models.next_minutes.lift_table import AGES_MINUTES, DISTANCES_METRES, LiftTable, fit_lifts
from shotspotter_assets_tests.models.next_minutes import simulated_incidents
from shotspotter_assets_tests.models.next_minutes.simulated_incidents import CITY, COVERED, NOON, alerts_at


@pytest.fixture(scope="module")
def history() -> HourlyHistory:
    return simulated_incidents.quiet_history(120)


def table(**lifts: float) -> LiftTable:
    """Lifts of 1 except for some, as `age_0_ring_1=3.0`."""
    values = np.ones((len(AGES_MINUTES) - 1, len(DISTANCES_METRES) - 1))
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
    lifts = table(age_1_ring_3=4.0)
    [found] = {tuple(row) for row in lift(lifts, history, incident(history, 10, (1e6, 1e6))).T}
    np.testing.assert_allclose(found, [1 + 3 * 5 / 15, 1 + 3 * 5 / 30, 1 + 3 * 5 / 60])


def test_ring_decides_the_cells_and_the_strongest_incident_counts(history: HourlyHistory) -> None:
    lifts = table(age_0_ring_0=4.0, age_1_ring_0=2.0)
    cell = simulated_incidents.COVERED.ravel()[: 6 * 12 + 6].sum()
    middle = 6.5 / 12 * np.array([8_680.0, 8_905.0])
    young, old = incident(history, 0, tuple(middle)), incident(history, 5, tuple(middle))
    both = Incidents(
        np.r_[old.seconds, young.seconds], np.r_[old.metres, young.metres], np.r_[old.places, young.places]
    )
    found = lift(lifts, history, both)
    assert found[0, cell] == pytest.approx((4 * 5 + 2 * 10) / 15)
    assert (found > 1).sum() == 3
    assert (lift(lifts, history, incident(history, 250, tuple(middle))) == 1).all()
    assert (lift(lifts, history, incident(history, -1, tuple(middle))) == 1).all()


def test_incidents_of_unknown_days_change_nothing(history: HourlyHistory) -> None:
    even, known = simulated_incidents.even_forecast(history, 40.0), np.ones(len(history), dtype=bool)
    known[30 * 24 : 40 * 24] = False
    gap, incidents = replace(history, is_known=known), simulated_incidents.simulated(history, even)
    there = known[np.searchsorted(seconds_of(history.starts), incidents.seconds, "right") - 1]
    others = Incidents(incidents.seconds[there], incidents.metres[there], incidents.places[there])
    found, expected = (fit_lifts(one, gap, range(len(history)), even) for one in (incidents, others))
    assert found == expected != fit_lifts(others, history, range(len(history)), even)


def test_files_hold_the_table() -> None:
    lifts = table(age_2_ring_1=1.5)
    assert LiftTable.load(lifts.files()) == lifts
    assert lifts.chosen["lifts"][2][1] == 1.5


def test_few_incidents_are_refused(history: HourlyHistory) -> None:
    even = simulated_incidents.even_forecast(history, 0.1)
    with pytest.raises(HourlyHistoryError, match="and 50 are needed for a forecast of the next minutes"):
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
    city = CITY.model_copy(update={"event_types": {"robbery": ("robbery",)}, "forecast": ("robbery",)})
    table = alerts([0, 1], [4, 1], [0, 1])
    assert len(Incidents.of_alerts(table, city)) == 1
    assert Incidents.of_alerts(table, CITY).seconds.tolist() == [NOON.timestamp() + 60]


def test_a_point_that_no_sensor_covers_is_in_no_cell() -> None:
    found = Incidents(np.zeros(3), np.zeros((3, 2)), np.array([[0, 0], [0, 4], [11, 11]]))
    assert found.covered_cells(COVERED).tolist() == [-1, 0, int(COVERED.sum()) - 1]
