"""The gunshot type of an alert, given that there is one: trailing class mixes, as they are or corrected by place and time.

A multinomial logistic regression corrects the logarithms of the trailing mixes. Its weight against the plain mix of the
last 90 days is chosen on validation, because labels may change their meaning. Networks with a map of each type give mixes too.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import softmax
from threadpoolctl import threadpool_limits

from shotspotter_assets.cities.city import GUNSHOT_TYPES
from shotspotter_assets.grid.dates import DAY_HOURS
from shotspotter_assets.models.filters import exponential_mean, smoothing_weights, weighted_cells
from shotspotter_assets.models.forecaster import FittedDaily, Numbers, StoredModel, Unstored
from shotspotter_assets.models.history import History, HourlyHistory, HourlyHistoryError
from shotspotter_assets.models.next_day.network_forecaster import FittedNetwork, mapped_layers
from shotspotter_assets.storage.arrays import Array, Days, Integers, Singles

TYPES: Final = len(GUNSHOT_TYPES)
TRAILING_MIX: Final = "trailing_mix"  # name of the forecast to beat
TYPE_REGRESSION: Final = "type_regression"  # name of the forecast by `GunshotTypes`
TRAILING_DAYS: Final = 90  # days of the class mix that is the forecast to beat
PSEUDO_ALERTS: Final = 1.0  # alerts of each type that are added to trailing counts: no type is impossible
CITY_DAYS: Final = (7, 30, 90, 365)  # half-lives of the city's class mixes, in days
PLACE_DAYS: Final = (90, 365)
PRIOR_ALERTS: Final = 10.0  # strength, in alerts, of the Dirichlet prior of a cell's own mix around the city's
NEAR_WIDTH: Final = 1.0
INVERSE_PENALTY: Final = 0.01
REGRESSION_WEIGHTS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
PSEUDO_WEIGHT: Final = 1e-2  # weight of an alert of each type in the fit
HALF_LIFE_DAYS: Final = 365.0  # half-life of an alert's weight in the fit: the meaning of labels drifts


class AlertRows(NamedTuple):
    """Alerts whose types are forecast; arrays of shape (rows,).

    Each is forecast at an hour `issue`, at most `len(history)`, for a covered cell and an hour that is not before its
    issue and at most `lead` days beyond the history.
    """

    issue: Integers
    hour: Integers
    cell: Integers


@dataclass(frozen=True)
class TypedAlerts:
    """Typed alerts of covered cells, one row for each hour, cell and type; arrays of shape (rows,)."""

    hour: Integers
    cell: Integers
    gunshot_type: Integers
    number: Integers

    def within(self, hours: range) -> "TypedAlerts":
        """Return the alerts of some hours."""
        inside = (self.hour >= hours.start) & (self.hour < hours.stop)
        return TypedAlerts(self.hour[inside], self.cell[inside], self.gunshot_type[inside], self.number[inside])

    def forecast_rows(self, history: HourlyHistory) -> AlertRows:
        """Return the alerts as they are forecast: each at the issue of its day."""
        return AlertRows(history.day_issues(self.hour), self.hour, self.cell)


def typed_alerts(history: HourlyHistory) -> TypedAlerts:
    """Return all typed alerts of the covered cells, by hour."""
    counts = history.counts[:, :TYPES]
    hour, gunshot_type, cell = np.nonzero(counts)
    return TypedAlerts(hour, cell, gunshot_type, counts[hour, gunshot_type, cell].astype(np.int64))


def trailing_mix(history: HourlyHistory, issues: Integers) -> Array:
    """Return the class mix of the city's `TRAILING_DAYS` before each issue, shape (issues, types)."""
    totals = history.counts[:, :TYPES].sum(axis=2).astype(np.float64).cumsum(axis=0)
    totals = np.concatenate([np.zeros((1, TYPES)), totals])
    trailing = totals[issues] - totals[np.maximum(issues - TRAILING_DAYS * DAY_HOURS, 0)] + PSEUDO_ALERTS
    return trailing / trailing.sum(axis=1, keepdims=True)


def type_losses(probability: Array, alerts: TypedAlerts) -> Array:
    """Return the log loss in nats of each row's alerts together, shape (rows,)."""
    of_type = probability[np.arange(len(alerts.hour)), alerts.gunshot_type]
    return alerts.number.astype(np.float64) * -np.log(of_type)


@dataclass(frozen=True)
class GunshotTypes(StoredModel):
    """The fitted regression of types."""

    weights: Numbers  # weights of the inputs, shape (types, inputs)
    intercept: Numbers  # shape (types,)
    regression_weight: float  # against the trailing mix, 0 to 1
    validation_mix: Unstored = None  # mixes of validation alerts by the fit on training alone, (rows, types)

    @classmethod
    def fit(cls, history: HourlyHistory, train: range, validation: range) -> "GunshotTypes":
        """Choose the weight on validation, fit on both windows. Raises HourlyHistoryError if one has no typed alert."""
        alerts = typed_alerts(history)
        of_train = alerts.within(train)
        of_validation = alerts.within(validation)
        if not len(of_train.hour) or not len(of_validation.hour):
            raise HourlyHistoryError(
                f"No kinds of gunfire are shown: {len(of_train.hour):,} alerts to train on and "
                f"{len(of_validation.hour):,} to validate on have a kind."
            )
        rows = of_validation.forecast_rows(history)
        train_inputs = _inputs(history, of_train.forecast_rows(history))
        validation_inputs = _inputs(history, rows)
        weights, intercept = _regression(train_inputs, of_train)
        corrected = _mix_of(validation_inputs, weights, intercept)
        plain = trailing_mix(history, rows.issue)
        mixes = {weight: weight * corrected + (1 - weight) * plain for weight in REGRESSION_WEIGHTS}
        best = min(mixes, key=lambda weight: type_losses(mixes[weight], of_validation).sum())
        both = alerts.within(range(train.start, validation.stop))
        weights, intercept = _regression(np.concatenate([train_inputs, validation_inputs]), both)
        return cls(weights, intercept, best, mixes[best])

    def predict(self, history: HourlyHistory, rows: AlertRows) -> Array:
        """Return the probability of each type, shape (rows, types); alerts from an issue on are not used."""
        corrected = _mix_of(_inputs(history, rows), self.weights, self.intercept)
        return self.regression_weight * corrected + (1 - self.regression_weight) * trailing_mix(history, rows.issue)


def _mix_of(inputs: Array, weights: Array, intercept: Array) -> Array:
    return softmax(inputs @ weights.T + intercept, axis=1)


def _regression(inputs: Array, alerts: TypedAlerts) -> tuple[Array, Array]:
    """Return weights, shape (types, inputs), and intercept (types,) of the regression on inputs (rows, inputs)."""
    from sklearn.linear_model import LogisticRegression

    centre = inputs.mean(axis=0)
    spread = np.maximum(inputs.std(axis=0), 1e-6)
    age = (alerts.hour.max() - alerts.hour) / DAY_HOURS
    # A burst of one episode is little more evidence than one alert.
    weight = np.sqrt(alerts.number) * 2.0 ** (-age / HALF_LIFE_DAYS)
    # A pseudo-alert of each type at the mean of the inputs, because no type is impossible.
    rows = np.vstack([(inputs - centre) / spread, np.zeros((TYPES, inputs.shape[1]))])
    types = np.append(alerts.gunshot_type, range(TYPES))
    model = LogisticRegression(C=INVERSE_PENALTY, max_iter=1000)
    with threadpool_limits(1):
        model.fit(rows, types, sample_weight=np.append(weight, np.full(TYPES, PSEUDO_WEIGHT)))
    weights = model.coef_ / spread
    return weights, model.intercept_ - weights @ centre


def _inputs(history: HourlyHistory, rows: AlertRows) -> Array:
    """Return log ratios of trailing mixes before the issues, and the calendar of the hours, shape (rows, inputs)."""
    issues, row_issue = np.unique(rows.issue, return_inverse=True)
    in_city = history.counts[:, :TYPES].sum(axis=2).astype(np.float32)
    recent = {days: _decayed_counts(in_city, days, issues) + PSEUDO_ALERTS for days in CITY_DAYS}
    city_mixes = {days: counts / counts.sum(axis=1, keepdims=True) for days, counts in recent.items()}
    mixes = [trailing_mix(history, issues), *city_mixes.values()]
    columns = [_log_ratios(mix[row_issue]) for mix in mixes]
    near = smoothing_weights(history.in_coverage, NEAR_WIDTH)
    effective_cells = 1 / (near**2).sum(axis=1)
    for days, counts in _place_counts(history, issues).items():
        here = np.stack([of_type[row_issue, rows.cell] for of_type in counts], axis=1)
        means = np.stack([weighted_cells(of_type, near)[row_issue, rows.cell] for of_type in counts], axis=1)
        prior = PRIOR_ALERTS * city_mixes[days][row_issue]
        # Relative to the city's mix, which the columns above give.
        columns.append(_log_ratios(here + prior) - _log_ratios(prior))
        columns.append(_log_ratios(means * effective_cells[rows.cell, None] + prior) - _log_ratios(prior))
    return np.column_stack([*columns, *_calendar(history, rows.hour)]).astype(np.float64)


def _place_counts(history: HourlyHistory, issues: Integers) -> dict[int, list[Array]]:
    """Return each type's decayed alerts before each issue, each of shape (issues, cells), by half-life in days."""
    # For several issues filters run along the hours of a cell, which then lie together.
    order: Literal["C", "F"] = "F" if len(issues) > 1 else "C"
    alerts = np.empty(history.counts[:, 0].shape, dtype=np.float32, order=order)
    decayed: dict[int, list[Array]] = {days: [] for days in PLACE_DAYS}
    for code in range(TYPES):
        alerts[...] = history.counts[:, code]
        for days in PLACE_DAYS:
            decayed[days].append(_decayed_counts(alerts, days, issues))
    return decayed


def _decayed_counts(alerts: Singles, days: int, issues: Integers) -> Array:
    """Return the alerts before each issue, weighted by a half-life of some days; shape (issues, ...)."""
    return exponential_mean(alerts, days * DAY_HOURS, before=issues) * (days * DAY_HOURS / np.log(2))


def _calendar(history: HourlyHistory, hours: Integers) -> list[npt.NDArray[Any]]:
    """Return waves of the day and of the year, and the firework hours, each of shape (hours,)."""
    clock = history.clock
    angle = 2 * np.pi * clock.hour[hours] / DAY_HOURS
    season = 2 * np.pi * clock.season[hours]
    waves = [wave(phase) for phase in (angle, 2 * angle, season) for wave in (np.sin, np.cos)]
    return [*waves, clock.fireworks[hours], clock.firework_peak[hours]]


def _log_ratios(mix: npt.NDArray[np.floating]) -> Array:
    """Return the logarithm of each type's share over the last type's, shape (rows, types - 1)."""
    logs = np.log(mix)
    return logs[:, :-1] - logs[:, -1:]


def network_mix(network: FittedNetwork, daily: History, days: Days, cells: Integers) -> Array:
    """Return each type's share of the expected alerts, -log(1 - p), of a local day and covered cell, shape (rows, types)."""
    # A nowcast may end after midnight.
    index = np.minimum((days - np.datetime64(daily.first_day)).astype(np.int64), daily.next_day)
    maps = network.predict_maps(daily, range(index.min(), index.max() + 1))
    expected = -np.log1p(-maps[index - index.min(), cells, 1:])
    return np.asarray(expected / expected.sum(axis=1, keepdims=True))


def type_mixes(
    types: GunshotTypes, next_day: Mapping[str, FittedDaily], history: HourlyHistory, daily: History, rows: AlertRows
) -> Mapping[str, Callable[[], Array]]:
    """Return functions for the probability of types, shape (rows, types), by forecaster."""
    mixes = {
        TYPE_REGRESSION: partial(types.predict, history, rows),
        TRAILING_MIX: partial(trailing_mix, history, rows.issue),
    }
    if mapped_layers(history.city) != tuple(GUNSHOT_TYPES):
        return mixes
    networks = {name: model for name, model in next_day.items() if isinstance(model, FittedNetwork)}
    days = history.clock.day[rows.hour]
    return mixes | {name: partial(network_mix, model, daily, days, rows.cell) for name, model in networks.items()}
