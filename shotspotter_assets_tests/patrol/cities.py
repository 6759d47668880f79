"""A small square city with patrol rules: cells of about 500 m x 500 m at the equator."""

from datetime import date
from typing import Any

import numpy as np

from shotspotter_assets.cities.city import Box, City, Grid
from shotspotter_assets.cities.patrol_rules import PatrolRules, Shift
from shotspotter_assets.cities.source_settings import SimulatedCitySource
from shotspotter_assets.patrol.plan import DayPlan

CELL_DEGREES = 500 / 111_320


def patrol_city(rows: int, columns: int, units: int | tuple[int, ...] = 2, zone: str = "UTC", **rules: Any) -> City:
    """Shifts of eight hours one after the other, the last one over midnight where there are three."""
    units = (units,) if isinstance(units, int) else units
    shifts = tuple(
        Shift(name=f"shift {at}", start=(6 + 8 * at) % 24, end=(14 + 8 * at) % 24, units=number)
        for at, number in enumerate(units)
    )
    return City(
        name="squareville",
        time_zone=zone,
        start=date(2024, 1, 1),
        box=Box(west=0.0, south=0.0, east=columns * CELL_DEGREES, north=rows * CELL_DEGREES),
        grid=Grid(rows=rows, columns=columns),
        source=SimulatedCitySource(kind="simulated"),
        patrol=PatrolRules(**{"shifts": shifts, **rules}),
    )


def patrolled(plan: DayPlan) -> np.ndarray:
    """Cells to which any shift sends a unit, shape (rows, columns)."""
    return plan.units > 0
