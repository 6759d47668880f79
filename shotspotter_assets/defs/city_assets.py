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
from shotspotter_assets.storage.stored_file import Asset

_MODULES: Final = [
    *(raw_alerts, cleaned_alerts, grid_tensors),
    *(tuned_settings, fold_models, evaluation_reports, walk_forward_reports),
    *(live_models, risk_forecasts, street_risk, patrol_plans, forecast_scores, nowcasts, city_pages),
]


def city_assets(city: City) -> dg.Definitions:
    """Build the assets and checks of one city, keyed `[city.name, asset]`."""
    return dg.Definitions.merge(*(module.definitions(city) for module in _MODULES))


def automated_keys(definitions: dg.Definitions) -> list[dg.AssetKey]:
    """Return the keys of a city's assets whose runs its sensor requests."""
    assets = (one for one in definitions.assets or () if isinstance(one, dg.AssetsDefinition))
    keys = (key for one in assets for key in one.keys)
    return [key for key in keys if key.path[-1] not in (Asset.TUNED_SETTINGS, Asset.NOWCASTS)]
