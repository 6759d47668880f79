"""Planned and made hours of a day, from logs of patrols and from plans handed back."""

import csv
import io
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shotspotter_assets.accountability.patrols_made import (
    PatrolsRecord,
    day_patrols,
    patrol_totals,
)
from shotspotter_assets.alerts.sources.landing.reader import Batch, Task
from shotspotter_assets.alerts.sources.side_settings import table_site
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.stored_settings import settings_hash
from shotspotter_assets.city_files import CityFile
from shotspotter_assets.forecasts.patrol.dispatch import dispatch_csv, dispatch_table, lots_table
from shotspotter_assets.forecasts.patrol.plan import plan_day
from shotspotter_assets.forecasts.patrol.shifts import ShiftForecasts
from shotspotter_assets.storage.catalogue import PATROLS_MADE, PLAN, Asset
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.forecasts.patrol.cities import patrol_city

DAY = date(2024, 5, 1)
IN_COVERAGE = np.ones((4, 4), bool)
EXPECTED = np.random.default_rng(0).gamma(0.5, 0.2, (3, 4, 4))
LOG_HEADER = "unit,from,to,cell,x,y,shift\n"
LOG: dict[str, Any] = {
    "source": {
        "kind": "landing",
        "naive_times": "local",
        "columns": {"time": "from", "longitude": "x", "latitude": "y"},
    },
    "columns": {"unit": "unit", "until": "to", "cell": "cell", "shift": "shift"},
}
PLANS: dict[str, Any] = {
    "source": {"kind": "landing", "columns": {"time": "starts_at"}},
    "columns": {"shift": "shift", "cell": "cell", "made": "made"},
}


def city_with(patrols: dict[str, Any], **rules: Any) -> City:
    """Shifts of two units each from 6 to 14, 14 to 22 and 22 to 6, on a grid of 4 x 4 cells."""
    city = patrol_city(4, 4, (2, 2, 2), zone="America/New_York", most_units_per_cell=1, **rules)
    described = {**city.model_dump(), "patrols": patrols}
    return CityFile.model_validate(described)


def plan_of(city: City, day: date = DAY) -> tuple[pa.Table, pa.Table]:
    expected = EXPECTED[: len(city.patrol.shifts)]
    forecasts = ShiftForecasts(expected, 1 - np.exp(-expected), IN_COVERAGE)
    areas = np.full((4, 4), "a")
    plan = plan_day(city, day, expected, IN_COVERAGE, areas=areas)
    return dispatch_table(plan, city, forecasts, areas=areas), lots_table(plan, city, forecasts, areas)


def rows_of(folder: Path, city: City, content: str, received: datetime = datetime(2024, 5, 5, tzinfo=UTC)) -> pa.Table:
    """The rows of one landed file."""
    of_table = table_site(city, "patrols")
    [source] = of_table.sources
    path = folder / "patrols.csv"
    path.write_text(content)
    task = Task("landing/patrols.csv", received, None, path, folder / "rows")
    return Batch(of_table, source, [task]).read(task)


def patrols(
    folder: Path, city: City, content: str, day: date = DAY, plan: pa.Table | None = None
) -> tuple[dict[tuple[str, str], dict[str, Any]], PatrolsRecord]:
    """Rows by shift and cell, and the record of a day, from one landed file."""
    rows = rows_of(folder, city, content)
    stored_plan, lots = plan_of(city, day)
    table, record = day_patrols(rows, stored_plan if plan is None else plan, lots, day, city)
    PATROLS_MADE.checked(table)
    return {(row["shift"], f"R{row['row']:02d}C{row['column']:02d}"): row for row in table.to_pylist()}, record


def planned_cells(city: City, shift: str, day: date = DAY) -> list[str]:
    return [row["cell"] for row in plan_of(city, day)[0].to_pylist() if row["shift"] == shift]


def test_a_log_gives_hours_by_shift_and_cell(tmp_path: Path) -> None:
    city = city_with(LOG)
    cell, other = planned_cells(city, "shift 0")
    log = (
        LOG_HEADER + f"A1,2024-05-01 07:00,2024-05-01 09:30,{cell},,,\nA1,2024-05-01 10:00,2024-05-01 10:30,{cell},,,\n"
    )
    made, record = patrols(tmp_path, city, log)
    assert (made["shift 0", cell]["planned_hours"], made["shift 0", cell]["made_hours"]) == (8.0, 3.0)
    assert (made["shift 0", other]["made_hours"], made["shift 0", other]["visited"]) == (None, None)
    assert (record.state, record.visits, record.reported_visits, record.made_visits) == ("partly reported", 6, 1, 1)
    assert patrol_totals([record]).share == pytest.approx(3 / 8)


def test_a_complete_log_reports_the_visits_without_a_row_as_not_made(tmp_path: Path) -> None:
    city = city_with({**LOG, "log_is_complete": True})
    cell, other = planned_cells(city, "shift 0")
    made, record = patrols(tmp_path, city, LOG_HEADER + f"A1,2024-05-01 07:00,2024-05-01 10:00,{cell},,,\n")
    assert (made["shift 0", other]["made_hours"], made["shift 0", other]["visited"]) == (0.0, False)
    # Nobody reported on the other shifts: silence is no report.
    assert all(row["made_hours"] is None for (shift, _), row in made.items() if shift != "shift 0")
    assert (record.reported_visits, record.made_visits) == (2, 1)
    assert patrol_totals([record]).share == pytest.approx(3 / 16)


def test_days_made_without_the_statement_of_a_complete_log_become_due() -> None:
    silent, stated = (city_with({**LOG, "log_is_complete": complete}) for complete in (False, True))
    assert settings_hash(silent, Asset.PATROLS_MADE) != settings_hash(stated, Asset.PATROLS_MADE)


def test_without_rows_a_plan_is_not_reported_rather_than_not_made(tmp_path: Path) -> None:
    made, record = patrols(tmp_path, city_with(LOG), LOG_HEADER)
    assert (record.state, patrol_totals([record]).share, record.reported_hours) == ("not reported", None, 0.0)
    assert {row["visited"] for row in made.values()} == {None}
    totals = patrol_totals([record, record])
    assert (totals.reported_visits, totals.share) == (0, None)


def test_hours_outside_the_plan_are_kept(tmp_path: Path) -> None:
    city = city_with(LOG)
    free = next(f"R{row:02d}C03" for row in range(4) if f"R{row:02d}C03" not in planned_cells(city, "shift 1"))
    made, record = patrols(tmp_path, city, LOG_HEADER + f"B2,2024-05-01 15:00,2024-05-01 16:00,{free},,,\n")
    assert (made["shift 1", free]["planned_hours"], made["shift 1", free]["made_hours"]) == (0.0, 1.0)
    assert (record.outside_hours, record.carried_out_hours) == (1.0, 0.0)


def test_hours_in_no_shift_are_kept_on_their_day(tmp_path: Path) -> None:
    city = city_with(LOG)
    rules = city.patrol.model_copy(update={"shifts": city.patrol.shifts[:1]})
    city = city.model_copy(update={"patrol": rules})
    log = LOG_HEADER + "C,2024-05-01 13:00,2024-05-01 15:30,R00C00,,,\n"
    made, record = patrols(tmp_path, city, log, plan=PLAN.schema.empty_table())
    assert made["shift 0", "R00C00"]["made_hours"] == 1.0
    assert made["", "R00C00"]["made_hours"] == 1.5
    assert record.state == "no plan"


@pytest.mark.parametrize(
    ("day", "hours"), [(DAY, 8.0), (date(2024, 3, 9), 7.0), (date(2024, 11, 2), 9.0)]
)  # clocks change in the nights of 10 March and 3 November
def test_nights_end_on_the_next_day_with_their_real_hours(tmp_path: Path, day: date, hours: float) -> None:
    city = city_with(LOG)
    cell, _ = planned_cells(city, "shift 2", day)
    after = day + timedelta(days=1)
    log = LOG_HEADER + f"A,{day} 21:30,{after} 06:30,{cell},,,\n"
    made, _ = patrols(tmp_path, city, log, day)
    night = made["shift 2", cell]
    assert (night["planned_hours"], night["made_hours"]) == (hours, hours)
    # It began in the evening, so it reports on that shift, and half an hour counts there.
    assert made["shift 1", cell]["made_hours"] == 0.5
    next_made, _ = patrols(tmp_path, city, log, after)
    assert next_made["shift 0", cell]["made_hours"] == 0.5
    assert all(row["made_hours"] in (None, 0.5) for row in next_made.values())


def test_a_patrol_counts_in_the_shift_that_it_names(tmp_path: Path) -> None:
    city = city_with(LOG)
    cell, _ = planned_cells(city, "shift 1")
    made, _ = patrols(tmp_path, city, LOG_HEADER + f"A,2024-05-01 13:30,2024-05-01 18:00,{cell},,,shift 1\n")
    assert made["shift 1", cell]["made_hours"] == 4.5
    assert made.get(("shift 0", cell), {}).get("made_hours") is None


def test_a_plan_keeps_its_shifts_after_the_rules_change(tmp_path: Path) -> None:
    city = city_with(LOG)
    cell, _ = planned_cells(city, "shift 0")
    plan, _ = plan_of(city)
    first, *others = city.patrol.shifts
    rules = city.patrol.model_copy(update={"shifts": (first.model_copy(update={"end": 10}), *others)})
    changed = city.model_copy(update={"patrol": rules})
    made, _ = patrols(tmp_path, changed, LOG_HEADER + f"A,2024-05-01 09:00,2024-05-01 12:00,{cell},,,\n", plan=plan)
    assert (made["shift 0", cell]["planned_hours"], made["shift 0", cell]["made_hours"]) == (8.0, 3.0)


def test_a_point_stands_for_its_cell(tmp_path: Path) -> None:
    city = city_with(LOG)
    point = plan_of(city)[0].to_pylist()[0]
    log = LOG_HEADER + f"A,2024-05-01 07:00,2024-05-01 08:00,,{point['longitude']},{point['latitude']},\n"
    assert patrols(tmp_path, city, log)[0]["shift 0", point["cell"]]["made_hours"] == 1.0


BAD_ROWS = {
    "A,2024-05-01 09:00,2024-05-01 08:00,R00C00,,,": "ends before it begins",
    "A,2024-05-01 09:00,2024-05-03 08:00,R00C00,,,": "more than 24 hours",
    "A,2024-05-01 09:00,soon,R00C00,,,": "'soon' cannot be read",
    "A,2024-05-01 09:00,2024-05-01 10:00,R09C00,,,": "R09C00.*R03C03",
    "A,2024-05-01 09:00,2024-05-01 10:00,,1.5,40,": "outside the city's box",
    "A,2024-05-01 09:00,2024-05-01 10:00,,,,": "no cell and no point",
    "Z,2024-05-01 07:30,2024-05-01 07:40,R00C00,,,": r"unit Z is on another patrol then \(landing/patrols.csv, row 2\)",
}


@pytest.mark.parametrize(("row", "problem"), BAD_ROWS.items())
def test_a_bad_row_is_named_and_the_others_count(tmp_path: Path, row: str, problem: str) -> None:
    made, record = patrols(
        tmp_path, city_with(LOG), LOG_HEADER + "Z,2024-05-01 07:00,2024-05-01 08:00,R00C00,,,\n" + row + "\n"
    )
    assert made["shift 0", "R00C00"]["made_hours"] == 1.0
    [text] = record.problems
    assert record.problem_count == 1
    assert text.startswith("landing/patrols.csv, row 3: ")
    assert "left out" in text
    assert re.search(problem, text)


PLANS_HEADER = "starts_at,cell,shift,made,longitude,latitude\n"


def test_a_row_without_a_time_is_named_on_the_first_day_with_forecasts(tmp_path: Path) -> None:
    city = city_with(LOG).model_copy(update={"start": DAY - timedelta(days=9), "first_forecast": DAY})
    early, used = (f"a,{day} 06:00,{day} 07:00,R01C01,,,\n" for day in (city.start, DAY))
    _, record = patrols(tmp_path, city, LOG_HEADER + early + used + "a,six o'clock,,R01C01,,,\n")
    assert "six o'clock" in record.problems[0]
    assert (record.problem_count, record.made_hours) == (1, 1.0)


def handed_back(city: City, answers: dict[tuple[str, str], str]) -> str:
    """The plan's own CSV with a column `made`."""
    rows = list(csv.DictReader(io.StringIO(dispatch_csv(plan_of(city)[0]).decode())))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, [*rows[0], "made"])
    writer.writeheader()
    writer.writerows({**row, "made": answers.get((row["shift"], row["cell"]), "")} for row in rows)
    return text.getvalue()


def test_a_plan_handed_back_answers_each_visit(tmp_path: Path) -> None:
    city = city_with(PLANS, lottery=2.0)
    first, second = planned_cells(city, "shift 0")
    night, _ = planned_cells(city, "shift 2")
    answers = {("shift 0", first): "yes", ("shift 0", second): "No", ("shift 2", night): "Y"}
    made, record = patrols(tmp_path, city, handed_back(city, answers))
    assert record.problems == ()
    assert (made["shift 0", first]["made_hours"], made["shift 0", second]["made_hours"]) == (8.0, 0.0)
    assert made["shift 2", night]["visited"] is True
    assert (record.state, record.reported_visits, record.made_visits, patrol_totals([record]).share) == (
        "partly reported",
        3,
        2,
        2 / 3,
    )
    assert {row["chance"] is None for row in made.values()} == {False}


def test_answers_that_are_neither_yes_nor_no_are_named(tmp_path: Path) -> None:
    city = city_with(PLANS)
    first, second = planned_cells(city, "shift 0")
    made, record = patrols(
        tmp_path, city, handed_back(city, {("shift 0", first): "perhaps", ("shift 0", second): "yes"})
    )
    assert made["shift 0", first]["made_hours"] is None
    assert made["shift 0", second]["made_hours"] == 8.0
    assert "'perhaps'" in record.problems[0]
    assert "yes nor no" in record.problems[0]


def test_an_answer_to_no_visit_is_named(tmp_path: Path) -> None:
    city = city_with(PLANS)
    content = "starts_at,shift,cell,made,longitude,latitude\n2024-05-01T06:00:00-04:00,shift 9,R00C00,yes,,\n"
    _, record = patrols(tmp_path, city, content)
    assert record.reported_visits == 0
    assert "no visit of R00C00 in shift 'shift 9'" in record.problems[0]
    assert record.made_hours == 0


def test_sums_of_days_leave_unreported_ones_out_of_the_share(tmp_path: Path, store: Store) -> None:
    city = city_with(LOG)
    cell, _ = planned_cells(city, "shift 0")
    log = LOG_HEADER + f"A,2024-05-01 06:00,2024-05-01 14:00,{cell},,,\n"
    records = [patrols(tmp_path, city, log)[1], patrols(tmp_path, city, log, DAY + timedelta(days=7))[1]]
    for record in records:
        record.write(store)
    stored = PatrolsRecord.find_days(store, city.name, DAY, DAY + timedelta(days=30))
    assert stored == records
    totals = patrol_totals(stored)
    assert (totals.reported_hours, totals.share) == (8.0, 1.0)


def test_a_section_without_end_and_answer_is_refused() -> None:
    with pytest.raises(ValueError, match="until"):
        city_with({**LOG, "columns": {"unit": "unit"}})


def test_the_order_of_rows_changes_nothing(tmp_path: Path) -> None:
    city = city_with(LOG)
    rows = [f"A,2024-05-01 {hour:02}:00,2024-05-01 {hour + 2:02}:00,R00C0{hour % 4},,,\n" for hour in range(6, 20)]
    forth = patrols(tmp_path, city, LOG_HEADER + "".join(rows))[0]
    back = patrols(tmp_path, city, LOG_HEADER + "".join(reversed(rows)))[0]
    assert forth == back


def test_answers_that_contradict_each_other_report_nothing(tmp_path: Path) -> None:
    city = city_with(PLANS)
    cells = planned_cells(city, "shift 0")
    lines = "".join(f"2024-05-01T10:00Z,{cell},shift 0,{made},,\n" for made in ("yes", "no") for cell in cells)
    made, record = patrols(tmp_path, city, PLANS_HEADER + lines)
    assert {row["visited"] for (shift, _), row in made.items() if shift == "shift 0"} == {None}
    assert record.problem_count == 4
    assert "a yes and a no" in record.problems[0]


def test_the_answer_that_was_received_last_counts(tmp_path: Path) -> None:
    city = city_with(PLANS)
    cell = planned_cells(city, "shift 0")[0]
    yes = PLANS_HEADER + f"2024-05-01T10:00Z,{cell},shift 0,yes,,\n"
    files = [
        rows_of(tmp_path, city, yes, datetime(2024, 5, 6, tzinfo=UTC)),
        rows_of(tmp_path, city, yes.replace("yes", "no"), datetime(2024, 5, 5, tzinfo=UTC)),
    ]
    for rows in (files, files[::-1]):
        _, record = day_patrols(pa.concat_tables(rows), *plan_of(city), DAY, city)
        assert (record.reported_visits, record.made_visits, record.problem_count) == (1, 1, 0)


@pytest.mark.parametrize(("text", "visits"), [("1.0", 1), ("0.0", 0), (" TRUE ", 1), ("f", 0)])
def test_spreadsheets_write_answers_as_numbers_and_truth_values(tmp_path: Path, text: str, visits: int) -> None:
    city = city_with(PLANS)
    line = f"2024-05-01T10:00Z,{planned_cells(city, 'shift 0')[0]},shift 0,{text},,\n"
    _, record = patrols(tmp_path, city, PLANS_HEADER + line)
    assert (record.reported_visits, record.made_visits) == (1, visits)
