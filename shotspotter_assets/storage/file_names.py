"""Names of the stored files. Files of a model are named `<model>.<file>`."""

from typing import Final

ALL_CITIES: Final = "all-cities"
"""Stands for the city's name in files of all cities; no city can have this name."""
RECORD_FILE: Final = "record.json"
"""Stated facts of a partition: inputs, outcome and reasons."""

# raw_alerts, cleaned_alerts, grid_tensors
ALERTS_FILE: Final = "alerts.parquet"
REJECTED_FILE: Final = "rejected.parquet"
GRID_FILE: Final = "grid.parquet"

# evaluation_reports, walk_forward_reports
REPORT_FILE: Final = "report.json"
SCORES_FILE: Final = "scores.parquet"
FOLD_FORECASTS_FILE: Final = "forecasts.parquet"
FOLD_HOURS_FILE: Final = "hourly_forecasts.parquet"
FOLD_TYPES_FILE: Final = "type_forecasts.parquet"
CARD_FILE: Final = "model_card.md"

# risk_forecasts, nowcasts
FORECAST_FILE: Final = "forecast.parquet"
MINUTES_FILE: Final = "minutes.parquet"
RECENT_FILE: Final = "recent_incidents.parquet"
"""Incidents of two days that the latest nowcast used."""
ISSUED_FILE: Final = "issued_minutes.parquet"
"""Next minutes as forecast by all nowcasts of a day."""
HOURLY_FILE: Final = "hourly.parquet"
TOP_FILE: Final = "top_locations.parquet"
MAP_FILE: Final = "risk.geojson"

# street_risk
STREETS_FILE: Final = "street_risk.parquet"
TOP_STREETS_FILE: Final = "top_streets.parquet"
STREETS_MAP_FILE: Final = "top_streets.geojson"

# patrol_plans
PLAN_FILE: Final = "plan.parquet"
DISPATCH_CSV_FILE: Final = "dispatch.csv"
DISPATCH_GEOJSON_FILE: Final = "dispatch.geojson"
AUDIT_FILE: Final = "audit.json"

# city_pages
INDEX_FILE: Final = "index.html"
"""First page of a city, and of all cities."""
PAGES_RECORD_FILE: Final = "pages.json"
"""Hashes of the inputs of a city's pages, so that only changed pages are rebuilt."""
QUALITY: Final = "quality"
"""Folder of the checks' findings by city."""
CITY_STATE_FILE: Final = "city_state.json"


def picture_file(name: str) -> str:
    """Return the name of a report's plot."""
    return f"{name}.png"
