"""The whole notebook: choices, alerts, forecasts and training, on one store."""

import os
from collections.abc import Mapping

from shotspotter_assets.cities.registry import Cities
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.explore.alerts_view import AlertsView
from shotspotter_assets.explore.choice import Choice
from shotspotter_assets.explore.forecast_view import ForecastView
from shotspotter_assets.explore.opened import OpenedCities
from shotspotter_assets.explore.stored import stored_cities
from shotspotter_assets.explore.training_view import TrainingView
from shotspotter_assets.settings import CHECKOUT, Settings
from shotspotter_assets.storage.store import Store


class Explorer:
    """Four views, each to be shown by a cell of its own.

    Raises:
        NothingStoredError: no day of any city is stored.
    """

    def __init__(self, store: Store, cities: Cities) -> None:
        opened = OpenedCities(store)
        self.choice = Choice(cities, stored_cities(store, cities))
        self.alerts = AlertsView(self.choice, opened)
        self.forecasts = ForecastView(self.choice, opened)
        self.training = TrainingView(self.choice, opened, self.forecasts)

    @classmethod
    def open(cls, environ: Mapping[str, str] = os.environ) -> "Explorer":
        """On the store and cities that environment variables name; relative paths start at the checkout, as for `make`."""
        paths = {
            name: str(CHECKOUT / environ[name])
            for name in ("SHOTSPOTTER_STORE", "SHOTSPOTTER_CITIES")
            if environ.get(name) and "://" not in environ[name]
        }
        settings = Settings.from_environment({**environ, **paths})
        return cls(StoreResource(root=settings.store_root).open(), settings.cities)
