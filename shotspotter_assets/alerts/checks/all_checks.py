"""The checks of a city's cleaned days, in the order of display, and the warnings that stay open.

Open warnings are stored, so that a run over other days does not hide them.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, TypeAdapter

from shotspotter_assets.alerts.checks import clock, row_shares, volume
from shotspotter_assets.alerts.checks.finding import Finding, Findings, named_days
from shotspotter_assets.cities.publication import Acknowledged
from shotspotter_assets.cities.strict_model import CityFileError
from shotspotter_assets.storage.catalogue import CITY_STATE
from shotspotter_assets.storage.wording import number_of, period

if TYPE_CHECKING:
    from shotspotter_assets.alerts.checks.window import Window
    from shotspotter_assets.cities.city import City
    from shotspotter_assets.storage.store import Store


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
    volume.level_change,
    volume.new_area,
    row_shares.points,
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


MAX_WARNINGS_QUOTED: Final = 3


class Warned(BaseModel):
    """A warning and its days."""

    message: str
    days: list[date]


Warnings = Sequence[Warned]
STATE: Final = TypeAdapter(dict[str, list[Warned]])


def keep_findings(store: "Store", city: "City", checked: Sequence[date], findings: Findings) -> dict[str, Finding]:
    """Store a run's findings, and return them together with open warnings about other days.

    A warning about a day ends when a run finds the day sound, or when the city starts later. A warning passes if all of
    its days are acknowledged. `checked` days are contiguous; a finding without days holds for the last of them. Findings
    of checks that raised an error leave stored warnings as they are.
    """
    first = checked[0]
    last = checked[-1]
    reported = dict(findings)

    def changed(stored: dict[str, list[Warned]] | None) -> bytes:
        warnings = dict(stored or {})
        for check, finding in findings.items():
            if finding.is_error:
                continue
            earlier = _on_days(warnings.get(check, []), lambda day: day >= city.start and not first <= day <= last)
            new = [] if finding.passed else [Warned(message=finding.message, days=sorted(finding.days) or [last])]
            warnings[check] = [*earlier, *new]
            acknowledged = [entry for entry in city.acknowledged if entry.check == check]
            reported[check] = _reported(finding, new, earlier, acknowledged)
        return STATE.dump_json(warnings, indent=1)

    store.update(CITY_STATE, city.name, STATE.validate_json, changed)
    return reported


def open_warnings(store: "Store", city: "City", since: date) -> list[str]:
    """Return the messages of stored warnings about days from `since` on that nobody has acknowledged."""
    warnings = store.read_index(CITY_STATE, city.name, STATE.validate_json) or {}

    def is_open(check: str, day: date) -> bool:
        return day >= since and not any(entry.check == check and entry.holds(day) for entry in city.acknowledged)

    listed = ((check, warned) for check, of_check in warnings.items() for warned in of_check)
    return [warned.message for check, warned in listed if any(is_open(check, day) for day in warned.days)]


def _on_days(warnings: Warnings, is_meant: Callable[[date], bool]) -> list[Warned]:
    meant = [Warned(message=warned.message, days=list(filter(is_meant, warned.days))) for warned in warnings]
    return [warned for warned in meant if warned.days]


def _reported(finding: Finding, new: Warnings, earlier: Warnings, acknowledged: Sequence[Acknowledged]) -> Finding:
    """Return the finding about a run's days and the days of earlier warnings, without acknowledged days."""
    new_days = _days_of(new)
    warned_days = sorted({*new_days, *_days_of(earlier)})
    accepted = {entry: [day for day in warned_days if entry.holds(day)] for entry in acknowledged}
    left = set(warned_days).difference(*accepted.values())
    open_days = [day for day in new_days if day in left]
    open_others = _on_days(earlier, left.__contains__)
    parts = []
    if open_others:
        newest = sorted(open_others, key=lambda warned: max(warned.days))[-MAX_WARNINGS_QUOTED:]
        quoted = [f"({period(min(warned.days), max(warned.days))}) {warned.message}" for warned in newest]
        if len(open_others) > len(newest):
            quoted.append(f"And {len(open_others) - len(newest)} older warnings.")
        parts.append(f"Open warnings about other days: {' '.join(quoted)} These days:")
    if open_days and len(open_days) < len(new_days):
        parts.append(f"Not acknowledged: {number_of(len(open_days), 'day')} ({named_days(open_days)}).")
    if finding.passed or open_days:
        parts.append(finding.message)
    for entry, days in accepted.items():
        if days:
            parts.append(f"{entry} ({number_of(len(days), 'day')}, {period(days[0], days[-1])}).")
    return replace(finding, passed=not left, message=" ".join(parts))


def _days_of(warnings: Warnings) -> list[date]:
    return [day for warned in warnings for day in warned.days]
