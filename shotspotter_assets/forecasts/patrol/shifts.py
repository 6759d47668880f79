"""Hours of shifts on a city's clock, and the alerts expected in each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.patrol_rules import Shift
from shotspotter_assets.storage.arrays import Array, Booleans, Days


@dataclass(frozen=True)
class ShiftForecasts:
    """Forecasts of the shifts that begin on a day."""

    expected: Array  # alerts, shape (shifts, rows, columns)
    probability: Array  # probability of at least one alert, shape (shifts, rows, columns)
    in_coverage: Booleans  # forecast cells, shape (rows, columns)


def shift_forecasts(hourly: pa.Table, city: City, shifts: Sequence[Shift], day: date) -> ShiftForecasts:
    """Sum up a forecast of hours (`catalogue.HOURLY`) by shift; raise ValueError if an hour of one is missing."""
    starts, hour = np.unique(hourly["starts_utc"].to_numpy().astype("datetime64[s]"), return_inverse=True)
    row, column = (hourly[name].to_numpy() for name in ("row", "column"))
    in_coverage = np.zeros(city.shape, dtype=bool)
    in_coverage[row, column] = True
    hours = np.zeros((2, len(starts), *city.shape))
    hours[0, hour, row, column] = hourly["expected"].to_numpy()
    hours[1, hour, row, column] = -np.log1p(-hourly["probability"].to_numpy())
    chosen = [_hours_of(shift, day, city.zone, starts) for shift in shifts]
    expected, hazard = np.stack([hours[:, in_shift].sum(axis=1) for in_shift in chosen], axis=1)
    return ShiftForecasts(expected, -np.expm1(-hazard), in_coverage)


def joined(forecasts: Mapping[str, ShiftForecasts], weights: Mapping[str, float]) -> tuple[ShiftForecasts, Array]:
    """Return the forecasts of targets together, and their expected events times the weights, of the same shape."""
    of_targets = list(forecasts.values())
    together = ShiftForecasts(
        expected=np.sum([shifts.expected for shifts in of_targets], axis=0),
        probability=1 - np.prod([1 - shifts.probability for shifts in of_targets], axis=0),
        in_coverage=np.any([shifts.in_coverage for shifts in of_targets], axis=0),
    )
    weighted = np.sum([weights.get(name, 1.0) * shifts.expected for name, shifts in forecasts.items()], axis=0)
    return together, weighted


def shift_window(shift: Shift, day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return local start and end of a shift that begins on `day`; an end at or before the start is on the next day."""
    end_day = day + timedelta(days=(shift.end <= shift.start) + shift.end // 24)
    start = datetime.combine(day, time(shift.start), tzinfo=zone)
    end = datetime.combine(end_day, time(shift.end % 24), tzinfo=zone)
    # Conversion to UTC and back moves a time that clocks skip in spring forward.
    return start.astimezone(UTC).astimezone(zone), end.astimezone(UTC).astimezone(zone)


def totals_note(shifts: Sequence[Shift]) -> str:
    """Return which hours the shifts of a day have unlike the day, in one sentence; "" if they have the day's hours."""
    late = []
    covering = np.zeros(24, np.int64)
    for shift in shifts:
        end = shift.end + 24 * (shift.end <= shift.start)
        # Hours before the first shift may belong to one that began on the day before.
        covering[np.arange(shift.start, end) % 24] += 1
        late += [f"{shift.name} ends on the next day"] * (end > 24)
    reasons = [*late, *_spans(covering == 0, "no shift has"), *_spans(covering > 1, "several shifts have")]
    return f"Shifts and day have different hours: {'; '.join(reasons)}." if reasons else ""


def _spans(is_in: Booleans, words: str) -> list[str]:
    """Return words with each stretch of flagged hours, shape (24,), such as "no shift has 4:00 to 8:00"."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], is_in, [False]]))).reshape(-1, 2)
    return [f"{words} {first}:00 to {last}:00" for first, last in edges.tolist()]


def _hours_of(shift: Shift, day: date, zone: ZoneInfo, starts: Days) -> Booleans:
    """Flag the hours of a shift among forecast ones, which begin at `starts` (UTC); raise ValueError if one is missing."""
    begin, end = shift_window(shift, day, zone)
    first, last = (np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "s") for moment in (begin, end))
    wanted = np.arange(first, last, np.timedelta64(1, "h"))
    missing = np.setdiff1d(wanted, starts)
    if len(missing):
        raise ValueError(
            f"Shift {shift.name} of {day} ({begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}) has {len(wanted)} hours, and "
            f"{len(missing)} of them are not forecast, the first being {missing[0]} UTC: forecast the hours to the end of the "
            "shift."
        )
    return np.isin(starts, wanted)
