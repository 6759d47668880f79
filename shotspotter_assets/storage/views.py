"""Views of the stored tables in SQL for DuckDB, over all cities, targets and dates."""

from typing import Final
from urllib.parse import urlsplit

from shotspotter_assets.storage.catalogue import FILES, Asset
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_file import StoredTable

TABLES: Final = tuple(file for file in FILES if isinstance(file, StoredTable) and isinstance(file.asset, Asset))
"""Tables of assets, in the order of the catalogue."""
SQL_TYPES: Final = {
    "bool": "BOOLEAN",
    "date32[day]": "DATE",
    "double": "DOUBLE",
    "float": "FLOAT",
    "int8": "TINYINT",
    "int16": "SMALLINT",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "list<name, version>": 'STRUCT("name" VARCHAR, "version" VARCHAR)[]',
    "list<string>": "VARCHAR[]",
    "string": "VARCHAR",
    "timestamp[us, tz=UTC]": "TIMESTAMP WITH TIME ZONE",
    "uint64": "UBIGINT",
}
"""DuckDB's types by the catalogue's."""


def view_name(table: StoredTable) -> str:
    """Return the name of a table's view, such as `grid_tensors_grid`."""
    return f"{table.asset}_{table.file.removesuffix('.parquet').strip('_')}"


def table_views(store: Store, s3_endpoint: str = "") -> str:
    """Return statements that make one view for each table; tables without files have empty views.

    Args:
        store: Store whose files the views read.
        s3_endpoint: Address of the S3 service, such as http://localhost:8333; empty for AWS.
    """
    views = [_view(table, store) for table in TABLES]
    return "\n\n".join([*([_s3_access(s3_endpoint)] if store.root.startswith("s3://") else []), *views])


def _view(table: StoredTable, store: Store) -> str:
    head = f"-- {table.meaning}\nCREATE OR REPLACE VIEW {view_name(table)} AS"
    keys = table.key_types
    if not store.has_any(table):
        types = keys | {name: SQL_TYPES[column.kind] for name, column in table.own_columns.items()}
        nulls = ", ".join(f'NULL::{kind} AS "{name}"' for name, kind in types.items())
        return f"{head}  -- no files yet\nSELECT {nulls} WHERE false;"
    address = store.pattern(table).replace("'", "''")
    first = ", ".join(keys)
    types_of_keys = ", ".join(f"'{name}': {kind}" for name, kind in keys.items())
    options = f"hive_partitioning = true, hive_types = {{{types_of_keys}}}"
    if table.others is not None:  # files differ in these columns
        options += ", union_by_name = true"
    return f"{head}\nSELECT {first}, * EXCLUDE ({first})\nFROM read_parquet('{address}', {options});"


def _s3_access(endpoint: str) -> str:
    """Return statements with which DuckDB reads S3, by the usual AWS variables and files."""
    service = urlsplit(endpoint)
    options = ["TYPE s3", "PROVIDER credential_chain"]
    if endpoint:
        is_tls = str(service.scheme == "https").lower()
        options += [f"ENDPOINT '{service.netloc}'", "URL_STYLE 'path'", f"USE_SSL {is_tls}"]
    access = f"CREATE OR REPLACE SECRET shotspotter ({', '.join(options)});"
    return f"INSTALL httpfs;\nLOAD httpfs;\nINSTALL aws;\nLOAD aws;\n{access}"
