"""Arrow schemas from column names and types that are listed without Arrow."""

from collections.abc import Collection, Mapping
from typing import Final

import pyarrow as pa

from shotspotter_assets.storage.table_columns import Column

TYPES: Final = {
    str(kind): kind
    for kind in (
        pa.bool_(), pa.date32(), pa.float64(), pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.string(),
        pa.timestamp("us", "UTC"), pa.uint32(), pa.uint64(),
    )
} | {"list<string>": pa.list_(pa.string())}  # fmt: skip


def arrow_schema(columns: Mapping[str, Column], *, required: Collection[str]) -> pa.Schema:
    """Return the schema of columns by name; `required` ones have no nulls."""
    types = {name: TYPES[column.kind] for name, column in columns.items()}
    return pa.schema([pa.field(name, kind, nullable=name not in required) for name, kind in types.items()])
