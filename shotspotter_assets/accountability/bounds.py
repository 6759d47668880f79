"""Bounds that a city sets on the numbers of its account."""

from typing import Final

from shotspotter_assets.accountability.account import Account, find_figure
from shotspotter_assets.alerts.checks.finding import Finding
from shotspotter_assets.cities.accountability import Bounds

_SPREAD: Final = "Compare the ways to choose places: lots and caps on repeats spread flags."
WATCHED: Final = {
    "least_share_with_outcome": ("share_with_outcome", "Ask the department for the missing outcomes."),
    "most_hours_unconfirmed": (
        "hours_unconfirmed",
        "Review which alerts officers are sent to, and how long they stay.",
    ),
    "least_share_of_plan_made": (
        "share_of_plan_made",
        "Ask why visits were left out; plan fewer units, or other places.",
    ),
    "most_burden_difference": ("burden_difference", _SPREAD),
    "most_burden_ratio": ("burden_ratio", _SPREAD),
}
"""Name of the figure, and what a person may do, by key of `accountability.bounds`, which starts with `least` or `most`."""


def kept_bounds(account: Account, bounds: Bounds) -> Finding | None:
    """Return a finding that passes if all bounds are kept; None without any. One on an unknown number is not kept."""
    problems = []
    numbers = {}
    for key, bound in bounds.model_dump(exclude_none=True).items():
        name, remedy = WATCHED[key]
        figure = find_figure(account.sections, name)
        if figure is None or figure.value is None:
            why = "The account has no such number." if figure is None else figure.sentence
            problems.append(f"{key} ({bound:g}) cannot be checked. {why}")
            continue
        numbers[name] = figure.value
        if (figure.value < bound) == key.startswith("least") and figure.value != bound:
            problems.append(f"{figure.title}: {figure.shown}; the city's bound is {bound:g} ({key}). {remedy}")
    is_set = bool(problems or numbers)
    return Finding(not problems, " ".join(problems) or "All bounds are kept.", numbers) if is_set else None
