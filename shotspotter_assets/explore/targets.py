"""What a forecast can be of: all gunshot alerts, one of their types, or another event of the city."""

from dataclasses import dataclass
from typing import Final

from shotspotter_assets.cities.city import FIRST_EVENT_CODE, UNKNOWN_TYPE_CODE, City

ALL_ALERTS: Final = "all gunshot alerts"


@dataclass(frozen=True)
class Target:
    """What is forecast: alerts with any of some type codes."""

    name: str
    codes: tuple[int, ...]


class CityOfTarget(City):
    """A city of which something else is forecast than its file says."""

    target_codes: tuple[int, ...]

    @property
    def forecast_codes(self) -> tuple[int, ...]:
        """Those of the target."""
        return self.target_codes


def targets_of(city: City) -> list[Target]:
    """The targets of a city: first what its file forecasts, then all gunshot alerts and every single type."""
    all_alerts = tuple(range(FIRST_EVENT_CODE))
    own = Target(" or ".join(city.forecast) or ALL_ALERTS, city.forecast_codes)
    types = [Target(name, (code,)) for code, name in city.type_names.items() if code != UNKNOWN_TYPE_CODE]
    others = [target for target in (Target(ALL_ALERTS, all_alerts), *types) if target.codes != own.codes]
    return [own, *others]


def with_target(city: City, target: Target) -> City:
    """The city, of which the target is forecast; it is handled as one whose file says so."""
    if target.codes == city.forecast_codes:
        return city
    values = {name: getattr(city, name) for name in City.model_fields}
    return CityOfTarget(**values, target_codes=target.codes)
