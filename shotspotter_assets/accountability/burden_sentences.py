"""Findings of a burden audit in sentences: the careful end of an interval first, and what cannot be concluded."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from shotspotter_assets.accountability.audited_days import CELL_MEAN, LAST_YEAR
from shotspotter_assets.accountability.burden_audit import TOO_FEW_FLAGS, Comparison
from shotspotter_assets.accountability.policies import OBSERVED
from shotspotter_assets.evaluation.forecasts_table import SERVED
from shotspotter_assets.storage.wording import first_of, number_of

CONCLUSION: Final = (
    "These figures show where flags fell on past days, beside {event}s and residents; they do not show why, whether a flag or "
    "an {event} was right, what officers did, or who was there, because residents are spread over cells by area and are not "
    "the people on the street."
)
OTHERS: Final = {
    OBSERVED: "days with an {event}",
    CELL_MEAN: "flags by the mean of each cell's history",
    LAST_YEAR: "flags by last year's map",
}

_LABELS: Final = {"group": "in group", "income": "in the quarter with the"}


def findings(comparisons: Sequence[Comparison], rows: Sequence[dict[str, Any]], unit: str, event: str) -> Iterator[str]:
    """Yield for each pair of groups or incomes what the served forecast flags, beside alerts and simple maps; then areas.

    `rows` are those of `catalogue.BURDEN`.
    """
    for pair in comparisons:
        if pair.policy == SERVED and pair.kind != "area":
            yield _difference(pair, unit)
            ratios = {one.policy: one.ratio.text() for one in comparisons if one.name == pair.name and one.ratio}
            others = [
                f"{ratios[policy]} for {words.format(event=event)}"
                for policy, words in OTHERS.items()
                if policy in ratios
            ]
            if pair.ratio and others:
                yield f"The same ratio is {', '.join(others)}."
    by_days: dict[str, list[str]] = {}
    areas = [row for row in rows if (row["measure"], row["kind"], row["policy"]) == ("flagged_days", "area", SERVED)]
    for row in sorted((row for row in areas if row.get("value") is not None), key=lambda row: -row["value"]):
        by_days.setdefault(f"{row['value']:.1f}", []).append(row["group"])
    if len(by_days) > 1:
        most, *_, least = by_days
        differing = [one for one in comparisons if (one.policy, one.kind) == (SERVED, "area")]
        shown = sum(area.is_shown for area in differing)
        yield (
            f"By area, {cell_in_words(unit)} was flagged most in {_tied(by_days[most], most + ' days a year')} and least in "
            f"{_tied(by_days[least], least)}; in {shown} of {len(differing)} areas the interval excludes the mean of the "
            "others."
        )


def cell_in_words(unit: str) -> str:
    """Return the cell that an audit counts, with its article: of a resident, or of the city if all cells count alike."""
    return "a cell" if unit == "cell" else f"a {unit}'s cell"


def _tied(areas: Sequence[str], days: str) -> str:
    """Return an area with its flagged days, or how many areas tie and which."""
    return f"{areas[0]} ({days})" if len(areas) == 1 else f"{number_of(len(areas), 'area')} ({days}: {first_of(areas)})"


def _difference(served: Comparison, unit: str) -> str:
    """Return the sentence about one pair by the served forecast."""
    days = f"{served.exposure[0]:.1f} against {served.exposure[1]:.1f} days"
    intervals = f"90% intervals: difference {served.difference.text()}"
    if not served.is_shown:
        return f"No difference is shown between {served.first} and {served.second}: {days} a year; {intervals}."
    place = _LABELS[served.kind]
    more = f"{served.difference.nearest_to(0.0):.1f} days a year more than {place} {served.second}"
    flagged = f"{place.capitalize()} {served.first}, a {unit}'s cell was flagged at least {more}"
    if served.ratio is None:
        return f"{flagged}: {days}; {intervals}. No ratio is given, because {TOO_FEW_FLAGS}."
    times = f"{served.ratio.nearest_to(1.0):.1f} times as often"
    return f"{flagged}, and at least {times}: {days}; {intervals}, ratio {served.ratio.text()}."


def frontier_sentences(rows: Sequence[dict[str, Any]], event: str) -> Iterator[str]:
    """Yield one sentence for each policy on past days."""
    for row in rows:
        caught = "" if row["cells_caught"] is None else f"caught {row['cells_caught']:.1%} of the cells with an {event}"
        if row["difference"] is not None:
            days = f"{row['difference']:.1f} days a year more"
            burden = f"flagged a resident's cell {days} in group {row['first']} than in group {row['second']}"
        elif row["gini"] is not None:
            burden = f"had a Gini coefficient of {row['gini']:.2f} over areas"
        else:
            burden = f"flagged {row['flags']:.0f} cells a day"
        yield f"{row['policy'][:1].upper()}{row['policy'][1:]}: {' and '.join(filter(None, (caught, burden)))}."
