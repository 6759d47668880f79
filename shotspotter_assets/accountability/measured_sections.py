"""Sections of an account about outcomes, officer time, plans that were made, and burden."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from shotspotter_assets.accountability.account import Cell, Figure, FigureTable, Period, Section
from shotspotter_assets.accountability.alert_outcomes import (
    Minutes,
    OutcomeSummary,
    Reports,
    outcome_summary,
)
from shotspotter_assets.accountability.burden_audit import TOO_FEW_FLAGS, BurdenAudit, Comparison, beside, cell_in_words
from shotspotter_assets.accountability.patrols_made import PatrolsRecord, patrol_totals
from shotspotter_assets.alerts.sources.side_settings import table_folder
from shotspotter_assets.alerts.sources.side_tables import read_state
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import ONE_DAY
from shotspotter_assets.evaluation.estimates import Estimate
from shotspotter_assets.evaluation.forecasts_table import SERVED
from shotspotter_assets.evaluation.scores import FLAGGED_PERCENT
from shotspotter_assets.forecasts.issued_forecasts import IN_SERVICE
from shotspotter_assets.storage.catalogue import DISPATCH_CSV, FRONTIER, PLAN
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.wording import number_of

OUTCOMES: Final = ("confirmed", "unfounded", "unconfirmed", "open")
NO_PATROLS: Final = (
    "Not reported, which is not the same as not made: the police department would have to hand back the visits "
    "(“patrols” in the city's file)."
)
NO_PLANS: Final = "No plan was made for any day of this period."
NO_RULES: Final = f"{NO_PLANS} Someone would have to set the rules of plans (“patrol” in the city's file)."
ALL_OPEN: Final = (
    "All reports are open: the police department would have to provide the outcomes, or “outcomes.codes” in the city's file "
    "does not name their codes."
)
NO_AUDIT: Final = (
    "Nothing has been audited. The audit begins with the first month of forecasts, or with the first fold."
)
TOO_FEW_DAYS: Final = "The audited days are too few to compare anybody."
FLAGGED: Final = (
    f"Flagged: each day, the {FLAGGED_PERCENT}% of the covered cells with the highest forecast probability."
)
NO_GROUPS: Final = (
    "Groups of residents and incomes: unknown. Someone would have to provide a file of residents (“audit” in the city's "
    "file)."
)
OF_OUTCOMES: Final = {
    "share_confirmed": ("Alerts confirmed", "share"),
    "share_with_outcome": ("Alerts with an outcome", "share"),
    "hours_unconfirmed": ("Officer time on unconfirmed alerts", "hours"),
    "minutes_to_dispatch": ("From report to dispatch", "minutes"),
    "minutes_to_arrival": ("From dispatch to arrival", "minutes"),
}
OF_BURDEN: Final = {
    "burden_ratio": ("Largest ratio of flagged days", "ratio"),
    "burden_difference": ("Largest difference of flagged days", "days a year"),
}
"""Title and unit of figures by name."""
KINDS: Final = ("group", "income", "area")
MAX_COMPARISONS: Final = 12


def outcome_section(period: Period) -> Section:
    """Return outcomes of a period's alerts, the time that officers took, and reports of persons."""
    summary = outcome_summary(period.store, period.city, period.first, period.last)
    is_reported = min(summary.alerts, summary.alerts_with_report) > 0
    table = FigureTable(
        name="reports",
        title="Reports by sensors and by persons (minutes: median)",
        columns=("Reported by", "Reports", *OUTCOMES, "To dispatch", "To arrival", "On scene"),
        rows=(_row("Sensors", summary.sensors), _row("Persons", summary.persons)) if is_reported else (),
    )
    return Section(
        name="outcomes",
        title="What became of alerts",
        figures=_outcomes(summary) if is_reported else _unknown(OF_OUTCOMES, _why_no_report(period.store, period.city)),
        tables=(table,),
        sentences=(f"{number_of(summary.unmatched, 'report')} of sensors matched no alert.",)
        if summary.unmatched
        else (),
    )


def _why_no_report(store: Store, city: City) -> str:
    """Return why no outcome is known; what keeps the table's rows from use comes before a guess."""
    if not city.outcomes:
        return "The police department would have to provide the outcome of each alert (“outcomes” in the city's file)."
    notes = read_state(store, table_folder(city.name, "outcomes")).notes
    return " ".join(notes) or "The table of outcomes has no report of an alert in this period; ask who exports it."


def _unknown(titles: dict[str, tuple[str, str]], why: str) -> tuple[Figure, ...]:
    """Return figures that are unknown, with the sentence that says why."""
    return tuple(Figure(name=name, title=title, unit=unit, sentence=why) for name, (title, unit) in titles.items())


def _outcomes(summary: OutcomeSummary) -> tuple[Figure, ...]:
    """Return the figures of a summary; those without times or outcomes are unknown."""
    number = {name: summary.alerts_by_outcome.get(name, 0) for name in OUTCOMES}
    decided = summary.alerts_with_report - number["open"]
    confirmed = f"{number['confirmed']:,} of {number_of(decided, 'alert')} with an outcome"
    facts = {
        "share_confirmed": (
            number["confirmed"] / decided if decided else None,
            f"{confirmed}; {number['unfounded']:,} were unfounded and {number['unconfirmed']:,} unconfirmed."
            if decided
            else ALL_OPEN,
        ),
        "share_with_outcome": (
            decided / summary.alerts,
            f"{decided:,} of {number_of(summary.alerts, 'alert')}; the others are open or have no report.",
        ),
        "hours_unconfirmed": _hours_unconfirmed(summary.sensors) if decided else (None, ALL_OPEN),
        "minutes_to_dispatch": _spread(summary.sensors.to_dispatch),
        "minutes_to_arrival": _spread(summary.sensors.to_arrival),
    }
    return tuple(
        Figure(name=name, title=title, value=facts[name][0], unit=unit, sentence=facts[name][1])
        for name, (title, unit) in OF_OUTCOMES.items()
    )


def _hours_unconfirmed(sensors: Reports) -> tuple[float | None, str]:
    """Return the officer hours on unconfirmed reports and a sentence; zero if there is no such report."""
    minutes = sensors.officer_minutes.get("unconfirmed")
    if minutes is not None:
        since = "From arrival (else dispatch, else receipt) to clearance"
        return minutes / 60, f"{since}; reports without these times add nothing."
    if sensors.by_outcome.get("unconfirmed"):
        return None, "No unconfirmed report states its clearance; the police department would have to provide it."
    return 0.0, "No report of a sensor is unconfirmed."


def _spread(minutes: Minutes | None) -> tuple[float | None, str]:
    """Return the median and a sentence."""
    if minutes is None:
        return None, "No report of a sensor states both times."
    of_sensors = f"Median of {number_of(minutes.number, 'report')} of sensors"
    return minutes.median, f"{of_sensors}; nine of ten took at most {minutes.p90:.0f} minutes."


def _row(name: str, reports: Reports) -> tuple[Cell, ...]:
    times = (_spread(minutes)[0] for minutes in (reports.to_dispatch, reports.to_arrival, reports.on_scene))
    numbers = (reports.by_outcome.get(outcome, 0) for outcome in OUTCOMES)
    return name, reports.number, *numbers, *(None if time is None else round(time, 1) for time in times)


def plan_section(period: Period) -> Section:
    """Count the plans of a period, and give the share of them that was made."""
    store = period.store
    city = period.city
    # Days without rules or a forecast have an empty plan, which has no list to dispatch.
    issue_dates = store.days_present(DISPATCH_CSV, city.name, period.first - ONE_DAY, period.last - ONE_DAY)
    planned = len(issue_dates)
    issued = sum(period.states[day + ONE_DAY] in IN_SERVICE for day in issue_dates)
    replayed = sum(period.states[day + ONE_DAY] == "replayed" for day in issue_dates)
    records = PatrolsRecord.find_days(store, city.name, period.first, period.last)
    unrecorded = issue_dates - {record.scored_date - ONE_DAY for record in records if record.visits}
    plans = (store.find_sound_table(PLAN, city.name, day) for day in sorted(unrecorded))
    totals = patrol_totals(records, list(filter(None, plans)))
    made = NO_PATROLS if planned else NO_PLANS if city.patrol else NO_RULES
    if totals.share is not None:
        hours = (
            f"{totals.carried_out_hours:,.0f} of {totals.reported_hours:,.0f} planned hours whose visits are reported"
        )
        gaps = {"planned day": len(unrecorded), "visit": totals.visits - totals.reported_visits}
        missing = " and ".join(number_of(number, noun) for noun, number in gaps.items() if number > 0)
        made = f"{hours}; not reported: {missing}." if missing else f"{hours}."
    replays = f"All {number_of(replayed, 'plan')}" if replayed == planned else number_of(replayed, "further plan")
    sentences = (
        "A plan is advice to a commander.",
        f"{replays} came after the day, from a replayed forecast." if replayed else "",
        f"{number_of(len(period.states) - planned, 'day')} had none.",
    )
    return Section(
        name="plans",
        title="Plans, and how much of them was made",
        figures=(
            Figure(name="plans", title="Days with a plan", value=issued, sentence=" ".join(filter(None, sentences))),
            Figure(
                name="share_of_plan_made",
                title="Planned hours made",
                value=totals.share,
                unit="share",
                possible=totals.possible,
                sentence=made,
            ),
        ),
    )


def burden_section(period: Period) -> Section:
    """Compare areas, groups and incomes by the days on which the served forecast flags them."""
    audit = period.audit
    served = [pair for pair in audit.comparisons if pair.policy == SERVED] if audit else []
    served.sort(key=lambda pair: -(pair.difference.value or 0.0))
    frontier = period.store.find_sound_table(FRONTIER, audit.city) if audit and served else None
    by_kind = {kind: [pair for pair in served if pair.kind == kind] for kind in KINDS}
    figures = _unknown(OF_BURDEN, NO_AUDIT if audit is None else audit.note or TOO_FEW_DAYS)
    if audit and served:
        figures = (
            _largest("burden_ratio", audit, period.city.event, lambda pair: pair.ratio),
            _largest("burden_difference", audit, period.city.event, lambda pair: pair.difference),
        )
    tables = [_comparisons(audit, kind, pairs) for kind, pairs in by_kind.items() if pairs] if audit else []
    flagged = FLAGGED if served else ""
    has_groups = bool(by_kind["group"] or by_kind["income"])
    no_groups = "" if has_groups or (audit and audit.unit != "cell") else NO_GROUPS
    return Section(
        name="burden",
        title="Who is flagged more than others",
        figures=figures,
        tables=(*tables, _frontier(frontier.to_pylist())) if frontier else tuple(tables),
        sentences=tuple(filter(None, (flagged, *audit.sentences, *audit.visits, *audit.left_out, no_groups)))
        if audit
        else (),
    )


def _largest(name: str, audit: BurdenAudit, event: str, estimate: Callable[[Comparison], Estimate | None]) -> Figure:
    """Return the largest of the estimates of pairs of all kinds, beside those of alerts and simple maps."""
    title, unit = OF_BURDEN[name]
    served = [pair for pair in audit.comparisons if pair.policy == SERVED]
    estimates = [(pair, value) for pair in served if (value := estimate(pair))]
    missing = number_of(len(served) - len(estimates), "comparison")
    no_ratio = f" No ratio is given for {missing}, because {TOO_FEW_FLAGS}." if len(estimates) < len(served) else ""
    if not estimates:
        return Figure(name=name, title=title, unit=unit, sentence=no_ratio.strip())
    pair, largest = max(estimates, key=lambda one: one[1].value or 0.0)
    more, fewer = pair.exposure
    days = f"{more:.1f} days a year ({pair.first}), against {fewer:.1f} ({pair.second})"
    sentence = (
        f"{cell_in_words(audit.unit).capitalize()} was flagged on {days}. Audited: {audit.first} to {audit.last}; "
        "brackets: 90% interval."
    )
    if others := beside(pair, audit.comparisons, estimate, event):
        sentence += f" The same {unit if unit == 'ratio' else 'difference'} is {others}."
    return Figure(
        name=name,
        title=f"{title}, by {pair.kind}",
        value=largest.value,
        unit=unit,
        low=largest.low,
        high=largest.high,
        sentence=sentence + no_ratio,
    )


def _comparisons(audit: BurdenAudit, kind: str, compared: Sequence[Comparison]) -> FigureTable:
    """Return the flagged days of each pair of one kind, the largest difference first."""
    return FigureTable(
        name=f"burden_{kind}",
        title=f"By {kind}: days a year on which {cell_in_words(audit.unit)} was flagged (brackets: 90% interval)",
        columns=("Population", "Days", "Compared with", "Days", "Difference", "Ratio"),
        rows=tuple(
            (
                pair.first,
                round(pair.exposure[0], 1),
                pair.second,
                round(pair.exposure[1], 1),
                pair.difference.text(),
                pair.ratio.text() if pair.ratio else "too few flagged days",
            )
            for pair in compared[:MAX_COMPARISONS]
        ),
    )


def _frontier(rows: Sequence[dict[str, Any]]) -> FigureTable:
    """Return what each policy catches on the audited days, beside its burden."""
    measure = "difference" if any(row["difference"] is not None for row in rows) else "gini"
    of_groups = f"Flagged days a year: {rows[0]['first']} less {rows[0]['second']}"
    burden = of_groups if measure == "difference" else "Gini coefficient of flagged days over areas (0 is even)"
    numbers = [[100 * row["cells_caught"] if row["cells_caught"] else None, row[measure]] for row in rows]
    rounded = [[None if number is None else round(number, 2) for number in pair] for pair in numbers]
    return FigureTable(
        name="frontier",
        title="Ways to choose places: what they catch, and whom they burden",
        columns=("Way", "Cells with an alert caught (%)", burden),
        rows=tuple((f"{place + 1}: {row['policy']}", *rounded[place]) for place, row in enumerate(rows)),
    )


def limits_section(period: Period) -> Section:
    """Return the limits of the numbers."""
    sentences = (
        f"An {period.city.event} is a published report. A confirmed share says nothing about events that nobody reported.",
        "No evidence found is not proof that nothing happened, and a flag is no evidence against anybody.",
        "A forecast that catches more than a simple map does not show that patrols prevent anything.",
        period.audit.conclusion if period.audit else "",
    )
    return Section(name="limits", title="What not to conclude", sentences=tuple(filter(None, sentences)))
