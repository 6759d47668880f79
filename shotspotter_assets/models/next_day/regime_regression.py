"""L2 logistic regression on the next-day inputs, with firework days as a regime of their own; every model starts here."""

import json
from collections.abc import Iterator, Mapping, Sequence
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
    SharedStart,
    require_both_labels,
    validation_of,
)
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.cell_days import FitSample, SomeCells, fit_sample
from shotspotter_assets.models.next_day.drivers import main_drivers
from shotspotter_assets.models.next_day.features import Inputs, inputs_of_rows, next_day_inputs, ordinary_days
from shotspotter_assets.models.next_day.firework_days import firework_probability
from shotspotter_assets.models.next_day.settings import RegimeRegressionSettings
from shotspotter_assets.models.next_day.shared_regression import PLACES, required_inputs
from shotspotter_assets.models.next_day.shrunk_regression import MIN_SCALE, fit_shrunk_regression, mean_and_scale
from shotspotter_assets.models.probability import clip_probability, log_losses

FILE: Final = "regime_regression.json"
FACTOR_VARIANCE: Final = 1e-2
"""Variance of the standardised weights of factors of places: where no other city has a factor, little is known of it before."""

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class FitRows:
    """The cell-days of a fit.

    Attributes:
        inputs: of all covered cells, shape (days, cells, inputs), or of a sample, shape (1, rows, inputs).
        observed: whether there was an alert, flat.
        sample_weight: how many cell-days each stands for, flat; None where all are there.
    """

    inputs: Inputs
    observed: npt.NDArray[np.bool_]
    sample_weight: Array | None


@dataclass(frozen=True)
class FitData:
    """What a model on the next-day inputs is fitted on.

    Attributes:
        history: to the end of the validation window.
        train: indexes of the day axis; `validation` follows.
        changed_inputs: of all days and covered cells, for experiments; the history's by default.
    """

    history: History
    train: range
    validation: range
    changed_inputs: Inputs | None = None

    @classmethod
    def make(cls, history: History, train: range, validation: range) -> "FitData":
        """Of a history that may go on after the validation window."""
        return cls(history.through(validation.stop), train, validation)

    @property
    def both(self) -> range:
        return range(self.train.start, self.validation.stop)

    @property
    def inputs(self) -> Inputs:
        """Of all days and covered cells, for those who need maps, and for fits that take all cell-days."""
        return self.changed_inputs or next_day_inputs(self.history, range(self.validation.stop))

    @cached_property
    def sample(self) -> FitSample | None:
        """See `fit_sample`."""
        return fit_sample(self.history, self.validation.stop)

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

    def rows(self, days: Integers) -> FitRows:
        """All cell-days of some days, or those in the sample."""
        sample = self.sample
        if sample is None:
            inputs = self.inputs
            return FitRows(Inputs(inputs.values[days], inputs.names), self.history.observed[days].ravel(), None)
        stop = np.array([self.validation.stop])
        values, names = self.history.kept(
            "inputs_of_sample", stop, lambda: inputs_of_rows(self.history, SomeCells(self.history, *sample.rows))
        )
        at = np.isin(np.arange(self.validation.stop), days)[sample.day]
        return FitRows(Inputs(values[None, at], names), sample.observed[at], sample.sample_weight[at])

    @property
    def validation_inputs(self) -> Inputs:
        """Of every covered cell."""
        return self.validation_inputs_of(np.arange(self.validation.start, self.validation.stop))

    def validation_inputs_of(self, days: Integers) -> Inputs:
        """Of every covered cell on some days of the validation window."""
        first, inputs = (0, self.inputs) if self.sample is None else (self.validation.start, self._validation_alone)
        at = days - first
        # Contiguous days are a view, not a copy.
        is_run = len(at) > 0 and at[-1] - at[0] == len(at) - 1
        return Inputs(inputs.values[at[0] : at[-1] + 1] if is_run else inputs.values[at], inputs.names)

    @property
    def _validation_alone(self) -> Inputs:
        return next_day_inputs(self.history, self.validation)


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

    def logit(self, inputs: Inputs) -> Array:
        """Log odds of an ordinary day, shape (days, cells).

        Raises:
            OtherInputsError: it was fitted on other inputs.
        """
        if inputs.names != self.names:
            raise OtherInputsError(f"A stored regression {INPUTS_ERROR}")
        slopes = self.slopes
        # Day by day, as each is copied into double precision.
        by_day = [values @ slopes for values in inputs.values]
        return np.array(by_day).reshape(inputs.values.shape[:2]) + (self.intercept - self.mean @ slopes)

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


class Regressions(NamedTuple):
    """One regression fitted on the training days, one on training and validation days, with the same penalty."""

    train: FittedRegimeRegression
    both: FittedRegimeRegression


class RegimeRegressionForecaster:
    """Tuned by log loss on the validation window, then fitted on training and validation days together.

    Where there is a regression of all cities (`FitContext.shared`), the weights are shrunk towards its, and nothing is tuned.
    """

    name: ClassVar[str] = "regime_regression"

    def __init__(self, settings: RegimeRegressionSettings) -> None:
        self.settings = settings

    def fit(
        self, history: History, train: range, validation: range, context: FitContext = NO_CONTEXT
    ) -> FittedRegimeRegression:
        data = FitData.make(history, train, validation)
        return fit_regressions(data, context.shared, self.settings).both

    def validate(self, history: History, train: range, validation: range, context: FitContext = NO_CONTEXT) -> Array:
        """See `Tunable.validate`."""
        data = FitData.make(history, train, validation)
        return validation_of(_chosen(data, context.shared, _tried(context.shared, self.settings))[0])

    def load(self, files: Mapping[str, bytes]) -> FittedRegimeRegression:
        return load_regression(files)


def fit_regressions(
    data: FitData,
    shared: SharedStart | None = None,
    settings: RegimeRegressionSettings = RegimeRegressionSettings(),  # noqa: B008  # it is frozen
) -> Regressions:
    """The regressions that start at that of all cities, else with the penalty that the validation window chooses.

    Made once for all forecasters that start there.

    Args:
        shared: the regression of all cities.
        settings: the penalties that are tried without one, and the variance around it (`benchmarks/shared_model.py`).

    Raises:
        OtherInputsError: an earlier version fitted `shared`.
    """
    windows = np.array([data.train.start, data.validation.start, data.validation.stop])
    tried = _tried(shared, settings)
    name = f"regressions {tried} {shared and shared.origin}"
    return data.history.kept(name, windows, lambda: _fit_regressions(data, shared, tried))


def _tried(shared: SharedStart | None, settings: RegimeRegressionSettings) -> tuple[float, ...]:
    return tuple(settings.inverse_penalties) if shared is None else (settings.shared_variance,)


def _fit_regressions(data: FitData, shared: SharedStart | None, tried: Sequence[float]) -> Regressions:
    train, penalty = _chosen(data, shared, tried)
    [both] = _fits(data, data.to_fit(data.both), [penalty], shared, train)
    return Regressions(
        train, replace(both, settings=train.settings, validation_probability=train.validation_probability)
    )


def _chosen(data: FitData, shared: SharedStart | None, tried: Sequence[float]) -> tuple[FittedRegimeRegression, float]:
    """(regression of the training window, inverse penalty), the penalty being the one that the validation window chooses."""
    history, observed, judged = data.history, data.history.observed, data.judged
    if shared is not None:
        require_same_inputs(data, shared)
    days = data.to_fit(data.train)
    fits = list(_fits(data, days, tried, shared))
    ordinary = [expit(fit.logit(data.validation_inputs)) for fit in fits]
    at = judged - data.validation.start
    losses = [float(log_losses(probability[at], observed[judged]).mean()) for probability in ordinary]
    best = int(np.argmin(losses))
    settings: dict[str, object] = {"inverse_penalty": tried[best], "validation_log_loss": losses[best]}
    if shared is not None:
        settings["shared"] = shared.origin
    probability = clip_probability(with_firework_days(history, data.validation, ordinary[best], fits[best]))
    return replace(fits[best], settings=settings, validation_probability=probability), tried[best]


def require_same_inputs(data: FitData, shared: SharedStart) -> None:
    """Refuse a regression of all cities that an earlier version fitted, with an OtherInputsError."""
    if required_inputs(shared.slopes) != required_inputs(data.validation_inputs.names):
        raise OtherInputsError(
            f"City {data.history.city.name} starts at the model of {shared.origin}, which {INPUTS_ERROR}"
        )


def _fits(
    data: FitData,
    days: Integers,
    inverse_penalties: Sequence[float],
    shared: SharedStart | None,
    start: FittedRegimeRegression | None = None,
) -> Iterator[FittedRegimeRegression]:
    """Fitted on `days`, with each penalty of the distance from the weights of all cities, or from zero.

    Each fit starts at the one before, the first one at `start`, which saves half of the steps.
    """
    fit_rows = data.rows(days)
    names, labels, sample_weight = fit_rows.inputs.names, fit_rows.observed, fit_rows.sample_weight
    # float64, as nearly equal rates make the fit stiff.
    rows = fit_rows.inputs.values.reshape(-1, len(names)).astype(np.float64)
    del fit_rows
    mean, scale = mean_and_scale(rows, sample_weight)
    # Inputs that are constant in the training rows (such as the flag of firework days) are dropped.
    constant = scale < MIN_SCALE
    scale[constant] = 1.0
    # In place: a long history has a million rows.
    rows -= mean
    rows /= scale
    rows[:, constant] = 0.0
    # Cities may differ in their inputs: some publish no hours, some have further events.
    slopes = {} if shared is None else shared.slopes
    prior_weights = np.where(constant, 0.0, scale * np.array([slopes.get(name, 0.0) for name in names]))
    guess = None
    if start is not None:
        guess = np.append(start.slopes * scale, start.intercept + (mean - start.mean) @ start.slopes)
    is_of_places = np.array([name.startswith(PLACES) for name in names])
    for inverse_penalty in inverse_penalties:
        variance = np.where(is_of_places, FACTOR_VARIANCE, inverse_penalty)
        # BLAS threads wait for each other by spinning: on a machine in use two take many times as long as one.
        with threadpool_limits(1):
            weights, intercept = fit_shrunk_regression(rows, labels, prior_weights, variance, sample_weight, guess)
        guess = np.append(weights, intercept)
        yield FittedRegimeRegression(names, weights, intercept, mean, scale, {})
