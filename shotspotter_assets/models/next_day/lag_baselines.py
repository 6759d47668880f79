"""Logistic regression and gradient boosting on lag features, which are simpler than `daily_inputs`: baselines with a model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Final

import lightgbm
import numpy as np
from scipy.special import expit

from shotspotter_assets.arrays import Array, Integers
from shotspotter_assets.calendar.dates import same_date_last_year
from shotspotter_assets.models.filters import exponential_mean, smooth_cells
from shotspotter_assets.models.forecaster import Choices, OtherInputsError, require_both_labels
from shotspotter_assets.models.history import History, firework_days
from shotspotter_assets.models.model_files import Numbers
from shotspotter_assets.models.next_day import daily_inputs
from shotspotter_assets.models.next_day.simple_baselines import GridBaseline
from shotspotter_assets.models.next_day.trees import PARAMETERS, FittedTrees, sum_of_trees
from shotspotter_assets.models.probability import clip_probability
from shotspotter_assets.models.training_windows import BASELINES_WARM_UP_DAYS, after_warm_up

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


def lag_features(history: History, days: Sequence[int] | Integers) -> daily_inputs.Inputs:
    """Return the lag features of some days, to `History.next_day` at most, made once for both baselines."""
    return daily_inputs.cached_inputs("lag_features", history, days, _columns)


def _columns(history: History, wanted: Integers) -> Iterator[tuple[str, Array]]:
    in_coverage, before, kept = history.in_coverage, history.known_before(wanted), history.is_known
    days = history.days_to_forecast()
    alerts = np.minimum(history.alerts[:, in_coverage], MAX_ALERTS_COUNTED).astype(np.uint8)
    occupied = alerts > 0
    for half_life, width in product(HALF_LIVES, WIDTHS):
        rate = smooth_cells(exponential_mean(occupied, half_life, kept, before), in_coverage, width)
        yield f"log_occupied_{half_life:g}_days_{width:g}_cells", np.log(rate + MIN_RATE)
    for half_life in HALF_LIVES:
        yield f"log_alerts_{half_life:g}_days", np.log(exponential_mean(alerts, half_life, kept, before) + MIN_RATE)
    yield "alerts_yesterday", daily_inputs.last_day(alerts, before)
    since = daily_inputs.days_since_last_alert(history, alerts, wanted)
    yield "log_days_since_last_alert", np.log(np.minimum(since, daily_inputs.MAX_DAYS_REMEMBERED))
    # A firework day says nothing about the rate of the ordinary days after it.
    fireworks, city = firework_days(history.city, days), occupied.mean(axis=1)
    known = np.ones(len(occupied), dtype=bool) if kept is None else kept
    for half_life in CITY_HALF_LIVES:
        rate = exponential_mean(city, half_life, known & ~fireworks[: len(occupied)], before)[:, None]
        yield f"log_city_{half_life}_days", np.log(rate + MIN_RATE)
    # On firework days alone: the rates of past ones, and the city's on the same date of last year.
    on_fireworks, counted = fireworks[wanted], np.flatnonzero(known & fireworks[: len(occupied)])
    on_past = smooth_cells(occupied[counted].astype(np.float64), in_coverage, WIDTHS[-1])
    past = exponential_mean(on_past, FIREWORK_HALF_LIFE)
    rate = past[np.searchsorted(counted, before)] * on_fireworks[:, None]
    yield "log_occupied_on_past_firework_days", np.log(rate + MIN_RATE)
    last_year = (same_date_last_year(days) - days[:1]).astype(np.int64)[wanted]
    of_last_year = np.where(on_fireworks & (last_year >= 0), city[np.maximum(last_year, 0)], 0.0)
    yield "log_city_last_year_on_firework_day", np.log(of_last_year[:, None] + MIN_RATE)
    yield from daily_inputs.weekday_and_season(days[wanted])
    yield "is_firework_day", on_fireworks.astype(np.float64)[:, None]


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
        rows, shape = inputs.values.reshape(-1, len(inputs.names)), inputs.values.shape[:2]
        if self.trees is not None:
            return sum_of_trees(self.trees, rows).reshape(shape)
        return (rows.astype(np.float64) @ self.slopes + self.intercept).reshape(shape)


class LagBaseline(GridBaseline):
    """A baseline on rows of lag features."""

    fitted = FittedLagBaseline

    def fit_on(self, rows: daily_inputs.CellDays, choices: Choices) -> FittedLagBaseline:
        raise NotImplementedError

    def fit_days(self, history: History, days: range, choices: Choices) -> FittedLagBaseline:
        return self.fit_on(self.rows(history, days), choices)

    @staticmethod
    def rows(history: History, days: range) -> daily_inputs.CellDays:
        """Return the rows of some days after the warm-up. Raises ValueError if there is nothing to learn on them."""
        whole = np.arange(len(history.counts))
        make = partial(daily_inputs.rows_to_fit, history, whole, inputs_of=lag_features)
        every = history.cached("rows_of_baselines", whole, make)
        rows = every.on(np.asarray(after_warm_up(days, BASELINES_WARM_UP_DAYS)))
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
            choices = {"inverse_penalty": inverse_penalty}
            yield FittedLagBaseline(self.name, rows.names, slopes, intercept, chosen=choices)


class GradientBoostingForecaster(LagBaseline):
    """LightGBM's trees; their number is where the validation log loss was least."""

    def tried(self, history: History, train: range, validation: range) -> Iterator[tuple[Choices, Array]]:
        inputs, rows = lag_features(history, validation), self.rows(history, train)
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
