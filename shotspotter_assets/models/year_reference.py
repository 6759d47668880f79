"""The simple reference of the city's number of alerts: a negative binomial on the mean of the last 365 known days.

Its size is the likeliest one for these days, because a size by moments would follow the loudest day of the year.
"""

from typing import Any, Final

import numpy as np
from scipy.special import gammaln
from scipy.stats import nbinom

from shotspotter_assets.cities.local_time import ONE_YEAR
from shotspotter_assets.models.history import History
from shotspotter_assets.storage.arrays import Array, Integers

MIN_ALERTS: Final = 0.5  # alerts in a silent year, so that an alert is never impossible
SIZES: Final = np.geomspace(0.05, 1e4, 120)  # tried sizes; the largest is as good as Poisson


def year_reference(history: History, days: range) -> Array:
    """Return mean and size of the alerts of all covered cells by the year that a forecast of each day may use.

    Shape (2, days); NaN for a day without an earlier known day.
    """
    known = np.flatnonzero(history.known)
    number = history.alerts[known][:, history.in_coverage].sum(axis=1)
    stop = np.searchsorted(known, history.known_before(days))
    distinct, which = np.unique(number, return_inverse=True)
    days_with = np.zeros((len(known) + 1, len(distinct)))  # by the number of earlier known days and of their alerts
    days_with[1:] = np.cumsum(np.eye(len(distinct))[which], axis=0)
    of_year = days_with[stop] - days_with[np.maximum(stop - ONE_YEAR.days, 0)]
    length = np.where(stop > 0, np.minimum(stop, ONE_YEAR.days), np.nan)
    mean = np.maximum(of_year @ distinct, MIN_ALERTS) / length
    return np.stack([mean, np.where(stop > 0, _likeliest_size(of_year, distinct, mean), np.nan)])


def _likeliest_size(days_with: Array, number: Integers, mean: Array) -> Array:
    """Return the likeliest of `SIZES` for each row's days with each number of alerts, given their mean; shape (rows,)."""
    length = days_with.sum(axis=1, keepdims=True)
    rate = mean[:, None]
    of_number = days_with @ gammaln(number[:, None] + SIZES) - length * gammaln(SIZES)
    return SIZES[(of_number - length * (SIZES * np.log1p(rate / SIZES) + rate * np.log1p(SIZES / rate))).argmax(axis=1)]


def negative_binomial(mean: Array | float, size: Array | float) -> Any:
    """Return the negative binomial (`scipy.stats.nbinom`) of a mean and size r (variance mean + mean^2 / r)."""
    return nbinom(size, size / (size + mean))
