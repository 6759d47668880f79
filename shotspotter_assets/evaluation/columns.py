"""Columns of a fold's forecasts table: what the catalog shows before anything is imported."""

from typing import Final

from shotspotter_assets.storage.table_columns import Column

FORECASTS_COLUMNS: Final = {
    "date": Column("date32[day]", "Local day that is forecast."),
    "row": Column("int16", "Row of the cell; 0 is the southernmost."),
    "column": Column("int16", "Column of the cell; 0 is the westernmost."),
    "observed": Column("int8", "1 where the cell had an alert that day."),
    "<model>": Column("double", "Probability of at least one alert by each model of the fold and each baseline."),
}
