"""The page of shift plans: where units go in each shift, and how the forecast of the day becomes that of the shifts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.calendar.local_time import wall_clock
from shotspotter_assets.cities.city import City
from shotspotter_assets.pages.chances import CHANCE_CLASSES, chance
from shotspotter_assets.pages.ground import Ground, Line
from shotspotter_assets.pages.places import Places
from shotspotter_assets.pages.words import in_words
from shotspotter_assets.patrol.dispatch import dispatch_csv, dispatch_geojson
from shotspotter_assets.patrol.plan import PatrolAudit, ShiftTotals
from shotspotter_assets.patrol.stored_plans import NoPlan, read_plan
from shotspotter_assets.serving.issued_forecasts import ForecastRecord, forecast_partition
from shotspotter_assets.serving.street_risk import streets_caution
from shotspotter_assets.storage.errors import MissingObjectError
from shotspotter_assets.storage.file_names import HOURLY_FILE
from shotspotter_assets.storage.store import Store

Array = npt.NDArray[np.float64]

FEW_ROWS, SOME_ROWS, MAX_ROWS = 10, 24, 50
"""Rows up to which a printed sheet has room for reasons, for rows of usual size, and for any rows at all."""

MARGIN: Final = 0.03
"""Of the shown part of a map, around the covered cells."""

NOT_MADE: Final = "No plan has been made from the newest forecast yet; `patrol_plans` makes it."

Density = Literal["few", "some", "many"]


@dataclass(frozen=True)
class PlannedPlace:
    """Where units of a shift go."""

    rank: int
    name: str
    streets: str
    """Those with the highest risk; "" where none are ranked."""
    area: str
    units: int
    recommended: int
    chance: str
    expected: float
    covered: float
    why: str
    x: int
    """Of the middle, in metres from the west and from the north of the city's box."""
    y: int


@dataclass(frozen=True)
class ShiftSheet:
    """One shift, which is one sheet."""

    name: str
    starts: datetime
    ends: datetime
    audit: ShiftTotals
    places: list[PlannedPlace]
    left_out: int
    """Places that a sheet has no room for; the files have them."""
    density: Density
    fills: list[tuple[int, str]]
    """Class of the legend, and the path of its cells."""


@dataclass(frozen=True)
class DayToShifts:
    """How the alerts expected on the day become those expected in the shifts: `day` - `uncovered` + `twice` + `after`."""

    day: float
    uncovered: float
    """In hours of the day that no shift covers."""
    twice: float
    """In hours that more than one shift covers, counted again."""
    after: float
    """In hours after midnight, which belong to the next day."""
    shifts: float
    within_reach: float
    """Of `shifts`, in cells that any unit reaches."""
    covered: float
    """Of `within_reach`, each cell counted by the shares of the units that reach it."""
    latest_end: datetime


@dataclass(frozen=True)
class ShiftPlans:
    """The plans of a day."""

    day: date
    sheets: list[ShiftSheet]
    way: DayToShifts
    areas: list[tuple[str, int, float, float]]
    """Name, units, share of the units and of the expected alerts."""
    view: tuple[int, int, int, int]
    """Left, top, width and height of the shown part of the map, metres."""
    csv: bytes
    geojson: bytes
    streets_caution: str
    """That points hardly tell the streets that are named; "" where they do, or none are."""


def shift_plans(
    store: Store, city: City, record: ForecastRecord, ground: Ground, places: Places
) -> ShiftPlans | NoPlan:
    """The plans made from a forecast, or why there are none."""
    try:
        table, audit = read_plan(store, city.name, record.issue_date)
    except MissingObjectError:
        return NoPlan(NOT_MADE)
    if isinstance(audit, NoPlan):
        return audit
    if not len(table):
        return NoPlan("No unit is placed in any shift.")
    hourly = _Hours.of(store.read_table(forecast_partition(city.name, record.issue_date), HOURLY_FILE), city)
    named = table.append_column("place", pa.array(_names(table, places)))
    sheets = []
    for shift in audit.shifts:
        rows = named.filter(pc.equal(named["shift"], shift.shift)).sort_by("rank")
        if len(rows):
            sheets.append(_sheet(shift, rows, hourly, ground))
    return ShiftPlans(
        day=record.day,
        sheets=sheets,
        way=_way(record, sheets, hourly, audit),
        areas=[(name, area.units, area.share_of_units, area.share_of_expected_alerts)
               for name, area in audit.areas.items() if name],
        view=_view(hourly.cells, ground),
        csv=dispatch_csv(named),
        geojson=dispatch_geojson(named),
        streets_caution=streets_caution(store, city.name, record.issue_date),
    )  # fmt: skip


def density_of(rows: int) -> Density:
    """How closely a printed sheet has to set so many places."""
    return "few" if rows <= FEW_ROWS else "some" if rows <= SOME_ROWS else "many"


def svg_path(lines: Sequence[Line], height: int) -> str:
    """Lines in metres as the path of an SVG, whose y goes down from `height`."""
    parts = []
    for line in lines:
        points = [f"{x} {height - y}" for x, y in zip(line[::2], line[1::2], strict=True)]
        parts.append("M" + "L".join(points))
    return "".join(parts)


@dataclass(frozen=True)
class _Hours:
    """The forecast of hours.

    Attributes:
        cells: number (row * columns + column) of each cell.
        starts: instants (UTC) at which hours begin, shape (hours,).
        expected: alerts, shape (hours, cells).
        hazard: -log(1 - probability), same shape.
        is_of_day: whether an hour is of the day that is forecast, shape (hours,).
    """

    cells: npt.NDArray[np.int64]
    starts: npt.NDArray[np.datetime64]
    expected: Array
    hazard: Array
    is_of_day: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, hourly: pa.Table, city: City) -> "_Hours":
        starts, first = np.unique(hourly["starts_utc"].to_numpy(), return_index=True)
        size = len(hourly) // len(starts)
        row, column = (hourly[name].to_numpy()[:size].astype(np.int64) for name in ("row", "column"))
        days = wall_clock(starts, city.zone).astype("datetime64[D]")
        return cls(
            row * city.grid.columns + column,
            starts[np.argsort(first)],
            hourly["expected"].to_numpy().reshape(-1, size),
            -np.log1p(-hourly["probability"].to_numpy().reshape(-1, size)),
            days == days[0],
        )

    def within(self, starts: datetime, ends: datetime) -> npt.NDArray[np.bool_]:
        first, last = (np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "us") for moment in (starts, ends))
        return (self.starts >= first) & (self.starts < last)


def _names(table: pa.Table, places: Places) -> list[str]:
    row, column, cells = (table[name].to_numpy().astype(np.int64) for name in ("row", "column", "cells"))
    names = [""] * len(row)
    for size in np.unique(cells):
        of_size = np.flatnonzero(cells == size)
        for at, name in zip(of_size, places.names(row[of_size], column[of_size], int(size)), strict=True):
            names[at] = name
    return names


def _sheet(shift: ShiftTotals, rows: pa.Table, hours: _Hours, ground: Ground) -> ShiftSheet:
    records = rows.to_pylist()
    starts, ends = (datetime.fromisoformat(records[0][name]) for name in ("starts_at", "ends_at"))
    probability = -np.expm1(-hours.hazard[hours.within(starts, ends)].sum(axis=0))
    side_x, side_y = ground.width / ground.columns, ground.height / ground.rows
    return ShiftSheet(
        name=shift.shift,
        starts=starts,
        ends=ends,
        audit=shift,
        places=[
            PlannedPlace(
                rank=record["rank"],
                name=record["place"],
                streets="; ".join(record.get("streets") or ()),
                area=record["area"] or "",
                units=record["units"],
                recommended=record["recommended_units"],
                chance=chance(record["probability"]),
                expected=record["expected_alerts"],
                covered=record["covered_alerts"],
                why=in_words(record["reasons"]),
                x=round((record["column"] + record["cells"] / 2) * side_x),
                y=round(ground.height - (record["row"] + record["cells"] / 2) * side_y),
            )
            for record in records[:MAX_ROWS]
        ],
        left_out=max(len(records) - MAX_ROWS, 0),
        density=density_of(len(records)),
        fills=_fills(hours.cells, probability, ground),
    )


def _fills(cells: npt.NDArray[np.int64], probability: Array, ground: Ground) -> list[tuple[int, str]]:
    of_class = np.searchsorted([one.at_least for one in CHANCE_CLASSES], probability, side="right") - 1
    row, column = cells // ground.columns, cells % ground.columns
    left, right = (np.round((column + edge) * ground.width / ground.columns).astype(int) for edge in (0, 1))
    bottom, top = (np.round(ground.height * (1 - (row + edge) / ground.rows)).astype(int) for edge in (0, 1))
    fills = []
    for number in np.unique(of_class).tolist():
        chosen = np.flatnonzero(of_class == number)
        path = "".join(f"M{left[at]} {top[at]}H{right[at]}V{bottom[at]}H{left[at]}Z" for at in chosen)
        fills.append((number, path))
    return fills


def _way(record: ForecastRecord, sheets: Sequence[ShiftSheet], hours: _Hours, audit: PatrolAudit) -> DayToShifts:
    by_hour, totals = hours.expected.sum(axis=1), audit.totals()
    times = np.sum([hours.within(sheet.starts, sheet.ends) for sheet in sheets], axis=0)
    return DayToShifts(
        day=record.expected_alerts,
        uncovered=float(by_hour[hours.is_of_day & (times == 0)].sum()),
        twice=float((by_hour * np.maximum(times - 1, 0)).sum()),
        after=float(by_hour[~hours.is_of_day & (times > 0)].sum()),
        shifts=totals["expected_alerts"],
        within_reach=totals["within_reach"],
        covered=totals["covered"],
        latest_end=max(sheet.ends for sheet in sheets),
    )


def _view(cells: npt.NDArray[np.int64], ground: Ground) -> tuple[int, int, int, int]:
    row, column = cells // ground.columns, cells % ground.columns
    left, right = column.min() * ground.width / ground.columns, (column.max() + 1) * ground.width / ground.columns
    top = ground.height * (1 - (row.max() + 1) / ground.rows)
    bottom = ground.height * (1 - row.min() / ground.rows)
    margin = MARGIN * max(right - left, bottom - top)
    return (
        round(left - margin),
        round(top - margin),
        round(right - left + 2 * margin),
        round(bottom - top + 2 * margin),
    )
