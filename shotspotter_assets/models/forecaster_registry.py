"""Registry of the forecasters: a row each, whose file is imported only when it is built, because NumPy loads slowly."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, Field, ValidationError, field_validator

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.strict_model import CityFileError
from shotspotter_assets.models.forecaster_settings import DailyNetworkSettings, ForecasterSettings, NetworkSettings

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

    from shotspotter_assets.models.forecaster import DailyForecaster, FittedHourly, Forecaster
    from shotspotter_assets.models.history import HourlyHistory

MODELS: Final = "shotspotter_assets.models"


class ResidualBoostingSettings(ForecasterSettings):
    """Settings of the trees of `residual_boosting`."""

    @classmethod
    def search_space(cls) -> "dict[str, BaseDistribution]":
        from optuna.distributions import FloatDistribution, IntDistribution

        return {
            "leaves": IntDistribution(3, 63, log=True),
            "learning_rate": FloatDistribution(0.02, 0.3, log=True),
            "max_trees": IntDistribution(60, 240, step=60),
            "min_leaf_rows": IntDistribution(50, 5_000, log=True),
            "l2": FloatDistribution(1.0, 1_000.0, log=True),
            "path_smooth": FloatDistribution(1.0, 3_000.0, log=True),
            "input_share": FloatDistribution(0.05, 1.0),
            "row_share": FloatDistribution(0.3, 1.0),
        }

    max_trees: int = Field(120, ge=10, le=1_000, multiple_of=10, description="Maximum; validation chooses the number.")
    leaves: int = Field(7, ge=2, le=256, description="Leaves of a tree.")
    learning_rate: float = Field(0.1, gt=0.0, le=1.0, description="Factor of each tree's answer.")
    min_leaf_rows: int = Field(500, ge=1, description="Minimum of cell-days in a leaf.")
    l2: float = Field(100.0, ge=0.0, description="L2 penalty of the leaves.")
    path_smooth: float = Field(300.0, ge=0.0, description="Shrinkage of small leaves towards the node above.")
    input_share: float = Field(0.2, gt=0.0, le=1.0, description="Share of the inputs that a tree uses.")
    row_share: float = Field(0.7, gt=0.0, le=1.0, description="Share of the cell-days that a tree uses.")


class StackSettings(ForecasterSettings):
    """Settings of `stack`."""

    members: list[str] = Field(
        ["residual_boosting", "network", "gradient_boosting", "ew_kde"], min_length=1, description="Member names."
    )

    @field_validator("members")
    @classmethod
    def _can_be_members(cls, names: list[str]) -> list[str]:
        allowed = [name for name, entry in FORECASTERS.items() if not (entry.is_hourly or entry.combines)]
        if bad := [name for name in names if name not in allowed or names.count(name) > 1]:
            raise ValueError(f"{', '.join(bad)} cannot be members; each of {', '.join(allowed)} can, once")
        return names


@dataclass(frozen=True)
class Entry:
    """One row of the registry."""

    import_path: str  # `module:class` within `models`; the class takes the name and the settings
    title: str  # name for readers of pages, as part of a sentence
    settings: type[ForecasterSettings] = ForecasterSettings  # settings of the launchpad and a city's file
    is_searched: bool = False  # True if `tuned_settings` searches the `search_space` of the settings
    is_baseline: bool = False  # one to beat
    combines: bool = False  # simple members: it serves unless the gate shows it to be worse than the best baseline
    is_hourly: bool = False  # one of the next hours, for each of `FitContext.horizons`; else of the next day


FORECASTERS: Final[Mapping[str, Entry]] = {
    "never": Entry("next_day.simple_baselines:Never", "never an alert", is_baseline=True),
    "city_mean": Entry("next_day.simple_baselines:CityMean", "the city's mean", is_baseline=True),
    "persistence": Entry("next_day.simple_baselines:Persistence", "the last known day again", is_baseline=True),
    "ew_kde": Entry("next_day.simple_baselines:RecencyWeightedMap", "the recency-weighted map", is_baseline=True),
    "historical_mean": Entry(
        "next_day.simple_baselines:HistoricalMean", "the long-run mean of each cell", is_baseline=True
    ),
    "ewma": Entry("next_day.simple_baselines:ExponentialMean", "the recent mean of each cell", is_baseline=True),
    "logistic_regression": Entry(
        "next_day.lag_baselines:LogisticRegressionForecaster", "the regression on recent counts", is_baseline=True
    ),
    "gradient_boosting": Entry(
        "next_day.lag_baselines:GradientBoostingForecaster", "the decision trees on recent counts", is_baseline=True
    ),
    "new_city": Entry("next_day.new_city:NewCityForecaster", "the forecast from other cities"),
    "regime_regression": Entry(
        "next_day.regime_regression:RegimeRegressionForecaster", "the regression on rates and calendar"
    ),
    "residual_boosting": Entry(
        "next_day.residual_boosting:ResidualBoostingForecaster",
        "the decision trees on top of a regression",
        ResidualBoostingSettings,
        is_searched=True,
    ),
    "network": Entry(
        "next_day.network_forecaster:NetworkForecaster", "the neural network", DailyNetworkSettings, is_searched=True
    ),
    "conv_lstm": Entry(
        "next_day.network_forecaster:NetworkForecaster",
        "the recurrent neural network",
        NetworkSettings,
        is_searched=True,
    ),
    "stack": Entry("stack:StackForecaster", "the combined forecast", StackSettings, combines=True),
    "hourly_stack": Entry("stack:HourlyStackForecaster", "the combined forecast of hours", is_hourly=True),
    "next_hours": Entry("next_hours.next_hours:NextHours", "the regression on recent hours", is_hourly=True),
    "climatology": Entry(
        "next_hours.hourly_forecaster:Climatology", "the usual rate of the hour", is_hourly=True, is_baseline=True
    ),
    "self_exciting": Entry(
        "next_hours.self_exciting:SelfExciting",
        "the model of alerts that follow alerts",
        is_hourly=True,
        is_baseline=True,
    ),
}
"""Rows by name, which is also the column of the forecasts in reports."""

NEXT_DAY: Final = tuple(name for name, entry in FORECASTERS.items() if not entry.is_hourly)
NEXT_HOURS: Final = tuple(name for name, entry in FORECASTERS.items() if entry.is_hourly)
BASELINES: Final = tuple(name for name in NEXT_DAY if FORECASTERS[name].is_baseline)
SEARCHED: Final = tuple(name for name, entry in FORECASTERS.items() if entry.is_searched)
HISTORICAL_MEAN: Final = "historical_mean"  # the reference of all skill scores
FALLBACKS: Final = (HISTORICAL_MEAN, "ewma", "ew_kde")  # baselines beside the candidate; the best serves if it fails
INTERIM: Final = ("ew_kde", HISTORICAL_MEAN, "ewma")  # fitted in seconds; the best serves until models are trained
CLIMATOLOGY: Final = "climatology"  # the reference of all skill scores of hours
NEW_CITY: Final = "new_city"  # serves a city with few days
DEFAULT_CANDIDATE: Final = "stack"  # serves a city whose file has no `serves`
NETWORK: Final = "network"  # the network of the daily path: a member of the stack, and forecast beside it


def find(name: str) -> Entry:
    """Return the row of a name. Raises ValueError if there is none."""
    if name not in FORECASTERS:
        raise ValueError(f"There is no forecaster {name!r}; there are: {', '.join(FORECASTERS)}.")
    return FORECASTERS[name]


def require_next_day(names: Collection[str]) -> None:
    """Raise ValueError if one of the names is not that of a next-day forecaster."""
    if bad := [name for name in names if name not in NEXT_DAY]:
        raise ValueError(f"There is no next-day forecaster {', '.join(bad)}; there are: {', '.join(NEXT_DAY)}.")


def networks_among(names: Collection[str]) -> list[str]:
    """Return the names of networks, in their order."""
    return [name for name in names if name in FORECASTERS and issubclass(FORECASTERS[name].settings, NetworkSettings)]


def forecaster(name: str, settings: BaseModel | None = None) -> "DailyForecaster":
    """Return the next-day forecaster of a name with its default settings, or given ones."""
    return _built(name, settings)


def hourly_forecaster(name: str) -> "Forecaster[HourlyHistory, FittedHourly]":
    """Return the forecaster of hours of a name."""
    return _built(name, None)


def _built(name: str, settings: BaseModel | None) -> Any:
    entry = find(name)
    module, _, kind = entry.import_path.partition(":")
    return getattr(import_module(f"{MODELS}.{module}"), kind)(name, settings or entry.settings())


def live_forecasters(city: City) -> tuple[str, ...]:
    """Return the names of the forecasters that the live chain fits: the candidate, its fallbacks and the network."""
    candidate = candidate_of(city)
    network = (NETWORK,) if city.network and NETWORK not in members_of(city, candidate) else ()
    return tuple(dict.fromkeys((candidate, *fallbacks(candidate), *network)))


def members_of(city: City, name: str) -> list[str]:
    """Return the names of the members that a forecaster combines for a city; none if it is no combination."""
    settings = city_settings(city, name)
    members = settings.members if isinstance(settings, StackSettings) else []
    return [member for member in members if city.network or member != NETWORK]


def fallbacks(candidate: str) -> tuple[str, ...]:
    """Return the baselines that the live chain fits beside a candidate."""
    return tuple(name for name in FALLBACKS if name != candidate)


def candidate_of(city: City) -> str:
    """Return the name of the forecaster that serves the city if it passes the gate. Raises CityFileError for unknown names."""
    name = city.serves or DEFAULT_CANDIDATE
    allowed = [candidate for candidate in NEXT_DAY if candidate != "never"]
    if name not in allowed:
        raise CityFileError(f"{city.name}.yaml: serves: {name!r} cannot serve (allowed: {', '.join(allowed)})")
    return name


def city_settings(city: City, name: str, changes: Mapping[str, Any] | None = None) -> ForecasterSettings:
    """Return a forecaster's settings: defaults, the city's file, `changes`; raise CityFileError for an unusable one."""
    settings = find(name).settings
    try:
        return settings.model_validate({**city.forecasters.get(name, {}), **dict(changes or {})})
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        is_unknown = any(each["type"] == "extra_forbidden" for each in error.errors())
        hint = f" (allowed: {', '.join(settings.model_fields) or 'nothing'})" if is_unknown else ""
        raise CityFileError(f"{city.name}.yaml: forecasters.{name}: {problems}{hint}") from None


def check_forecasters(city: City) -> None:
    """Raise CityFileError for a forecaster, a setting of one, or a value of `serves` that does not exist."""
    for key in city.forecasters:
        if key not in NEXT_DAY:
            raise CityFileError(f"{city.name}.yaml: forecasters: there is no {key!r} (allowed: {', '.join(NEXT_DAY)})")
        city_settings(city, key)
    candidate = candidate_of(city)
    served = ("never", *live_forecasters(city), *(() if city.network else (NETWORK,)))
    allowed = [name for name in NEXT_DAY if name not in served]
    if city.shadow is not None and city.shadow not in allowed:
        cannot = f"{city.shadow!r} cannot run in the shadow (allowed: {', '.join(allowed)}; others are forecast anyway)"
        raise CityFileError(f"{city.name}.yaml: shadow: {cannot}")
    members = members_of(city, candidate)
    if not city.network and (candidate == NETWORK or (FORECASTERS[candidate].combines and not members)):
        raise CityFileError(
            f"{city.name}.yaml: network: false leaves {candidate} without a model; name another, or remove it"
        )
