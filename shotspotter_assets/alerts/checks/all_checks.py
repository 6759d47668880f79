"""The checks of a city's cleaned days, in the order of display."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from shotspotter_assets.alerts.checks import clock, points, quarters, row_shares, volume
from shotspotter_assets.alerts.checks.finding import Finding
from shotspotter_assets.cities.strict_model import CityFileError

if TYPE_CHECKING:
    from shotspotter_assets.alerts.checks.window import Window
    from shotspotter_assets.cities.city import City

log = logging.getLogger(__name__)

CHECKS: Final[tuple[Callable[["Window"], Finding], ...]] = (
    row_shares.share_rejected,
    row_shares.share_untyped,
    row_shares.share_outside_coverage,
    row_shares.duplicates,
    row_shares.equal_rows,
    volume.unusual_days,
    volume.silent_days,
    volume.firework_days,
    quarters.level_change,
    quarters.new_area,
    points.points,
    clock.clock,
)
ALL_CHECKS: Final = {check.__name__: check for check in CHECKS}


def check_acknowledged(city: "City") -> None:
    """Raise CityFileError for an acknowledged check that does not exist."""
    for entry in city.acknowledged:
        if entry.check not in {None, *ALL_CHECKS}:
            problem = f"there is no check {entry.check!r} (allowed: {', '.join(ALL_CHECKS)})"
            raise CityFileError(f"{city.name}.yaml: acknowledged: {problem}")


def all_findings(window: "Window") -> dict[str, Finding]:
    """Return the finding of each check by name; a check that raises has a finding with the error."""
    findings = {}
    for name, check in ALL_CHECKS.items():
        try:
            findings[name] = check(window)
        except Exception as error:
            log.exception("The check %s of %s failed.", name, window.city.name)
            message = f"The check itself failed: {type(error).__name__}: {error}. The other checks are unaffected."
            findings[name] = Finding(False, message, is_error=True)
    return findings
