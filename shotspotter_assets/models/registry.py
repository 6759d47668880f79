"""Registry of the next-day forecasters, one row each, for the gate, the reports, the launchpad and the live chain.

A new forecaster is a file in `models/next_day` and a row here. Nothing heavy is imported before a model is built.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pydantic import BaseModel, ValidationError

from shotspotter_assets.cities.city import City
from shotspotter_assets.city_files import CityFileError, CityFiles
from shotspotter_assets.models.networks.config import NetworkConfig, StartedNetworkConfig
from shotspotter_assets.models.next_day.settings import ForecasterSettings, ResidualBoostingSettings, StackSettings

if TYPE_CHECKING:
    from shotspotter_assets.models.forecaster import Forecaster

NEXT_DAY: Final = "shotspotter_assets.models.next_day"


@dataclass(frozen=True)
class Entry:
    """One row of the registry of next-day forecasters; its class takes its settings, if it has any.

    The gate is an alarm for a forecaster that combines members: it need not be better than the best baseline, which is
    a member, and is replaced where the interval of its gain lies below zero.
    """

    place: str  # `module:class` within `models.next_day`
    settings: type[ForecasterSettings] = ForecasterSettings  # of the launchpad and a city's file
    is_baseline: bool = False  # one to beat
    combines: bool = False

    def build(self, settings: BaseModel | None = None) -> "Forecaster":
        """Return the forecaster with its default settings, or given ones."""
        module, name = self.place.split(":")
        forecaster: Callable[..., Forecaster] = getattr(import_module(f"{NEXT_DAY}.{module}"), name)
        return forecaster(settings or self.settings()) if self.settings.model_fields else forecaster()


FORECASTERS: Final[Mapping[str, Entry]] = {
    "never": Entry("simple_baselines:Never", is_baseline=True),
    "city_mean": Entry("simple_baselines:CityMean", is_baseline=True),
    "persistence": Entry("simple_baselines:Persistence", is_baseline=True),
    "ew_kde": Entry("simple_baselines:RecencyWeightedMap", is_baseline=True),
    "historical_mean": Entry("simple_baselines:HistoricalMean", is_baseline=True),
    "ewma": Entry("simple_baselines:ExponentialMean", is_baseline=True),
    "logistic_regression": Entry("lag_baselines:LogisticRegressionForecaster", is_baseline=True),
    "gradient_boosting": Entry("lag_baselines:GradientBoostingForecaster", is_baseline=True),
    "new_city": Entry("new_city:NewCityForecaster"),
    "regime_regression": Entry("regime_regression:RegimeRegressionForecaster"),
    "residual_boosting": Entry("residual_boosting:ResidualBoostingForecaster", ResidualBoostingSettings),
    "residual_conv_lstm": Entry("conv_lstm:NetworkForecaster", StartedNetworkConfig),
    "conv_lstm": Entry("conv_lstm:NetworkForecaster", NetworkConfig),
    "stack": Entry("stack:StackForecaster", StackSettings, combines=True),
}
"""By name, which is also the column of its forecasts in reports."""

BASELINES: Final = tuple(name for name, entry in FORECASTERS.items() if entry.is_baseline)
TUNABLE: Final = tuple(name for name, entry in FORECASTERS.items() if "search_space" in vars(entry.settings))
"""Forecasters whose settings can be searched."""
FALLBACKS: Final = ("historical_mean", "ewma", "ew_kde")
"""Fitted by the live chain beside the candidate; the best of them serves where the candidate does not pass the gate."""
DEFAULT_CANDIDATE: Final = "stack"
"""Serves a city whose file has no `serves`."""


class Candidate(NamedTuple):
    """The forecaster that a city's file wants to serve, if it passes the gate."""

    name: str
    settings: BaseModel


def find(name: str) -> Entry:
    """Return the row of a name. Raises ValueError if there is none."""
    if name not in FORECASTERS:
        raise ValueError(f"There is no forecaster {name!r}; there are: {', '.join(FORECASTERS)}.")
    return FORECASTERS[name]


def forecaster(name: str, settings: BaseModel | None = None) -> "Forecaster":
    """Return the forecaster of a name with its default settings, or given ones."""
    return find(name).build(settings)


def fallbacks(candidate: str) -> tuple[str, ...]:
    """Return the baselines that the live chain fits beside a candidate."""
    return tuple(name for name in FALLBACKS if name != candidate)


def candidate_of(city: City) -> Candidate:
    """Return the forecaster that serves the city if it passes the gate.

    Raises CityFileError as `city_settings` does, and if the file names an unknown forecaster.
    """
    name = city.serves or DEFAULT_CANDIDATE
    if name not in FORECASTERS:
        raise CityFileError(f"{city.name}.yaml: serves: there is no {name!r} (allowed: {', '.join(FORECASTERS)})")
    return Candidate(name, city_settings(city, name))


def city_settings(city: City, name: str, changes: Mapping[str, Any] | None = None) -> ForecasterSettings:
    """Return the settings of a forecaster: its defaults, changed by the city's file, changed by `changes`.

    Raises CityFileError if the file has a key or value that the forecaster does not take.
    """
    settings = find(name).settings
    try:
        from_file = settings.model_validate(city.forecasters.get(name, {}))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        allowed = ", ".join(settings.model_fields) or "nothing"
        raise CityFileError(f"{city.name}.yaml: forecasters.{name}: {problems} (allowed: {allowed})") from None
    return settings.model_validate(from_file.model_dump(exclude_unset=True) | dict(changes or {}))


def check_forecasters(cities: CityFiles) -> CityFiles:
    """Return the cities without those whose files name unknown forecasters or settings.

    Raises CityFileError if no city is left; the message names file, key and what is allowed.
    """
    problems = {}
    for name, city in cities.items():
        if unknown := [key for key in city.forecasters if key not in FORECASTERS]:
            problems[name] = f"{name}.yaml: forecasters: there is no {unknown[0]!r} (allowed: {', '.join(FORECASTERS)})"
            continue
        try:
            for key in city.forecasters:
                city_settings(city, key)
            candidate_of(city)
        except CityFileError as error:
            problems[name] = str(error)
    return cities.without(problems)
