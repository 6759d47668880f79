"""All assets and checks of one city."""

from typing import Final

import dagster as dg

from shotspotter_assets.cities.city import City
from shotspotter_assets.defs.alerts import cleaned_alerts, grid_tensors, raw_alerts
from shotspotter_assets.defs.daily import (
    city_pages,
    forecast_scores,
    live_models,
    nowcasts,
    patrol_plans,
    risk_forecasts,
    street_risk,
)
from shotspotter_assets.defs.walk_forward import evaluation_reports, fold_models, tuned_settings, walk_forward_reports
from shotspotter_assets.partitions import asset_key

_MODULES: Final = (
    raw_alerts,
    cleaned_alerts,
    grid_tensors,
    tuned_settings,
    fold_models,
    evaluation_reports,
    walk_forward_reports,
    live_models,
    risk_forecasts,
    street_risk,
    patrol_plans,
    forecast_scores,
    nowcasts,
    city_pages,
)

ALERT_ASSETS: Final = ("raw_alerts", "cleaned_alerts", "grid_tensors")
FOLD_ASSETS: Final = ("fold_models", "evaluation_reports", "walk_forward_reports")


def city_assets(city: City) -> dg.Definitions:
    """Build the assets and checks of one city, keyed `[city.name, asset]`."""
    return dg.Definitions.merge(*(module.definitions(city) for module in _MODULES))


def daily_chain(city: City) -> list[dg.AssetKey]:
    """The assets that one run builds for the newest day."""
    names = [
        *ALERT_ASSETS,
        "live_models",
        "risk_forecasts",
        "street_risk",
        "patrol_plans",
        "forecast_scores",
        *(["street_scores"] if city.streets is not None else []),
        *(["nowcast_scores"] if city.nowcasts is not None else []),
        "city_pages",
    ]
    return [asset_key(city, name) for name in names]
