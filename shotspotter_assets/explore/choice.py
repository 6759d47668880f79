"""What all views are of: a city, a target and a horizon."""

from collections.abc import Callable

import ipywidgets as ipw

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.registry import Cities
from shotspotter_assets.explore.stored import NEXT_DAY
from shotspotter_assets.explore.targets import Target, targets_of, with_target
from shotspotter_assets.explore.widgets import WIDE, View, set_options
from shotspotter_assets.models.next_hours.forecaster import HORIZONS
from shotspotter_assets.pages.words import title_of


class Choice(View):
    """Three lists to choose from."""

    def __init__(self, cities: Cities, names: list[str]) -> None:
        self._cities = cities
        self._listeners: list[Callable[[], None]] = []
        self.city_list = ipw.Dropdown(
            options=[(title_of(name), name) for name in names], description="City", style=WIDE
        )
        self.target_list = ipw.Dropdown(description="Target", style=WIDE)
        self.horizon_list = ipw.Dropdown(description="Horizon", style=WIDE)
        super().__init__([self.city_list, self.target_list, self.horizon_list])
        self._offer()
        self.hear(self.city_list, self._changed_city)
        self.hear(self.target_list, self._tell)
        self.hear(self.horizon_list, self._tell)

    @property
    def target(self) -> Target:
        """What is forecast."""
        target: Target = self.target_list.value
        return target

    @property
    def horizon(self) -> int:
        """In hours, or `NEXT_DAY`."""
        horizon: int = self.horizon_list.value
        return horizon

    @property
    def city_of_file(self) -> City:
        """The city as its file describes it."""
        return self._cities[self.city_list.value]

    @property
    def city(self) -> City:
        """The city, of which the target is forecast."""
        return with_target(self.city_of_file, self.target)

    @property
    def is_target_of_file(self) -> bool:
        """Whether the city's file forecasts the target, so that there may be stored forecasts of it."""
        return self.target.codes == self.city_of_file.forecast_codes

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call it when something else was chosen."""
        self._listeners.append(listener)

    def _changed_city(self) -> None:
        with self.quietly():
            self._offer()
        self._tell()

    def _offer(self) -> None:
        city = self.city_of_file
        hours = [] if city.time_precision == "day" else [(f"next {hours} h", hours) for hours in HORIZONS]
        set_options(self.target_list, [(target.name, target) for target in targets_of(city)])
        set_options(self.horizon_list, [("next day", NEXT_DAY), *hours])

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()
