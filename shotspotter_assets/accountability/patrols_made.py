"""Patrols made on a day beside the day's plan, and their sums over days."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Literal, NamedTuple

import pyarrow as pa
from pydantic import Field

from shotspotter_assets.accountability.patrol_rows import (
    Answer,
    Patrol,
    Stretch,
    hours_by_shift,
    read_patrols,
    reported_shift,
    stretches_around,
)
from shotspotter_assets.alerts.sources.raw_rows import MAX_PROBLEMS, Problem
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import ONE_DAY
from shotspotter_assets.forecasts.patrol.dispatch import unit_hours
from shotspotter_assets.grid.cells import cell_name
from shotspotter_assets.storage.catalogue import LOTS, PATROLS_MADE, PATROLS_RECORD, PLAN
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_record import StoredRecord

State = Literal["no plan", "not reported", "partly reported", "reported"]


class Visit(NamedTuple):
    """A cell in a shift of the day; the shift is empty for hours in none."""

    shift: str
    row: int
    column: int


class PatrolsRecord(StoredRecord):
    """Plan of a day and what was reported of it. A visit that is not reported is not a visit that was not made."""

    stored_as = PATROLS_RECORD

    scored_date: date = Field(description="Local day on which the shifts begin.")
    state: State = Field(description="Whether visits of the plan are reported.")
    visits: int = Field(description="Planned visits: cells by shift.")
    reported_visits: int = Field(description="Of these, visits that are reported as made or not made.")
    made_visits: int = Field(description="Of these, visits that were made.")
    planned_hours: float = Field(description="Unit hours of the plan.")
    reported_hours: float = Field(description="Unit hours of the reported visits, as planned.")
    carried_out_hours: float = Field(description="Of these, made hours, at most those planned of each visit.")
    made_hours: float = Field(description="Reported unit hours, in the plan and outside.")
    outside_hours: float = Field(description="Reported unit hours in cells and shifts without a planned visit.")
    problems: tuple[str, ...] = Field((), description="First rows that are left out: file, row, problem and remedy.")
    problem_count: int = Field(0, description="Number of these rows.")


class PatrolTotals(NamedTuple):
    """Sums of a span of days."""

    visits: int
    reported_visits: int
    planned_hours: float  # with those of plans without a record
    reported_hours: float  # planned hours of the reported visits
    carried_out_hours: float

    @property
    def share(self) -> float | None:
        """Share of the reported visits' planned hours that was carried out; None if nothing is reported."""
        return self.carried_out_hours / self.reported_hours if self.reported_hours else None

    @property
    def possible(self) -> tuple[float, float] | None:
        """Least and most share of all planned hours, whatever is not reported; None if all is."""
        unknown = self.planned_hours - self.reported_hours
        least = self.carried_out_hours
        return (least / self.planned_hours, (least + unknown) / self.planned_hours) if unknown > 0 else None


def patrol_totals(records: Sequence[PatrolsRecord], unrecorded: Sequence[pa.Table] = ()) -> PatrolTotals:
    """Sum up the records of a month, a year or any other days, and the plans of days without a record."""
    return PatrolTotals(
        visits=sum(record.visits for record in records),
        reported_visits=sum(record.reported_visits for record in records),
        planned_hours=sum(record.planned_hours for record in records)
        + sum(float(unit_hours(plan).sum()) for plan in unrecorded),
        reported_hours=sum(record.reported_hours for record in records),
        carried_out_hours=sum(record.carried_out_hours for record in records),
    )


def day_patrols(
    rows: pa.Table, plan: pa.Table, lots: pa.Table, day: date, city: City
) -> tuple[pa.Table, PatrolsRecord]:
    """Return planned and made hours of the shifts that begin on a day (`PATROLS_MADE`), and their record.

    Args:
        rows: Rows of the side table filed under the day and the days around it (`RAW_SCHEMA` with `row_texts`).
        plan: Plan of the day (`PLAN`), maybe empty.
        lots: Lots of the day (`LOTS`), maybe empty.
        day: Local day.
        city: City with `patrols`.
    """
    read = read_patrols(rows, city)
    places = zip(plan["shift"].to_pylist(), plan["row"].to_pylist(), plan["column"].to_pylist(), strict=True)
    planned = dict(zip(map(Visit._make, places), unit_hours(plan).tolist(), strict=True))
    stretches = stretches_around(plan, day, city)
    logged, reported_shifts = _logged_hours(read.patrols, day, stretches)
    is_complete = city.patrols is not None and city.patrols.log_is_complete
    answers, problems = _answers(read.answers, planned, day, stretches)
    chances = {Visit(lot["shift"], lot["row"], lot["column"]): lot["chance"] for lot in lots.to_pylist()}
    records = []
    for visit in sorted({*planned, *logged}):
        made = logged.get(visit)
        if visit in answers:
            made = max(made or 0.0, planned[visit] if answers[visit] else 0.0)
        elif made is None and is_complete and visit.shift in reported_shifts:
            made = 0.0
        records.append(
            {
                **visit._asdict(),
                "planned_hours": planned.get(visit, 0.0),
                "made_hours": made,
                "visited": None if made is None else made > 0,
                "chance": chances.get(visit),
            }
        )
    of_day = [problem.line for problem in (*read.problems, *problems) if problem.day == day]
    return pa.Table.from_pylist(records, PATROLS_MADE.schema), _day_record(city, day, records, of_day)


def _day_record(city: City, day: date, rows: Sequence[Mapping[str, Any]], problems: Sequence[str]) -> PatrolsRecord:
    """Sum up the rows of a day (`PATROLS_MADE`)."""
    visits = [row for row in rows if row["planned_hours"]]
    reported = [row for row in visits if row["made_hours"] is not None]
    partly: State = "reported" if len(reported) == len(visits) else "partly reported"
    state: State = partly if reported else "not reported"
    return PatrolsRecord(
        city=city.name,
        scored_date=day,
        state=state if visits else "no plan",
        visits=len(visits),
        reported_visits=len(reported),
        made_visits=sum(row["visited"] for row in reported),
        planned_hours=sum(row["planned_hours"] for row in visits),
        reported_hours=sum(row["planned_hours"] for row in reported),
        carried_out_hours=sum(min(row["made_hours"], row["planned_hours"]) for row in reported),
        made_hours=sum(row["made_hours"] or 0.0 for row in rows),
        outside_hours=sum(row["made_hours"] for row in rows if not row["planned_hours"]),
        problems=tuple(problems[:MAX_PROBLEMS]),
        problem_count=len(problems),
    )


def read_plan_of(store: Store, city: City, day: date) -> tuple[pa.Table, pa.Table]:
    """Return the plan and the lots of a day, without rows where there are none."""
    plan, lots = (store.find_table(file, city.name, day - ONE_DAY) for file in (PLAN, LOTS))
    return plan or PLAN.schema.empty_table(), lots or LOTS.schema.empty_table()


def _logged_hours(
    patrols: Sequence[Patrol], day: date, stretches: Sequence[Stretch]
) -> tuple[dict[Visit, float], set[str]]:
    """Return the hours of patrols by visit of a day, and its shifts in which any patrol began."""
    hours: dict[Visit, float] = {}
    for patrol in patrols:
        for (began, shift), length in hours_by_shift(patrol, stretches).items():
            if began == day:
                visit = Visit(shift, patrol.cell[0], patrol.cell[1])
                hours[visit] = hours.get(visit, 0.0) + length
    reported = {reported_shift(patrol, stretches) for patrol in patrols}
    return hours, {shift for began, shift in reported if began == day}


def _answers(
    answers: Sequence[Answer], planned: dict[Visit, float], day: date, stretches: Sequence[Stretch]
) -> tuple[dict[Visit, bool], list[Problem]]:
    """Return the answers to planned visits of a day, the last one to each, and problems of answers.

    A yes and a no that were received together are left out, and those to visits that were not planned.
    """
    starts = {one.start: one.shift for one in stretches if one.day == day}
    of_visits: dict[Visit, list[Answer]] = {}
    problems = []
    for answer in (one for one in answers if one.row.day == day):
        shift = answer.row.texts.get("shift") or starts.get(answer.row.time, "")
        visit = Visit(shift, answer.cell[0], answer.cell[1])
        if visit in planned:
            before = [one for one in of_visits.get(visit, []) if one.row.landed == answer.row.landed]
            of_visits[visit] = [*before, answer]
            continue
        text = f"the plan of {day} has no visit of {cell_name(visit.row, visit.column)} in shift {visit.shift!r}"
        remedy = "and the row is left out. Correct cell, shift or time"
        problems.append(Problem(day, answer.row.where, f"{text}, {remedy}"))
    remedy = "the visit has a yes and a no, and both rows are left out. Remove one of them"
    contradicting = [last for last in of_visits.values() if len({answer.is_made for answer in last}) > 1]
    problems += [Problem(day, answer.row.where, remedy) for last in contradicting for answer in last]
    return {visit: last[0].is_made for visit, last in of_visits.items() if last not in contradicting}, problems
