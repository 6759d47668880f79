"""What a next-day forecaster is: fitted on windows of days, it forecasts any later day from the days before it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from shotspotter_assets.models.history import History

if TYPE_CHECKING:
    from shotspotter_assets.models.next_day.regime_regression import Pretrained

Array = npt.NDArray[np.float64]


class NothingToLearnError(ValueError):
    """The days to fit on have no ordinary day, or their covered cells are never, or always, occupied."""


def require_both_labels(history: History, days: range, labels: npt.NDArray[np.bool_]) -> None:
    """Refuse labels of `days` that are all alike.

    Raises:
        NothingToLearnError: see there.
    """
    if not labels.any() or labels.all():
        raise NothingToLearnError(
            f"City {history.city.name}, days {days} from {history.first_day}: {int(history.in_coverage.sum())} covered cells, "
            f"{int(labels.sum())} of {labels.size} cell-days occupied. Use a longer training window or check the coverage."
        )


@dataclass(frozen=True)
class FitContext:
    """What a fit may use beside the history and its windows; each forecaster takes what it has a use for.

    Attributes:
        pretrained: another city's regression to start at.
        earlier: the same forecaster fitted on an earlier window, whose training goes on.
        checkpoint: folder from which a training that was stopped goes on; None for none.
        log: is told of the progress.
    """

    pretrained: "Pretrained | None" = None
    earlier: Any = None
    checkpoint: Path | None = None
    log: Callable[[str], None] = lambda _: None


NO_CONTEXT: Final = FitContext()


class Fitted(Protocol):
    """A fitted forecaster.

    Attributes:
        settings: what was chosen and how well it did on the validation window, as JSON values.
        validation_probability: forecasts of the validation window by the model fitted on the training window alone,
            float64, shape (validation days, cells); None after loading, as it is not kept.
    """

    @property
    def settings(self) -> dict[str, Any]: ...

    @property
    def validation_probability(self) -> Array | None: ...

    def predict(self, history: History, days: range) -> Array:
        """Probability of at least one alert of the forecast types, float64, shape (days, cells).

        Args:
            history: its coverage must be that of the fit.
            days: indexes of its day axis, the day after the last counted one at most. Of each day's own counts, and of
                those after it, nothing is used.
        """
        ...

    def files(self) -> dict[str, bytes]:
        """Content by file name, from which the forecaster's `load` makes the same forecasts."""
        ...


@runtime_checkable
class HasDrivers(Protocol):
    """A fitted forecaster that gives reasons for its forecasts."""

    def drivers(self, history: History, day: int) -> list[tuple[str, ...]]:
        """For each covered cell, the phrases that tell what lifts its odds on a day most over the average cell's."""
        ...


@runtime_checkable
class HasSpread(Protocol):
    """A fitted forecaster that starts at another forecast, so that the distance to it widens its intervals."""

    def spread(self, history: History, day: int) -> tuple[Array, Array]:
        """How far the other forecast of a day lies below (at most 0) and above (at least 0), in log odds, each (cells,)."""
        ...


class Forecaster(Protocol):
    """A way to forecast; its constructor takes its settings (see `registry`)."""

    name: ClassVar[str]

    def fit(self, history: History, train: range, validation: range, context: FitContext = NO_CONTEXT) -> Fitted:
        """Fit on `train`, choose and calibrate on `validation`, which follows it.

        Args:
            history: at least to the end of `validation`; later days are not looked at.
            train: indexes of the day axis.
            validation: see `train`.
            context: see there.

        Raises:
            NothingToLearnError: see there.
        """
        ...

    def load(self, files: Mapping[str, bytes]) -> Fitted:
        """What `files` of a fitted one gave."""
        ...
