"""Joint schema metadata of several days' tables: one entry if they agree, else each value with its days."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final

Metadata = Mapping[bytes, bytes] | None
BY_DAY: Final = b"_by_day"
"""Suffix of the key of a differing entry: JSON of each value with its days."""


def gather_metadata(days: Sequence[date], metadata: Sequence[Metadata]) -> dict[bytes, bytes] | None:
    """Join the metadata of some days' tables; None without any."""
    values: dict[bytes, dict[bytes, list[date]]] = {}
    for day, entries in zip(days, metadata, strict=True):
        for key, value in (entries or {}).items():
            values.setdefault(key, {}).setdefault(value, []).append(day)
    gathered: dict[bytes, bytes] = {}
    for key, by_value in values.items():
        value, of_days = next(iter(by_value.items()))
        if len(of_days) == len(days):
            gathered[key] = value
        else:
            texts = {value.decode(): [day.isoformat() for day in of_days] for value, of_days in by_value.items()}
            gathered[key + BY_DAY] = json.dumps(texts).encode()
    return gathered or None


def values_by_day(metadata: Metadata, key: str, days: Sequence[date]) -> dict[str, list[date]]:
    """Return the days with each value of an entry; days without the entry are omitted."""
    entries, name = metadata or {}, key.encode()
    if name in entries:
        return {entries[name].decode(): list(days)}
    asked = set(days)
    by_value = json.loads(entries.get(name + BY_DAY, b"{}"))
    found = {
        value: [day for text in texts if (day := date.fromisoformat(text)) in asked]
        for value, texts in by_value.items()
    }
    return {value: of_days for value, of_days in found.items() if of_days}
