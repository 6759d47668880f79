"""Joint schema metadata of several days' tables: an entry on which they agree, else the value of each day."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final

Metadata = Mapping[bytes, bytes] | None
BY_DAY: Final = b"_by_day"  # suffix of the key of a differing entry: JSON of the value by day


def gather_metadata(days: Sequence[date], metadata: Sequence[Metadata]) -> dict[bytes, bytes] | None:
    """Join the metadata of some days' tables; None without any."""
    values: dict[bytes, dict[str, str]] = {}
    for day, entries in zip(days, metadata, strict=True):
        for key, value in (entries or {}).items():
            values.setdefault(key, {})[day.isoformat()] = value.decode()
    gathered: dict[bytes, bytes] = {}
    for key, by_day in values.items():
        if len(by_day) == len(days) and len(set(by_day.values())) == 1:
            gathered[key] = by_day[days[0].isoformat()].encode()
        else:
            gathered[key + BY_DAY] = json.dumps(by_day).encode()
    return gathered or None


def values_by_day(metadata: Metadata, key: str, days: Sequence[date]) -> dict[date, str]:
    """Return the value of an entry on each day; days without the entry are omitted."""
    entries, name = metadata or {}, key.encode()
    if name in entries:
        return dict.fromkeys(days, entries[name].decode())
    by_day = json.loads(entries.get(name + BY_DAY, b"{}"))
    return {day: by_day[str(day)] for day in days if str(day) in by_day}
