"""Logistic regressions of the next hours on a sample with more alerts; the odds are corrected exactly."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from scipy.special import expit
from threadpoolctl import threadpool_limits

from shotspotter_assets.grid.dates import DAY_HOURS
from shotspotter_assets.models.filters import span
from shotspotter_assets.models.forecaster import FittedHours, Numbers, clip_probability
from shotspotter_assets.models.history import HourlyHistory, HourlyHistoryError, after_warm_up
from shotspotter_assets.models.next_hours import hourly_inputs
from shotspotter_assets.models.next_hours.hourly_forecaster import HourlyForecaster, Pairs
from shotspotter_assets.storage.arrays import Array, Booleans, Integers, Singles

WARM_UP_HOURS: Final = 90 * DAY_HOURS  # first hours of all history, not fitted on: their rates rest on a few days
FIREWORK_HALF_LIFE_HOURS: Final = 180 * DAY_HOURS  # half-life of their weight: the published share changes
MAX_ROWS_AT_ONCE: Final = 1_000_000
MAX_POSITIVES: Final = 20_000  # maximum of the sample of a fit
NEGATIVES_PER_POSITIVE: Final = 8
INVERSE_PENALTY: Final = 0.01


@dataclass(frozen=True)
class HourRegression(FittedHours):
    """The regression of one horizon, in hours, on `_linear_inputs`."""

    horizon: int
    profile: Numbers  # alerts of each hour of the week over their mean, shape (168,)
    weights: Numbers  # log odds by unit of each input
    intercept: float  # log odds where all inputs are 0

    def predict(self, history: HourlyHistory, issues: Integers) -> Array:
        cells = history.alerts.shape[1]
        blocks = []
        for part in np.array_split(issues, -(-len(issues) * cells // MAX_ROWS_AT_ONCE)):
            hours = span(part)
            rows = hourly_inputs.Rows(np.repeat(part - part[0], cells), np.tile(np.arange(cells), len(part)))
            cell_inputs = hourly_inputs.cell_features(history, hours, rows, self.profile)
            window = hourly_inputs.window_features(history, hours, self.horizon, self.profile)
            inputs = _linear_inputs(cell_inputs, window, rows.hour)
            blocks.append(expit(inputs @ self.weights + self.intercept).reshape(-1, cells))
        return clip_probability(np.concatenate(blocks))


class _Sample(NamedTuple):
    """Rows of a fit, and the shift of every logit by the sampling."""

    rows: hourly_inputs.Rows
    positive: Booleans
    is_validation: Booleans
    log_odds: float


class NextHours(HourlyForecaster):
    """Regressions on a sample of hours and cells."""

    fitted = HourRegression

    def _fit_horizons(self, history: HourlyHistory, train: range, validation: range, horizons: Sequence[int]) -> Pairs:
        """Fit each horizon on a sample of its own; the features of cells are made once for all of them."""
        profile = hourly_inputs.hour_profile(history, train)
        hours = range(after_warm_up(train, WARM_UP_HOURS).start, validation.stop)
        samples = [_sample(history, hours, train.stop, horizon) for horizon in horizons]
        hour = np.concatenate([sample.rows.hour for sample in samples])
        cell = np.concatenate([sample.rows.cell for sample in samples])
        cell_inputs = hourly_inputs.cell_features(history, hours, hourly_inputs.Rows(hour, cell), profile)
        by_horizon = np.split(cell_inputs, np.cumsum([len(sample.rows.hour) for sample in samples])[:-1])
        pairs = {}
        for horizon, sample, sample_inputs in zip(horizons, samples, by_horizon, strict=True):
            window = hourly_inputs.window_features(history, hours, horizon, profile)
            pairs[horizon] = _fit_pair(horizon, profile, sample, sample_inputs, window)
        return pairs


def _fit_pair(
    horizon: int, profile: Array, sample: _Sample, cell_inputs: Singles, window: Mapping[str, Singles]
) -> tuple[HourRegression, HourRegression]:
    """Return the regressions on the training rows of a sample and on all rows; `window` has features by hour."""
    fireworks = window["fireworks_ahead"][sample.rows.hour] > 0
    age = sample.rows.hour.max() - sample.rows.hour
    weight = np.where(fireworks, 2.0 ** (-age / FIREWORK_HALF_LIFE_HOURS), 1.0)
    inputs = _linear_inputs(cell_inputs, window, sample.rows.hour)

    def fit(rows: Booleans | slice) -> HourRegression:
        weights, intercept = _regression(inputs[rows], sample.positive[rows], weight[rows])
        return HourRegression(horizon, profile, weights, intercept - sample.log_odds, chosen={})

    return fit(~sample.is_validation), fit(slice(None))


def _sample(history: HourlyHistory, hours: range, train_stop: int, horizon: int) -> _Sample:
    """Return rows of hours from which the horizon is known and lies within training or within validation, not across."""
    occupied = history.occupied_within(horizon)[hours.start : hours.stop - horizon + 1]
    positives = int(occupied.sum())
    if not 0 < positives < occupied.size:
        raise HourlyHistoryError(
            f"City {history.city.name}: {positives} of {occupied.size} cells and hours from {history.starts[hours[0]]} on have "
            f"an alert within {horizon} hours; fit on a longer window or check the coverage."
        )
    keep_positive = min(1.0, MAX_POSITIVES / positives)
    wanted = keep_positive * positives * NEGATIVES_PER_POSITIVE
    keep_negative = min(1.0, wanted / (occupied.size - positives))
    share = np.where(occupied, np.float32(keep_positive), np.float32(keep_negative))
    random = np.random.default_rng([0, horizon]).random(occupied.shape, dtype=np.float32)
    hour, cell = np.nonzero(random < share)
    issue = hour + hours.start
    whole = ((issue + horizon <= train_stop) | (issue >= train_stop)) & history.are_known(issue, horizon)
    rows = hourly_inputs.Rows(hour[whole], cell[whole])
    # The odds of a row of the sample are those of all rows times this ratio.
    log_odds = float(np.log(keep_positive / keep_negative))
    return _Sample(rows, occupied[rows.hour, rows.cell], issue[whole] >= train_stop, log_odds)


def _regression(inputs: Singles, positive: Booleans, sample_weight: Array) -> tuple[Array, float]:
    """Return weights, in log odds by unit of each input, and intercept of the regression on inputs (rows, inputs)."""
    from sklearn.linear_model import LogisticRegression

    # float64 and a solver that goes to the end: nearly equal rates make the fit stiff.
    rows = inputs.astype(np.float64)
    centre = rows.mean(axis=0)
    spread = np.maximum(rows.std(axis=0), 1e-6)
    model = LogisticRegression(C=INVERSE_PENALTY, solver="newton-cholesky")
    with threadpool_limits(1):
        model.fit((rows - centre) / spread, positive, sample_weight)
    weights = model.coef_[0] / spread
    return weights, float(model.intercept_[0] - weights @ centre)


def _linear_inputs(cell_inputs: Singles, of_hours: Mapping[str, Singles], hour: Integers) -> Singles:
    """Return inputs of the regression, shape (rows, inputs): hours as waves, and the products that a line needs."""
    window = {name: values[hour] for name, values in of_hours.items()}
    angle = np.float32(2 * np.pi / DAY_HOURS) * window.pop("hour")
    waves = [wave(harmonic * angle) for harmonic in (1, 2) for wave in (np.sin, np.cos)]
    products = [window[season] * wave for season in ("season_sine", "season_cosine") for wave in waves[:2]]
    return np.column_stack([cell_inputs, *window.values(), *waves, *products])
