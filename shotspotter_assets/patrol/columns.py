"""Columns of patrol plans, listed without heavy imports."""

from typing import Final

from shotspotter_assets.storage.table_columns import Column

DISPATCH_COLUMNS: Final = {
    "day": Column("date32[day]", "Local day on which the shift begins."),
    "shift": Column("string", "Name of the shift."),
    "starts_at": Column("string", "Local time with its UTC offset (ISO 8601)."),
    "ends_at": Column("string", "Local time with its UTC offset (ISO 8601)."),
    "rank": Column("int32", "Place within the shift; 1 adds most."),
    "cell": Column("string", "Name of the cell."),
    "area": Column("string", "Area of the cell: of the coverage file, else a quadrant of the grid."),
    "units": Column("int32", "Units sent there."),
    "expected_alerts": Column("double", "Expected alerts in the cell itself, during the shift."),
    "covered_alerts": Column(
        "double", "Expected alerts that the units add to those ranked before them, cells around included."
    ),
    "probability": Column("double", "Of at least one alert in the cell itself, during the shift."),
    "longitude": Column("double", "Of the middle; degrees, WGS84."),
    "latitude": Column("double", "Of the middle; degrees, WGS84."),
    "reasons": Column("list<string>", "What lifts the risk there most."),
    "streets": Column(
        "list<string>", "Its streets with the highest risk in the shift, where the city's file has some."
    ),
    "post_longitude": Column(
        "double", "Of the middle of the first of these streets, where a unit can wait; degrees, WGS84."
    ),
    "post_latitude": Column("double", "Of the same; degrees, WGS84."),
    "row": Column("int16", "Row of the cell; 0 is the southernmost."),
    "column": Column("int16", "Column of the cell; 0 is the westernmost."),
    "west": Column("double", "Edge; degrees, WGS84."),
    "south": Column("double", "Edge; degrees, WGS84."),
    "east": Column("double", "Edge; degrees, WGS84."),
    "north": Column("double", "Edge; degrees, WGS84."),
}
