"""The gunshot type of an alert, given that there is one: trailing class mixes corrected by place and time.

The forecast of a day uses the days before it. Untyped alerts are left out. A multinomial logistic regression corrects
the logarithms of the trailing mixes; how far it is trusted against the plain mix of the last 90 days is chosen on the
validation window, so that it is not used where the labels changed their meaning.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import softmax
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from shotspotter_assets.calendar.weekdays import DAY_HOURS
from shotspotter_assets.cities.city import GUNSHOT_TYPES
from shotspotter_assets.models.hourly_history import HourlyHistory, HourlyHistoryError
from shotspotter_assets.models.next_hours.features import (
    Array,
    Indexes,
    recursive_mean,
    smoother,
)

TYPES: Final = len(GUNSHOT_TYPES)
TRAILING_DAYS: Final = 90
"""The class mix of so many days is the forecast to beat."""
PSEUDO_ALERTS: Final = 1.0
"""Of each type, added to the trailing counts: no type is impossible."""
CITY_DAYS: Final = (7, 30, 90, 365)
"""Half-lives of the city's class mixes, in days."""
PLACE_DAYS: Final = (90, 365)
PLACE_ALERTS: Final = 10.0
"""A cell's own mix is drawn towards the city's as if by so many alerts of it (a Dirichlet prior)."""
NEAR_WIDTH: Final = 1.0
INVERSE_PENALTIES: Final = (0.001, 0.01, 0.1)
TRUSTS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
MEMORY_DAYS: Final = 365.0
"""Half-life of an alert's weight in the fit: what labels mean drifts."""
TYPES_FILE: Final = "gunshot_types.json"


@dataclass(frozen=True)
class TypedAlerts:
    """Typed alerts of covered cells, one row for each hour, cell and type; arrays of shape (rows,)."""

    hour: Indexes
    cell: Indexes
    gunshot_type: Indexes
    number: Indexes

    def within(self, hours: range) -> "TypedAlerts":
        kept = (self.hour >= hours.start) & (self.hour < hours.stop)
        return TypedAlerts(self.hour[kept], self.cell[kept], self.gunshot_type[kept], self.number[kept])


def typed_alerts(history: HourlyHistory) -> TypedAlerts:
    """All typed alerts of the covered cells, by hour."""
    counts = history.counts[:, :TYPES][:, :, history.covered]
    hour, gunshot_type, cell = np.nonzero(counts)
    return TypedAlerts(hour, cell, gunshot_type, counts[hour, gunshot_type, cell].astype(np.int64))


def trailing_mix(history: HourlyHistory, issues: Indexes) -> Array:
    """Class mix of the city's `TRAILING_DAYS` before each issue, shape (issues, types)."""
    totals = _city_counts(history).cumsum(axis=0)
    totals = np.concatenate([np.zeros((1, TYPES)), totals])
    seen = totals[issues] - totals[np.maximum(issues - TRAILING_DAYS * DAY_HOURS, 0)] + PSEUDO_ALERTS
    return seen / seen.sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class GunshotTypes:
    """The fitted forecaster of types.

    Attributes:
        weights: of the standardised inputs, shape (types, inputs).
        intercept: shape (types,).
        trust: weight of the regression against the trailing mix, 0 to 1.
        validation: mean log loss of both on the validation window.
    """

    weights: Array
    intercept: Array
    trust: float
    validation: dict[str, float]

    name = "gunshot_types"

    def predict(self, history: HourlyHistory, issues: Indexes, hours: Indexes, cells: Indexes) -> Array:
        """Probability of each type of an alert, shape (rows, types).

        Args:
            history: alerts before each issue are used, none from it on.
            issues: from which hour each row is forecast, at most `len(history)`.
            hours: the hour that each row is for, not before its issue; at most a day beyond the history.
            cells: which covered cell each row is for.
        """
        inputs = _inputs(history, issues, hours, cells)
        mixed = self.trust * softmax(inputs @ self.weights.T + self.intercept, axis=1)
        return mixed + (1 - self.trust) * trailing_mix(history, issues)

    def files(self) -> dict[str, bytes]:
        """The forecaster as a JSON file."""
        record = vars(self) | {"weights": self.weights.tolist(), "intercept": self.intercept.tolist()}
        return {TYPES_FILE: json.dumps(record, indent=1).encode()}


def load_gunshot_types(files: Mapping[str, bytes]) -> GunshotTypes:
    """The forecaster that `GunshotTypes.files` was called on."""
    record = json.loads(files[TYPES_FILE])
    weights, intercept = np.array(record["weights"]), np.array(record["intercept"])
    return GunshotTypes(weights, intercept, record["trust"], record["validation"])


def fit_gunshot_types(history: HourlyHistory, train: range, validation: range) -> GunshotTypes:
    """Forecaster of the types; penalty and trust are chosen on the validation hours, then it is fitted on both.

    Raises:
        HourlyHistoryError: training or validation has no typed alert.
    """
    alerts = typed_alerts(history)
    fitted, checked = alerts.within(range(train.start, train.stop)), alerts.within(validation)
    if not len(fitted.hour) or not len(checked.hour):
        raise HourlyHistoryError(
            f"City {history.city.name}: {len(fitted.hour)} typed alerts to train and {len(checked.hour)} to validate on; "
            "forecast types only of cities whose source gives them, and on a longer window."
        )
    to_fit, to_check = (
        _inputs(history, history.day_beginnings(part.hour), part.hour, part.cell) for part in (fitted, checked)
    )
    plain = trailing_mix(history, history.day_beginnings(checked.hour))
    best, chosen, trusted = np.inf, INVERSE_PENALTIES[0], 0.0
    for penalty in INVERSE_PENALTIES:
        weights, intercept = _regression(to_fit, fitted, penalty)
        corrected = softmax(to_check @ weights.T + intercept, axis=1)
        for trust in TRUSTS:
            loss = float(type_losses(trust * corrected + (1 - trust) * plain, checked).sum() / checked.number.sum())
            if loss < best:
                best, chosen, trusted = loss, penalty, trust
    both = alerts.within(range(train.start, validation.stop))
    weights, intercept = _regression(np.concatenate([to_fit, to_check]), both, chosen)
    trailing = float(type_losses(plain, checked).sum() / checked.number.sum())
    return GunshotTypes(weights, intercept, trusted, {"log_loss": best, "trailing_mix_log_loss": trailing})


def type_losses(probability: Array, alerts: TypedAlerts) -> Array:
    """Log loss in nats of each row's alerts together, shape (rows,)."""
    chosen = probability[np.arange(len(alerts.hour)), alerts.gunshot_type]
    return alerts.number.astype(np.float64) * -np.log(chosen)


def _regression(inputs: Array, alerts: TypedAlerts, inverse_penalty: float) -> tuple[Array, Array]:
    from sklearn.linear_model import LogisticRegression

    centre, spread = inputs.mean(axis=0), np.maximum(inputs.std(axis=0), 1e-6)
    age = (alerts.hour.max() - alerts.hour) / DAY_HOURS
    # A burst of one episode says little more than one alert does.
    weight = np.sqrt(alerts.number) * 2.0 ** (-age / MEMORY_DAYS)
    seen = np.unique(alerts.gunshot_type)
    weights, intercept = np.zeros((TYPES, inputs.shape[1])), np.full(TYPES, -8.0)
    if len(seen) == 1:
        intercept[seen] = 0.0
        return weights, intercept
    model = LogisticRegression(C=inverse_penalty, max_iter=1000)
    with threadpool_limits(1):
        model.fit((inputs - centre) / spread, alerts.gunshot_type, sample_weight=weight)
    # Of two classes scikit-learn gives the line of the second one only.
    lines = np.vstack([-model.coef_, model.coef_]) / 2 if len(seen) == 2 else model.coef_
    starts = np.r_[-model.intercept_, model.intercept_] / 2 if len(seen) == 2 else model.intercept_
    weights[seen] = lines / spread
    intercept[seen] = starts - weights[seen] @ centre
    return weights, intercept


def _city_counts(history: HourlyHistory) -> Array:
    return history.counts[:, :TYPES][:, :, history.covered].sum(axis=2).astype(np.float64)


def _inputs(history: HourlyHistory, issues: Indexes, hours: Indexes, cells: Indexes) -> Array:
    """Log ratios of trailing mixes before the issues, and the calendar of the hours, shape (rows, inputs)."""
    clock = history.clock
    city = _city_counts(history).astype(np.float32)
    distinct, at = np.unique(issues, return_inverse=True)
    span = range(int(distinct[0]), int(distinct[-1]) + 1)
    columns = [_log_ratios(trailing_mix(history, distinct)[at])]
    mixes = {}
    for days in CITY_DAYS:
        memory = days * DAY_HOURS / np.log(2)
        seen = recursive_mean(city, span, days * DAY_HOURS)[distinct - span.start] * memory + PSEUDO_ALERTS
        mixes[days] = seen / seen.sum(axis=1, keepdims=True)
        columns.append(_log_ratios(mixes[days][at]))
    near = smoother(history.covered, NEAR_WIDTH)
    by_type = [history.counts[:, code][:, history.covered].astype(np.float32) for code in range(TYPES)]
    for days in PLACE_DAYS:
        prior = PLACE_ALERTS * mixes[days]
        memory = days * DAY_HOURS / np.log(2)
        here = [recursive_mean(counts, span, days * DAY_HOURS)[distinct - span.start] * memory for counts in by_type]
        own = np.stack([each[at, cells] for each in here], axis=1) + prior[at]
        around = np.stack([np.einsum("rc,rc->r", each[at], near[cells]) for each in here], axis=1)
        # Relative to the city's mix, which the columns above give.
        columns += [_log_ratios(own) - _log_ratios(prior[at])]
        around = around * (1 / np.square(near[cells]).sum(axis=1))[:, None] + prior[at]
        columns += [_log_ratios(around) - _log_ratios(prior[at])]
    angle = 2 * np.pi * clock.hour[hours] / DAY_HOURS
    season = 2 * np.pi * clock.season[hours]
    # Friday 18:00 to Sunday 18:00.
    weekend = (clock.hour_of_week[hours] >= 114) & (clock.hour_of_week[hours] < 162)
    calendar_columns = [
        *(wave(harmonic * angle) for harmonic in (1, 2) for wave in (np.sin, np.cos)),
        np.sin(season),
        np.cos(season),
        weekend,
        clock.fireworks[hours],
        clock.firework_peak[hours],
    ]
    return np.concatenate([*columns, np.stack(calendar_columns, axis=1).astype(np.float64)], axis=1).astype(np.float64)


def _log_ratios(mix: npt.NDArray[np.floating]) -> Array:
    """Logarithms of the first types' shares over the last one's, shape (rows, types - 1)."""
    logs = np.log(mix)
    return logs[:, :-1] - logs[:, -1:]
