"""Differences between the newest forecast and the one of the day before, in words."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from shotspotter_assets.pages.words import amount
from shotspotter_assets.wording import number_of


def changes(before: Mapping[str, Any], newest: Mapping[str, Any]) -> str:
    """Return what changed between two days of `first_page.newest_forecast` as one sentence; "" if nothing did."""
    found = list(_differences(before, newest))
    return f"Since the forecast for {before['record'].forecast_date:%A}: {'; '.join(found)}." if found else ""


def _differences(before: Mapping[str, Any], newest: Mapping[str, Any]) -> Iterator[str]:
    earlier = before["record"]
    record = newest["record"]
    expected = amount(record.expected_alerts)
    if expected != amount(earlier.expected_alerts):
        yield f"{expected} alerts expected instead of {amount(earlier.expected_alerts)}"
    if record.served != earlier.served:
        yield f"served by {record.served.replace('_', ' ')} instead of {earlier.served.replace('_', ' ')}"
    if record.models_from != earlier.models_from:
        yield "new models"
    arrived = (record.last_known - earlier.last_known).days
    if arrived > 1:
        yield f"alerts of {number_of(arrived, 'day')} have come"
    posts = _posts(newest["table"])
    moved = (posts - _posts(before["table"])).total()
    if before["table"] is not None and moved:
        yield f"{moved} of {number_of(posts.total(), 'unit')} elsewhere"


def _posts(units: pa.Table | None) -> Counter[tuple[str, str]]:
    """Return the number of units by shift and cell."""
    rows = [] if units is None else units.select(["shift", "cell", "units"]).to_pylist()
    return Counter({(row["shift"], row["cell"]): row["units"] for row in rows})
