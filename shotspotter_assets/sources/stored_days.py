"""Which of the days that a sensor has not asked for yet are stored already, made by hand or before it forgot them."""

from collections.abc import Set
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.sources.arrivals import NOT_ASKED
from shotspotter_assets.sources.known_days import KNOWN
from shotspotter_assets.sources.schema import PUBLISHED
from shotspotter_assets.storage.day_metadata import values_by_day
from shotspotter_assets.storage.errors import CorruptObjectError
from shotspotter_assets.storage.file_names import ALERTS_FILE
from shotspotter_assets.storage.fingerprints import group_fingerprints, row_hashes
from shotspotter_assets.storage.store import Store

GONE = "gone"
"""In place of the version of a day that a file has no more."""


def stored_from_same_rows(store: Store, city: str, seen: pa.Table, days: Set[date]) -> set[date]:
    """Those of the days whose stored raw alerts are the rows that a look has seen in the landed files.

    Rows of files that are gone do not count: they are kept. Days of a live source that was not asked for its versions yet
    are taken to be the same: the next look compares the versions. One read for all days.

    Args:
        store: the store.
        city: the city's name.
        seen: `SEEN_SCHEMA`, all that was seen of the city.
        days: days, each of which has raw alerts in the store.
    """
    if not days:
        return set()
    polled = seen.filter(pc.equal(seen["day_version"], NOT_ASKED))
    compared = set(days).difference(polled["day"].to_pylist())
    return set(days) - (_changed(store, city, seen, compared) if compared else set())


def _changed(store: Store, city: str, seen: pa.Table, days: Set[date]) -> set[date]:
    columns = [name for name in PUBLISHED if name != "date"]
    try:
        raw = store.read_present("raw_alerts", city, ALERTS_FILE, min(days), max(days), [*columns, "received_from"])
    except CorruptObjectError:
        return set(days)
    assert raw is not None
    changed = set(values_by_day(raw.schema.metadata, KNOWN, sorted(days)).get("unknown", []))
    of_days = seen.filter(pc.is_in(seen["day"], pa.array(list(days), pa.date32())))
    versions = {
        (file, day): version
        for file, day, version in zip(
            *(of_days[name].to_pylist() for name in ("file", "day", "day_version")), strict=True
        )
    }
    # A row of a file that was looked at, on a day that the file has no more, has been taken back.
    raw = raw.filter(
        pc.and_(
            pc.is_in(raw["date"], pa.array(list(days), pa.date32())),
            pc.is_in(raw["received_from"], seen["file"].combine_chunks()),
        )
    )
    places = zip(raw["received_from"].to_pylist(), raw["date"].to_pylist(), strict=True)
    numbers: dict[tuple[str, date], int] = {}
    group = np.array([numbers.setdefault(place, len(numbers)) for place in places], dtype=np.int64)
    rows = pa.table({"hash": row_hashes(raw.select(PUBLISHED))})
    stored = dict(zip(numbers, group_fingerprints(rows, group, len(numbers)), strict=True))
    [without_rows] = group_fingerprints(rows.slice(0, 0), group[:0], 1)
    for place in versions.keys() | stored.keys():
        version = versions.get(place, GONE) or without_rows
        if version != stored.get(place, without_rows):
            changed.add(place[1])
    return changed
