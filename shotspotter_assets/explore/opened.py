"""The stored cities that are looked at, each read once."""

from datetime import date

from shotspotter_assets.cities.city import City
from shotspotter_assets.explore.figures import Ground
from shotspotter_assets.explore.stored import Alerts, stored_alerts, stored_days
from shotspotter_assets.storage.store import Store


class OpenedCities:
    """What is read of the cities of a store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._alerts: dict[str, Alerts] = {}
        self._grounds: dict[str, Ground] = {}
        self._days: dict[str, tuple[date, date]] = {}

    def days(self, city: City) -> tuple[date, date]:
        """First and last stored day."""
        if city.name not in self._days:
            self._days[city.name] = stored_days(self.store, city)
        return self._days[city.name]

    def alerts(self, city: City) -> Alerts:
        """All counted alerts."""
        if city.name not in self._alerts:
            self._alerts[city.name] = stored_alerts(self.store, city)
        return self._alerts[city.name]

    def ground(self, city: City) -> Ground:
        """What is drawn under the maps."""
        if city.name not in self._grounds:
            self._grounds[city.name] = Ground.of(city)
        return self._grounds[city.name]
