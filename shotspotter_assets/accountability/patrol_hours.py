"""Hours of patrols by shift: the time in which each shift counts patrols, and the shift that a patrol reports on."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import NamedTuple

import pyarrow as pa

from shotspotter_assets.accountability.patrol_rows import Patrol
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import ONE_DAY
from shotspotter_assets.forecasts.patrol.shifts import shift_window


class Stretch(NamedTuple):
    """Time in which a shift counts patrols; of shifts that overlap, the one that began last."""

    start: datetime
    end: datetime
    day: date  # on which the shift begins
    shift: str


def _windows(began: date, city: City) -> list[Stretch]:
    """Return the shifts that begin on a day by the rules of the city's file."""
    shifts = () if city.patrol is None else city.patrol.shifts
    bounds = [(shift.name, shift_window(shift, began, city.zone)) for shift in shifts]
    return [Stretch(start.astimezone(UTC), end.astimezone(UTC), began, name) for name, (start, end) in bounds]


def stretches_around(plan: pa.Table, day: date, city: City) -> list[Stretch]:
    """Return the stretches of the shifts that begin on a day and on the days around it.

    The day's shifts are those of the city's file, or of the plan if it was made for others.
    """
    starts, ends = (
        [datetime.fromisoformat(text).astimezone(UTC) for text in plan[name].to_pylist()]
        for name in ("starts_at", "ends_at")
    )
    rows = zip(plan["shift"].to_pylist(), starts, ends, strict=True)
    planned = {Stretch(start, end, day, shift) for shift, start, end in rows}
    own = _windows(day, city)
    own = own if planned <= set(own) else sorted(planned)
    windows = [*_windows(day - ONE_DAY, city), *own, *_windows(day + ONE_DAY, city)]
    stretches = []
    for start, end in pairwise(sorted({moment for window in windows for moment in (window.start, window.end)})):
        inside = [window for window in windows if window.start <= start and end <= window.end]
        if inside:
            stretches.append(max(inside, key=lambda window: window.start)._replace(start=start, end=end))
    return stretches


def _hours_within(patrol: Patrol, stretch: Stretch) -> float:
    """Return the hours of a patrol within a stretch."""
    length = min(stretch.end, patrol.end) - max(stretch.start, patrol.row.time)
    return max(length.total_seconds(), 0.0) / 3600


def hours_by_shift(patrol: Patrol, stretches: Sequence[Stretch]) -> dict[tuple[date, str], float]:
    """Return a patrol's hours by day and shift: all in the shift that it names, or else hour by hour, and the rest in none."""
    total = (patrol.end - patrol.row.time).total_seconds() / 3600
    parts: dict[tuple[date, str], float] = {}
    for stretch in stretches:
        length = _hours_within(patrol, stretch)
        if length and stretch.shift == patrol.row.texts.get("shift"):
            return {(stretch.day, stretch.shift): total}
        if length:
            parts[stretch.day, stretch.shift] = parts.get((stretch.day, stretch.shift), 0.0) + length
    rest = total - sum(parts.values())
    return {**parts, (patrol.row.day, ""): rest} if rest > 1e-9 else parts


def reported_shift(patrol: Patrol, stretches: Sequence[Stretch]) -> tuple[date, str]:
    """Return the day and the shift that a patrol reports on: the one that it names, or in which it began."""
    named = [one for one in stretches if one.shift == patrol.row.texts.get("shift") and _hours_within(patrol, one)]
    began = [one for one in stretches if one.start <= patrol.row.time < one.end]
    return next(((one.day, one.shift) for one in named or began), (patrol.row.day, ""))
