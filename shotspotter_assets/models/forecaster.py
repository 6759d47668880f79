"""Forecasters: fitted on windows of days or hours, each forecasts any later period from the alerts before it."""

import getpass
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final

from pydantic import BaseModel, ConfigDict

from shotspotter_assets.arrays import Array, Booleans
from shotspotter_assets.models.history import History, TooFewEventsError
from shotspotter_assets.models.model_files import StoredModel, Unstored

Choices = dict[str, Any]  # JSON values that a fit has chosen, and its loss on the validation window
HORIZONS: Final = (1, 2, 4)  # forecast hours ahead; at most a day


class OtherInputsError(ValueError):
    """A stored model was fitted on other inputs."""

    @classmethod
    def of(cls, model: str) -> "OtherInputsError":
        return cls(f"{model} was fitted on other inputs than this version makes; fit it again.")


def require_both_labels(history: History, days: range, labels: Booleans) -> None:
    """Raise TooFewEventsError if the labels of `days` are all alike."""
    if not labels.any() or labels.all():
        raise TooFewEventsError(
            f"{history.city.name}.yaml: targets.{history.city.target}: {int(labels.sum())} of {labels.size} days of cells have "
            f"events, of {len(days)} days from {history.first_day}. Use a longer window, or cells of another size."
        )


class SharedRegression(BaseModel):
    """A regression of several cities."""

    model_config = ConfigDict(frozen=True, extra="forbid")

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
    log: Callable[[str], None] = lambda _: None  # receives lines of progress
    after_epoch: Callable[[int, float], None] | None = None  # callback of networks with epoch, from 1 on, and loss
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # settings of this run, by forecaster
    earlier: Mapping[str, Any] = field(default_factory=dict)  # last trained models, at whose weights networks start
    horizons: Sequence[int] = HORIZONS  # those among `HORIZONS` that forecasters of hours are fitted for


NO_CONTEXT: Final = FitContext()


def training_backups() -> Path:
    """Return this user's folder for backups of trainings, within the folder for temporary files."""
    folder = Path(tempfile.gettempdir()) / f"shotspotter_assets-{getpass.getuser()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


@dataclass(frozen=True)
class Fitted(StoredModel, ABC):
    """A fitted forecaster: a dataclass of JSON values, `Numbers` and `Unstored` fields.

    `validation_probability` are forecasts of the validation window by the model fitted on the training window alone,
    float64, shape (validation periods, cells); None after loading, as it is not stored.
    """

    _: KW_ONLY
    chosen: Choices
    validation_probability: Unstored = None

    @abstractmethod
    def predict(self, history: Any, periods: Any) -> Array:
        """Return the probability of at least one alert of the forecast types, float64, shape (periods, cells).

        `history` has the coverage of the fit. The periods are a range of days of a `History`, to `History.next_day`, or
        ascending hours of an `HourlyHistory`, from which a horizon is forecast. Alerts from a period on are not used.
        """

    def drivers(self, history: History, day: int) -> list[tuple[str, ...]] | None:
        """Return phrases for the inputs that lift each covered cell's odds most over the average cell's; None without."""
        return None


class Forecaster(ABC):
    """A way to forecast, under the name of its row in `forecaster_registry`, with settings that users may change."""

    fitted: ClassVar[type[Fitted]]

    def __init__(self, name: str, settings: Any) -> None:
        self.name, self.settings = name, settings

    @abstractmethod
    def fit(self, history: Any, train: range, validation: range, context: FitContext = NO_CONTEXT) -> Any:
        """Fit on `train`, choose and calibrate on `validation` after it; later days or hours of `history` are not used."""

    def load(self, files: Mapping[str, bytes]) -> Any:
        """Return the fitted forecaster that `Fitted.files` stored."""
        return self.fitted.load(files)
