"""Forecasters: fitted on windows of days or hours, each forecasts any later period from the alerts before it.

A fitted model is stored as files: its numbers and arrays in one JSON file, beside it the files that LightGBM and Keras
write. All probabilities are kept in one range, for fitting and scoring.
"""

import getpass
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Generic, Self, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, Field, PlainSerializer, PlainValidator, TypeAdapter

from shotspotter_assets.models.history import History, HourlyHistory, TooFewEventsError
from shotspotter_assets.storage.arrays import Array, Booleans, Integers

MIN_PROBABILITY: Final = 1e-6  # bound of forecasts, from 0 and 1: a wrong certainty would cost an infinite log loss


MODEL_FILE: Final = "model.json"

Choices = dict[str, Any]  # JSON values that a fit has chosen, and its loss on the validation window
HORIZONS: Final = (1, 2, 4)  # forecast hours ahead; at most a day

HistoryT_contra = TypeVar("HistoryT_contra", contravariant=True)
PeriodsT_contra = TypeVar("PeriodsT_contra", contravariant=True)
FittedT_co = TypeVar("FittedT_co", covariant=True)


class OtherInputsError(ValueError):
    """A stored model was fitted on other inputs."""

    @classmethod
    def of(cls, model: str) -> "OtherInputsError":
        """Return the error for a model, which is the subject of the message."""
        return cls(f"{model} was fitted on other inputs than this version makes; fit it again.")


def clip_probability(probability: npt.NDArray[np.floating]) -> Array:
    """Return float64 within [MIN_PROBABILITY, 1 - MIN_PROBABILITY]. Raises ValueError if a value is not a number."""
    if missing := int(np.isnan(probability).sum()):
        raise ValueError(f"{missing} of {probability.size} forecast probabilities are not numbers.")
    return np.clip(probability.astype(np.float64), MIN_PROBABILITY, 1 - MIN_PROBABILITY)


def shrunk_frequency(observed: Booleans, pseudo_periods: float) -> Array:
    """Return the frequency of each cell, shrunk towards the mean as if that had been observed for some periods (a Beta prior)."""
    return (observed.sum(axis=0) + pseudo_periods * observed.mean()) / (len(observed) + pseudo_periods)


def log_losses(probability: npt.NDArray[np.floating], observed: Booleans) -> Array:
    """Return the log loss of each forecast in nats; shape of `probability`, which may be broadcast against `observed`."""
    p = clip_probability(probability)
    return -np.where(observed, np.log(p), np.log1p(-p))


Numbers = Annotated[npt.NDArray[Any], PlainValidator(np.asarray), PlainSerializer(np.ndarray.tolist, return_type=list)]
"""An array of a stored model, as nested lists."""
Unstored = Annotated[Any, PlainValidator(lambda value: value), Field(exclude=True)]
"""A field that is not in the JSON file, with a default: not stored, or stored in a separate file."""


class StoredModel:
    """A dataclass of JSON values, `Numbers` and `Unstored` fields that is stored as one JSON file."""

    def files(self) -> dict[str, bytes]:
        """Return the content by file name."""
        return {MODEL_FILE: TypeAdapter(type(self)).dump_json(self, indent=1)}

    @classmethod
    def load(cls, files: Mapping[str, bytes]) -> Self:
        """Return the model that `files` gave. Raises pydantic.ValidationError if its fields are not there."""
        return TypeAdapter(cls).validate_json(files[MODEL_FILE])


def files_of_members(members: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the files of fitted models by name, each preceded by the name of its model."""
    return {f"{name}.{file}": content for name, model in members.items() for file, content in model.files().items()}


def files_of_member(name: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files of one model of `files_of_members`, without its prefix."""
    start = f"{name}."
    return {file.removeprefix(start): content for file, content in files.items() if file.startswith(start)}


def require_both_labels(history: History, days: range, labels: Booleans) -> None:
    """Raise TooFewEventsError if the labels of `days` are all alike."""
    if not labels.any() or labels.all():
        raise TooFewEventsError(
            f"{history.city.name}.yaml: targets.{history.city.target}: {int(labels.sum())} of {labels.size} days of cells have "
            f"events, of {len(days)} days from {history.first_day}. Use a longer window, or cells of another size."
        )


class SharedRegression(BaseModel, frozen=True, extra="forbid"):
    """A regression of several cities."""

    slopes: dict[str, float]  # log odds by unit of each named input
    intercept: float  # log odds where all inputs are 0
    log_rate: float  # mean over the cities of the logarithm of the share of cell-days with alerts
    log_rate_sd: float  # its standard deviation


class SharedStart(SharedRegression):
    """The regression of all cities that a city's own models start at."""

    origin: str  # source and week, such as `all-cities|2023-01-01` or `package|2023-01-01`


@dataclass(frozen=True)
class FitContext:
    """Further inputs of a fit; each forecaster takes those it needs."""

    shared: SharedStart | None = None  # the regression of all cities; None without one from before the cutoff
    backups: Path | None = None  # local folder of the networks' backups, from which a killed training goes on
    after_epoch: Callable[[int, float], None] | None = None  # callback of networks with epoch, from 1 on, and loss
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # settings of this run, by forecaster
    earlier: "Mapping[str, FittedDaily]" = field(
        default_factory=dict
    )  # last trained models; networks start at their weights
    horizons: Sequence[int] = HORIZONS  # those among `HORIZONS` that forecasters of hours are fitted for


NO_CONTEXT: Final = FitContext()


def training_backups() -> Path:
    """Return this user's folder for backups of trainings, within the folder for temporary files."""
    folder = Path(tempfile.gettempdir()) / f"shotspotter_assets-{getpass.getuser()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


@dataclass(frozen=True)
class Fitted(StoredModel, ABC, Generic[HistoryT_contra, PeriodsT_contra]):
    """A fitted forecaster of the periods of a history: a dataclass of JSON values, `Numbers` and `Unstored` fields.

    `validation_probability` are forecasts of the validation window by the model fitted on the training window alone,
    float64, shape (validation periods, cells); None after loading, because it is not stored.
    """

    _: KW_ONLY
    chosen: Choices
    validation_probability: Unstored = None

    @abstractmethod
    def predict(self, history: HistoryT_contra, periods: PeriodsT_contra) -> Array:
        """Return the probability of at least one alert of the forecast types, float64, shape (periods, cells).

        `history` has the coverage of the fit. The periods are a range of days of a `History`, to `History.next_day`, or
        ascending hours of an `HourlyHistory`, from which a horizon is forecast. Alerts from a period on are not used.
        """

    def drivers(self, history: History, day: int) -> list[tuple[str, ...]] | None:
        """Return phrases for the inputs that lift each covered cell's odds most over the average cell's; None without."""
        return None


FittedDaily: TypeAlias = Fitted[History, range]
FittedHours: TypeAlias = Fitted[HourlyHistory, Integers]


@dataclass(frozen=True)
class FittedHourly:
    """Forecasters of one kind by horizon, in hours."""

    models: Mapping[int, Any]  # `FittedHours`; those of the served forecaster are stacks

    def predict(self, history: HourlyHistory, issues: Sequence[int] | Integers, horizon: int) -> Array:
        """Return the probability of an alert in the `horizon` hours from each of ascending `issues` on, shape (issues, cells)."""
        return self.models[horizon].predict(history, np.asarray(issues, np.int64))

    @property
    def chosen(self) -> Choices:
        """Choices by horizon."""
        return {f"{horizon}h": model.chosen for horizon, model in self.models.items()}

    def files(self) -> dict[str, bytes]:
        """Return the files; those of a horizon start with it."""
        return files_of_members({f"{horizon}h": model for horizon, model in self.models.items()})


class Forecaster(ABC, Generic[HistoryT_contra, FittedT_co]):
    """A way to forecast, under the name of its row in `forecaster_registry`, with settings that users may change."""

    fitted: ClassVar[type[Any]]  # class of the fitted forecaster

    def __init__(self, name: str, settings: Any) -> None:
        self.name = name
        self.settings = settings

    @abstractmethod
    def fit(
        self, history: HistoryT_contra, train: range, validation: range, context: FitContext = NO_CONTEXT
    ) -> FittedT_co:
        """Fit on `train`, choose and calibrate on `validation` after it; later days or hours of `history` are not used."""

    def load(self, files: Mapping[str, bytes]) -> FittedT_co:
        """Return the fitted forecaster that its `files` stored."""
        return self.fitted.load(files)


DailyForecaster: TypeAlias = Forecaster[History, FittedDaily]
