"""The gunshot type of an alert, given that there is one: trailing class mixes, as they are or corrected by place and time.

A multinomial logistic regression corrects the logarithms of the trailing mixes. Its weight against the plain mix of the
last 90 days is chosen on validation, as labels may change their meaning. Networks with a map of each type give mixes too.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import softmax
from threadpoolctl import threadpool_limits

from shotspotter_assets.arrays import Array, Days, Integers
from shotspotter_assets.calendar.dates import DAY_HOURS
from shotspotter_assets.cities.city import GUNSHOT_TYPES
from shotspotter_assets.models.filters import exponential_mean, smoothing_weights, weighted_cells
from shotspotter_assets.models.forecaster import Fitted
from shotspotter_assets.models.history import History
from shotspotter_assets.models.hourly_history import HourlyHistory, HourlyHistoryError
from shotspotter_assets.models.model_files import Numbers, StoredModel, Unstored
from shotspotter_assets.models.next_day.network_forecaster import FittedNetwork, mapped_layers

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
AlertRows = tuple[Integers, Integers, Integers]  # issues, hours and cells


@dataclass(frozen=True)
class TypedAlerts:
    """Typed alerts of covered cells, one row for each hour, cell and type; arrays of shape (rows,)."""

    hour: Integers
    cell: Integers
    gunshot_type: Integers
    number: Integers

    def within(self, hours: range) -> "TypedAlerts":
        kept = (self.hour >= hours.start) & (self.hour < hours.stop)
        return TypedAlerts(self.hour[kept], self.cell[kept], self.gunshot_type[kept], self.number[kept])


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
    chosen = probability[np.arange(len(alerts.hour)), alerts.gunshot_type]
    return alerts.number.astype(np.float64) * -np.log(chosen)


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
        fitted, checked = alerts.within(train), alerts.within(validation)
        if not len(fitted.hour) or not len(checked.hour):
            found = f"{len(fitted.hour):,} alerts to train on and {len(checked.hour):,} to validate on have a kind"
            raise HourlyHistoryError(f"No kinds of gunfire are shown: {found}.")
        parts = ((history.day_issues(part.hour), part.hour, part.cell) for part in (fitted, checked))
        to_fit, to_check = (_inputs(history, *part) for part in parts)
        plain = trailing_mix(history, history.day_issues(checked.hour))
        corrected = _mix_of(to_check, *_regression(to_fit, fitted))
        mixes = {weight: weight * corrected + (1 - weight) * plain for weight in REGRESSION_WEIGHTS}
        weight = min(mixes, key=lambda weight: type_losses(mixes[weight], checked).sum())
        both = alerts.within(range(train.start, validation.stop))
        return cls(*_regression(np.concatenate([to_fit, to_check]), both), weight, mixes[weight])

    def predict(self, history: HourlyHistory, issues: Integers, hours: Integers, cells: Integers) -> Array:
        """Return the probability of each type of an alert, shape (rows, types).

        Rows are forecast at the hours `issues`, at most `len(history)`, for a covered cell and one of `hours`, not
        before its issue and at most `lead` days beyond the history. Alerts from an issue on are not used.
        """
        corrected = _mix_of(_inputs(history, issues, hours, cells), self.weights, self.intercept)
        return self.regression_weight * corrected + (1 - self.regression_weight) * trailing_mix(history, issues)


def _mix_of(inputs: Array, weights: Array, intercept: Array) -> Array:
    return softmax(inputs @ weights.T + intercept, axis=1)


def _regression(inputs: Array, alerts: TypedAlerts) -> tuple[Array, Array]:
    from sklearn.linear_model import LogisticRegression

    centre, spread = inputs.mean(axis=0), np.maximum(inputs.std(axis=0), 1e-6)
    age = (alerts.hour.max() - alerts.hour) / DAY_HOURS
    # A burst of one episode is little more evidence than one alert.
    weight = np.sqrt(alerts.number) * 2.0 ** (-age / HALF_LIFE_DAYS)
    # A pseudo-alert of each type at the mean of the inputs, as no type is impossible.
    rows = np.vstack([(inputs - centre) / spread, np.zeros((TYPES, inputs.shape[1]))])
    types, weight = np.append(alerts.gunshot_type, range(TYPES)), np.append(weight, np.full(TYPES, PSEUDO_WEIGHT))
    model = LogisticRegression(C=INVERSE_PENALTY, max_iter=1000)
    with threadpool_limits(1):
        model.fit(rows, types, sample_weight=weight)
    weights = model.coef_ / spread
    return weights, model.intercept_ - weights @ centre


def _inputs(history: HourlyHistory, issues: Integers, hours: Integers, cells: Integers) -> Array:
    """Return log ratios of trailing mixes before the issues, and the calendar of the hours, shape (rows, inputs)."""
    clock, counts = history.clock, history.counts[:, :TYPES]
    city = counts.sum(axis=2).astype(np.float32)
    distinct, at = np.unique(issues, return_inverse=True)
    columns = [_log_ratios(trailing_mix(history, distinct)[at])]
    mixes = {}
    for days in CITY_DAYS:
        memory = days * DAY_HOURS / np.log(2)
        recent = exponential_mean(city, days * DAY_HOURS, before=distinct) * memory + PSEUDO_ALERTS
        mixes[days] = recent / recent.sum(axis=1, keepdims=True)
        columns.append(_log_ratios(mixes[days][at]))
    near = smoothing_weights(history.in_coverage, NEAR_WIDTH)
    effective = 1 / (near**2).sum(axis=1)
    # For several issues filters run along the hours of a cell, which then lie together.
    order: Literal["C", "F"] = "F" if len(distinct) > 1 else "C"
    alerts = np.empty((len(counts), counts.shape[2]), dtype=np.float32, order=order)
    here: dict[int, list[npt.NDArray[np.floating]]] = {days: [] for days in PLACE_DAYS}
    for code in range(TYPES):
        alerts[...] = counts[:, code]
        for days, means in here.items():
            means.append(exponential_mean(alerts, days * DAY_HOURS, before=distinct) * (days * DAY_HOURS / np.log(2)))
    for days, means in here.items():
        prior = PRIOR_ALERTS * mixes[days]
        own = np.stack([each[at, cells] for each in means], axis=1)
        around = np.stack([weighted_cells(each, near)[at, cells] for each in means], axis=1) * effective[cells, None]
        # Relative to the city's mix, which the columns above give.
        columns += [_log_ratios(alerts_of + prior[at]) - _log_ratios(prior[at]) for alerts_of in (own, around)]
    angle, season = 2 * np.pi * clock.hour[hours] / DAY_HOURS, 2 * np.pi * clock.season[hours]
    waves = [wave(one) for one in (angle, 2 * angle, season) for wave in (np.sin, np.cos)]
    return np.column_stack([*columns, *waves, clock.fireworks[hours], clock.firework_peak[hours]]).astype(np.float64)


def _log_ratios(mix: npt.NDArray[np.floating]) -> Array:
    logs = np.log(mix)
    return logs[:, :-1] - logs[:, -1:]


def network_mix(network: FittedNetwork, daily: History, days: Days, cells: Integers) -> Array:
    """Return each type's share of the expected alerts, -log(1 - p), of a local day and covered cell, shape (rows, types)."""
    # A nowcast may end after midnight.
    at = np.minimum((days - np.datetime64(daily.first_day)).astype(np.int64), daily.next_day)
    maps = network.predict_maps(daily, range(at.min(), at.max() + 1))[at - at.min(), cells, 1:]
    expected = -np.log1p(-maps)
    return np.asarray(expected / expected.sum(axis=1, keepdims=True))


def type_mixes(
    types: GunshotTypes, next_day: Mapping[str, Fitted], history: HourlyHistory, daily: History, rows: AlertRows
) -> Mapping[str, Callable[[], Array]]:
    """Return functions for the probability of types, shape (rows, types), by forecaster."""
    regression, trailing = partial(types.predict, history, *rows), partial(trailing_mix, history, rows[0])
    mixes = {TYPE_REGRESSION: regression, TRAILING_MIX: trailing}
    if mapped_layers(history.city) != tuple(GUNSHOT_TYPES):
        return mixes
    networks = {name: model for name, model in next_day.items() if isinstance(model, FittedNetwork)}
    days = history.clock.day[rows[1]]
    return mixes | {name: partial(network_mix, model, daily, days, rows[2]) for name, model in networks.items()}
