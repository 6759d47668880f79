"""Checks of rows: shares that are rejected, untyped, outside coverage, duplicate or equal; default and coarse points."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from shotspotter_assets.alerts.checks.finding import QUARTER_DAYS, Finding, Problems, share_finding
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import days_between
from shotspotter_assets.storage.wording import number_of

if TYPE_CHECKING:
    from shotspotter_assets.alerts.checks.window import Window
    from shotspotter_assets.storage.arrays import Array


USUAL_FAULTY: Final = 0.01  # rejected, repeated or equal rows
USUAL_UNTYPED: Final = 0.05
USUAL_OUTSIDE: Final = 0.05  # heard across a published edge: 2.8% of Washington DC's alerts lie outside its districts
MAX_SPELLINGS_NAMED: Final = 5
MAX_SHARE_IGNORED: Final = 0.5  # maximum share of rows of other events: above it, a type may be misspelt
MIN_DAYS_FOR_UNDATED: Final = 28  # rows without a usable date may be from any day, so they are compared with many days


def share_rejected(window: "Window") -> Finding:
    """Check that few rows are rejected, and that most rows are not ignored as other events."""
    import pyarrow.compute as pc

    from shotspotter_assets.alerts.cleaning import AS_SPELLED, BEFORE_START, OTHER_EVENT
    from shotspotter_assets.alerts.days.stored_states import named_rows

    remedy = "Most often the city file's box, start or columns are wrong."
    compared = window.undated if len(window.checked) >= MIN_DAYS_FOR_UNDATED else 0
    ignored = Counter(window.ignored_rows["date"].to_pylist())
    received, rejected = (
        {day: rows - ignored[day] for day, rows in numbers.items()} for numbers in (window.received, window.rejected)
    )
    finding = share_finding(rejected, received, USUAL_FAULTY, "cannot be used", remedy, compared)
    message = finding.message
    numbers = dict(finding.numbers)
    unusable = window.rejected_rows.filter(~pc.field("reason").isin([BEFORE_START, OTHER_EVENT]))
    if unusable.num_rows:
        message += f" Unusable: {named_rows(unusable)}."
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
    from shotspotter_assets.alerts import cleaning

    counted = window.by_day(cleaning.equal_rows(window.alerts))
    says_so = any(getattr(source, "equal_rows", None) == "keep" for source in window.city.all_sources)
    usual = 1.0 if says_so else USUAL_FAULTY
    remedy = "Set equal_rows in the source: drop if they came twice, keep if they are separate events."
    verb = "equal another row without an id and count as separate events"
    return share_finding(counted, window.received, usual, verb, remedy)


MIN_POINT_INCIDENTS: Final = 20
MIN_TIMES_THE_FIFTH: Final = 5  # multiple of the fifth busiest point's incidents; sound cities reach 3
COARSE_STEP_DEGREES: Final = 0.01
MAX_COARSE_SHARE: Final = 0.1  # maximum share of points with two decimals; with three, 1% look so by chance
MIN_STEPS: Final = 2  # minimum width of a cell in rounding steps; narrower ones differ in possible points


def points(window: "Window") -> Finding:
    """Check that no default point stands out, and that points are exact enough for the grid's cells.

    In a city that ranks streets, the message states the rounding of its points.
    """
    from shotspotter_assets.grid.cells import COARSE_STEP_METRES, METRES_PER_DEGREE, Plane, rounding_step

    all_points = window.incidents.select(["longitude", "latitude"]).to_pandas().to_numpy()
    message = f"Fewer than {MIN_POINT_INCIDENTS} incidents a year: too few to check."
    problems = Problems()
    for block, inside in window.full_blocks(window.incident_dates, MIN_POINT_INCIDENTS):
        message = "No point stands out, and points are exact enough for the cells."
        for problem in _problems(window.city, all_points[inside]):
            problems.add(problem, block, inside.sum())
    step = rounding_step(all_points) if window.city.streets is not None else 0.0
    if step * METRES_PER_DEGREE >= COARSE_STEP_METRES:
        message += f" They are rounded to {Plane.of(window.city.box).step_text(step)}, longer than many streets."
    return problems.finding(message, {"problems": len(problems.times)} if problems.times else {})


def _problems(city: City, inside: "Array") -> Iterator[str]:
    """Yield the problems of the points of a block (longitude, latitude), shape (incidents, 2)."""
    from shotspotter_assets.grid.cells import are_rounded

    yield from _default_point(inside)
    share = float(are_rounded(inside, COARSE_STEP_DEGREES).all(axis=1).mean())
    if share >= MAX_COARSE_SHARE:
        yield f"{share:.0%} of the points have only two decimals (about 1 km): exclude these days from training"
    yield from _narrow_cells(city, inside)


def _default_point(inside: "Array") -> Iterator[str]:
    """Yield a problem if one point has far more incidents than the fifth busiest point."""
    import numpy as np

    distinct, counts = np.unique(inside, axis=0, return_counts=True)
    busiest = np.argsort(-counts, kind="stable")
    longitude, latitude = distinct[busiest[0]]
    most = counts[busiest[0]]
    if most >= MIN_POINT_INCIDENTS and (len(counts) < 5 or most >= MIN_TIMES_THE_FIFTH * counts[busiest[4]]):
        point = f"{most:,} of {len(inside):,} incidents are at {latitude:.6f}, {longitude:.6f}"
        remedy = "ask the publisher, and remove alerts without a known place from the source"
        yield f"{point}, which looks like a default point: {remedy}"


def _narrow_cells(city: City, inside: "Array") -> Iterator[str]:
    """Yield a problem for rows, and for columns, that are too narrow for the rounding of the points."""
    from shotspotter_assets.grid.cells import cell_metres, rounding_step

    step = rounding_step(inside)
    height, width = cell_metres(city)
    rows = ("rows", city.box.north - city.box.south, city.grid.rows, height)
    columns = ("columns", city.box.east - city.box.west, city.grid.columns, width)
    for name, side, cells, metres in (rows, columns):
        if step and side / cells <= MIN_STEPS * step * (1 - 1e-9):
            remedy = f"use at most {max(int(side / (MIN_STEPS * step) + 1e-9), 2)} {name} in grid"
            yield f"{name} of {metres:.0f} m are too narrow for points rounded to {step:g} degrees: {remedy}"
