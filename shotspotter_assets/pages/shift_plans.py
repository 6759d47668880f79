"""The page of shift plans: where units go in each shift, and how the day's forecast becomes that of the shifts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.cities.city import City
from shotspotter_assets.pages.ground import Area, Ground
from shotspotter_assets.pages.hours import Hours
from shotspotter_assets.pages.places import Places
from shotspotter_assets.pages.words import chance, chance_classes, reasons, tenths
from shotspotter_assets.patrol.dispatch import dispatch_csv, dispatch_geojson
from shotspotter_assets.patrol.plan import ShiftTotals
from shotspotter_assets.patrol.stored_plans import NoPlan, read_plan
from shotspotter_assets.serving.issued_forecasts import ForecastRecord
from shotspotter_assets.serving.stored_streets import streets_caution
from shotspotter_assets.storage.errors import MissingObjectError
from shotspotter_assets.storage.store import Store

Array = npt.NDArray[np.float64]

FEW_ROWS, SOME_ROWS, MAX_ROWS = 10, 24, 50
"""Rows up to which a printed sheet has room for reasons, for rows of usual size, and for any rows at all."""

MARGIN: Final = 0.03
"""Margin around the covered cells, as a share of the shown part of a map."""

NOT_MADE: Final = "No plan has been made from the newest forecast yet; `patrol_plans` makes it."

Density = Literal["few", "some", "many"]


@dataclass(frozen=True)
class ShiftSheet:
    """One shift, printed on one sheet."""

    name: str
    starts: datetime
    ends: datetime
    audit: ShiftTotals
    expected: float
    """Expected alerts in tenths, which add up to the sum over the shifts."""
    places: list[Mapping[str, Any]]
    """Rows of the plan with words; `x` and `y` of the middle in metres from the west and north of the city's box."""
    left_out: int
    """Number of places that a sheet has no room for; the files have them."""
    density: Density
    fills: list[tuple[int, str]]
    """Class of the legend, and the path of its cells."""


@dataclass(frozen=True)
class DayToShifts:
    """From the alerts of the day to those of the shifts, in tenths: `day` - `uncovered` + `twice` + `after` = `shifts`."""

    day: float
    uncovered: float
    """In hours of the day without a shift."""
    twice: float
    """In hours with more than one shift, counted again."""
    after: float
    """In hours after midnight, which belong to the next day."""
    shifts: float


@dataclass(frozen=True)
class ShiftPlans:
    """The plans of a day."""

    day: date
    sheets: list[ShiftSheet]
    way: DayToShifts
    totals: dict[str, Any]
    """Sums over the shifts (`PatrolAudit.totals`)."""
    areas: list[tuple[str, int, float, float]]
    """Name, units, share of the units and of the expected alerts."""
    view: tuple[int, int, int, int]
    """Left, top, width and height of the shown part of the map, metres."""
    csv: bytes
    geojson: bytes
    streets_caution: str
    """A sentence where points hardly tell the named streets apart, else ""."""


def shift_plans(
    store: Store, city: City, record: ForecastRecord, ground: Ground, places: Places
) -> ShiftPlans | NoPlan:
    """Return the plans made from a forecast, or why there are none."""
    try:
        table, audit = read_plan(store, city.name, record.issue_date)
    except MissingObjectError:
        return NoPlan(NOT_MADE)
    if isinstance(audit, NoPlan):
        return audit
    if not len(table):
        return NoPlan("No unit is placed in any shift.")
    hourly = Hours.read(store, city, record.day)
    named = table.append_column("place", pa.array(_names(table, places)))
    expected = tenths([shift.expected_alerts for shift in audit.shifts])
    sheets = [
        _sheet(shift, shown, rows, hourly, ground)
        for shift, shown in zip(audit.shifts, expected, strict=True)
        if len(rows := named.filter(pc.field("shift") == shift.shift).sort_by("rank"))
    ]
    return ShiftPlans(
        day=record.day,
        sheets=sheets,
        way=_way(record, sheets, hourly),
        totals=audit.totals(),
        areas=[(name, area.units, area.share_of_units, area.share_of_expected_alerts)
               for name, area in audit.areas.items() if name],
        view=_view(ground),
        csv=dispatch_csv(named),
        geojson=dispatch_geojson(named),
        streets_caution=streets_caution(store, city.name, record.issue_date),
    )  # fmt: skip


def density_of(rows: int) -> Density:
    """Return how closely a printed sheet has to set so many places."""
    return "few" if rows <= FEW_ROWS else "some" if rows <= SOME_ROWS else "many"


def svg_path(areas: Iterable[Area], height: int) -> str:
    """Draw lines in metres as the path of an SVG, whose y goes down from `height`."""
    return "".join(
        "M" + "L".join(f"{x} {height - y}" for x, y in zip(line[::2], line[1::2], strict=True))
        for area in areas
        for line in area.lines
    )


def _names(table: pa.Table, places: Places) -> list[str]:
    row, column, cells = (table[name].to_numpy().astype(np.int64) for name in ("row", "column", "cells"))
    names = np.full(len(row), "", dtype=object)
    for size in np.unique(cells):
        names[cells == size] = places.names(row[cells == size], column[cells == size], int(size))
    return names.tolist()


def _sheet(shift: ShiftTotals, expected: float, rows: pa.Table, hours: Hours, ground: Ground) -> ShiftSheet:
    places = rows.to_pylist()
    starts, ends = (datetime.fromisoformat(places[0][name]) for name in ("starts_at", "ends_at"))
    probability = hours.probability(hours.within(starts, ends))
    side_x, side_y = ground.width / ground.columns, ground.height / ground.rows
    for place in places:
        place |= {
            "streets": "; ".join(place.get("streets") or ()),
            "chance": chance(place["probability"]),
            "why": reasons(place["reasons"]),
            "x": round((place["column"] + place["cells"] / 2) * side_x),
            "y": round(ground.height - (place["row"] + place["cells"] / 2) * side_y),
        }
    return ShiftSheet(
        name=shift.shift,
        starts=starts,
        ends=ends,
        audit=shift,
        expected=expected,
        places=places[:MAX_ROWS],
        left_out=max(len(places) - MAX_ROWS, 0),
        density=density_of(len(places)),
        fills=_fills(hours.cells, probability, ground),
    )


def _fills(cells: npt.NDArray[np.int64], probability: Array, ground: Ground) -> list[tuple[int, str]]:
    of_class = chance_classes(probability)
    row, column = cells // ground.columns, cells % ground.columns
    left, right = (np.round((column + edge) * ground.width / ground.columns).astype(int) for edge in (0, 1))
    bottom, top = (np.round(ground.height * (1 - (row + edge) / ground.rows)).astype(int) for edge in (0, 1))
    corners = zip(left, top, right, bottom, strict=True)
    boxes = np.array([f"M{west} {north}H{east}V{south}H{west}Z" for west, north, east, south in corners], dtype=object)
    return [(number, "".join(boxes[of_class == number])) for number in np.unique(of_class).tolist()]


def _way(record: ForecastRecord, sheets: Sequence[ShiftSheet], hours: Hours) -> DayToShifts:
    by_hour = hours.expected.sum(axis=1)
    times = np.sum([hours.within(sheet.starts, sheet.ends) for sheet in sheets], axis=0)
    uncovered = float(by_hour[hours.is_of_day & (times == 0)].sum())
    twice = float((by_hour * np.maximum(times - 1, 0)).sum())
    after = float(by_hour[~hours.is_of_day & (times > 0)].sum())
    day, minus, twice, after = tenths([record.expected_alerts, -uncovered, twice, after])
    return DayToShifts(day, -minus, twice, after, sum(sheet.expected for sheet in sheets))


def _view(ground: Ground) -> tuple[int, int, int, int]:
    left, bottom, right, top = ground.extent
    margin = round(MARGIN * max(right - left, top - bottom))
    return left - margin, ground.height - top - margin, right - left + 2 * margin, top - bottom + 2 * margin
