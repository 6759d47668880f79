"""Every check of a city's cleaned days, in the order in which their results are shown.

A check's name is its function's, and the first line of its docstring is what it stands for in the catalog.
"""

from collections.abc import Callable
from typing import Final

from shotspotter_assets.quality.clock import clock
from shotspotter_assets.quality.duplicates import duplicates
from shotspotter_assets.quality.finding import Finding
from shotspotter_assets.quality.firework_days import firework_days
from shotspotter_assets.quality.level_change import level_change
from shotspotter_assets.quality.new_area import new_area
from shotspotter_assets.quality.points import points
from shotspotter_assets.quality.share_outside_coverage import share_outside_coverage
from shotspotter_assets.quality.share_rejected import share_rejected
from shotspotter_assets.quality.share_untyped import share_untyped
from shotspotter_assets.quality.silent_days import silent_days
from shotspotter_assets.quality.unusual_days import unusual_days
from shotspotter_assets.quality.window import Window

ALL_CHECKS: Final[dict[str, Callable[[Window], Finding]]] = {
    check.__name__: check
    for check in (
        share_rejected,
        share_untyped,
        share_outside_coverage,
        duplicates,
        unusual_days,
        silent_days,
        firework_days,
        level_change,
        new_area,
        points,
        clock,
    )
}
"""By name."""


def meaning(name: str) -> str:
    """What a check stands for, in a sentence."""
    return (ALL_CHECKS[name].__doc__ or name).splitlines()[0]
