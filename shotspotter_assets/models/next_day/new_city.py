"""A city's first months: rates that start at those of other cities, and go over to its own as its alerts come.

The rates of the city, of a cell's surroundings and of a cell have gamma priors, each around the one before (the city's
around that of the other cities). With a prior of shape k, N alerts in W days turn its mean r into r (k + N) / (k + r W).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm

from shotspotter_assets.grid.dates import WEEKDAYS
from shotspotter_assets.models.filters import decayed_sums, smooth_cells
from shotspotter_assets.models.forecaster import NO_CONTEXT, DailyForecaster, FitContext, FittedDaily, clip_probability
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.daily_inputs import ordinary_days, weekday_and_season
from shotspotter_assets.storage.arrays import Array

AROUND_ALERTS: Final = 1.0  # shape of the rate of a cell's surroundings, in alerts
HERE_ALERTS: Final = 0.5  # shape of the rate of the cell, in alerts
AROUND_CELLS: Final = 1.5  # standard deviation of the surroundings, in cells
COVERED_SHARE: Final = 0.35  # share of covered cells in a city's box where the coverage is not known
LEVEL_VARIANCE: Final = 0.1  # variance of the log rate between months, because alerts come in bursts
HIGHEST_QUANTILE: Final = 0.9  # upper end of the 80% interval


@dataclass(frozen=True)
class FittedNewCity(FittedDaily):
    """Rates of other cities, moved by a city's own alerts."""

    log_rate: float  # mean over other cities of the logarithm of the share of cell-days with alerts
    log_rate_sd: float  # its standard deviation
    slopes: Mapping[str, float]  # log odds by unit of the inputs of weekday and season

    def predict(self, history: History, days: range) -> Array:
        rate, _ = self._rates(history, days)
        shift = np.zeros((len(days), 1))
        axis = history.days_to_forecast()[days.start : days.stop]
        mean = np.mean([self.slopes[name] for name in WEEKDAYS])
        for name, value in weekday_and_season(axis):
            shift += (self.slopes[name] - (mean if name in WEEKDAYS else 0.0)) * value
        return clip_probability(expit(logit(clip_probability(rate)) + shift))

    def spread(self, history: History, day: int) -> tuple[Array, Array]:
        """Return the 80% interval of a day's rates below (negative) and above, in log odds, each (cells,)."""
        _, variance = self._rates(history, range(day, day + 1))
        distance = norm.ppf(HIGHEST_QUANTILE) * np.sqrt(variance[0])
        return -distance, distance

    def city_factor(self, history: History) -> float:
        """Return the factor of the 80% interval of the city's rate, from 1 / factor to factor."""
        before = int(history.known_before(range(history.next_day, history.next_day + 1))[0])
        total = history.observed[:before][ordinary_days(history)[:before]].sum()
        return float(np.exp(norm.ppf(HIGHEST_QUANTILE) * np.sqrt(LEVEL_VARIANCE + 1 / (self._city_shape + total))))

    @property
    def _city_shape(self) -> float:
        return 1 / float(np.expm1(self.log_rate_sd**2))

    def _rates(self, history: History, days: range) -> tuple[Array, Array]:
        """Return rates and the variances of their logarithms, each of shape (days, cells)."""
        in_coverage = history.in_coverage
        before = history.known_before(days)
        alerts, counted_days = decayed_sums(history.observed, np.inf, ordinary_days(history), before)
        total = alerts.sum(axis=1, keepdims=True)
        shape = self._city_shape
        mean = np.exp(self.log_rate + self.log_rate_sd**2 / 2) * (COVERED_SHARE if in_coverage.all() else 1.0)
        city = mean * (shape + total) / (shape + mean * counted_days * alerts.shape[1])
        cells = 4 * np.pi * AROUND_CELLS**2
        near = smooth_cells(alerts, in_coverage, AROUND_CELLS) * cells
        around = city * (AROUND_ALERTS + near) / (AROUND_ALERTS + city * counted_days * cells)
        here = around * (HERE_ALERTS + alerts) / (HERE_ALERTS + around * counted_days)
        return here, LEVEL_VARIANCE + 1 / (shape + total) + 1 / (AROUND_ALERTS + near) + 1 / (HERE_ALERTS + alerts)


class NewCityForecaster(DailyForecaster):
    """Rates that start at the model of all cities."""

    fitted = FittedNewCity

    def fit(self, history: History, train: range, validation: range, context: FitContext = NO_CONTEXT) -> FittedNewCity:
        """Take the rates of the model of all cities, from no day. Raises ValueError if there is none."""
        shared = context.shared
        if shared is None:
            raise ValueError(
                f"City {history.city.name}: there is no model of all cities fitted on days before the cutoff only. Materialize "
                "shared_models for a week no later than it, or do not train new_city."
            )
        names = [name for name, _ in weekday_and_season(history.days()[:1])]
        slopes = {name: shared.slopes[name] for name in names}
        fitted = FittedNewCity(shared.log_rate, shared.log_rate_sd, slopes, chosen={"shared": shared.origin})
        return replace(fitted, validation_probability=fitted.predict(history.through(validation.stop), validation))
