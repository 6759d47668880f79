"""Outcomes of alerts by local day, beside calls of persons about shots, and their checks."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

import dagster as dg

from shotspotter_assets.alerts.checks.finding import Finding
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import ONE_DAY
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.materialize import Checks, TableProduct
from shotspotter_assets.defs.partitions import run_days
from shotspotter_assets.defs.resources import Log, Store, StoreResource
from shotspotter_assets.storage.catalogue import ALERT_OUTCOMES, CLEANED, Asset
from shotspotter_assets.storage.wording import first_of, number_of

if TYPE_CHECKING:
    import pyarrow as pa

    from shotspotter_assets.accountability.alert_outcomes import OutcomesRecord

MAX_LOGGED: Final = 5  # rows not used that the log names for each day; the panel and the record name more
CHECKED_DAYS: Final = 35  # days to a run's last one whose records are checked, at least
OPEN_DAYS: Final = 7  # newest of them, whose reports may still come
MIN_SHARE_REPORTED: Final = 0.5
MAX_NAMED_ROWS: Final = 3


@TableProduct(Asset.ALERT_OUTCOMES, kinds={"parquet"}, code_version="1", table=ALERT_OUTCOMES)
def alert_outcomes(log: Log, store: Store, city: City, day: date, rows: "pa.Table") -> panel.Metadata:
    """Outcomes of the day's alerts as the table of `outcomes` in the city's file reports them.

    A call of a sensor is matched with its alert by id, or else by time and place, one to one. The day's calls that match no
    alert, and those of persons, are beside them. A code that the city's file does not name is open.
    """
    from shotspotter_assets.accountability.alert_outcomes import day_outcomes
    from shotspotter_assets.storage.fingerprints import table_fingerprints

    alerts = store.read_present(CLEANED, city.name, day - ONE_DAY, day + ONE_DAY)
    if alerts is None:
        alerts = CLEANED.schema.empty_table().add_column(0, "date", [[]])
    table, record = day_outcomes(rows, alerts, day, city)
    path = record.write_after(store, {ALERT_OUTCOMES: table})
    if record.problems:
        log.warning(f"{city.name}: {first_of(record.problems, MAX_LOGGED, ' ')}")
    numbers = record.model_dump(exclude={"format_version", "city", "day", "problems", "unknown_codes"})
    return {
        "data_version": table_fingerprints({day: table})[day],
        **numbers,
        **({"unknown_codes": record.unknown_codes} if record.unknown_codes else {}),
        **({"problems": panel.bullets(record.problems)} if record.problems else {}),
        "path": dg.MetadataValue.path(path),
    }


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


@Checks(Asset.ALERT_OUTCOMES, OUTCOME_CHECKS)
def outcome_checks(
    context: dg.AssetCheckExecutionContext, store: StoreResource, city: City
) -> Iterator[dg.AssetCheckResult]:
    """Look at the records of the run's days and of the days before them."""
    from shotspotter_assets.accountability.alert_outcomes import OutcomesRecord

    of_run = run_days(context, city)
    first = min(of_run[0], of_run[-1] - timedelta(days=CHECKED_DAYS - 1))
    records = OutcomesRecord.find_days(store.open(), city.name, first, of_run[-1])
    for name, check in OUTCOME_CHECKS.items():
        yield panel.check_result(check(records), check=name)
