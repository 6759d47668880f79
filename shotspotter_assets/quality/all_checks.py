"""Every check of a city's cleaned days, in the order in which their results are shown."""

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from shotspotter_assets.quality.finding import Finding
    from shotspotter_assets.quality.window import Window

ALL_CHECKS: Final = {
    "share_rejected": "Few rows cannot be used.",
    "share_untyped": "Few alerts have no gunshot type, where the source gives types.",
    "share_outside_coverage": "Few alerts lie where the city publishes no sensors.",
    "duplicates": "Few rows came twice, or with the identifier of another row of the day.",
    "landed_twice": "No file repeats the points of another file at other times.",
    "unusual_days": "No day is far from its usual volume; holidays and fireworks are expected.",
    "silent_days": "No run of days without alerts that the usual rate rules out.",
    "firework_days": "Independence Day and New Year are not mostly fireworks.",
    "level_change": "No quarter has several times the alerts of the year before, or a fraction.",
    "new_area": "Alerts come from the same area as in the year before.",
    "points": "No default point, and points are exact enough for the grid's cells.",
    "clock": "Times are as exact as the city's file says, and on the city's clock.",
}
"""Name and meaning, as the catalog shows them."""


MODULES: Final = {
    **dict.fromkeys(("share_rejected", "share_untyped", "share_outside_coverage", "duplicates"), "shares"),
    **dict.fromkeys(("unusual_days", "silent_days", "firework_days"), "volume"),
    **dict.fromkeys(("level_change", "new_area"), "quarters"),
}
"""Module of each check that shares one; others have a module of their name. Modules load when a check runs."""


def check_of(name: str) -> "Callable[[Window], Finding]":
    """The check of a name."""
    module = import_module(f"shotspotter_assets.quality.{MODULES.get(name, name)}")
    check: Callable[[Window], Finding] = getattr(module, name)
    return check
