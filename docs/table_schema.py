"""The catalogue as a Data Package with Table Schemas: `python -m docs.table_schema` writes `docs/datapackage.json`.

See https://datapackage.org/standard/table-schema/. Keys in the names of folders are fields as well, as programs that read
the folders give them.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

from shotspotter_assets.storage.store_format import FORMAT_VERSION
from shotspotter_assets.storage.stored_file import Column, StoredTable
from shotspotter_assets.storage.views import TABLES, view_name

PACKAGE: Final = Path(__file__).with_name("datapackage.json")
PROFILE: Final = "https://datapackage.org/profiles/2.0/datapackage.json"
TYPES: Final = {
    "bool": "boolean",
    "date32[day]": "date",
    "double": "number",
    "float": "number",
    "int8": "integer",
    "int16": "integer",
    "int32": "integer",
    "int64": "integer",
    "list<name, version>": "array",
    "list<string>": "array",
    "string": "string",
    "timestamp[us, tz=UTC]": "datetime",
    "uint64": "integer",
}
"""Types of Table Schema by the catalogue's."""
KEYS: Final = {
    "city": Column("string", "Name of the city, from the folder."),
    "target": Column("string", "Name of the target, from the folder."),
    "date": Column("date32[day]", "Local day, issue date or first day of the period, from the folder."),
    "fold": Column("date32[day]", "Cutoff of the fold, from the folder."),
}


def data_package() -> dict[str, Any]:
    """Return the package, with one resource for each table, named after its view."""
    return {
        "$schema": PROFILE,
        "name": "shotspotter_assets",
        "title": "Tables of the store of shotspotter_assets",
        "description": f"Store format {FORMAT_VERSION}. Paths begin at the root of the store; * stands for any name.",
        "resources": [resource(table) for table in TABLES],
    }


def resource(table: StoredTable) -> dict[str, Any]:
    """Return a table with its fields."""
    columns = {name: KEYS[name] for name in table.key_types} | table.own_columns
    fields = [
        {
            "name": name,
            "type": TYPES[column.kind],
            "description": column.meaning,
            "constraints": {"required": column.required},
        }
        for name, column in columns.items()
    ]
    further = {} if table.others is None else {"description": f"Further columns: {table.others.meaning}"}
    return {
        "name": view_name(table),
        "path": table.pattern,
        "title": table.meaning,
        **further,
        "format": "parquet",
        "mediatype": "application/vnd.apache.parquet",
        "schema": {"fields": fields, "fieldsMatch": "equal" if table.others is None else "subset"},
    }


def text() -> str:
    """Return the package as JSON."""
    return json.dumps(data_package(), indent=1, ensure_ascii=False) + "\n"


def paths() -> str:
    """Return the view and the path of each table as a Markdown table."""
    rows = [f"| `{view_name(table)}` | `{table.pattern}` |" for table in TABLES]
    return "\n".join(["| view | files below the store |", "| --- | --- |", *rows])


if __name__ == "__main__":
    if "--paths" in sys.argv:
        print(paths())
    else:
        PACKAGE.write_text(text())
        print(PACKAGE)
