import numpy as np
import pyarrow as pa

from shotspotter_assets.models.next_minutes.incident_points import Incidents
from shotspotter_assets_tests.models.next_minutes.simulated_incidents import CITY, COVERED, NOON, alerts_at


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
