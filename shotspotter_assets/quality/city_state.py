"""Open warnings of a city: days on which a check warned and that no later run has found to be well.

The light of a Dagster check shows its newest run. A run over other days must not hide a warning, so warnings are stored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Final

from pydantic import BaseModel, TypeAdapter

from shotspotter_assets.quality.finding import Finding
from shotspotter_assets.storage.file_names import CITY_STATE_FILE, QUALITY
from shotspotter_assets.storage.store import Partition, Store

MAX_WARNINGS_SHOWN: Final = 3
"""Earlier warnings that a message quotes, the newest."""


class Warned(BaseModel):
    """The message of a check, and the days for which the message holds."""

    message: str
    days: list[date]


STATE: Final = TypeAdapter(dict[str, list[Warned]])
"""The open warnings by check."""


def keep_findings(
    store: Store, city: str, checked: Sequence[date], findings: Mapping[str, Finding], start: date = date.min
) -> dict[str, Finding]:
    """Store the findings of a run, and return them together with open warnings about other days.

    A warning about a day ends when a run checks the day without it, or when the city starts later.

    Args:
        checked: contiguous days.
        findings: by name of the check. Findings without days hold for the last day.
        start: first day of the city's period.
    """
    first, last, place = checked[0], checked[-1], Partition(QUALITY, city)
    together: dict[str, Finding] = {}
    with store.alone(QUALITY, city):
        is_stored = store.exists(place, CITY_STATE_FILE)
        warnings = STATE.validate_json(store.read_bytes(place, CITY_STATE_FILE)) if is_stored else {}
        for check, finding in findings.items():
            earlier = [
                Warned(message=warned.message, days=days)
                for warned in warnings.get(check, [])
                if (days := [day for day in warned.days if day >= start and not first <= day <= last])
            ]
            new = [] if finding.passed else [Warned(message=finding.message, days=sorted(finding.days) or [last])]
            warnings[check] = [*earlier, *new]
            message = f"{finding.message} Earlier warnings: {_quoted(earlier)}" if earlier else finding.message
            together[check] = replace(finding, passed=finding.passed and not earlier, message=message)
        store.write_bytes(place, CITY_STATE_FILE, STATE.dump_json(warnings, indent=1))
    return together


def _quoted(warned: Sequence[Warned]) -> str:
    newest = sorted(warned, key=lambda one: max(one.days))[-MAX_WARNINGS_SHOWN:]
    more = f" And {len(warned) - len(newest)} older warnings." if len(warned) > len(newest) else ""
    return " ".join(f"({min(one.days)} to {max(one.days)}) {one.message}" for one in newest) + more
