"""L2 logistic regression on the next-day inputs, with firework days as a regime of their own; every model starts here."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from threadpoolctl import threadpool_limits

from shotspotter_assets.calendar.firework_days import is_holiday_fireworks
from shotspotter_assets.models.fold_windows import INPUTS_WARM_UP_DAYS, after_warm_up
from shotspotter_assets.models.forecaster import (
    INPUTS_ERROR,
    NO_CONTEXT,
    Array,
    ChosenSettings,
    FitContext,
    OtherInputsError,
    Pretrained,
    require_both_labels,
)
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.drivers import main_drivers
from shotspotter_assets.models.next_day.features import Inputs, next_day_inputs, ordinary_days
from shotspotter_assets.models.next_day.firework_days import firework_probability
from shotspotter_assets.models.next_day.settings import RegimeRegressionSettings
from shotspotter_assets.models.next_day.shrunk_regression import (
    INVERSE_PENALTY,
    fit_shrunk_regression,
    is_beyond_chance,
)
from shotspotter_assets.models.probability import clip_probability, log_losses

FILE: Final = "regime_regression.json"
OPTIONAL_INPUTS: Final = ("late_", "log_nearby_")
"""What the names of inputs start with that only cities with hours, or with other events, have."""
MIN_SCALE: Final = 1e-6
"""Standard deviation in the training rows below which an input is constant."""

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class FitData:
    """What a model on the next-day inputs is fitted on.

    Attributes:
        history: to the end of the validation window.
        inputs: of all its days.
        train: indexes of the day axis; `validation` follows.
    """

    history: History
    inputs: Inputs
    train: range
    validation: range

    @classmethod
    def make(cls, history: History, train: range, validation: range) -> "FitData":
        """Of a history that may go on after the validation window."""
        history = history.through(validation.stop)
        return cls(history, next_day_inputs(history, range(validation.stop)), train, validation)

    @property
    def both(self) -> range:
        return range(self.train.start, self.validation.stop)

    @cached_property
    def ordinary(self) -> npt.NDArray[np.bool_]:
        return ordinary_days(self.history)

    @cached_property
    def judged(self) -> Integers:
        """The ordinary days of the validation window, all of them where it has none."""
        days = np.arange(self.validation.start, self.validation.stop)
        ordinary = days[self.ordinary[days]]
        return ordinary if len(ordinary) else days

    def to_fit(self, days: range) -> Integers:
        """The ordinary days of `days` after the warm-up; refused where there is nothing to learn on them."""
        kept = after_warm_up(days, INPUTS_WARM_UP_DAYS)
        chosen = np.array([day for day in kept if self.ordinary[day]], dtype=np.int64)
        require_both_labels(self.history, days, self.history.observed[chosen])
        return chosen

    def inputs_of(self, days: Integers | slice) -> Inputs:
        return Inputs(self.inputs.values[days], self.inputs.names)

    @property
    def validation_inputs(self) -> Inputs:
        return self.inputs_of(slice(self.validation.start, self.validation.stop))


def with_firework_days(history: History, days: range, ordinary: Array, regression: "FittedRegimeRegression") -> Array:
    """`ordinary` probabilities (days, cells), those of firework days replaced by their own regime's."""
    axis = history.days_to_forecast()
    fireworks = np.flatnonzero(is_holiday_fireworks(axis))
    wanted = [day for day in fireworks if day in days]
    if not wanted:
        return ordinary
    probability = ordinary.copy()
    fireworks = fireworks[(fireworks >= INPUTS_WARM_UP_DAYS) & (fireworks <= wanted[-1])]
    logits = dict(zip(fireworks, regression.logit(next_day_inputs(history, fireworks)), strict=True))
    observed = history.observed
    for day in wanted:
        if day not in logits:
            continue
        past = fireworks[fireworks <= day - history.lead]
        past_logits = np.array([logits[earlier] for earlier in past]).reshape(len(past), observed.shape[1])
        probability[day - days.start] = firework_probability(
            axis[day], logits[day], axis[past], past_logits, observed[past], history.in_coverage
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
    settings: ChosenSettings
    validation_probability: Array | None = None

    @property
    def slopes(self) -> Array:
        """Log odds by unit of each input."""
        return self.weights / self.scale

    def as_start(self, origin: str) -> Pretrained:
        """What another city's models start at; `origin` names this one (`city|cutoff`)."""
        return Pretrained(origin, dict(zip(self.names, self.slopes, strict=True)))

    def logit(self, inputs: Inputs) -> Array:
        """Log odds of an ordinary day, shape (days, cells).

        Raises:
            OtherInputsError: it was fitted on other inputs.
        """
        if inputs.names != self.names:
            raise OtherInputsError(f"A stored regression {INPUTS_ERROR}")
        slopes = self.slopes
        return inputs.values @ slopes + (self.intercept - self.mean @ slopes)

    def predict(self, history: History, days: range) -> Array:
        ordinary = expit(self.logit(next_day_inputs(history, days)))
        return clip_probability(with_firework_days(history, days, ordinary, self))

    def drivers(self, history: History, day: int) -> list[tuple[str, ...]]:
        return main_drivers(next_day_inputs(history, [day]), self.slopes)

    def files(self) -> dict[str, bytes]:
        content = {
            "names": self.names,
            "weights": self.weights.tolist(),
            "intercept": self.intercept,
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
            "settings": self.settings,
        }
        return {FILE: json.dumps(content, indent=1).encode()}


def load_regression(files: Mapping[str, bytes]) -> FittedRegimeRegression:
    """The regression that `FittedRegimeRegression.files` gave."""
    content = json.loads(files[FILE])
    arrays = {name: np.array(content[name]) for name in ("weights", "mean", "scale")}
    return FittedRegimeRegression(
        names=tuple(content["names"]), intercept=content["intercept"], settings=content["settings"], **arrays
    )


def start_of(files: Mapping[str, bytes], origin: str) -> Pretrained | None:
    """What another city's models start at: the regression among the files of a forecaster, or of the members of a stack."""
    content = next((content for name, content in files.items() if f".{name}".endswith(f".{FILE}")), None)
    return None if content is None else load_regression({FILE: content}).as_start(origin)


class Regressions(NamedTuple):
    """One regression fitted on the training days, one on training and validation days, with the same penalty."""

    train: FittedRegimeRegression
    both: FittedRegimeRegression


class RegimeRegressionForecaster:
    """Tuned by log loss on the validation window, then fitted on training and validation days together.

    Another city's regression (`FitContext.pretrained`) is taken unless the validation window is against it beyond chance.
    """

    name: ClassVar[str] = "regime_regression"

    def __init__(self, settings: RegimeRegressionSettings) -> None:
        self.settings = settings

    def fit(
        self, history: History, train: range, validation: range, context: FitContext = NO_CONTEXT
    ) -> FittedRegimeRegression:
        data = FitData.make(history, train, validation)
        return fit_regressions(data, context.pretrained, self.settings.inverse_penalties).both

    def load(self, files: Mapping[str, bytes]) -> FittedRegimeRegression:
        return load_regression(files)


def fit_regressions(
    data: FitData,
    pretrained: Pretrained | None = None,
    inverse_penalties: Sequence[float] = tuple(RegimeRegressionSettings().inverse_penalties),
) -> Regressions:
    """The regressions with the penalty, or the start, that the validation window chooses; made once for all that start there.

    Args:
        pretrained: another city's regression, for a thin city.
        inverse_penalties: those that are tried.

    Raises:
        OtherInputsError: an earlier version fitted `pretrained`.
    """
    start = None if pretrained is None else pretrained.origin
    windows = np.array([data.train.start, data.validation.start, data.validation.stop])
    name = f"regressions {tuple(inverse_penalties)} {start}"
    return data.history.kept(name, windows, lambda: _fit_regressions(data, pretrained, inverse_penalties))


def _fit_regressions(data: FitData, pretrained: Pretrained | None, inverse_penalties: Sequence[float]) -> Regressions:
    history, observed, judged = data.history, data.history.observed, data.judged
    if pretrained is not None and _required(pretrained.slopes) != _required(data.inputs.names):
        raise OtherInputsError(
            f"City {history.city.name} starts at the model of {pretrained.origin}, which {INPUTS_ERROR}"
        )
    days, judged_inputs = data.to_fit(data.train), data.inputs_of(judged)
    tried: list[float | Pretrained] = [*inverse_penalties, *([] if pretrained is None else [pretrained])]
    fits = list(_fits(data, days, tried))
    losses = [log_losses(expit(fit.logit(judged_inputs)), observed[judged]) for fit in fits]
    best = int(np.argmin([loss.mean() for loss in losses]))
    if pretrained is not None and not is_beyond_chance((losses[-1] - losses[best]).sum(axis=1)):
        best = len(tried) - 1
    prior = tried[best]
    settings: dict[str, object] = {
        "inverse_penalty": INVERSE_PENALTY if isinstance(prior, Pretrained) else prior,
        "validation_log_loss": float(losses[best].mean()),
    }
    if pretrained is not None:
        settings["pretrained"] = {"from": pretrained.origin, "used": prior is pretrained}
    ordinary = expit(fits[best].logit(data.validation_inputs))
    probability = clip_probability(with_firework_days(history, data.validation, ordinary, fits[best]))
    [both] = _fits(data, data.to_fit(data.both), [prior], fits[best])
    return Regressions(
        replace(fits[best], settings=settings, validation_probability=probability),
        replace(both, settings=settings, validation_probability=probability),
    )


def _required(names: Iterable[str]) -> list[str]:
    """Names of the inputs that every city has."""
    return [name for name in names if not name.startswith(OPTIONAL_INPUTS)]


def _fits(
    data: FitData,
    days: Integers,
    priors: Sequence[float | Pretrained],
    start: FittedRegimeRegression | None = None,
) -> Iterator[FittedRegimeRegression]:
    """Fitted on `days`, with each prior: an inverse penalty of the weights, or what they are shrunk towards.

    Each fit starts at the one before, the first one at `start`, which saves half of the steps.
    """
    from sklearn.linear_model import LogisticRegression

    names = data.inputs.names
    # float64, as nearly equal rates make the fit stiff.
    rows = data.inputs.values[days].reshape(-1, len(names)).astype(np.float64)
    mean, scale = rows.mean(axis=0), rows.std(axis=0)
    # Inputs that are constant in the training rows (such as the flag of firework days) are dropped.
    constant = scale < MIN_SCALE
    scale[constant] = 1.0
    # In place: a long history has a million rows.
    rows -= mean
    rows /= scale
    rows[:, constant] = 0.0
    labels = data.history.observed[days].ravel()
    model = LogisticRegression(solver="newton-cholesky", warm_start=True)
    if start is not None:
        slopes = start.slopes
        model.coef_ = (slopes * scale)[None]
        model.intercept_ = np.array([start.intercept + (mean - start.mean) @ slopes])
    for prior in priors:
        # BLAS threads wait for each other by spinning: on a machine in use two take many times as long as one.
        with threadpool_limits(1):
            if isinstance(prior, Pretrained):
                # Cities may differ in their inputs: some publish no hours, some have further events.
                prior_weights = scale * np.array([prior.slopes.get(name, 0.0) for name in names])
                weights, intercept = fit_shrunk_regression(rows, labels, prior_weights)
            else:
                model.set_params(C=prior).fit(rows, labels)
                weights, intercept = np.where(constant, 0.0, model.coef_[0]), float(model.intercept_[0])
        yield FittedRegimeRegression(names, weights, intercept, mean, scale, {})
