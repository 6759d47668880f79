"""Columns of the stored tables: what the catalog shows before anything is imported."""

from typing import Final

from shotspotter_assets.storage.table_columns import Column

FORECASTS_COLUMNS: Final = {
    "date": Column("date32[day]", "Local day that is forecast."),
    "row": Column("int16", "Row of the cell; 0 is the southernmost."),
    "column": Column("int16", "Column of the cell; 0 is the westernmost."),
    "observed": Column("int8", "1 where the cell had an alert that day."),
    "<model>": Column("double", "Probability of at least one alert by each model of the fold and each baseline."),
}
SCORES_COLUMNS: Final = {
    "facet": Column("string", "How the cell-days are grouped, such as all, fold or horizon."),
    "group": Column("string", "Group of the facet, such as the fold's cutoff."),
    "model": Column("string", 'Model that is scored; "" for numbers of the group itself.'),
    "score": Column("string", "Name of the score, see score_definitions of the report."),
    "value": Column("double", "Value; null where the score is not defined."),
    "low": Column("double", "Lower end of the 90% interval, of gains."),
    "high": Column("double", "Upper end."),
}
