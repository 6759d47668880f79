"""L2 logistic regression on the next-day inputs, with a regime for firework days, and its reasons; every model starts here."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
from scipy.special import expit

from shotspotter_assets.models.forecaster import (
    NO_CONTEXT,
    Choices,
    DailyForecaster,
    FitContext,
    FittedDaily,
    Numbers,
    OtherInputsError,
    SharedStart,
    clip_probability,
    log_losses,
    require_both_labels,
)
from shotspotter_assets.models.history import INPUTS_WARM_UP_DAYS, History, after_warm_up, firework_days
from shotspotter_assets.models.next_day.daily_inputs import (
    CellDays,
    Inputs,
    next_day_inputs,
    ordinary_days,
    rows_to_fit,
)
from shotspotter_assets.models.next_day.firework_days import firework_probability
from shotspotter_assets.models.next_day.shared_regression import (
    BLOCK_ROWS,
    PLACES,
    fit_shrunk_regression,
    required_inputs,
    standardise,
)
from shotspotter_assets.storage.arrays import Array, Booleans, Integers, Singles

INVERSE_PENALTIES: Final = (1e-3, 1e-2)  # tried variances of weights around zero, without a model of all cities
SHARED_VARIANCE: Final = 3e-4  # variance of standardised weights around all cities' (`benchmarks/shared_model.py`)
FACTOR_VARIANCE: Final = 1e-2  # variance of weights of factors of places, which few other cities have
MAX_DRIVERS: Final = 2
MIN_ODDS_RATIO: Final = 1.05
RECENT_DAYS: Final = 30  # half-life up to which a rate remembers no more than months
PHRASES: Final = {
    "log_alerts_7_": "{event}s here in recent months",
    "log_alerts_": "{event}s here over the years",
    "yesterday_": "{event}s on the last known day here or nearby",
    "late_yesterday_": "{event}s on the last known day here or nearby",
    "log_days_since_last_alert": "the last {event} here or nearby was not long ago",
    "log_same_kind_of_day": "busy on this kind of day",
}
"""Phrases by the start of the name of an input; `{event}` stands for the word of the city's target."""


@dataclass(frozen=True)
class FitData:
    """The windows that a model on the next-day inputs is fitted on; `history` ends with `validation`."""

    history: History
    train: range
    validation: range
    inputs_of: Callable[[History, Integers], Inputs] = next_day_inputs

    @property
    def both(self) -> range:
        """Training and validation days."""
        return range(self.train.start, self.validation.stop)

    @cached_property
    def ordinary(self) -> Booleans:
        """The `ordinary_days` of the history, shape (days,)."""
        return ordinary_days(self.history)

    @cached_property
    def scoring_days(self) -> Integers:
        """The ordinary days of the validation window, all known ones where it has none."""
        days = np.arange(self.validation.start, self.validation.stop)[self.history.known_in(self.validation)]
        ordinary = days[self.ordinary[days]]
        return ordinary if len(ordinary) else days

    def to_fit(self, days: range) -> Integers:
        """Return the ordinary days of `days` after the warm-up. Raises ValueError if there is nothing to learn on them."""
        later = after_warm_up(days, INPUTS_WARM_UP_DAYS)
        ordinary = np.array([day for day in later if self.ordinary[day]], dtype=np.int64)
        require_both_labels(self.history, days, self.history.observed[ordinary])
        return ordinary

    @cached_property
    def rows(self) -> CellDays:
        """The cell-days of all known days, or a draw of them."""
        return rows_to_fit(self.history, np.arange(self.validation.stop), inputs_of=self.inputs_of)

    @property
    def validation_inputs(self) -> Inputs:
        """Inputs of every covered cell."""
        return self.inputs_of(self.history, np.arange(self.validation.start, self.validation.stop))

    def validation_loss(self, probability: Array) -> float:
        """Return the log loss of forecasts (validation days, cells) on the scoring days, in nats per cell-day."""
        scored = probability[self.scoring_days - self.validation.start]
        return float(log_losses(scored, self.history.observed[self.scoring_days]).mean())


def with_firework_days(history: History, days: range, ordinary: Array, regression: "FittedRegression") -> Array:
    """Return `ordinary` probabilities (days, cells), those of firework days replaced by their own regime's."""
    axis = history.days_to_forecast()
    fireworks = np.flatnonzero(firework_days(history.city, axis))
    wanted = [day for day in fireworks if day in days]
    if not wanted:
        return ordinary
    probability = ordinary.copy()
    fireworks = fireworks[(fireworks >= INPUTS_WARM_UP_DAYS) & (fireworks <= wanted[-1])]
    logits = dict(zip(fireworks, regression.logit(next_day_inputs(history, fireworks)), strict=True))
    for day in wanted:
        if day not in logits:
            continue
        past = fireworks[fireworks <= day - history.lead]
        if history.is_known is not None:
            past = past[history.is_known[past]]
        observed = history.observed[past]
        past_logits = np.array([logits[earlier] for earlier in past]).reshape(observed.shape)
        probability[day - days.start] = firework_probability(
            axis[day], logits[day], axis[past], past_logits, observed, history.in_coverage
        )
    return probability


@dataclass(frozen=True)
class FittedRegression(FittedDaily):
    """A regression; `slopes` and `scale` have one number per input of `names`."""

    names: tuple[str, ...]
    slopes: Numbers  # log odds by unit of each input
    intercept: float  # log odds where all inputs are 0
    scale: Numbers  # standard deviation of each input in the fit

    def logit(self, inputs: Inputs) -> Array:
        """Return log odds of an ordinary day, shape (days, cells). Raises OtherInputsError if fitted on others."""
        if inputs.names != self.names:
            raise OtherInputsError.of("A stored regression")
        return self.row_logit(inputs.values.reshape(-1, len(self.names))).reshape(inputs.values.shape[:2])

    def row_logit(self, rows: Singles) -> Array:
        """Return log odds of rows of inputs, shape (rows,)."""
        # Part by part, as each is copied into double precision.
        parts = [part @ self.slopes for part in np.array_split(rows, len(rows) // BLOCK_ROWS + 1)]
        return np.asarray(np.concatenate(parts) + self.intercept, np.float64)

    def predict(self, history: History, days: range) -> Array:
        ordinary = expit(self.logit(next_day_inputs(history, days)))
        return clip_probability(with_firework_days(history, days, ordinary, self))

    def drivers(self, history: History, day: int) -> list[tuple[str, ...]]:
        return main_drivers(next_day_inputs(history, [day]), self.slopes)


class Regressions(NamedTuple):
    """One regression fitted on the training days, one on training and validation days, with the same penalty."""

    train: FittedRegression
    both: FittedRegression

    @property
    def origin(self) -> Choices:
        """The `shared` origin that they start at, for the choices of models on top of them; empty without one."""
        return {key: value for key, value in self.both.chosen.items() if key == "shared"}


class RegimeRegressionForecaster(DailyForecaster):
    """A regression shrunk to that of all cities, or with the best penalty on validation, fitted on both windows."""

    fitted = FittedRegression

    def fit(
        self, history: History, train: range, validation: range, context: FitContext = NO_CONTEXT
    ) -> FittedRegression:
        return fit_regressions(FitData(history.through(validation.stop), train, validation), context.shared).both


def fit_regressions(data: FitData, shared: SharedStart | None = None) -> Regressions:
    """Return the regressions that start at `shared`, cached; raise OtherInputsError if that was fitted on other inputs."""
    windows = np.array([data.train.start, data.validation.start, data.validation.stop])
    return data.history.cached(f"regressions {shared and shared.origin}", windows, lambda: _regressions(data, shared))


def _regressions(data: FitData, shared: SharedStart | None) -> Regressions:
    """Return the regressions with the penalty of least loss on the validation days; with `shared` there is one."""
    inputs = data.validation_inputs
    if shared is not None and required_inputs(shared.slopes) != required_inputs(inputs.names):
        raise OtherInputsError.of(f"City {data.history.city.name} starts at the model of {shared.origin}, which")
    tried = INVERSE_PENALTIES if shared is None else (SHARED_VARIANCE,)
    fits = list(_fits(data, data.to_fit(data.train), tried, shared))
    losses = [data.validation_loss(expit(fit.logit(inputs))) for fit in fits]
    best = int(np.argmin(losses))
    train = fits[best]
    chosen: Choices = {"inverse_penalty": tried[best], "validation_log_loss": losses[best]}
    if shared is not None:
        chosen["shared"] = shared.origin
    probability = train.predict(data.history, data.validation)
    [both] = _fits(data, data.to_fit(data.both), [tried[best]], shared, train)
    return Regressions(train, replace(both, chosen=chosen, validation_probability=probability))


def _fits(
    data: FitData,
    days: Integers,
    inverse_penalties: Sequence[float],
    shared: SharedStart | None,
    start: FittedRegression | None = None,
) -> Iterator[FittedRegression]:
    """Return fits on `days`, with each penalty of the distance from the weights of all cities, or from zero."""
    chosen = np.isin(data.rows.day, days)
    labels = data.rows.observed[chosen]
    sample_weight = None if data.rows.sample_weight is None else data.rows.sample_weight[chosen]
    # float64, as nearly equal rates make the fit stiff.
    rows = data.rows.values[chosen].astype(np.float64)
    mean, scale = standardise(rows, sample_weight)
    # Cities may differ in their inputs: some publish no hours, some have further events.
    shared_slopes = np.array([0.0 if shared is None else shared.slopes.get(name, 0.0) for name in data.rows.names])
    prior_weights = np.where(rows.any(axis=0), scale * shared_slopes, 0.0)
    # Each fit starts at the one before, which saves half of the steps.
    guess = None if start is None else np.append(start.slopes * scale, start.intercept + mean @ start.slopes)
    for inverse_penalty in inverse_penalties:
        variance = np.where([name.startswith(PLACES) for name in data.rows.names], FACTOR_VARIANCE, inverse_penalty)
        weights, intercept = fit_shrunk_regression(rows, labels, prior_weights, variance, sample_weight, guess)
        guess = np.append(weights, intercept)
        slopes = weights / scale
        yield FittedRegression(data.rows.names, slopes, float(intercept - mean @ slopes), scale, chosen={})


def main_drivers(inputs: Inputs, slopes: Array) -> list[tuple[str, ...]]:
    """Return at most two phrases for each cell of one day: what lifts its odds most over the average cell's.

    Contributions, relative to their mean over the cells, are summed over inputs that have the same phrase, since such
    inputs share their weights among each other. As some of these weights are below zero, a phrase is left out where
    the cell has less of what it names than the average cell. `slopes` are log odds by unit of each input.
    """
    values = inputs.values[0].astype(np.float64)
    differences = values - values.mean(axis=0)
    named = differences * [_named_direction(name, slope) for name, slope in zip(inputs.names, slopes, strict=True)]
    phrases = np.array([phrase_of(name) or "" for name in inputs.names])
    distinct = [phrase for phrase in dict.fromkeys(phrases.tolist()) if phrase]
    alike = np.stack([phrases == phrase for phrase in distinct], axis=1)  # (inputs, phrases)
    summed = np.where(named @ alike > 0, (differences * slopes) @ alike, 0.0)
    drivers = []
    for cell in summed:
        best = [index for index in np.argsort(-cell)[:MAX_DRIVERS] if cell[index] > np.log(MIN_ODDS_RATIO)]
        drivers.append(tuple(f"{distinct[index]} (odds x{np.exp(cell[index]):.1f})" for index in best))
    return drivers


def _named_direction(name: str, slope: float) -> float:
    """Return 1 where the phrase of an input names much of it, and -1 where little; the phrase of a factor fits both."""
    if name.startswith(PLACES):
        return float(np.sign(slope))
    return -1.0 if name.startswith("log_days_since_") else 1.0


def phrase_of(name: str) -> str | None:
    """Return the phrase for an input of `daily_inputs`; None where it has one value for all cells."""
    if name.startswith("log_occupied_"):
        _, _, half_life, _, width, _ = name.split("_")
        return f"{{event}}s {'here' if float(width) == 0 else 'nearby'} {_when(half_life)}"
    if name.startswith("log_shrunk_"):
        return "{event}s here over the years"  # each of these rates is drawn towards that of all years
    if name.startswith("log_nearby_"):
        *layer, half_life, _ = name.removeprefix("log_nearby_").split("_")
        return f"{' '.join(layer)} nearby {_when(half_life)}"
    if name.startswith("factor_"):
        return name.removeprefix("factor_").replace("_", " ")
    return next((phrase for start, phrase in PHRASES.items() if name.startswith(start)), None)


def _when(half_life: str) -> str:
    return "in recent months" if float(half_life) <= RECENT_DAYS else "over the years"
