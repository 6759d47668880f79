"""One regression of all cities, which each city's own models start at; it holds a number per input and no row of any city.

It is fitted on the ordinary days before a cutoff: every occupied cell-day, and a tenth of the others, which weigh more.
There is also one without each city, because a city that starts at what its own alerts have shaped would count them twice.
`fit_shrunk_regression` shrinks a logistic regression towards given weights, as those of a city towards those of all.
"""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from importlib.resources import files
from typing import Final

import numpy as np
import numpy.typing as npt
from pydantic import Field, TypeAdapter
from scipy.optimize import minimize
from scipy.special import expit
from threadpoolctl import threadpool_limits

from shotspotter_assets.cities.city import City
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.models.forecaster import SharedRegression, SharedStart
from shotspotter_assets.models.history import INPUTS_WARM_UP_DAYS, History, after_warm_up
from shotspotter_assets.models.next_day.daily_inputs import MAX_FIT_ROWS, names_of_inputs, ordinary_days, rows_to_fit
from shotspotter_assets.storage.arrays import Array, Booleans, Singles
from shotspotter_assets.storage.catalogue import SHARED_MODELS, TENSORS
from shotspotter_assets.storage.errors import MissingPartitionsError
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_file import ALL_CITIES
from shotspotter_assets.storage.stored_record import StoredRecord

log = logging.getLogger(__name__)
BLOCK_ROWS: Final = 2**14  # rows weighted at a time, so that a history of a million rows is never copied whole
MIN_SCALE: Final = 1e-6  # standard deviation below which an input is constant


PACKAGE: Final = "package"
PACKAGE_FILE: Final = "shared_models.json"  # the regressions of the package, by week (`benchmarks/shared_model.py`)
PLACES: Final = "factor_"  # start of the names of inputs for contributing factors of places
FACTORS: Final = (PLACES, "series_")  # starts of the names of all factors, which cities with equal factors share
UNSHARED_INPUTS: Final = ("late_", "log_nearby_")  # inputs that only cities with hours, or with other events, have
OPTIONAL_INPUTS: Final = (*UNSHARED_INPUTS, *FACTORS)
EMPTY_SHARE: Final = 0.1  # share of the cell-days without alerts that are drawn
MIN_POSITIVES: Final = 50  # minimum of a city's cell-days with alerts; fewer might be recognised in the numbers
INVERSE_PENALTY: Final = 1e-3  # variance of the standardised weights around those of the package, or zero
LOG_RATE_SD: Final = 0.8
PRIOR_CITIES: Final = 3
"""Prior standard deviation between cities of the logarithm of their rate, and its strength in cities."""
DIGITS: Final = 6  # significant digits of stored numbers


def fit_shrunk_regression(
    inputs: Array,
    labels: Booleans,
    prior_weights: Array,
    inverse_penalty: float | Array,
    sample_weight: Array | None = None,
    start: Array | None = None,
) -> tuple[Array, float]:
    """Return (weights, intercept) of least summed log loss + sum (weights - prior_weights)^2 / (2 `inverse_penalty`).

    `inputs` are standardised, shape (rows, inputs). `inverse_penalty` is the variance of all weights around the prior
    ones, or of each, shape (inputs,). `sample_weight` counts the rows, once by default. The search starts at `start`,
    weights and, last, the intercept; at the prior weights by default.
    """
    counted = np.ones(len(labels)) if sample_weight is None else sample_weight
    prior_logit = inputs @ prior_weights
    # The intercept, the last one, is not penalised.
    penalty = np.append(np.broadcast_to(1 / np.asarray(inverse_penalty), inputs.shape[1]), 0.0)

    def loss(difference: Array) -> tuple[float, Array]:
        logit = prior_logit + inputs @ difference[:-1] + difference[-1]
        value = counted @ (np.logaddexp(0, logit) - logit * labels) + (penalty * difference**2).sum() / 2
        error = counted * (expit(logit) - labels)
        return float(value), np.append(error @ inputs, error.sum()) + penalty * difference

    def curvature(difference: Array) -> Array:
        p = expit(prior_logit + inputs @ difference[:-1] + difference[-1])
        weight = counted * p * (1 - p)
        hessian = np.diag(penalty)
        for first in range(0, len(inputs), BLOCK_ROWS):
            block = inputs[first : first + BLOCK_ROWS]
            hessian[:-1, :-1] += block.T @ (block * weight[first : first + BLOCK_ROWS, None])
        hessian[:-1, -1] = hessian[-1, :-1] = weight @ inputs
        hessian[-1, -1] = weight.sum()
        return hessian

    if start is None:
        rate = np.average(labels, weights=counted)
        level = np.log(rate / (1 - rate)) - np.average(prior_logit, weights=counted)
        first_guess = np.append(np.zeros(inputs.shape[1]), level)
    else:
        first_guess = start - np.append(prior_weights, 0.0)
    # BLAS threads wait for each other by spinning: on a machine in use two take many times as long as one.
    with threadpool_limits(1):
        best = minimize(loss, first_guess, jac=True, hess=curvature, method="trust-exact", options={"gtol": 1e-5}).x
    return prior_weights + best[:-1], float(best[-1])


def standardise(rows: Array, sample_weight: Array | None) -> tuple[Array, Array]:
    """Standardise inputs in place, because a long history has a million rows; return each one's (mean, standard deviation)."""
    weight = np.ones(len(rows)) if sample_weight is None else sample_weight
    mean = weight @ rows / weight.sum()
    rows -= mean
    scale = np.sqrt(np.einsum("r,ri,ri->i", weight, rows, rows) / weight.sum())
    # Such as the flag of firework days.
    constant = scale < MIN_SCALE
    scale[constant] = 1.0
    rows /= scale
    rows[:, constant] = 0.0
    return mean, scale


@dataclass(frozen=True)
class SharedRows:
    """A city's cell-days that the shared regression is fitted on, one row each."""

    names: tuple[str, ...]
    inputs: Singles  # shape (rows, inputs)
    observed: Booleans
    sample_weight: Array
    days: npt.NDArray[np.datetime64]

    @classmethod
    def of(cls, history: History, first: int = 0) -> "SharedRows":
        """Return the rows of a history's days from the index `first` on; the history ends at the cutoff."""
        ordinary = ordinary_days(history)
        later = after_warm_up(range(len(ordinary)), INPUTS_WARM_UP_DAYS)
        days = np.array([day for day in later if ordinary[day] and day >= first], dtype=np.int64)
        observed = history.observed[days]
        # As many of a fine grid as a city's own models are fitted on.
        share = min(EMPTY_SHARE, MAX_FIT_ROWS / max(observed.size, 1))
        drawn = observed | (np.random.default_rng(first).random(observed.shape) < share)
        rows = rows_to_fit(history, days, drawn)
        shared = [index for index, name in enumerate(rows.names) if not name.startswith(UNSHARED_INPUTS)]
        return cls(
            tuple(rows.names[index] for index in shared),
            rows.values[:, shared],
            observed[drawn],
            np.where(observed[drawn], 1.0, 1 / share),
            np.broadcast_to(history.days()[days, None], observed.shape)[drawn],
        )


class SharedModels(StoredRecord):
    """The regressions of a week, which use only days before it."""

    stored_as = SHARED_MODELS

    city: str = ALL_CITIES
    week: date = Field(description="First day that was not used.")
    cities: list[str] = Field(description="Cities that took part.")
    left_out: dict[str, str] = Field({}, description="Reasons why cities took no part, by city.")
    prior: str | None = Field(None, description="Origin of the regression that these were shrunk to; None for zero.")
    everyone: SharedRegression | None = Field(description="Regression of all cities; None if no city took part.")
    without: dict[str, SharedRegression] = Field({}, description="Regressions without one city each, by its name.")

    def start_of(self, city: str, origin: str) -> SharedStart | None:
        """Return the start of a city's models; None where no other city took part."""
        regression = self.without.get(city) if city in self.cities else self.everyone
        return None if regression is None else SharedStart(origin=f"{origin}|{self.week}", **dict(regression))


def fit_shared(
    rows: Mapping[str, SharedRows],
    cutoff: date,
    prior: SharedStart | None = None,
    left_out: Mapping[str, str] | None = None,
    leave_each_out: bool = True,
) -> SharedModels:
    """Return the regressions of a cutoff, shrunk to `prior`; raise ValueError if a city has rows from the cutoff on."""
    for city, city_rows in rows.items():
        if (city_rows.days >= np.datetime64(cutoff)).any():
            raise ValueError(f"{city}: rows of {city_rows.days.max()} are not before the cutoff {cutoff}.")
    left_out = dict(left_out or {}) | {
        city: f"It has fewer than {MIN_POSITIVES} cell-days with alerts."
        for city, city_rows in rows.items()
        if city_rows.observed.sum() < MIN_POSITIVES
    }
    cities = {city: rows[city] for city in sorted(rows.keys() - left_out.keys())}
    everyone, without = _fits(cities, prior, leave_each_out) if cities else (None, {})
    return SharedModels(
        week=cutoff,
        cities=list(cities),
        left_out=left_out,
        prior=prior and prior.origin,
        everyone=everyone,
        without=without,
    )


def _fits(
    rows: Mapping[str, SharedRows], prior: SharedStart | None, leave_each_out: bool
) -> tuple[SharedRegression, dict[str, SharedRegression]]:
    """Return the regression of all cities, and those without one of several cities, by its name."""
    import pandas as pd

    # A factor that a city does not have is 0 there, as in its average cell; float64, as nearly equal rates make the fit stiff.
    tables = [pd.DataFrame(city_rows.inputs, columns=city_rows.names) for city_rows in rows.values()]
    table = pd.concat(tables, ignore_index=True).fillna(0.0)
    inputs = table.to_numpy(np.float64, copy=True)
    labels = np.concatenate([city_rows.observed for city_rows in rows.values()])
    mean, scale = standardise(inputs, np.concatenate([city_rows.sample_weight for city_rows in rows.values()]))
    prior_weights = scale * np.array([0.0 if prior is None else prior.slopes.get(name, 0.0) for name in table.columns])

    def fit(without: str = "", start: Array | None = None) -> Array:
        weight = np.concatenate([city_rows.sample_weight * (city != without) for city, city_rows in rows.items()])
        return np.append(*fit_shrunk_regression(inputs, labels, prior_weights, INVERSE_PENALTY, weight, start))

    def in_units(weights: Array, without: str = "") -> SharedRegression:
        slopes = weights[:-1] / scale
        log_rate, log_rate_sd = log_rates([city_rows for city, city_rows in rows.items() if city != without])
        return SharedRegression(
            slopes={name: _rounded(slope) for name, slope in zip(table.columns, slopes, strict=True)},
            intercept=_rounded(weights[-1] - mean @ slopes),
            log_rate=_rounded(log_rate),
            log_rate_sd=_rounded(log_rate_sd),
        )

    everyone = fit()
    left_out = rows if leave_each_out and len(rows) > 1 else ()
    return in_units(everyone), {city: in_units(fit(city, everyone), city) for city in left_out}


def log_rates(rows: Sequence[SharedRows]) -> tuple[float, float]:
    """Return mean and standard deviation over cities of the logarithm of the share of cell-days with alerts."""
    rates = np.log([city_rows.observed.sum() / city_rows.sample_weight.sum() for city_rows in rows])
    squares = ((rates - rates.mean()) ** 2).sum() + PRIOR_CITIES * LOG_RATE_SD**2
    return float(rates.mean()), float(np.sqrt(squares / (len(rows) - 1 + PRIOR_CITIES)))


def _rounded(number: float) -> float:
    return float(f"{number:.{DIGITS}g}")


def required_inputs(names: Iterable[str]) -> list[str]:
    """Return the names of the inputs that every city has."""
    return [name for name in names if not name.startswith(OPTIONAL_INPUTS)]


@cache
def package_models() -> tuple[SharedModels, ...]:
    """Return the regressions that come with the package, by week."""
    text = (files("shotspotter_assets.models.next_day") / PACKAGE_FILE).read_bytes()
    return tuple(TypeAdapter(tuple[SharedModels, ...]).validate_json(text))


def package_start(city: str, by: date) -> SharedStart | None:
    """Return the packaged start that uses no day from `by` on; None where `by` is too early."""
    usable = [models for models in package_models() if models.week <= by]
    return usable[-1].start_of(city, PACKAGE) if usable else None


def train_shared(store: Store, cities: Collection[City], cutoff: date) -> SharedModels:
    """Return the models of a cutoff, from the stored days before it of all cities that share theirs."""
    rows: dict[str, SharedRows] = {}
    left_out: dict[str, str] = {}
    for city in cities:
        try:
            rows[city.name] = _rows_before(store, city, cutoff)
        except (MissingPartitionsError, ValueError) as error:
            left_out[city.name] = str(error)
            continue
        observed = rows[city.name].observed
        log.info("%s: %s cell-days, %s with alerts", city.name, f"{len(observed):,}", f"{observed.sum():,}")
    return fit_shared(rows, cutoff, package_start(ALL_CITIES, cutoff), left_out)


def _rows_before(store: Store, city: City, cutoff: date) -> SharedRows:
    """Return the rows of a city's stored days before a cutoff. Raises ValueError, with the reason, if it takes no part."""
    if not city.shared:
        raise ValueError("Its file says `shared: false`.")
    city = next((view for _, view in city.by_target(store) if view.is_of_gunfire), city)
    if not city.is_of_gunfire:
        raise ValueError(f"It forecasts {', '.join(city.targets)}, not gunshot alerts.")
    stored = [day for day in store.days_present(TENSORS, city.name) if day < cutoff]
    if not stored:
        raise ValueError("No day before the cutoff is stored.")
    history = CityHistory.load(store, city, max(stored))
    in_coverage = history.coverage_on(history.last_known + timedelta(days=1))
    return SharedRows.of(history.daily(in_coverage))


def read_shared(store: Store, city: City, by: date) -> SharedStart | None:
    """Return the latest stored start with fitting inputs and a cutoff by `by`, else the package's; None for none.

    There is none for other events than gunshots.
    """
    if not city.is_of_gunfire:
        return None
    inputs = required_inputs(names_of_inputs(city))
    for cutoff in sorted(store.days_present(SHARED_MODELS, ALL_CITIES, last=by), reverse=True):
        start = SharedModels.load(store, ALL_CITIES, cutoff).start_of(city.name, ALL_CITIES)
        if start is not None and required_inputs(start.slopes) == inputs:
            return start
    return package_start(city.name, by)
