"""The models that are in force on a day: when they are retrained, how they are fitted, and the record that names them."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from shotspotter_assets.calendar.firework_days import is_holiday_fireworks
from shotspotter_assets.cities.city import FIRST_EVENT_CODE, City
from shotspotter_assets.models.forecaster import Array, Fitted
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.features import next_day_inputs
from shotspotter_assets.models.records import TrainedModel

if TYPE_CHECKING:
    from shotspotter_assets.models.next_day.regime_regression import Pretrained

CANDIDATE: Final = "residual_boosting"
BASELINES: Final = ("historical_mean", "ewma", "ew_kde")
"""What the candidate has to beat, and what is served where it does not: the best baselines that can be stored."""
NEXT_DAY: Final = (CANDIDATE, *BASELINES)
COUNTS: Final = "alert_counts"
NEXT_HOURS: Final = "next_hours"
TYPES: Final = "gunshot_types"

MIN_DAYS: Final = 120
"""Of all history, below which nothing is trained: the inputs' rates need weeks, and so do training and validation."""
WEEK: Final = timedelta(days=7)

Cadence = Literal["daily", "weekly", "on_drift"]


class LiveHistoryTooShortError(ValueError):
    """A city has too few days to train on."""


class LiveRecord(BaseModel):
    """Which models are in force after a day, where their files are, and why; stored as `record.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    city: str
    day: date
    served: str
    """Name of the next-day forecaster that forecasts are made with."""
    reasons: tuple[str, ...]
    """In words: why that one, and why (not) retrained."""
    trained: bool
    """Whether models were trained on this day; those of an earlier day may still be the ones in force."""
    last_trained: date
    """The last day, this one included, on which models were trained."""
    models_from: date
    """The day whose partition has the files of `models`; they know the days to that one only."""
    models_version: str
    """Part of the files' names, so that training a day anew leaves alone what later days point to."""
    models: dict[str, TrainedModel]
    inputs: tuple[str, ...] = ()
    """Names of the inputs that the candidate of `models` was fitted on; () is of a version that did not say."""
    hours_from: date
    """As `models_from`, of `hours`, which change slowly and are fitted at most weekly."""
    hours_version: str
    hours: dict[str, TrainedModel]
    without: dict[str, str]
    """Models that the city cannot have, by name, with the reason."""
    train_first: date
    train_last: date
    validation_first: date
    validation_last: date
    covered: list[tuple[int, int]]
    """(row, column) of the cells that are forecast."""
    level: tuple[float, float]
    """See `level_interval`."""
    data_sha256: str
    config: dict[str, Any]
    versions: dict[str, str]
    gate: dict[str, Any]
    """The verdict on the candidate on the validation window."""
    against_issued: dict[str, Any]
    """How what was trained compares with the forecasts that were issued in the validation window."""

    @property
    def data_version(self) -> str:
        """The same whenever the same files serve."""
        said = (self.served, self.models_version, self.hours_version)
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]


def version_of(files: Mapping[str, Mapping[str, bytes]]) -> str:
    """A short hash of the files of models (eight hexadecimal digits)."""
    digest = hashlib.sha256()
    for model in sorted(files):
        for name in sorted(files[model]):
            digest.update(f"{model}.{name}".encode())
            digest.update(files[model][name])
    return digest.hexdigest()[:8]


def input_names(city: City) -> tuple[str, ...]:
    """Names of the next-day inputs that this version makes for a city: they follow from its file, not from its alerts."""
    counts = np.zeros((1, FIRST_EVENT_CODE + len(city.event_types), 1, 1), dtype=np.uint16)
    late = None if city.time_precision == "day" else np.zeros((1, 1, 1))
    return next_day_inputs(History(city, city.start, counts, np.ones((1, 1), dtype=bool), late), [1]).names


def is_due(cadence: Cadence, day: date, last_trained: date, drift: bool) -> str | None:
    """Why models are trained on the day, in words; None where they are not."""
    if cadence == "daily":
        return "retrained, as every day"
    if cadence == "weekly":
        return f"retrained, a week after {last_trained}" if day - last_trained >= WEEK else None
    return "retrained, as the latest score says drift" if drift else None


def live_windows(city: City, days: int, validation_days: int) -> tuple[range, range]:
    """(training, validation) as indexes of all days; validation are the last ones, at most a third of all.

    Raises:
        LiveHistoryTooShortError: there are fewer than `MIN_DAYS`.
    """
    if days < MIN_DAYS:
        first = city.start + timedelta(days=MIN_DAYS - 1)
        raise LiveHistoryTooShortError(
            f"City {city.name}: {days} days of history, and live models need {MIN_DAYS}. Train from {first} on, or "
            "give the city an earlier start if its source has earlier days."
        )
    cut = days - min(validation_days, days // 3)
    return range(cut), range(cut, days)


@dataclass(frozen=True)
class FittedDay:
    """What `fit_next_day` gives: the forecasters by name, and the seconds that each took."""

    models: dict[str, Fitted]
    seconds: dict[str, float]


def fit_next_day(history: History, train: range, validation: range, start: "Pretrained | None" = None) -> FittedDay:
    """The candidate and `BASELINES` on the same windows; the candidate starts at another city's regression, if given."""
    from shotspotter_assets.models.registry import forecaster

    models, seconds = {}, {}
    for name in NEXT_DAY:
        began = perf_counter()
        models[name] = forecaster(name).fit(history, train, validation, start if name == CANDIDATE else None)
        seconds[name] = perf_counter() - began
    return FittedDay(models, seconds)


def validation_of(fitted: Fitted) -> Array:
    """Its forecasts of the validation window by the model fitted on the training window alone.

    Raises:
        ValueError: it was loaded from files, which do not keep them.
    """
    if fitted.validation_probability is None:
        raise ValueError("A forecaster that was loaded has no forecasts of its validation window; fit it again.")
    return fitted.validation_probability


def level_interval(
    probability: Array, observed: npt.NDArray[np.bool_], days: npt.NDArray[np.datetime64]
) -> tuple[float, float]:
    """The 10% and 90% quantiles, over whole weeks without firework days, of log(observed / predicted occupied cells).

    How far a week's level was off; it holds chance beside the model's own error, so that it is rather too wide.

    Args:
        probability: forecasts that were made without these days, shape (days, cells).
        observed: same shape.
        days: shape (days,).
    """
    ordinary = ~is_holiday_fireworks(days)
    whole = np.flatnonzero(ordinary)
    whole = whole[len(whole) % 7 :]
    if not len(whole):
        return (0.0, 0.0)
    seen, foreseen = (of[whole].sum(axis=1).reshape(-1, 7).sum(axis=1) for of in (observed, probability))
    # Of few weeks, numpy's usual quantiles hold too little of the next ones: 69% of them where 13 are given.
    low, high = np.quantile(np.log((seen + 0.5) / (foreseen + 0.5)), [0.1, 0.9], method="weibull")
    return min(float(low), 0.0), max(float(high), 0.0)
