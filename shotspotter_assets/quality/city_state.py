"""Open warnings of a city: days on which a check warned and that no later run has found to be well.

The light of a Dagster check shows its newest run. A run over other days must not hide a warning, so warnings are stored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Final

from pydantic import BaseModel

from shotspotter_assets.quality.finding import Finding
from shotspotter_assets.storage.file_names import CITY_STATE_FILE, QUALITY
from shotspotter_assets.storage.store import Partition, Store

MAX_WARNINGS_SHOWN: Final = 3
"""Earlier warnings that a message quotes, the newest."""


class Warned(BaseModel):
    """The message of a check, and the days for which the message holds."""

    message: str
    days: list[date]

    @property
    def span(self) -> str:
        """The first and last of the days."""
        first, last = min(self.days), max(self.days)
        return str(first) if first == last else f"{first} to {last}"


class CityState(BaseModel):
    """Open warnings of a city by check, and the days that checks have judged."""

    first: date
    last: date
    warnings: dict[str, list[Warned]] = {}

    @classmethod
    def load(cls, store: Store, city: str) -> "CityState | None":
        """The state of a city; None before its first check."""
        partition = Partition(QUALITY, city)
        if not store.exists(partition, CITY_STATE_FILE):
            return None
        return cls.model_validate_json(store.read_bytes(partition, CITY_STATE_FILE))


def keep_findings(
    store: Store, city: str, judged: Sequence[date], findings: Mapping[str, Finding], start: date = date.min
) -> dict[str, Finding]:
    """Store the findings of a run, and return them together with open warnings about other days.

    A warning about a day ends when a run judges the day without it, or when the city starts later.

    Args:
        judged: contiguous days.
        findings: by name of the check. Findings without days hold for the last day.
        start: first day of the city's period.
    """
    first, last = judged[0], judged[-1]
    together: dict[str, Finding] = {}
    with store.alone(QUALITY, city):
        state = CityState.load(store, city) or CityState(first=first, last=last)
        warnings = dict(state.warnings)
        for check, finding in findings.items():
            earlier = [
                Warned(message=warned.message, days=days)
                for warned in warnings.pop(check, [])
                if (days := [day for day in warned.days if day >= start and not first <= day <= last])
            ]
            new = [] if finding.passed else [Warned(message=finding.message, days=sorted(finding.days) or [last])]
            if earlier or new:
                warnings[check] = [*earlier, *new]
            together[check] = finding
            if earlier:
                message = f"{finding.message} Earlier warnings: {_message(earlier)}"
                together[check] = replace(finding, passed=False, message=message)
        state = CityState(
            first=max(min(state.first, first), start),
            last=max(state.last, last),
            warnings=warnings,
        )
        store.write_bytes(Partition(QUALITY, city), CITY_STATE_FILE, state.model_dump_json(indent=1).encode())
    return together


def _message(warned: Sequence[Warned]) -> str:
    newest = sorted(warned, key=lambda one: max(one.days))[-MAX_WARNINGS_SHOWN:]
    more = len(warned) - len(newest)
    shown = " ".join(f"({one.span}) {one.message}" for one in newest) if len(warned) > 1 else newest[0].message
    return f"{shown} And {more} older warnings." if more else shown
