"""How live models are fitted: the windows, the candidate and its baselines, and the models of hours and types."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from time import perf_counter
from typing import Final

import numpy as np
import numpy.typing as npt

from shotspotter_assets.calendar.local_time import day_start
from shotspotter_assets.cities.city import City
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.models.forecaster import Array, ChosenSettings, FitContext, Fitted, HasMembers, validation_of
from shotspotter_assets.models.gunshot_types import GunshotTypes
from shotspotter_assets.models.history import History
from shotspotter_assets.models.hourly_history import HourlyHistoryError
from shotspotter_assets.models.next_day.features import blank_history, names_of_inputs
from shotspotter_assets.models.next_day.lag_features import lag_features
from shotspotter_assets.models.next_hours.stack import FittedHourlyStack, HourlyStack
from shotspotter_assets.models.next_minutes.forecast import fit_on_hours
from shotspotter_assets.models.next_minutes.incidents import Incidents
from shotspotter_assets.models.next_minutes.stack import FittedMinutesStack
from shotspotter_assets.models.records import TrainedModel, files_sha256
from shotspotter_assets.models.registry import candidate_of, city_settings, fallbacks, forecaster
from shotspotter_assets.serving.record import NEXT_HOURS, NEXT_MINUTES, TYPES
from shotspotter_assets.storage.fingerprints import sha256

ModelFiles = Mapping[str, Mapping[str, bytes]]
"""Content by model and file."""

MIN_HISTORY_DAYS: Final = 120
"""Below which nothing is trained: the inputs' rates need weeks, and so do training and validation."""


class LiveHistoryTooShortError(ValueError):
    """A city has too few days to train on."""


@dataclass(frozen=True)
class Windows:
    """Days to train and to validate on, as indexes of the days from `first_day` on; validation are the last ones."""

    first_day: date
    train: range
    validation: range

    @property
    def validation_first(self) -> date:
        return self.first_day + timedelta(days=self.validation.start)


def live_windows(city: City, day: date, validation_days: int) -> Windows:
    """The windows of the days to `day`, of which at most a third are for validation.

    Raises:
        LiveHistoryTooShortError: there are fewer than `MIN_HISTORY_DAYS`.
    """
    days = (day - city.start).days + 1
    if days < MIN_HISTORY_DAYS:
        first = city.start + timedelta(days=MIN_HISTORY_DAYS - 1)
        raise LiveHistoryTooShortError(
            f"City {city.name}: {days} days of history, and live models need {MIN_HISTORY_DAYS}. Train from {first} on, or "
            "give the city an earlier start if its source has earlier days."
        )
    cutoff = days - min(validation_days, days // 3)
    return Windows(city.start, range(cutoff), range(cutoff, days))


@dataclass(frozen=True)
class FittedModels:
    """Fitted forecasters by name, the candidate first, and the seconds that each took.

    Those without seconds are members of the candidate: its files hold theirs.
    """

    models: dict[str, Fitted]
    seconds: dict[str, float]

    @property
    def to_store(self) -> dict[str, Fitted]:
        """The forecasters that have files of their own."""
        return {name: model for name, model in self.models.items() if name in self.seconds}

    def validation(self, name: str) -> Array:
        """Forecasts of the validation window by the model fitted on the training window alone, shape (days, cells)."""
        return validation_of(self.models[name])


def fit_next_day(history: History, windows: Windows, context: FitContext) -> FittedModels:
    """The city's candidate and its fallbacks on the same windows."""
    candidate = candidate_of(history.city).name
    models: dict[str, Fitted] = {}
    seconds: dict[str, float] = {}
    for name in (candidate, *fallbacks(candidate)):
        if name in models:
            continue
        started = perf_counter()
        settings = city_settings(history.city, name, context.changes.get(name))
        fitted = forecaster(name, settings).fit(history, windows.train, windows.validation, context)
        seconds[name] = perf_counter() - started
        models |= {name: fitted} | (dict(fitted.members) if isinstance(fitted, HasMembers) else {})
    return FittedModels(models, seconds)


@dataclass(frozen=True)
class HourModels:
    """The models of hours and types in force: newly fitted ones, with `files`, or those of an earlier day."""

    fitted_on: date
    version: str
    models: dict[str, TrainedModel]
    files: ModelFiles
    without: dict[str, str]
    """Models that the city cannot have, by name, with the reason."""


def fit_hours(
    stored: CityHistory,
    in_coverage: npt.NDArray[np.bool_],
    windows: Windows,
    incidents: Incidents,
    log: Callable[[str], None],
) -> HourModels:
    """The models of hours, minutes and types as far as the city's alerts allow."""
    city, day = stored.city, stored.issue_date
    if city.time_precision == "day":
        words = "The source publishes days, not hours."
        return HourModels(day, "none", {}, {}, dict.fromkeys((NEXT_HOURS, TYPES, NEXT_MINUTES), words))
    history = stored.hourly(in_coverage)
    first, middle, last = (
        history.hour_at(day_start(windows.first_day + timedelta(days=at), city.zone))
        for at in (windows.train.start, windows.validation.start, windows.validation.stop)
    )
    train, validation = range(first, middle), range(middle, last)
    files: dict[str, dict[str, bytes]] = {}
    models: dict[str, TrainedModel] = {}
    without: dict[str, str] = {}
    hourly: list[FittedHourlyStack] = []

    def fit_stack() -> FittedHourlyStack:
        hourly.append(HourlyStack().fit(history, train, validation))
        return hourly[0]

    def fit_minutes() -> FittedMinutesStack:
        if not hourly:
            raise HourlyHistoryError(without[NEXT_HOURS])
        return fit_on_hours(incidents, history, hourly[0], validation)

    fits: dict[str, Callable[[], FittedHourlyStack | FittedMinutesStack | GunshotTypes]] = {
        NEXT_HOURS: fit_stack,
        NEXT_MINUTES: fit_minutes,
        TYPES: lambda: GunshotTypes.fit(history, train, validation),
    }
    for name, fit in fits.items():
        started = perf_counter()
        try:
            fitted = fit()
        except HourlyHistoryError as error:
            without[name] = str(error)
            continue
        files[name] = fitted.files()
        settings = {} if isinstance(fitted, GunshotTypes) else fitted.settings
        models[name] = trained_model(settings, files[name], perf_counter() - started)
        log(f"{city.name}|{day}: {name} fitted in {models[name].seconds_to_train:.1f} s")
    return HourModels(day, version_of(files), models, files, without)


def trained_model(settings: ChosenSettings, files: Mapping[str, bytes], seconds: float) -> TrainedModel:
    """What a record keeps of a model."""
    return TrainedModel(settings=settings, files=files_sha256(files), seconds_to_train=seconds)


def version_of(files: ModelFiles) -> str:
    """A short hash of the files of models (eight hexadecimal digits)."""
    named = [(f"{model}.{name}", files[model][name]) for model in sorted(files) for name in sorted(files[model])]
    return sha256(*(part for pair in named for part in pair))[:8]


def input_names(city: City) -> tuple[str, ...]:
    """Names of the inputs of the next day that this version makes for a city: they follow from its file, not from its alerts."""
    return (*names_of_inputs(city), *lag_features(blank_history(city), range(1, 2)).names)
