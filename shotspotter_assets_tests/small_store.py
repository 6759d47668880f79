"""A store with one row in each table of two cities and two dates."""

from datetime import UTC, date, datetime
from typing import Any, Final

import pyarrow as pa

from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_file import StoredTable
from shotspotter_assets.storage.views import TABLES

CITIES: Final = ("simulated_city", "washington_dc_2018")
DATES: Final = (date(2025, 6, 29), date(2025, 6, 30))
_INSTANT: Final = datetime(2025, 6, 29, 5, tzinfo=UTC)


def _value(kind: pa.DataType) -> Any:
    if pa.types.is_date(kind):
        return DATES[0]
    if pa.types.is_timestamp(kind):
        return _INSTANT
    if pa.types.is_boolean(kind):
        return True
    if pa.types.is_list(kind):
        return []
    return "day" if pa.types.is_string(kind) else 1


def row_of(table: StoredTable, others: tuple[str, ...] = ("another",)) -> pa.Table:
    """One row of a table with values in all columns, and in further ones if it may have these."""
    fields = [table.schema.field(name) for name in table.own_columns]
    values = {field.name: pa.array([_value(field.type)], field.type) for field in fields}
    if table.others is not None:
        kind = pa.type_for_alias(table.others.kind)
        values |= {name: pa.array([0.5], kind) for name in others}
    return pa.table(values)


def fill(store: Store, tables: tuple[StoredTable, ...] = TABLES) -> Store:
    """Write a row of each table for each city and date, and return the store."""
    for table in tables:
        for city in CITIES:
            for day in DATES if table.date_name else (None,):
                store.write_table(table, row_of(table), city, day)
    return store
