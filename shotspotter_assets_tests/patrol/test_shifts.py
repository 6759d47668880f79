from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest

from shotspotter_assets.cities.patrol_rules import Shift
from shotspotter_assets.patrol.shifts import expected_by_shift, shift_forecasts, shift_window
from shotspotter_assets_tests.patrol.cities import patrol_city

NEW_YORK = ZoneInfo("America/New_York")


def shift(start, end):
    return Shift(name=f"{start}-{end}", start=start, end=end, units=1)


@pytest.mark.parametrize(
    ("start", "end", "day", "begins", "ends", "hours"),
    [
        (6, 14, date(2024, 5, 1), "2024-05-01T06:00:00-04:00", "2024-05-01T14:00:00-04:00", 8),
        (22, 6, date(2024, 5, 1), "2024-05-01T22:00:00-04:00", "2024-05-02T06:00:00-04:00", 8),
        (16, 24, date(2024, 5, 1), "2024-05-01T16:00:00-04:00", "2024-05-02T00:00:00-04:00", 8),
        (16, 0, date(2024, 5, 1), "2024-05-01T16:00:00-04:00", "2024-05-02T00:00:00-04:00", 8),
        (0, 24, date(2024, 5, 1), "2024-05-01T00:00:00-04:00", "2024-05-02T00:00:00-04:00", 24),
        # Daylight saving begins on 10 March and ends on 3 November 2024, both at 2 in the night.
        (22, 6, date(2024, 3, 9), "2024-03-09T22:00:00-05:00", "2024-03-10T06:00:00-04:00", 7),
        (22, 6, date(2024, 11, 2), "2024-11-02T22:00:00-04:00", "2024-11-03T06:00:00-05:00", 9),
        (2, 10, date(2024, 3, 10), "2024-03-10T03:00:00-04:00", "2024-03-10T10:00:00-04:00", 7),
    ],
)
def test_hours_on_the_citys_clock(start, end, day, begins, ends, hours):
    window = shift_window(shift(start, end), day, NEW_YORK)
    assert [moment.isoformat() for moment in window] == [begins, ends]
    # One alert an hour: a shift expects as many as it has hours.
    starts = np.arange("2024-01-01", "2025-01-01", dtype="datetime64[h]")
    sums = expected_by_shift(np.ones((len(starts), 2, 2)), starts, (shift(start, end),), day, NEW_YORK)
    assert sums.tolist() == [[[hours] * 2] * 2]


def test_takes_the_hours_of_the_shift_and_no_others():
    starts = np.arange("2024-05-01T00", "2024-05-03T00", dtype="datetime64[h]")
    hourly = np.arange(len(starts), dtype=float)[:, None, None] * np.ones((1, 2, 2))
    first, last = shift(6, 8), shift(23, 1)
    sums = expected_by_shift(hourly, starts, (first, last), date(2024, 5, 1), ZoneInfo("UTC"))
    assert sums[:, 0, 0].tolist() == [6 + 7, 23 + 24]


def test_hours_that_are_not_forecast_are_named():
    starts = np.arange("2024-05-01T04", "2024-05-02T04", dtype="datetime64[h]")
    hourly = np.ones((24, 2, 2))
    with pytest.raises(
        ValueError, match=r"Shift 22-6 of 2024-05-01 .* 8 hours, and 6 of them .* 2024-05-02T04:00:00 UTC"
    ):
        expected_by_shift(hourly, starts, (shift(22, 6),), date(2024, 5, 1), NEW_YORK)
    assert datetime(2024, 5, 2, 4, tzinfo=UTC).astimezone(NEW_YORK).hour == 0


def test_a_shift_adds_up_its_hours_and_cells_are_in_coverage_where_hours_are_forecast():
    city = patrol_city(2, 3, (1,))
    starts = np.arange("2024-05-01T00", "2024-05-02T00", dtype="datetime64[h]").astype("datetime64[us]")
    cells = [(0, 1), (1, 2)]
    rows = [(start, row, column, 0.1, 0.2) for start in starts for row, column in cells]
    names = ("starts_utc", "row", "column", "probability", "expected")
    hourly = pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))
    shifts = shift_forecasts(hourly, city, date(2024, 5, 1))
    assert [tuple(cell) for cell in np.argwhere(shifts.in_coverage)] == cells
    assert shifts.expected[0, 0, 1] == pytest.approx(8 * 0.2)
    assert shifts.probability[0, 1, 2] == pytest.approx(1 - 0.9**8)
    assert shifts.expected[0, 0, 0] == shifts.probability[0, 0, 0] == 0
    with pytest.raises(ValueError, match="no patrol rules"):
        shift_forecasts(hourly, city.model_copy(update={"patrol": None}), date(2024, 5, 1))
