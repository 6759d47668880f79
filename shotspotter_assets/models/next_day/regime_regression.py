"""L2 logistic regression on the next-day inputs, with firework days as a regime of their own; every model starts here."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from shotspotter_assets.calendar.firework_days import is_holiday_fireworks
from shotspotter_assets.models.forecaster import WARM_UP_DAYS, Array, through
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.features import Inputs, next_day_inputs, ordinary_days
from shotspotter_assets.models.next_day.firework_days import firework_probability
from shotspotter_assets.models.next_day.shrunk_regression import INVERSE_PENALTY, is_beyond_chance, pulled_regression
from shotspotter_assets.models.probability import clip_probability, log_losses

INVERSE_PENALTIES: Final = (1e-3, 1e-2)
FILE: Final = "regime_regression.json"
OF_SOME_CITIES: Final = ("late_", "log_nearby_")
"""What the names of inputs start with that only cities with hours, or with other events, have."""
INPUT_FILE_ERROR: Final = "was fitted on other inputs than this version makes; fit it again."


class NothingToLearnError(ValueError):
    """The days to fit on have no ordinary day, or their cells are never, or always, occupied."""


class OtherInputsError(ValueError):
    """A stored model is of an earlier version, or was fitted on inputs of other names."""


def days_to_fit(history: History, days: range) -> npt.NDArray[np.int64]:
    """The ordinary days of `days` after the warm-up (of half of them, where they are few).

    Raises:
        NothingToLearnError: see there.
    """
    first = min(max(days.start, WARM_UP_DAYS), (days.start + days.stop) // 2)
    ordinary = ordinary_days(history)
    chosen = np.array([day for day in range(first, days.stop) if ordinary[day]], dtype=np.int64)
    labels = history.observed[chosen]
    if not labels.any() or labels.all():
        raise NothingToLearnError(
            f"City {history.city.name}, days {days} from {history.first_day}: {int(labels.sum())} of {labels.size} "
            "cell-days are occupied. Use a longer training window or check the coverage."
        )
    return chosen


def with_firework_days(history: History, days: range, ordinary: Array, linear: "FittedRegimeRegression") -> Array:
    """`ordinary` probabilities (days, cells), those of firework days replaced by their own regime's."""
    axis = history.days(more=1)
    fireworks = np.flatnonzero(is_holiday_fireworks(axis))
    wanted = [day for day in fireworks if day in days]
    if not wanted:
        return ordinary
    probability = ordinary.copy()
    fireworks = fireworks[(fireworks >= WARM_UP_DAYS) & (fireworks <= wanted[-1])]
    logits = dict(zip(fireworks, linear.logit(next_day_inputs(history, fireworks)), strict=True))
    observed = history.observed
    for day in wanted:
        if day not in logits:
            continue
        past = fireworks[fireworks < day]
        past_logits = np.array([logits[at] for at in past]).reshape(len(past), observed.shape[1])
        probability[day - days.start] = firework_probability(
            axis[day], logits[day], axis[past], past_logits, observed[past], history.covered
        )
    return probability


@dataclass(frozen=True)
class FittedRegimeRegression:
    """See `Fitted`. `weights`, `mean` and `scale` have one number per input of `names`."""

    names: tuple[str, ...]
    weights: Array
    intercept: float
    mean: Array
    scale: Array
    settings: dict[str, Any]
    validation_probability: Array | None = None

    def logit(self, inputs: Inputs) -> Array:
        """Log odds of an ordinary day, shape (days, cells).

        Raises:
            OtherInputsError: it was fitted on other inputs.
        """
        if inputs.names != self.names:
            raise OtherInputsError(f"A stored regression {INPUT_FILE_ERROR}")
        slope = self.weights / self.scale
        return inputs.values @ slope + (self.intercept - self.mean @ slope)

    def predict(self, history: History, days: range) -> Array:
        """See `Fitted.predict`."""
        ordinary = expit(self.logit(next_day_inputs(history, days)))
        return clip_probability(with_firework_days(history, days, ordinary, self))

    def files(self) -> dict[str, bytes]:
        """See `Fitted.files`."""
        content = {
            "names": self.names,
            "weights": self.weights.tolist(),
            "intercept": self.intercept,
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
            "settings": self.settings,
        }
        return {FILE: json.dumps(content, indent=1).encode()}


@dataclass(frozen=True)
class Pretrained:
    """Another city's regression to start at, and its `origin` (`city|cutoff`)."""

    origin: str
    regression: FittedRegimeRegression


class RegimeRegressionForecaster:
    """Tuned by log loss on the validation window, then fitted on training and validation days together.

    `start` is a `Pretrained`: it is taken unless the validation window speaks against it beyond chance.
    """

    name: ClassVar[str] = "regime_regression"

    def fit(self, history: History, train: range, validation: range, start: Any = None) -> FittedRegimeRegression:
        """See `Forecaster.fit`."""
        history = through(history, validation.stop)
        inputs = next_day_inputs(history, range(validation.stop))
        return fit_on_inputs(history, inputs, train, validation, start)[1]

    def load(self, files: Mapping[str, bytes]) -> FittedRegimeRegression:
        """See `Forecaster.load`."""
        content = json.loads(files[FILE])
        arrays = {name: np.array(content[name]) for name in ("weights", "mean", "scale")}
        return FittedRegimeRegression(
            names=tuple(content["names"]), intercept=content["intercept"], settings=content["settings"], **arrays
        )


def fit_on_inputs(
    history: History, inputs: Inputs, train: range, validation: range, start: Pretrained | None = None
) -> tuple[FittedRegimeRegression, FittedRegimeRegression]:
    """(fitted on training days, fitted on training and validation days), both with the penalty of the validation window.

    Args:
        history: up to the end of `validation`.
        inputs: of all its days.
        train: indexes of the day axis.
        validation: see `train`.
        start: another city's regression, for a thin city.

    Raises:
        OtherInputsError: an earlier version fitted `start`.
    """
    if start is not None and _of_every_city(start.regression.names) != _of_every_city(inputs.names):
        raise OtherInputsError(
            f"City {history.city.name} starts at the model of {start.origin}, which {INPUT_FILE_ERROR}"
        )
    observed = history.observed
    days, tested = days_to_fit(history, train), days_to_judge(history, validation)
    of_tested = Inputs(inputs.values[tested], inputs.names)
    tried: list[float | Pretrained] = [*INVERSE_PENALTIES, *([] if start is None else [start])]
    fits = [_fit(inputs, observed, days, of) for of in tried]
    losses = [log_losses(expit(fit.logit(of_tested)), observed[tested]) for fit in fits]
    at = int(np.argmin([of_fit.mean() for of_fit in losses]))
    if start is not None and not is_beyond_chance((losses[-1] - losses[at]).sum(axis=1)):
        at = len(tried) - 1
    best = tried[at]
    settings: dict[str, Any] = {
        "inverse_penalty": best if isinstance(best, float) else INVERSE_PENALTY,
        "validation_log_loss": float(losses[at].mean()),
    }
    if start is not None:
        settings["pretrained"] = {"from": start.origin, "used": best is start}
    ordinary = expit(fits[at].logit(Inputs(inputs.values[validation.start : validation.stop], inputs.names)))
    probability = clip_probability(with_firework_days(history, validation, ordinary, fits[at]))
    both = _fit(inputs, observed, days_to_fit(history, range(train.start, validation.stop)), best)
    return (
        replace(fits[at], settings=settings, validation_probability=probability),
        replace(both, settings=settings, validation_probability=probability),
    )


def _of_every_city(names: tuple[str, ...]) -> list[str]:
    return [name for name in names if not name.startswith(OF_SOME_CITIES)]


def days_to_judge(history: History, validation: range) -> npt.NDArray[np.int64]:
    """The ordinary days of the validation window, all of them where it has none."""
    days = np.arange(validation.start, validation.stop)
    ordinary = days[ordinary_days(history)[days]]
    return ordinary if len(ordinary) else days


def _fit(
    inputs: Inputs, observed: npt.NDArray[np.bool_], days: npt.NDArray[np.int64], how: float | Pretrained
) -> FittedRegimeRegression:
    """`how` is an inverse penalty of the weights, or what they are pulled towards."""
    from sklearn.linear_model import LogisticRegression

    # float64, as nearly equal rates make the fit stiff.
    rows = inputs.values[days].reshape(-1, len(inputs.names)).astype(np.float64)
    mean, scale = rows.mean(axis=0), rows.std(axis=0)
    # What does not vary where it is fitted (such as the flag of firework days) must not enter elsewhere.
    constant = scale < 1e-6
    scale[constant] = 1.0
    # In place: a long history has a million rows.
    rows -= mean
    rows /= scale
    rows[:, constant] = 0.0
    labels = observed[days].ravel()
    # BLAS threads wait for each other by spinning: on a busy machine two take many times as long as one.
    with threadpool_limits(1):
        if isinstance(how, Pretrained):
            # Cities may differ in their inputs: some publish no hours, some have further events.
            slopes = dict(zip(how.regression.names, how.regression.weights / how.regression.scale, strict=True))
            towards = scale * np.array([slopes.get(name, 0.0) for name in inputs.names])
            weights, intercept = pulled_regression(rows, labels, towards)
        else:
            model = LogisticRegression(C=how, solver="newton-cholesky").fit(rows, labels)
            weights, intercept = np.where(constant, 0.0, model.coef_[0]), float(model.intercept_[0])
    return FittedRegimeRegression(inputs.names, weights, intercept, mean, scale, {})
