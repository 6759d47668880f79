"""Findings of a burden audit in sentences: the careful end of an interval first, and what cannot be concluded."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from shotspotter_assets.accountability.audited_days import CELL_MEAN, LAST_YEAR
from shotspotter_assets.accountability.burden_audit import Comparison
from shotspotter_assets.accountability.policies import OBSERVED
from shotspotter_assets.evaluation.forecasts_table import SERVED

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


def findings(comparisons: Sequence[Comparison], unit: str, event: str) -> Iterator[str]:
    """Yield for each pair of groups or incomes what the served forecast flags, beside alerts and simple maps; then areas."""
    served = [one for one in comparisons if one.policy == SERVED]
    for pair in (one for one in served if one.kind != "area"):
        yield _difference(pair, unit)
        ratios = {one.policy: one.ratio.text() for one in comparisons if one.name == pair.name}
        others = [f"{ratios[policy]} for {words}" for policy, words in OTHERS.items() if policy in ratios]
        yield f"The same ratio is {', '.join(others)}.".replace("{event}", event)
    areas = sorted((one for one in served if one.kind == "area"), key=lambda one: -one.exposure[0])
    if len(areas) > 1:
        most = areas[0]
        least = areas[-1]
        shown = sum(area.is_shown for area in areas)
        place = "a cell" if unit == "cell" else f"a {unit}'s cell"
        yield (
            f"By area, {place} was flagged most in {most.first} ({most.exposure[0]:.1f} days a year) and least in "
            f"{least.first} ({least.exposure[0]:.1f}); in {shown} of {len(areas)} areas the interval excludes the mean of "
            "the others."
        )


def _difference(served: Comparison, unit: str) -> str:
    """Return the sentence about one pair by the served forecast."""
    days = f"{served.exposure[0]:.1f} against {served.exposure[1]:.1f} days"
    if not served.is_shown:
        return (
            f"No difference is shown between {served.first} and {served.second}: {days} a year, difference "
            f"{served.difference.text()}."
        )
    place = _LABELS[served.kind]
    more = f"{served.difference.nearest_to(0.0):.1f} days a year more than {place} {served.second}"
    times = f"{served.ratio.nearest_to(1.0):.1f} times as often"
    return (
        f"{place.capitalize()} {served.first}, a {unit}'s cell was flagged at least {more}, and at least {times}: {days}, "
        f"difference {served.difference.text()}, ratio {served.ratio.text()}."
    )


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
