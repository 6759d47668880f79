"""Differences between the newest forecast and the one of the day before, in words."""

from collections import Counter
from collections.abc import Iterator

import pyarrow as pa

from shotspotter_assets.pages.shown import ShownDay
from shotspotter_assets.pages.words import amount, model
from shotspotter_assets.storage.wording import number_of


def changes(before: ShownDay, newest: ShownDay, event: str) -> str:
    """Return the changes between two forecasts as one sentence; "" if there are none. `event` is a word for what they count."""
    differences = "; ".join(_differences(before, newest, event))
    return f"Since the forecast for {before.record.forecast_date:%A}: {differences}." if differences else ""


def _differences(before: ShownDay, newest: ShownDay, event: str) -> Iterator[str]:
    """Yield the differences in events, forecaster and units."""
    earlier = before.record
    record = newest.record
    expected = amount(record.expected_alerts)
    if expected != amount(earlier.expected_alerts):
        yield f"{expected} {event}s expected instead of {amount(earlier.expected_alerts)}"
    if record.served != earlier.served:
        yield f"made by {model(record.served)} instead of {model(earlier.served)}"
    posts = _posts(newest.table)
    moved = (posts - _posts(before.table)).total()
    if before.table is not None and moved:
        yield f"{moved} of {number_of(posts.total(), 'unit')} elsewhere"


def _posts(units: pa.Table | None) -> Counter[tuple[str, str]]:
    """Return the number of units by shift and cell."""
    rows = [] if units is None else units.select(["shift", "cell", "units"]).to_pylist()
    return Counter({(row["shift"], row["cell"]): row["units"] for row in rows})
