"""Logistic regression and gradient boosting on lag features, which are simpler than `daily_inputs`: baselines with a model.

Trees of LightGBM have common parameters, and are stored with the fitted forecaster (`FittedTrees`).
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from functools import partial
from itertools import product
from typing import Final, Self

import lightgbm
import numpy as np
from scipy.special import expit

from shotspotter_assets.grid.dates import same_date_last_year
from shotspotter_assets.models.filters import exponential_mean, smooth_cells
from shotspotter_assets.models.forecaster import (
    Choices,
    FittedDaily,
    Numbers,
    OtherInputsError,
    Unstored,
    clip_probability,
    require_both_labels,
)
from shotspotter_assets.models.history import BASELINES_WARM_UP_DAYS, History, after_warm_up, firework_days
from shotspotter_assets.models.next_day import daily_inputs
from shotspotter_assets.models.next_day.simple_baselines import GridBaseline
from shotspotter_assets.storage.arrays import Array, Booleans, Integers, Singles

TREES_FILE: Final = "trees.txt"
PARAMETERS: Final = {
    "objective": "binary",
    "num_threads": 1,
    "force_col_wise": True,
    "deterministic": True,
    "seed": 0,
    "verbosity": -1,
}
"""LightGBM's; nothing is held out for early stopping, because random cell-days are not independent."""


HALF_LIVES: Final = (7, 14, 30, 90, 365, np.inf)  # half-lives of the exponentially weighted rates, in days
WIDTHS: Final = (0.0, 0.7, 1.5)  # standard deviations of the smoothing in space, in cells
CITY_HALF_LIVES: Final = (7, 30)
FIREWORK_HALF_LIFE: Final = 5  # in firework days, about a year's: alerts of fireworks are classified ever differently
MAX_ALERTS_COUNTED: Final = 3  # maximum of one cell and day, so that no firework day dominates a rate
MIN_RATE: Final = 1 / 365  # added to a rate before its logarithm: one alert in a year
INVERSE_PENALTIES: Final = (1e-3, 1e-2, 1e-1)
GRID: Final = ({"leaves": 7, "learning_rate": 0.1}, {"leaves": 15, "learning_rate": 0.1})
MAX_TREES: Final = 150
TREE_STEP: Final = 5  # distance between the numbers of trees that are tried
MIN_LEAF_ROWS: Final = 200
MAX_ROWS: Final = 200_000  # maximum rows of a fit of trees; beyond it, rows without alerts are drawn and weigh more
L2_PENALTY: Final = 10.0


@dataclass(frozen=True)
class FittedTrees(FittedDaily):
    """Stored with its trees in LightGBM's own text format, because a pickle could hold code; None for no trees."""

    _: KW_ONLY
    trees: Unstored = None

    def files(self) -> dict[str, bytes]:
        trees = {} if self.trees is None else {TREES_FILE: self.trees.model_to_string().encode()}
        return super().files() | trees

    @classmethod
    def load(cls, files: Mapping[str, bytes]) -> Self:
        trees = lightgbm.Booster(model_str=files[TREES_FILE].decode()) if TREES_FILE in files else None
        return replace(super().load(files), trees=trees)


def sum_of_trees(trees: lightgbm.Booster, rows: Singles, first: int = 0, number: int = -1) -> Array:
    """Return the sum of `number` trees from `first` on (all, if negative) in log odds, shape (rows,)."""
    return np.asarray(trees.predict(rows, raw_score=True, start_iteration=first, num_iteration=number, num_threads=1))


def lag_features(history: History, days: Sequence[int] | Integers) -> daily_inputs.Inputs:
    """Return the lag features of some days, to `History.next_day` at most, made once for both baselines."""
    return daily_inputs.cached_inputs("lag_features", history, days, _columns)


def _columns(history: History, wanted: Integers) -> Iterator[tuple[str, Array]]:
    """Return the lag features of the wanted days by name, in the order of stored models."""
    before = history.known_before(wanted)
    alerts = np.minimum(history.alerts[:, history.in_coverage], MAX_ALERTS_COUNTED).astype(np.uint8)
    occupied = alerts > 0
    for half_life, width in product(HALF_LIVES, WIDTHS):
        mean = exponential_mean(occupied, half_life, history.is_known, before)
        rate = smooth_cells(mean, history.in_coverage, width)
        yield f"log_occupied_{half_life:g}_days_{width:g}_cells", np.log(rate + MIN_RATE)
    for half_life in HALF_LIVES:
        rate = exponential_mean(alerts, half_life, history.is_known, before)
        yield f"log_alerts_{half_life:g}_days", np.log(rate + MIN_RATE)
    yield "alerts_yesterday", daily_inputs.last_day(alerts, before)
    since = daily_inputs.days_since_last_alert(history, alerts, wanted)
    yield "log_days_since_last_alert", np.log(np.minimum(since, daily_inputs.MAX_DAYS_REMEMBERED))
    known = history.known
    fireworks = firework_days(history.city, history.days_to_forecast())
    # A firework day says nothing about the rate of the ordinary days after it.
    ordinary = known & ~fireworks[: len(occupied)]
    for half_life in CITY_HALF_LIVES:
        rate = exponential_mean(occupied.mean(axis=1), half_life, ordinary, before)[:, None]
        yield f"log_city_{half_life}_days", np.log(rate + MIN_RATE)
    yield from _on_fireworks(history, occupied, np.flatnonzero(known & ~ordinary), wanted, fireworks[wanted])
    yield from daily_inputs.weekday_and_season(history.days_to_forecast()[wanted])
    yield "is_firework_day", fireworks[wanted].astype(np.float64)[:, None]


def _on_fireworks(
    history: History, occupied: Booleans, past_days: Integers, wanted: Integers, is_firework_day: Booleans
) -> Iterator[tuple[str, Array]]:
    """Return the features of firework days, 0 on others: rates of past ones, and the city's on last year's same date.

    `occupied` has the shape (days, cells); `past_days` are the known firework days among them. `is_firework_day` is that
    of the `wanted` days.
    """
    smooth = smooth_cells(occupied[past_days].astype(np.float64), history.in_coverage, WIDTHS[-1])
    mean = exponential_mean(smooth, FIREWORK_HALF_LIFE)
    rate = mean[np.searchsorted(past_days, history.known_before(wanted))] * is_firework_day[:, None]
    yield "log_occupied_on_past_firework_days", np.log(rate + MIN_RATE)
    days = history.days_to_forecast()
    last_year = (same_date_last_year(days) - days[:1]).astype(np.int64)[wanted]
    share = occupied.mean(axis=1)[np.maximum(last_year, 0)]
    rate = np.where(is_firework_day & (last_year >= 0), share, 0.0)[:, None]
    yield "log_city_last_year_on_firework_day", np.log(rate + MIN_RATE)


@dataclass(frozen=True)
class FittedLagBaseline(FittedTrees):
    """Trees, or the log odds by unit of each lag feature and where all are 0."""

    name: str
    names: tuple[str, ...]
    slopes: Numbers
    intercept: float = 0.0

    def predict(self, history: History, days: range) -> Array:
        """Return the forecast. Raises OtherInputsError if it was fitted on other inputs."""
        inputs = lag_features(history, days)
        if inputs.names != self.names:
            raise OtherInputsError.of(f"A stored {self.name}")
        return clip_probability(expit(self.log_odds(inputs)))

    def log_odds(self, inputs: daily_inputs.Inputs) -> Array:
        """Return the log odds of an alert, shape (days, cells)."""
        rows = inputs.values.reshape(-1, len(inputs.names))
        if self.trees is not None:
            log_odds = sum_of_trees(self.trees, rows)
        else:
            log_odds = rows.astype(np.float64) @ self.slopes + self.intercept
        return log_odds.reshape(inputs.values.shape[:2])


class LagBaseline(GridBaseline):
    """A baseline on rows of lag features."""

    fitted = FittedLagBaseline

    @abstractmethod
    def fit_on(self, rows: daily_inputs.CellDays, choices: Choices) -> FittedLagBaseline:
        """Return the fit on some rows with one setting."""

    def fit_days(self, history: History, days: range, choices: Choices) -> FittedLagBaseline:
        return self.fit_on(self.rows(history, days), choices)

    @staticmethod
    def rows(history: History, days: range) -> daily_inputs.CellDays:
        """Return the rows of some days after the warm-up. Raises ValueError if there is nothing to learn on them."""
        all_days = np.arange(len(history.counts))
        make = partial(daily_inputs.rows_to_fit, history, all_days, inputs_of=lag_features)
        all_rows = history.cached("rows_of_baselines", all_days, make)
        rows = all_rows.on(np.asarray(after_warm_up(days, BASELINES_WARM_UP_DAYS)))
        require_both_labels(history, days, rows.observed)
        return rows


class LogisticRegressionForecaster(LagBaseline):
    """L2 logistic regression on standardised inputs."""

    def tried(self, history: History, train: range, validation: range) -> Iterator[tuple[Choices, Array]]:
        inputs = lag_features(history, validation)
        for fitted in self._fits(self.rows(history, train), INVERSE_PENALTIES):
            yield fitted.chosen, expit(fitted.log_odds(inputs))

    def fit_on(self, rows: daily_inputs.CellDays, choices: Choices) -> FittedLagBaseline:
        return next(self._fits(rows, [choices["inverse_penalty"]]))

    def _fits(self, rows: daily_inputs.CellDays, inverse_penalties: Sequence[float]) -> Iterator[FittedLagBaseline]:
        """Return the fit with each penalty, which starts at the one before."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import StandardScaler

        # float64, as nearly equal rates make the fit stiff.
        values = rows.values.astype(np.float64)
        scaler = StandardScaler().fit(values, sample_weight=rows.sample_weight)
        values = scaler.transform(values)
        model = LogisticRegression(solver="newton-cholesky", warm_start=True)
        for inverse_penalty in inverse_penalties:
            model.set_params(C=inverse_penalty).fit(values, rows.observed, rows.sample_weight)
            slopes = model.coef_[0] / scaler.scale_
            intercept = float(model.intercept_[0] - slopes @ scaler.mean_)
            chosen = {"inverse_penalty": inverse_penalty}
            yield FittedLagBaseline(self.name, rows.names, slopes, intercept, chosen=chosen)


class GradientBoostingForecaster(LagBaseline):
    """LightGBM's trees; their number is where the validation log loss was least."""

    def tried(self, history: History, train: range, validation: range) -> Iterator[tuple[Choices, Array]]:
        inputs = lag_features(history, validation)
        rows = self.rows(history, train)
        values = inputs.values.reshape(-1, len(inputs.names))
        for choices in GRID:
            trees = self.fit_on(rows, choices | {"iterations": MAX_TREES}).trees
            log_odds = np.zeros(len(values))
            for first in range(0, MAX_TREES, TREE_STEP):
                log_odds += sum_of_trees(trees, values, first, TREE_STEP)
                yield choices | {"iterations": first + TREE_STEP}, expit(log_odds).reshape(inputs.values.shape[:2])

    def fit_on(self, rows: daily_inputs.CellDays, choices: Choices) -> FittedLagBaseline:
        share = min(MAX_ROWS / len(rows.day), 1.0)
        drawn = rows.observed | (np.random.default_rng(0).random(len(rows.day)) < share)
        parameters = PARAMETERS | {
            "lambda_l2": L2_PENALTY,
            "num_leaves": choices["leaves"],
            "learning_rate": choices["learning_rate"],
            "min_data_in_leaf": round(MIN_LEAF_ROWS * share),
        }
        weight = np.where(rows.observed, 1.0, 1 / share) * (1.0 if rows.sample_weight is None else rows.sample_weight)
        data = lightgbm.Dataset(rows.values[drawn], rows.observed[drawn], weight=weight[drawn])
        trees = lightgbm.train(parameters, data, num_boost_round=int(choices["iterations"]))
        return FittedLagBaseline(self.name, rows.names, np.zeros(0), chosen=choices, trees=trees)
