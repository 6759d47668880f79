"""Tables of 0.2.0 in today's shape: columns under other names; columns that 0.2.0 did not have are null."""

from collections.abc import Mapping
from typing import Final

import pyarrow as pa

from shotspotter_assets.serving.forecast_facts import MODEL_PREFIX
from shotspotter_assets.storage import catalogue
from shotspotter_assets.storage.catalogue import Asset
from shotspotter_assets.storage.store import parquet_bytes, parquet_table
from shotspotter_assets.storage.stored_file import StoredTable

OLD_PREFIX: Final = "baseline_"  # prefix of columns with the probability of a baseline
NEW_NAMES: Final = {catalogue.PLAN: {"day": "forecast_date"}}  # today's names of columns by old ones
FALSE: Final = ("is_unusual", "is_box_doubted")  # flags of days that 0.2.0 never raised
TABLES: Final[Mapping[tuple[Asset, str], StoredTable]] = {
    (table.asset, table.file): table
    for table in (
        catalogue.RAW_ROWS,
        catalogue.DAYS,
        catalogue.CLEANED,
        catalogue.REJECTED,
        catalogue.TENSORS,
        catalogue.FORECAST,
        catalogue.HOURLY,
        catalogue.TOP_LOCATIONS,
        catalogue.STREETS,
        catalogue.TOP_STREETS,
        catalogue.PLAN,
        catalogue.ISSUED_MINUTES,
    )
    if isinstance(table.asset, Asset)
}
"""Tables of 0.2.0 that are kept, by asset and name."""


def converted_table(file: StoredTable, content: bytes) -> bytes:
    """Return the content of a table with today's columns; one that has them stays as it is, because hashes of it are published.

    Raises ValueError for a table that neither 0.2.0 nor this version writes.
    """
    table = parquet_table(content)
    facts = table.schema.metadata
    names = NEW_NAMES.get(file, {})
    new_names = [_new_name(name, names) for name in table.column_names]
    is_renamed = new_names != table.column_names
    table = table.rename_columns(new_names)
    for name in file.own_columns.keys() - {*table.column_names}:
        table = table.append_column(file.schema.field(name), _absent(file.schema.field(name), len(table)))
    table = table.replace_schema_metadata(facts)  # renaming and appending columns lose them
    try:
        return content if file.checked(table) is table and not is_renamed else parquet_bytes(file, table)
    except pa.ArrowException as error:
        raise ValueError(str(error)) from error


def _new_name(name: str, names: Mapping[str, str]) -> str:
    if name.startswith(OLD_PREFIX):
        return MODEL_PREFIX + name.removeprefix(OLD_PREFIX)
    return names.get(name, name)


def _absent(field: pa.Field, rows: int) -> pa.Array:
    return pa.repeat(pa.scalar(False), rows) if field.name in FALSE else pa.nulls(rows, field.type)
