from datetime import date
from typing import Any

from shotspotter_assets.accountability.alert_outcomes import OutcomesRecord
from shotspotter_assets.defs.accountability.alert_outcomes import codes_are_mapped, outcomes_are_reported, rows_are_used


def record(day: int, **changes: Any) -> OutcomesRecord:
    sound = {"alerts": 4, "with_report": 3, "with_outcome": 2, "unmatched": 0, "persons": 1, "unknown_codes": {}}
    of_rows = {"problems": (), "problem_count": 0}
    return OutcomesRecord.model_validate({"city": "town", "day": date(2024, 3, day), **sound, **of_rows, **changes})


def test_reports_of_the_newest_week_may_still_come() -> None:
    old = record(1)
    new = record(20, with_report=0, with_outcome=0)
    assert outcomes_are_reported([old, new]).passed
    found = outcomes_are_reported([record(2, with_report=0, with_outcome=0), old, new])
    assert (found.passed, found.numbers) == (False, {"alerts": 8, "with a report": 3, "with an outcome": 2})
    assert outcomes_are_reported([]).passed


def test_codes_without_a_meaning_and_unused_rows_are_named() -> None:
    assert codes_are_mapped([record(1)]).passed
    assert rows_are_used([record(1)]).passed
    bad = [record(1), record(2, unknown_codes={"R99": 3}, problems=("a.csv, row 3: cleared",), problem_count=60)]
    codes = codes_are_mapped(bad)
    rows = rows_are_used(bad)
    assert (codes.passed, rows.passed) == (False, False)
    assert "'R99' (3)" in codes.message
    assert "60 rows" in rows.message
    assert "a.csv, row 3" in rows.message
    assert rows.days == {date(2024, 3, 2): 60.0}
