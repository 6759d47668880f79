"""The entries of days in the table of days, from rows that a run has just read."""

from collections.abc import Sequence
from datetime import date, datetime

import pyarrow as pa

from shotspotter_assets.alerts.cleaning.held_back import held_back_days
from shotspotter_assets.alerts.days.day_decisions import snapshot_decisions
from shotspotter_assets.alerts.days.day_table import Day, DayRows, DayTable
from shotspotter_assets.alerts.sources.schema import rows_by_origin
from shotspotter_assets.alerts.sources.snapshot import Snapshot
from shotspotter_assets.cities.stored_settings import settings_hash
from shotspotter_assets.storage.catalogue import Asset


def stored_states(
    snapshot: Snapshot, table: DayTable, rows: pa.Table, days: Sequence[date], last: date
) -> dict[date, Day]:
    """Return the entries of `days` in the table of days; their rows (`RAW_SCHEMA`) have just been read.

    `table` has the days stored so far. A state may depend on other days, up to `last`.
    """
    city = snapshot.city
    is_box_doubted = snapshot.is_box_doubted if snapshot.landed else None
    held_back, rejected = held_back_days(city, rows, is_box_doubted=is_box_doubted)
    origins = rows_by_origin(rows, snapshot.addresses)
    received = _received(rows) | _received(snapshot.of_first_source(rows))
    read = {
        day: DayRows(
            rows=sum(number for _, number in origins.get(day, {}).values()),
            received=received.get(day),
            held_back=held_back.get(day, ""),
            origins=origins.get(day, {}),
            rejected=rejected.get(day, 0),
        )
        for day in days
    }
    decisions = snapshot_decisions(snapshot, table, last, read)
    settings = settings_hash(city, Asset.GRID_TENSORS)
    return {
        day: Day(
            decisions[day].state,
            decisions[day].why,
            rows=read[day].rows,
            rejected=read[day].rejected,
            settings=settings,
            max_share_rejected=city.max_share_rejected,
            is_box_doubted=snapshot.is_box_doubted,
            received=read[day].received,
            sources={origin: version for origin, (version, _) in origins.get(day, {}).items()},
            is_unusual=decisions[day].is_unusual,
        )
        for day in days
    }


def _received(rows: pa.Table) -> dict[date, datetime]:
    """Return the time at which the first row of each day was received."""
    by_day = rows.group_by("date").aggregate([("received_at", "min")]).to_pylist()
    return {day["date"]: day["received_at_min"] for day in by_day}
