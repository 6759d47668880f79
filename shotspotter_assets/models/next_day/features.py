"""The inputs of the tuned next-day forecasters: what is known of every covered cell before each day.

Firework days, and days without a sign of life from the sensors, are left out of every rate: neither says anything about
the ordinary days after them. All rates come from one pass of recursive filters; smoothing in space, which commutes with
them, is done for the wanted days only, so that one day costs little.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.ndimage import maximum_filter1d
from scipy.signal import lfilter

from shotspotter_assets.calendar.firework_days import is_holiday_fireworks
from shotspotter_assets.calendar.public_holidays import public_holidays
from shotspotter_assets.calendar.weekdays import WEEKDAYS, weekdays
from shotspotter_assets.calendar.year import YEAR_DAYS, days_of_year
from shotspotter_assets.cities.city import FIRST_EVENT_CODE
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.lag_features import smooth_within

Array = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]

HALF_LIVES: Final = (2, 7, 14, 30, 60, 120, 365, np.inf)
"""Half-lives of the exponentially weighted rates, in days."""
WIDTHS: Final = (0.0, 0.7, 1.5, 3.0)
"""Standard deviations of the smoothing in space, in cells."""
SHRUNK_HALF_LIVES: Final = (np.inf, 365, 120, 30, 7, 2)
"""Half-lives of the rates that are pulled towards one another (see `_shrunk`), from the first to the last."""
TRUST: Final = {"occupied": (1.0, 4.0), "alerts": (1.0,)}
"""How strongly they are pulled: as if a rate had been seen for so many alerts already."""
CITY_HALF_LIVES: Final = (2, 7, 14, 30, 90)
LAYER_HALF_LIVES: Final = (30, 365)
LAYER_WIDTH: Final = 0.7
"""Of the rates of events that are counted and not forecast; few, as they are there to help and not to be forecast."""
MAX_ALERTS_COUNTED: Final = 5
MIN_RATE: Final = 1 / 730
"""Added to a rate before its logarithm: one alert in two years is the least that says anything."""
MAX_DAYS_REMEMBERED: Final = 730
SILENT_DAYS: Final = 14
SILENT_ALERTS: Final = 21
"""After so many silent days, in which so many alerts were to be expected (chance below 1e-9), the city is taken for deaf."""


@dataclass(frozen=True)
class Inputs:
    """Inputs of some days and every covered cell.

    Attributes:
        values: float32, shape (days, cells, inputs); cells in row-major order of the coverage.
        names: one name per input.
    """

    values: npt.NDArray[np.float32]
    names: tuple[str, ...]


def ordinary_days(history: History) -> Booleans:
    """Whether a counted day is neither a firework day nor within an outage of the whole city, shape (days,)."""
    return ~is_holiday_fireworks(history.days()) & ~_outages(history.alerts.sum(axis=(1, 2)))


def masked_mean(daily: Array, kept: Booleans, half_life: float) -> Array:
    """Exponentially weighted mean of the kept days before each day and before the day after the last.

    Args:
        daily: shape (days, ...).
        kept: days that count, shape (days,).

    Returns:
        Shape (days + 1, ...); 0 where no day before counts.
    """
    total, weight = _decayed(daily, kept, half_life)
    return np.divide(total, weight, out=np.zeros_like(total), where=weight > 1e-12)


def _decayed(daily: Array, kept: Booleans, half_life: float) -> tuple[Array, Array]:
    """Sum and number of the kept days before each day, as in `masked_mean`; the number has shape (days + 1, 1, ...)."""
    decay = 2.0 ** (-1.0 / half_life)
    weight = kept.astype(np.float64).reshape(-1, *[1] * (daily.ndim - 1))
    found = []
    for of in (daily * weight, weight):
        summed = np.zeros((len(of) + 1, *of.shape[1:]))
        summed[1:] = lfilter([1.0], [1.0, -decay], of, axis=0)
        found.append(summed)
    return found[0], found[1]


def is_same_for_all_cells(name: str) -> bool:
    """Whether an input of that name says something of the day or the city, and nothing of the cell."""
    return name in WEEKDAYS or name.startswith(("log_city_", "season_", "is_"))


def next_day_inputs(history: History, days: Sequence[int] | Integers) -> Inputs:
    """The inputs of some days, as indexes of the day axis, which may include the day after the last counted one."""
    columns = list(_columns(history, np.asarray(days, dtype=np.int64)))
    values = np.empty((len(days), int(history.covered.sum()), len(columns)), dtype=np.float32)
    for at, (_, column) in enumerate(columns):
        values[:, :, at] = column
    return Inputs(values, tuple(name for name, _ in columns))


def _columns(history: History, wanted: Integers) -> Iterator[tuple[str, Array]]:
    alerts = np.minimum(history.alerts, MAX_ALERTS_COUNTED)[:, history.covered].astype(np.float64)
    occupied = (alerts > 0).astype(np.float64)
    kept = ordinary_days(history)
    covered = history.covered
    rates = {half_life: masked_mean(occupied, kept, half_life)[wanted] for half_life in HALF_LIVES}
    for half_life, rate in rates.items():
        for width in WIDTHS:
            smooth = _smooth(rate, covered, width)
            yield f"log_occupied_{half_life:g}_days_{width:g}_cells", np.log(smooth + MIN_RATE)
    for half_life in (7, 60, 365):
        yield f"log_alerts_{half_life}_days", np.log(masked_mean(alerts, kept, half_life)[wanted] + MIN_RATE)
    for name, daily in (("occupied", occupied), ("alerts", alerts)):
        for half_life, trust, rate in _shrunk(daily, kept, covered, wanted, TRUST[name]):
            yield f"log_shrunk_{name}_{half_life:g}_days_{trust:g}_trust", np.log(rate)
    for name, daily in (("yesterday", occupied), *_late(history)):
        before = np.concatenate([np.zeros_like(daily[:1]), daily * kept[:, None]])[wanted]
        for width in WIDTHS[:3]:
            yield f"{name}_{width:g}_cells", np.sqrt(_smooth(before, covered, width))
    for name, layer in _other_layers(history):
        of_layer = np.minimum(layer, MAX_ALERTS_COUNTED)[:, covered].astype(np.float64)
        for half_life in LAYER_HALF_LIVES:
            smooth = _smooth(masked_mean(of_layer, kept, half_life)[wanted], covered, LAYER_WIDTH)
            yield f"log_nearby_{name}_{half_life}_days", np.log(smooth + MIN_RATE)
    yield from _recency(occupied, covered, wanted)
    yield from _weekend(history, occupied, kept, wanted)
    yield from _city(occupied.mean(axis=1), kept, wanted)
    yield from _calendar(history, wanted)


def _other_layers(history: History) -> Iterator[tuple[str, Integers]]:
    """What the city counts and does not forecast, by name, each (days, rows, columns); gunshots of all types are one."""
    codes = {"gunshots": list(range(FIRST_EVENT_CODE))}
    codes |= {name: [at] for at, name in enumerate(history.city.event_types, start=FIRST_EVENT_CODE)}
    for name, of_name in codes.items():
        if not set(of_name) & set(history.city.forecast_codes):
            yield name, history.counts[:, of_name].sum(axis=1, dtype=np.int64)


def _late(history: History) -> list[tuple[str, Array]]:
    return [] if history.late is None else [("late_yesterday", history.late[:, history.covered].astype(np.float64))]


def _smooth(values: Array, covered: Booleans, width: float) -> Array:
    if width == 0:
        return values
    maps = np.zeros((len(values), *covered.shape))
    maps[:, covered] = values
    return smooth_within(maps, covered, width)


def _shrunk(
    daily: Array, kept: Booleans, covered: Booleans, wanted: Integers, trusts: Sequence[float]
) -> Iterator[tuple[float, float, Array]]:
    """(half-life, trust, rate): rates of ever shorter memory, each pulled towards the one before where it says little.

    The first is pulled towards the mean of its surroundings. With a gamma prior of shape k (the trust) and mean r, N
    alerts in W days have the posterior mean r (k + N) / (k + r W).
    """
    mean = _smooth(masked_mean(daily, kept, np.inf)[wanted], covered, WIDTHS[-1]) + MIN_RATE / 3
    rates = dict.fromkeys(trusts, mean)
    for half_life in SHRUNK_HALF_LIVES:
        alerts, days = (of[wanted] for of in _decayed(daily, kept, half_life))
        for trust, rate in rates.items():
            rates[trust] = rate * (trust + alerts) / (trust + rate * days)
            yield half_life, trust, rates[trust]


def _recency(occupied: Array, covered: Booleans, wanted: Integers) -> Iterator[tuple[str, Array]]:
    day = np.arange(len(occupied))[:, None]
    last = np.full((len(occupied) + 1, *covered.shape), -MAX_DAYS_REMEMBERED)
    last[1:, covered] = np.maximum.accumulate(np.where(occupied > 0, day, -MAX_DAYS_REMEMBERED), axis=0)
    target = np.arange(len(last))[wanted, None]
    here = last[wanted]
    around = maximum_filter1d(maximum_filter1d(here, 3, axis=1), 3, axis=2)
    for name, maps in (("here", here), ("around", around)):
        since = np.clip(target - maps[:, covered], 1, MAX_DAYS_REMEMBERED)
        yield f"log_days_since_last_alert_{name}", np.log(since)


def _weekend(history: History, occupied: Array, kept: Booleans, wanted: Integers) -> Iterator[tuple[str, Array]]:
    """How much busier a cell is on days of the target day's kind (weekend or not) than on all days, over years."""
    weekend = weekdays(history.days(more=1)) >= 5
    usual = masked_mean(occupied, kept, MAX_DAYS_REMEMBERED)[wanted]
    of_kind = [masked_mean(occupied, kept & (weekend[:-1] == kind), MAX_DAYS_REMEMBERED)[wanted] for kind in (0, 1)]
    same = np.where(weekend[wanted, None], of_kind[1], of_kind[0])
    yield "log_same_kind_of_day", np.log((same + 10 * MIN_RATE) / (usual + 10 * MIN_RATE))


def _city(share: Array, kept: Booleans, wanted: Integers) -> Iterator[tuple[str, Array]]:
    usual = masked_mean(share, kept, 365)
    yield "log_city_365_days", np.log(usual[wanted] + MIN_RATE)[:, None]
    for half_life in CITY_HALF_LIVES:
        recent = masked_mean(share, kept, half_life)
        yield (
            f"log_city_{half_life}_days_to_365",
            np.log((recent + MIN_RATE) / (usual + MIN_RATE))[wanted, None],
        )


def _calendar(history: History, wanted: Integers) -> Iterator[tuple[str, Array]]:
    days = history.days(more=1)[wanted]
    weekday = weekdays(days)
    for at, name in enumerate(WEEKDAYS):
        yield name, (weekday == at).astype(np.float64)[:, None]
    phase = 2 * np.pi * days_of_year(days) / YEAR_DAYS
    for harmonic in (1, 2):
        yield f"season_sine_{harmonic}", np.sin(harmonic * phase)[:, None]
        yield f"season_cosine_{harmonic}", np.cos(harmonic * phase)[:, None]
    public = public_holidays(history.city.holidays, days)
    yield "is_public_holiday", np.isin(days, public).astype(np.float64)[:, None]
    yield "is_eve_of_public_holiday", np.isin(days + 1, public).astype(np.float64)[:, None]
    # Fireworks go off around the firework days too.
    beside = np.zeros(len(days), dtype=bool)
    for shift in (-3, -2, -1, 1, 2, 3):
        beside |= is_holiday_fireworks(days + shift)
    yield "is_beside_firework_days", beside.astype(np.float64)[:, None]
    yield "is_firework_day", is_holiday_fireworks(days).astype(np.float64)[:, None]


def _outages(alerts: Integers) -> Booleans:
    """Days so deep in a silence of the whole city that chance does not explain it, from the days up to them alone."""
    day = np.arange(len(alerts))
    last_heard = np.maximum.accumulate(np.where(alerts > 0, day, -1))
    usual = masked_mean(alerts.astype(np.float64), np.ones(len(alerts), dtype=bool), YEAR_DAYS)[last_heard + 1]
    return day - last_heard >= np.maximum(SILENT_DAYS, SILENT_ALERTS / np.maximum(usual, 1e-9))
