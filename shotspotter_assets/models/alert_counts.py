"""Number of alerts given the probability of at least one: a hurdle, and a negative binomial of further alerts.

P(N = 0) = 1 - p, and given at least one alert, N - 1 is negative binomial with mean m and size r (variance m + m^2 / r), so
that occurrence and counts agree (hurdle models: Cameron and Trivedi 2013, Regression Analysis of Count Data, 4.4 and 4.5).
log m comes from a regression on uncapped rates (`next_day.further_alerts`). Without one it is a + b log(-log(1 - p)), as a
place of many alerts has more bursts. Firework days have their own m and r if the validation window has enough of them.

The simple reference of a city's number of alerts (`year_reference`) is a negative binomial on the mean of the last 365
known days. Its size is the likeliest one for these days, because a size by moments would follow the loudest day of the year.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.optimize import minimize, minimize_scalar
from scipy.special import gammaln
from scipy.stats import nbinom

from shotspotter_assets.cities.local_time import ONE_YEAR
from shotspotter_assets.models.forecaster import StoredModel
from shotspotter_assets.models.history import History, firework_days
from shotspotter_assets.models.next_day.further_alerts import FurtherAlerts, fit_further_alerts
from shotspotter_assets.models.next_day.regime_regression import FitData
from shotspotter_assets.storage.arrays import Array, Booleans, Integers

MIN_ALERTS: Final = 0.5  # alerts in a silent year, so that an alert is never impossible
SIZES: Final = np.geomspace(0.05, 1e4, 120)  # tried sizes; the largest is as good as Poisson


Counts = npt.NDArray[np.integer]
MIN_POSITIVES: Final = 20  # occupied cells on firework days, and on others, for separate values of firework days
CONFIDENCE: Final = 0.8  # coverage of each interval
ENDS: Final = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)  # quantiles at the ends of the interval of a cell
MIN_LOG_MEAN: Final = -8.0
MAX_LOG_MEAN: Final = 6.0
# Variances of a factor, mean 1, of all cells, likeliest in the validation windows of ten cities.
FIREWORK_VARIANCE: Final = 0.4  # on firework days, added to that of other days
USUAL_VARIANCE: Final = 0.06  # on other days
SPREAD_OF_VARIANCES: Final = 0.6  # standard deviation of its logarithm among these cities


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


@dataclass(frozen=True)
class CountDistribution:
    """Distributions of the number of alerts, one for each value of arrays of one shape."""

    probability: Array  # of at least one alert
    further: Array  # m, mean of the alerts beyond the first, given one
    size: Array  # r

    @classmethod
    def of_forecast(cls, forecast: pa.Table) -> "CountDistribution":
        """Return the distributions of the rows of a stored forecast (`catalogue.FORECAST`)."""
        probability, expected, size = (forecast[name].to_numpy() for name in ("probability", "expected", "size"))
        # Fewer expected alerts than the probability allows have no distribution, and its sums would not end.
        return cls(probability, np.maximum(expected / probability - 1, 0.0), size)

    @property
    def expected(self) -> Array:
        """Mean number of alerts; same shape."""
        return self.probability * (1 + self.further)

    @property
    def variance(self) -> Array:
        """Variance of the number of alerts; same shape."""
        square = (1 + self.further) ** 2 + self.further + self.further**2 / self.size
        return self.probability * square - self.expected**2

    def probability_of(self, share: Array | float) -> Array:
        """Return the probability in a share of the period, which is independent of the rest.

        Bursts lie within a share, unless all alerts are fewer than a Poisson distribution with this probability has.
        """
        return np.asarray(-np.expm1(-share * np.minimum(-np.log1p(-self.probability), self.expected)))

    def pmf(self, number: Counts) -> Array:
        """Return the probability of each number; same shape."""
        return np.where(number > 0, self.probability * self._beyond.pmf(number - 1), 1 - self.probability)

    def cumulative(self) -> Iterator[Array]:
        """Yield the probability of at most 0, 1, 2, ... alerts, without end."""
        at_most = 1 - self.probability
        yield at_most
        chance = self.probability * self._beyond.pmf(0)
        for beyond in count():
            at_most = at_most + chance
            yield at_most
            chance = chance * (self.size + beyond) / (1 + beyond) * (self.further / (self.size + self.further))

    @property
    def _beyond(self) -> Any:
        """Distribution of the alerts beyond the first, given one."""
        return negative_binomial(self.further, self.size)

    def interval(self) -> tuple[Array, Array]:
        """Return (low, high) of the 80% interval of each number."""
        shares = np.reshape(ENDS, (2, *np.ones(self.size.ndim, int)))
        given_one = np.clip(1 - (1 - shares) / self.probability, 0, 1)
        low, high = np.where(given_one > 0, self._beyond.ppf(given_one) + 1, 0.0)
        return low, high

    def of_cells(self, cells: Booleans | Integers) -> "CountDistribution":
        """Return the distributions of some cells, a mask or indexes of the last axis."""
        return CountDistribution(self.probability[..., cells], self.further[..., cells], self.size[..., cells])

    def total(self, factor_variance: Array | float) -> Any:
        """Return the negative binomial (`scipy.stats.nbinom`) of the sum over the last axis, whose cells share a factor.

        `factor_variance` is that of the factor, which has mean 1 (`AlertCounts.factor_variance`); it broadcasts to the sums.
        """
        return total_of_sums(self.expected.sum(axis=-1), self.variance.sum(axis=-1), factor_variance)


@dataclass(frozen=True)
class AlertCounts(StoredModel):
    """The fitted distribution of the number of alerts given the probability p of at least one.

    Arguments of methods broadcast: `probability`, `fireworks` (True on firework days) and `log_m`, log m by the regression.
    """

    intercept: tuple[float, float]  # a (0 with a regression), and the addition to log m on firework days
    growth: float  # b (0 with a regression)
    size: tuple[float, float]  # log r, and the addition to it on firework days
    city_variance: float  # variance of a factor, mean 1, that all cells of an ordinary period share
    regression: FurtherAlerts | None = None

    @classmethod
    def fit(cls, counts: Counts, probability: Array, fireworks: Booleans, log_m: Array | None = None) -> "AlertCounts":
        """Return the likeliest distribution; raise ValueError if no cell has an alert.

        Arrays are (periods, cells), best of days that their models were not fitted on; fireworks are (periods,).
        """
        occupied = counts > 0
        if not occupied.any():
            raise ValueError(f"None of {counts.size} cells and periods has an alert; fit on a longer window.")
        on_fireworks = np.broadcast_to(fireworks[:, None], counts.shape)[occupied]
        has_enough_fireworks = min(on_fireworks.sum(), (~on_fireworks).sum()) >= MIN_POSITIVES

        def model(values: Array) -> "AlertCounts":
            intercept, growth, size, intercept_more, size_more = values.tolist()
            return cls((intercept, intercept_more), growth, (size, size_more), 0.0)

        def loss(values: Array) -> float:
            tried = model(values).distribution(
                probability[occupied], on_fireworks, 0.0 if log_m is None else log_m[occupied]
            )
            likely = nbinom.logpmf(counts[occupied] - 1, tried.size, tried.size / (tried.size + tried.further))
            # Penalties keep the numbers finite where every count is one; they weigh as little as one alert.
            return float((0.01 * values**2).sum() - likely.sum())

        of_mean = [(-12, 6), (-1, 2)] if log_m is None else [(0, 0)] * 2
        bounds = [*of_mean, (-6, 5), *[(-6, 6) if has_enough_fireworks else (0, 0)] * 2]
        fitted = model(minimize(loss, np.zeros(5), method="L-BFGS-B", bounds=bounds).x)
        forecast = fitted.distribution(probability, fireworks[:, None], 0.0 if log_m is None else log_m)
        return replace(fitted, city_variance=_shared_variance(counts, forecast, fireworks))

    @classmethod
    def of_days(cls, history: History, train: range, validation: range, probability: Array) -> "AlertCounts":
        """Return the distribution by day; `probability` is that of the validation days by models of training days."""
        days = np.arange(validation.start, validation.stop)
        known = history.known_in(validation)
        alerts = history.alerts[days[known]][:, history.in_coverage]
        fireworks = firework_days(history.city, history.days()[days[known]])
        regression, log_m = fit_further_alerts(FitData(history, train, validation))
        counts = cls.fit(alerts, probability[known], fireworks, None if log_m is None else log_m[known])
        return replace(counts, regression=regression)

    def log_m(self, history: History, days: range) -> Array:
        """Return log m of ordinary days by the regression, shape (days, cells), or zeros, (days, 1)."""
        return np.zeros((len(days), 1)) if self.regression is None else self.regression.log_mean(history, days)

    def distribution(self, probability: Array, fireworks: Booleans, log_m: Array | float = 0.0) -> CountDistribution:
        """Return the distributions of periods and cells."""
        log_hazard = np.log(-np.log1p(-probability))
        log_mean = self.intercept[0] + self.intercept[1] * fireworks + self.growth * log_hazard + log_m
        further = np.exp(np.clip(log_mean, MIN_LOG_MEAN, MAX_LOG_MEAN))
        size = np.exp(self.size[0] + self.size[1] * fireworks)
        return CountDistribution(*np.broadcast_arrays(probability, further, size))

    def factor_variance(self, fireworks: Booleans) -> Array:
        """Return the variance of the factor that all cells of a period share, same shape."""
        return np.asarray(self.city_variance + FIREWORK_VARIANCE * fireworks)


def total_of_sums(mean: Array, variance: Array, factor_variance: Array | float) -> Any:
    """Return `CountDistribution.total`, given sums over cells of their mean and variance; same shape."""
    variance = np.maximum(variance + factor_variance * mean**2, 1.001 * mean)
    return negative_binomial(mean, mean**2 / (variance - mean))


def short_interval(total: Any) -> tuple[Array, Array]:
    """Return (low, high) of the short 80% interval of a distribution of counts (`CountDistribution.total`).

    The shortest interval of at least 80% drops its less likely end if coverage is then closer to 80%: in a quiet city,
    few numbers are likely, and intervals of at least 80% would hold far more.
    """
    lowest = np.linspace(0, 1 - CONFIDENCE, 21).reshape(-1, *np.ones(np.ndim(total.mean()), int))
    ends = np.maximum(total.ppf([lowest, lowest + CONFIDENCE]), 0)
    low, high = np.take_along_axis(ends, (ends[1] - ends[0]).argmin(axis=0)[None, None], axis=1)[:, 0]
    beyond = total.cdf(high) - total.cdf(low - 1) - CONFIDENCE
    chances = total.pmf([low, high])
    loses = 2 * beyond > chances.min(axis=0)
    return low + (loses & (chances[0] <= chances[1])), high - (loses & (chances[0] > chances[1]))


def _shared_variance(counts: Counts, forecast: CountDistribution, fireworks: Booleans) -> float:
    """Return the likeliest variance of the factor that all cells of an ordinary period share, given that of other cities."""
    number = counts.sum(axis=1)
    ordinary = np.ones_like(fireworks) if fireworks.all() else ~fireworks

    def loss(log_variance: float) -> float:
        factor_variance = np.exp(log_variance) + FIREWORK_VARIANCE * fireworks
        likely = forecast.total(factor_variance).logpmf(number)[ordinary]
        return float(((log_variance - np.log(USUAL_VARIANCE)) / SPREAD_OF_VARIANCES) ** 2 / 2 - likely.sum())

    return float(np.exp(minimize_scalar(loss, bounds=np.log([1e-4, 2.0]), method="bounded").x))
