"""Regression of the number of alerts beyond the first in an occupied cell, on the next-day inputs and uncapped rates."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from shotspotter_assets.models.forecaster import Numbers
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.daily_inputs import (
    Inputs,
    cached_inputs,
    next_day_inputs,
    ordinary_days,
    rows_to_fit,
    shrunk_rates,
)
from shotspotter_assets.models.next_day.regime_regression import FitData
from shotspotter_assets.models.next_day.shared_regression import standardise
from shotspotter_assets.storage.arrays import Array, Integers

VARIANCE: Final = 3e-3  # of the standardised weights around zero
MIN_OCCUPIED: Final = 100  # minimum of occupied cell-days to train on


def count_inputs(history: History, days: Integers) -> Inputs:
    """Return the shrunk rates of all alerts, of which the next-day inputs count at most a few a day."""
    return cached_inputs("count_inputs", history, days, _columns)


def _columns(history: History, days: Integers) -> Iterator[tuple[str, Array]]:
    alerts = history.alerts[:, history.in_coverage]
    before = history.known_before(days)
    for half_life, _, rate in shrunk_rates(alerts, ordinary_days(history), before, history.in_coverage, (1.0,)):
        yield f"log_uncapped_{half_life:g}_days", np.log(rate)


@dataclass(frozen=True)
class FurtherAlerts:
    """A Poisson regression of alerts beyond the first, given one, on ordinary days."""

    slopes: Numbers
    intercept: float
    highest: float  # of the logarithm of the mean in the fit

    def log_mean(self, history: History, days: range) -> Array:
        """Return the logarithm of the expected further alerts of an occupied cell, shape (days, cells)."""
        wanted = np.arange(days.start, days.stop)
        parts = [inputs_of(history, wanted).values for inputs_of in (next_day_inputs, count_inputs)]
        return np.asarray(np.minimum(np.concatenate(parts, axis=2) @ self.slopes + self.intercept, self.highest))


def fit_further_alerts(data: FitData) -> tuple[FurtherAlerts | None, Array | None]:
    """Return the regression of both windows, and `log_mean` of the validation days by that of training days alone.

    Both are None with fewer than `MIN_OCCUPIED` occupied ordinary cell-days of training, or none with a second alert.
    """
    history = data.history
    days = np.arange(data.validation.stop)[history.known_in(range(data.validation.stop))]
    occupied = history.observed[days]
    further = history.alerts[days][:, history.in_coverage][occupied] - 1
    parts = [rows_to_fit(history, days, occupied, inputs_of) for inputs_of in (next_day_inputs, count_inputs)]
    rows = np.hstack([part.values for part in parts])
    train, both = (np.isin(parts[0].day, data.to_fit(window)) for window in (data.train, data.both))
    if train.sum() < MIN_OCCUPIED or not further[train].any():
        return None, None
    on_train, on_both = (_fit(rows[window].astype(np.float64), further[window]) for window in (train, both))
    return on_both, on_train.log_mean(history, data.validation)


def _fit(rows: Array, further: npt.NDArray[np.integer]) -> FurtherAlerts:
    from sklearn.linear_model import PoissonRegressor

    mean, scale = standardise(rows, None)
    regression = PoissonRegressor(alpha=1 / (VARIANCE * len(rows)), solver="newton-cholesky").fit(rows, further)
    slopes = regression.coef_ / scale
    log_mean = rows @ regression.coef_ + regression.intercept_
    return FurtherAlerts(slopes, float(regression.intercept_ - mean @ slopes), float(log_mean.max()))
