"""Logistic regressions of the next hours on a sample with more alerts; the odds are corrected exactly."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from scipy.special import expit
from threadpoolctl import threadpool_limits

from shotspotter_assets.arrays import Array, Booleans, Integers, Singles
from shotspotter_assets.calendar.dates import DAY_HOURS
from shotspotter_assets.models.filters import span
from shotspotter_assets.models.forecaster import Fitted
from shotspotter_assets.models.hourly_history import HourlyHistory, HourlyHistoryError
from shotspotter_assets.models.model_files import Numbers
from shotspotter_assets.models.next_hours import hourly_inputs
from shotspotter_assets.models.next_hours.hourly_forecaster import HourlyForecaster, Pairs
from shotspotter_assets.models.probability import clip_probability

WARM_UP_HOURS: Final = 90 * DAY_HOURS  # first hours of all history, not fitted on: their rates rest on a few days
FIREWORK_HALF_LIFE_HOURS: Final = 180 * DAY_HOURS  # half-life of their weight: the published share changes
MAX_ROWS_AT_ONCE: Final = 1_000_000
MAX_POSITIVES: Final = 20_000  # maximum of the sample of a fit
NEGATIVES_PER_POSITIVE: Final = 8
INVERSE_PENALTY: Final = 0.01


@dataclass(frozen=True)
class HourRegression(Fitted):
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
        profile = hourly_inputs.hour_profile(history, train)
        hours = range(min(max(train.start, WARM_UP_HOURS), (train.start + train.stop) // 2), validation.stop)
        samples = {horizon: _sample(history, hours, train.stop, horizon) for horizon in horizons}
        # The features of cells are the same for all horizons.
        each = [sample.rows for sample in samples.values()]
        everything = hourly_inputs.Rows(*map(np.concatenate, zip(*each, strict=True)))
        cell_inputs = hourly_inputs.cell_features(history, hours, everything, profile)
        of_horizons = np.split(cell_inputs, np.cumsum([len(rows.hour) for rows in each])[:-1])
        pairs = {}
        for (horizon, sample), of_horizon in zip(samples.items(), of_horizons, strict=True):
            window = hourly_inputs.window_features(history, hours, horizon, profile)
            fireworks = window["fireworks_ahead"][sample.rows.hour] > 0
            age = sample.rows.hour.max() - sample.rows.hour
            counted = np.where(fireworks, 2.0 ** (-age / FIREWORK_HALF_LIFE_HOURS), 1.0)
            inputs, check = _linear_inputs(of_horizon, window, sample.rows.hour), sample.is_validation
            of_train = _regression(inputs[~check], sample.positive[~check], counted[~check])
            on_train, on_both = (
                HourRegression(horizon, profile, weights, intercept - sample.log_odds, chosen={})
                for weights, intercept in (of_train, _regression(inputs, sample.positive, counted))
            )
            pairs[horizon] = on_train, on_both
        return pairs


def _sample(history: HourlyHistory, hours: range, train_stop: int, horizon: int) -> _Sample:
    """Return rows of hours from which the horizon is known and lies within training or within validation, not across."""
    occupied = history.occupied_within(horizon)[hours.start : hours.stop - horizon + 1]
    positives = int(occupied.sum())
    if not 0 < positives < occupied.size:
        found = f"{positives} of {occupied.size} cells and hours from {history.starts[hours[0]]} on"
        remedy = "fit on a longer window or check the coverage"
        raise HourlyHistoryError(f"City {history.city.name}: {found} have an alert within {horizon} hours; {remedy}.")
    keep_positive = min(1.0, MAX_POSITIVES / positives)
    wanted = keep_positive * positives * NEGATIVES_PER_POSITIVE
    keep_negative = min(1.0, wanted / (occupied.size - positives))
    share = np.where(occupied, np.float32(keep_positive), np.float32(keep_negative))
    random = np.random.default_rng([0, horizon]).random(occupied.shape, dtype=np.float32)
    hour, cell = np.nonzero(random < share)
    at = hour + hours.start
    whole = ((at + horizon <= train_stop) | (at >= train_stop)) & history.are_known(at, horizon)
    hour, cell = hour[whole], cell[whole]
    positive = occupied[hour, cell]
    # The odds of a kept row are those of all rows times this ratio.
    log_odds = float(np.log(keep_positive / keep_negative))
    return _Sample(hourly_inputs.Rows(hour, cell), positive, at[whole] >= train_stop, log_odds)


def _regression(inputs: Singles, positive: Booleans, sample_weight: Array) -> tuple[Array, float]:
    from sklearn.linear_model import LogisticRegression

    # float64 and a solver that goes to the end: nearly equal rates make the fit stiff.
    rows = inputs.astype(np.float64)
    centre, spread = rows.mean(axis=0), np.maximum(rows.std(axis=0), 1e-6)
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
