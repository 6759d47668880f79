"""Checks of stored outcomes: alerts without a report, codes without a meaning, and rows that are not used."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

from shotspotter_assets.alerts.checks.finding import Finding
from shotspotter_assets.storage.wording import first_of, number_of

if TYPE_CHECKING:
    from shotspotter_assets.accountability.alert_outcomes import OutcomesRecord

CHECKED_DAYS: Final = 35  # days to a run's last one whose records are checked, at least
OPEN_DAYS: Final = 7  # newest of them, whose reports may still come
MIN_SHARE_REPORTED: Final = 0.5
MAX_NAMED_ROWS: Final = 3


def outcomes_are_reported(records: Sequence["OutcomesRecord"]) -> Finding:
    """Check that at least half of the alerts that are a week old have a report, and give the share with an outcome."""
    last = max((record.day for record in records), default=date.max)
    records = [record for record in records if record.day <= last - timedelta(days=OPEN_DAYS)]
    alerts = sum(record.alerts for record in records)
    reported = sum(record.with_report for record in records)
    known = sum(record.with_outcome for record in records)
    numbers = {"alerts": alerts, "with a report": reported, "with an outcome": known}
    text = f"{reported:,} of {number_of(alerts, 'alert')} have a report, {known:,} an outcome that is not open"
    if reported >= MIN_SHARE_REPORTED * alerts:
        return Finding(True, f"{text}.", numbers)
    remedy = "Look whether the table of `outcomes` is complete, and at its ids, times and places"
    return Finding(False, f"{text}. {remedy}.", numbers)


def codes_are_mapped(records: Sequence["OutcomesRecord"]) -> Finding:
    """Check that the city's file gives every code a meaning; reports with others are open."""
    codes = sum((Counter(record.unknown_codes) for record in records), Counter[str]())
    if not codes:
        return Finding(True, "All codes are mapped.")
    named = first_of([f"{code!r} ({reports:,})" for code, reports in codes.most_common()])
    remedy = "They are open; map them in outcomes.codes of the city's file"
    return Finding(
        False, f"{number_of(codes.total(), 'report')} with codes that are not mapped: {named}. {remedy}.", codes
    )


def rows_are_used(records: Sequence["OutcomesRecord"]) -> Finding:
    """Check that no row or time is left out, such as a clearance before the receipt."""
    days = {record.day: float(record.problem_count) for record in records if record.problem_count}
    if not days:
        return Finding(True, "All rows are used.")
    rows = int(sum(days.values()))
    named = first_of([problem for record in records for problem in record.problems], MAX_NAMED_ROWS, " ")
    return Finding(False, f"{number_of(rows, 'row')} not or only partly used: {named}", {"rows": rows}, days)


OUTCOME_CHECKS: Final[dict[str, Callable[["Sequence[OutcomesRecord]"], Finding]]] = {
    check.__name__: check for check in (outcomes_are_reported, codes_are_mapped, rows_are_used)
}
