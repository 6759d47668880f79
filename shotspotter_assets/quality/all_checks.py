"""The checks of a city's cleaned days, in the order of display."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from shotspotter_assets.city_files import CityFiles
    from shotspotter_assets.quality.finding import Finding
    from shotspotter_assets.quality.window import Window

ALL_CHECKS: Final = {
    "share_rejected": "Few rows cannot be used.",
    "share_untyped": "Few alerts have no gunshot type, where the source gives types.",
    "share_outside_coverage": "Few alerts lie where the city publishes no sensors.",
    "duplicates": "Few rows came twice, and no file repeats the points of another one.",
    "unusual_days": "No day is far from its usual volume; holidays and fireworks are expected.",
    "silent_days": "No run of days without alerts that the usual rate rules out.",
    "firework_days": "Independence Day and New Year are not mostly fireworks.",
    "level_change": "No quarter has several times the alerts of the year before, or a fraction.",
    "new_area": "Alerts come from the same area as in the year before.",
    "points": "No default point, and points are exact enough for the grid's cells.",
    "clock": "Times are as exact as the city's file says, and on the city's clock.",
}
"""Name and meaning in the catalog."""


def check_acknowledged(cities: "CityFiles") -> "CityFiles":
    """Return the cities whose files acknowledge only known checks; raise CityFileError if none is left."""
    problems = {}
    for name, city in cities.items():
        if unknown := [one.check for one in city.acknowledged if one.check not in {None, *ALL_CHECKS}]:
            problem = f"there is no check {unknown[0]!r} (allowed: {', '.join(ALL_CHECKS)})"
            problems[name] = f"{name}.yaml: acknowledged: {problem}"
    return cities.without(problems)


def all_findings(window: "Window") -> "dict[str, Finding]":
    """Return the finding of each check by name."""
    from shotspotter_assets.quality import clock, points, quarters, shares, volume

    modules = (shares, volume, quarters, points, clock)
    checks = {name: check for module in modules for name, check in vars(module).items()}
    return {name: checks[name](window) for name in ALL_CHECKS}
