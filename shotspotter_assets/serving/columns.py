"""Columns of forecasts, listed without heavy imports."""

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
"""An incident is new if its first alert comes after the forecast."""

STREET_COLUMNS: Final = {
    "shift": Column("string", "Name of the shift; empty for the whole day."),
    "segment": Column("int32", "Number of the segment; the same while the city's file of streets is the same."),
    "name": Column("string", "Its block, or its street and the crossings that it lies between."),
    "street": Column("string", "The street that it belongs to."),
    "probability": Column("double", "Of at least one alert on the segment."),
    "low": Column("double", "Lower end of the 80% interval of the probability."),
    "high": Column("double", "Upper end of the 80% interval of the probability."),
    "expected": Column("double", "Expected number of alerts on the segment."),
    "longitude": Column("double", "Of its middle; degrees, WGS84."),
    "latitude": Column("double", "Of its middle; degrees, WGS84."),
    "metres": Column("double", "Its length."),
    "row": Column("int16", "Row of the cell with most of its expected alerts; 0 is the southernmost."),
    "column": Column("int16", "Column of that cell; 0 is the westernmost."),
}
