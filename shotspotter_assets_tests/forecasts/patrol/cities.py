"""A small square city with patrol rules: cells of about 500 m x 500 m at the equator."""

from datetime import date
from typing import Any

import numpy as np

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.patrol_rules import PatrolRules, Shift
from shotspotter_assets.forecasts.patrol.plan import DayPlan
from shotspotter_assets_tests.made_up_city import made_up_city

CELL_DEGREES = 500 / 111_320


def patrol_city(rows: int, columns: int, units: int | tuple[int, ...] = 2, zone: str = "UTC", **rules: Any) -> City:
    """Shifts of eight hours one after the other, the last one over midnight where there are three."""
    units = (units,) if isinstance(units, int) else units
    shifts = tuple(
        Shift(name=f"shift {at}", start=(6 + 8 * at) % 24, end=(14 + 8 * at) % 24, units=number)
        for at, number in enumerate(units)
    )
    box = (0.0, 0.0, columns * CELL_DEGREES, rows * CELL_DEGREES)
    patrol = PatrolRules(**{"shifts": shifts, **rules})
    return made_up_city("squareville", box, (rows, columns), time_zone=zone, start=date(2024, 1, 1), patrol=patrol)


def patrolled(plan: DayPlan) -> np.ndarray:
    return plan.units > 0
