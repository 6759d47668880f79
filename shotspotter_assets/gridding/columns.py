"""Columns of a day's sparse tensor: what the catalog shows before anything is imported."""

from typing import Final

from shotspotter_assets.storage.table_columns import Column

GRID_COLUMNS: Final = {
    "hour": Column("int8", "Hours since local midnight, from 0."),
    "gunshot_type": Column(
        "int8", "0 single gunshot, 1 multiple gunshots, 2 gunshot or firecracker, 3 not known, then other events."
    ),
    "row": Column("int16", "Row of the cell; 0 is the southernmost."),
    "column": Column("int16", "Column of the cell; 0 is the westernmost."),
    "count": Column("int32", "Alerts in the cell in that hour, or incidents that began; never 0."),
}
