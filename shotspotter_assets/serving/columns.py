"""Columns of forecasts: what the catalog shows before anything is imported."""

from typing import Final

from shotspotter_assets.storage.table_columns import Column

RISK_COLUMNS: Final = {
    "horizon": Column("string", 'What is forecast: "day", or hours such as "4h".'),
    "starts_utc": Column("timestamp[us, tz=UTC]", "When the forecast period begins."),
    "hours": Column("int16", "Hours of the period."),
    "row": Column("int16", "Row of the cell; 0 is the southernmost."),
    "column": Column("int16", "Column of the cell; 0 is the westernmost."),
    "probability": Column("double", "Of at least one alert in the cell."),
    "expected": Column("double", "Expected number of alerts in the cell."),
    "low": Column("double", "Lower end of the 80% interval of the probability."),
    "high": Column("double", "Upper end of the 80% interval of the probability."),
    "count_low": Column("int32", "10% quantile of the number of alerts."),
    "count_high": Column("int32", "90% quantile of the number of alerts."),
    "type_0": Column("double", "Probability that an alert is a single gunshot; empty without types."),
    "type_1": Column("double", "Probability that an alert is multiple gunshots; empty without types."),
    "type_2": Column("double", "Probability that an alert is a gunshot or firecracker; empty without types."),
}
"""Tables have further columns: the probability by the candidate and by each baseline."""

MINUTES_COLUMNS: Final = {
    "horizon": Column("string", 'What is forecast: minutes such as "15m".'),
    "starts_utc": Column("timestamp[us, tz=UTC]", "When the forecast was made, and its period begins."),
    "minutes": Column("int16", "Minutes of the period."),
    "row": Column("int16", "Row of the cell; 0 is the southernmost."),
    "column": Column("int16", "Column of the cell; 0 is the westernmost."),
    "probability": Column("double", "Of at least one new incident in the cell."),
    "expected": Column("double", "Expected number of new incidents in the cell."),
    "even": Column("double", "The probability by the hour's forecast alone, spread evenly over its hour."),
}
"""An incident is new if its first alert comes after the forecast was made."""
