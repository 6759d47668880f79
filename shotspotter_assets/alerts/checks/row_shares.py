"""Checks of shares of rows: rejected, untyped, outside coverage, duplicate, equal."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from shotspotter_assets.alerts.checks.finding import Finding, share_finding
from shotspotter_assets.alerts.checks.spans import QUARTER_DAYS
from shotspotter_assets.cities.local_time import days_between
from shotspotter_assets.storage.wording import number_of

if TYPE_CHECKING:
    from shotspotter_assets.alerts.checks.window import Window

USUAL_FAULTY: Final = 0.01  # rejected, repeated or equal rows
USUAL_UNTYPED: Final = 0.05
USUAL_OUTSIDE: Final = 0.05  # heard across a published edge: 2.8% of Washington DC's alerts lie outside its districts
MAX_SPELLINGS_NAMED: Final = 5
MAX_SHARE_IGNORED: Final = 0.5  # maximum share of rows of other events: above it, a type may be misspelt
MIN_DAYS_FOR_UNDATED: Final = 28  # rows without a usable date may be from any day, so they are compared with many days


def share_rejected(window: "Window") -> Finding:
    """Check that few rows are rejected, and that most rows are not ignored as other events."""
    from shotspotter_assets.alerts.cleaning.alerts import AS_SPELLED
    from shotspotter_assets.alerts.cleaning.held_back import named_files

    remedy = "See rejected_by_reason of these partitions; most often the city file's box, start or columns are wrong."
    compared = window.undated if len(window.checked) >= MIN_DAYS_FOR_UNDATED else 0
    ignored = Counter(window.ignored_rows["date"].to_pylist())
    received, rejected = (
        {day: rows - ignored[day] for day, rows in numbers.items()} for numbers in (window.received, window.rejected)
    )
    finding = share_finding(rejected, received, USUAL_FAULTY, "cannot be used", remedy, compared)
    message = finding.message
    numbers = dict(finding.numbers)
    if not finding.passed:
        message += f" The rows are in {named_files(window.rejected_rows)}."
    if window.undated:
        message += f" {number_of(window.undated, 'row')} without a usable date, which belong to no day."
        numbers["undated"] = window.undated
    is_most = ignored.total() > MAX_SHARE_IGNORED * sum(window.received.values())
    if ignored:
        spellings = Counter(window.ignored_rows[AS_SPELLED].to_pylist()).most_common(MAX_SPELLINGS_NAMED)
        named = ", ".join(f"{spelling!r} {rows:,}" for spelling, rows in spellings)
        message += f" {number_of(ignored.total(), 'row')} of other events ignored: {named}."
        numbers["ignored"] = ignored.total()
    if is_most:
        message += " Name them in gunshot_spellings if they are gunshots, else in event_types."
    return replace(finding, passed=finding.passed and not is_most, message=message, numbers=numbers)


def share_outside_coverage(window: "Window") -> Finding:
    """Check that few alerts lie outside published coverage."""
    from shotspotter_assets.grid.coverage import published_starts

    if window.city.coverage is None:
        return Finding(True, "The city's file names no published coverage.")
    longitude, latitude = (window.alerts[name].to_numpy() for name in ("longitude", "latitude"))
    outside = ~(published_starts(window.city.coverage, longitude, latitude) <= window.dates)
    remedy = "Correct the areas or their dates in coverage."
    verb = "lie where the city publishes no sensors"
    return share_finding(window.by_day(outside), window.by_day(), USUAL_OUTSIDE, verb, remedy)


def share_untyped(window: "Window") -> Finding:
    """Check that few alerts have no gunshot type, if the source gives types."""
    from shotspotter_assets.grid.dates import is_holiday_fireworks

    if not window.city.source.has_types:
        return Finding(True, "The city's file names no column with the gunshot type: all are unknown.")
    # Includes the quarter before, so that a source without types fails on every day, not only on its worst days.
    last = window.checked[-1]
    days = days_between(min(window.checked[0], last - timedelta(days=QUARTER_DAYS - 1)), last)
    # Earlier firework days are left out, because one may have as many alerts as months.
    counted = ~is_holiday_fireworks(window.dates) | window.is_checked
    untyped = window.by_day(counted & window.alerts["gunshot_type"].is_null().to_numpy(), days)
    remedy = "Add unknown_type_spellings of these partitions to gunshot_spellings, or do not forecast by type."
    return share_finding(untyped, window.by_day(counted, days), USUAL_UNTYPED, "have no gunshot type", remedy)


def duplicates(window: "Window") -> Finding:
    """Check that few rows came twice within a file, or from several sources."""
    # Identifiers are compared within a day, because replaced systems start numbering again.
    ids = window.alerts.select(["date", "source_id"]).to_pandas()
    repeated_ids = window.by_day((ids["source_id"].notna() & ids.duplicated()).to_numpy())
    usable = {day: rows - window.rejected[day] for day, rows in window.received.items()}
    repeated = {day: usable[day] - cleaned + repeated_ids[day] for day, cleaned in window.by_day().items()}
    remedy = (
        "See whether two sources overlap, or whether one sends corrections as new rows. If equal rows without an id are "
        "separate events, set equal_rows: keep in the source."
    )
    return share_finding(repeated, window.received, USUAL_FAULTY, "came twice", remedy)


def equal_rows(window: "Window") -> Finding:
    """Check that few rows without an id equal another row and count as separate events, unless the city's file says so."""
    from shotspotter_assets.alerts.cleaning import alerts

    counted = window.by_day(alerts.equal_rows(window.alerts))
    says_so = any(getattr(source, "equal_rows", None) == "keep" for source in window.city.all_sources)
    usual = 1.0 if says_so else USUAL_FAULTY
    remedy = "Set equal_rows in the source: drop if they came twice, keep if they are separate events."
    verb = "equal another row without an id and count as separate events"
    return share_finding(counted, window.received, usual, verb, remedy)
