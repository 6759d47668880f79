from datetime import date
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest

from shotspotter_assets.cities.patrol_rules import Shift
from shotspotter_assets.forecasts.patrol.shifts import shift_forecasts, shift_window, totals_note
from shotspotter_assets_tests.forecasts.patrol.cities import patrol_city

NEW_YORK = ZoneInfo("America/New_York")
DAY = date(2024, 5, 1)


def city_with(start, end, zone="UTC"):
    return patrol_city(2, 3, zone=zone, shifts=(Shift(name=f"{start}-{end}", start=start, end=end, units=1),))


def hourly(first, last, expected=0.2, cells=((0, 1), (1, 2))):
    starts = np.arange(first, last, dtype="datetime64[h]").astype("datetime64[us]")
    rows = [(start, row, column, 0.1, expected) for start in starts for row, column in cells]
    names = ("starts_utc", "row", "column", "probability", "expected")
    return pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))


@pytest.mark.parametrize(
    ("start", "end", "day", "begins", "ends", "hours"),
    [
        (6, 14, DAY, "2024-05-01T06:00:00-04:00", "2024-05-01T14:00:00-04:00", 8),
        (22, 6, DAY, "2024-05-01T22:00:00-04:00", "2024-05-02T06:00:00-04:00", 8),
        (16, 24, DAY, "2024-05-01T16:00:00-04:00", "2024-05-02T00:00:00-04:00", 8),
        (16, 0, DAY, "2024-05-01T16:00:00-04:00", "2024-05-02T00:00:00-04:00", 8),
        (0, 24, DAY, "2024-05-01T00:00:00-04:00", "2024-05-02T00:00:00-04:00", 24),
        # Daylight saving begins on 10 March and ends on 3 November 2024, both at 2 in the night.
        (22, 6, date(2024, 3, 9), "2024-03-09T22:00:00-05:00", "2024-03-10T06:00:00-04:00", 7),
        (22, 6, date(2024, 11, 2), "2024-11-02T22:00:00-04:00", "2024-11-03T06:00:00-05:00", 9),
        (2, 10, date(2024, 3, 10), "2024-03-10T03:00:00-04:00", "2024-03-10T10:00:00-04:00", 7),
    ],
)
def test_hours_follow_the_clock_of_the_city(start, end, day, begins, ends, hours):
    city = city_with(start, end, "America/New_York")
    window = shift_window(city.patrol.shifts[0], day, NEW_YORK)
    assert [moment.isoformat() for moment in window] == [begins, ends]
    # One alert an hour: a shift expects as many as it has hours.
    forecasts = shift_forecasts(
        hourly(day, np.datetime64(day) + np.timedelta64(3, "D"), 1.0), city, city.patrol.shifts, day
    )
    assert forecasts.expected[0, 0, 1] == hours


def test_a_shift_sums_its_hours_in_covered_cells():
    city = city_with(6, 14)
    shifts = shift_forecasts(hourly("2024-05-01", "2024-05-02"), city, city.patrol.shifts, DAY)
    assert [tuple(cell) for cell in np.argwhere(shifts.in_coverage)] == [(0, 1), (1, 2)]
    assert shifts.expected[0, 0, 1] == pytest.approx(8 * 0.2)
    assert shifts.probability[0, 1, 2] == pytest.approx(1 - 0.9**8)
    assert shifts.expected[0, 0, 0] == shifts.probability[0, 0, 0] == 0


def test_hours_without_a_forecast_are_named():
    table = hourly("2024-05-01T04", "2024-05-02T04")
    city = city_with(22, 6, "America/New_York")
    with pytest.raises(ValueError, match=r"22-6.*2024-05-01.*2024-05-02T04:00:00"):
        shift_forecasts(table, city, city.patrol.shifts, DAY)


@pytest.mark.parametrize(
    ("hours", "why"),
    [
        ([(0, 12), (12, 24)], ""),
        ([(0, 24)], ""),
        ([(6, 14), (14, 22), (22, 6)], "22-6 ends on the next day"),
        ([(6, 14), (12, 20), (20, 2)], "20-2 ends on the next day; no shift has 2:00 to 6:00; several shifts have 12:00 to 14:00"),
    ],
)  # fmt: skip
def test_the_difference_of_shifts_and_day_has_its_reason(hours, why):
    shifts = [city_with(*one).patrol.shifts[0] for one in hours]
    assert totals_note(shifts) == (f"Shifts and day have different hours: {why}." if why else "")
