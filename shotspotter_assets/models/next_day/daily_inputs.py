"""Inputs of the next-day regression and its trees: rates, recency, calendar and factors of every covered cell before each day.

Firework days and outages of the whole city are left out of every rate, because ordinary days after them are unlike them.
Rates are smoothed in space after they are filtered in time (the two commute), so only for the wanted days.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_dilation

from shotspotter_assets.cities.city import FIRST_EVENT_CODE, City
from shotspotter_assets.cities.layers import SeriesFactor
from shotspotter_assets.grid import dates
from shotspotter_assets.models.filters import decayed_sums, exponential_mean, smooth_cells
from shotspotter_assets.models.history import History, firework_days
from shotspotter_assets.storage.arrays import Array, Booleans, Integers, Singles, Values

MAX_FIT_ROWS: Final = 1_200_000  # cell-days that are not sampled: 540 covered cells have a million in five years
HALF_LIVES: Final = (2, 7, 14, 30, 60, 120, 365, np.inf)  # half-lives of the exponentially weighted rates, in days
WIDTHS: Final = (0.0, 0.7, 1.5, 3.0)  # standard deviations of the smoothing in space, in cells
SHRUNK_HALF_LIVES: Final = (np.inf, 365, 120, 30, 7, 2)
"""Half-lives of the rates that are shrunk towards one another (see `shrunk_rates`), from the first to the last."""
PRIOR_ALERTS: Final = {"occupied": (1.0, 4.0), "alerts": (1.0,)}  # strength of their shrinkage, in pseudo-alerts
CITY_LEVEL: Final = "log_city_"  # start of the names of the city's rates
CITY_HALF_LIVES: Final = (2, 7, 14, 30, 90)  # half-lives of the city's rates, in days
ALERT_HALF_LIVES: Final = (7, 60, 365)  # half-lives of counts of alerts, in days
LAYER_HALF_LIVES: Final = (30, 365)  # half-lives of the rates of events that are counted and not forecast, in days
LAYER_WIDTH: Final = 0.7  # standard deviation of their smoothing in space, in cells
MAX_ALERTS_COUNTED: Final = 5  # maximum of one cell and day, so that no burst dominates a rate
MIN_RATE: Final = 1 / 730  # added to a rate before its logarithm: one alert in two years
MAX_DAYS_REMEMBERED: Final = 730  # maximum age of an alert
OUTAGE_DAYS: Final = 14  # minimum days without alerts in an outage
OUTAGE_ALERTS: Final = 21  # minimum alerts expected in them (chance of none below 1e-9)


@dataclass(frozen=True)
class Inputs:
    """Named inputs of some days and every covered cell, row-major."""

    values: Singles  # shape (days, cells, inputs)
    names: tuple[str, ...]


def ordinary_days(history: History) -> Booleans:
    """Return True if a counted day is known, no firework day and not in an outage of the whole city, shape (days,)."""
    known = history.known
    outages = _outages(history.alerts.sum(axis=(1, 2))[known])
    ordinary = np.zeros(len(history.counts), dtype=bool)
    ordinary[known] = ~firework_days(history.city, history.days()[known]) & ~outages
    return ordinary


def is_same_for_all_cells(name: str) -> bool:
    """Return True if an input of that name has one value a day for all cells."""
    return name in dates.WEEKDAYS or name.startswith((CITY_LEVEL, "season_", "is_", "series_"))


def next_day_inputs(history: History, days: Sequence[int] | Integers) -> Inputs:
    """Return the inputs of some days, ascending indexes of the day axis to `History.next_day`, cached by `history`."""
    return cached_inputs("next_day_inputs", history, days, _columns)


def names_of_inputs(city: City) -> tuple[str, ...]:
    """Return the names of a city's inputs: they follow from its file, not from its alerts."""
    counts = np.zeros((1, FIRST_EVENT_CODE + len(city.event_types), 1, 1), dtype=np.uint16)
    evening = None if city.time_precision == "day" else np.zeros((1, 1, 1))
    names = next_day_inputs(History(city, city.start, counts, np.ones((1, 1), dtype=bool), evening), [1]).names
    series_last = sorted(city.factors.items(), key=lambda item: isinstance(item[1], SeriesFactor))
    return names + tuple(factor.input_name(name) for name, factor in series_last)


@dataclass(frozen=True)
class CellDays:
    """Cell-days to fit on, in ascending order of their days."""

    day: Integers  # index of the day axis, shape (rows,)
    values: Singles  # shape (rows, inputs)
    names: tuple[str, ...]
    observed: Booleans
    sample_weight: Array | None  # cell-days that each stands for, shape (rows,); None where all are there

    def on(self, days: Integers) -> "CellDays":
        """Return the cell-days of some days."""
        chosen = np.isin(self.day, days)
        weight = None if self.sample_weight is None else self.sample_weight[chosen]
        return CellDays(self.day[chosen], self.values[chosen], self.names, self.observed[chosen], weight)


def rows_to_fit(
    history: History,
    days: Integers,
    drawn: Booleans | None = None,
    inputs_of: Callable[[History, Integers], Inputs] = next_day_inputs,
) -> CellDays:
    """Return all cell-days of known days; of more than `MAX_FIT_ROWS`, those with alerts and a weighted draw of others.

    The weighted log loss of a draw is that of all cell-days except for chance (inverse probability weights, Horvitz and
    Thompson 1952, as a ratio to their sum, Hajek 1971). `drawn` are the cell-days to take, shape (days, cells). Inputs
    are made in parts, so that they need not be held at once.
    """
    if history.is_known is not None:
        days = days[history.is_known[days]]
    observed = history.observed[days]
    if drawn is None:
        random = np.random.default_rng(0).random(observed.shape, dtype=np.float32)
        drawn = observed | (random < MAX_FIT_ROWS / max(observed.size, 1))
    is_whole = bool(drawn.all())
    values = []
    for part in np.array_split(np.arange(len(days)), max(-(-observed.size // MAX_FIT_ROWS), 1)):
        inputs = inputs_of(history, days[part])
        values.append(inputs.values.reshape(-1, len(inputs.names)) if is_whole else inputs.values[drawn[part]])
    day, cell = np.nonzero(drawn)
    positive = observed[day, cell]
    # In sum exactly all, so that no level rests on the draw.
    weight_of_others = (~observed).sum() / max((~positive).sum(), 1)
    weight = None if is_whole else np.where(positive, 1.0, weight_of_others)
    rows = values[0] if len(values) == 1 else np.concatenate(values)
    return CellDays(days[day], rows, inputs.names, positive, weight)


def cached_inputs(
    name: str,
    history: History,
    days: Sequence[int] | Integers,
    columns: Callable[[History, Integers], Iterable[tuple[str, Array]]],
) -> Inputs:
    """Return named columns of some days, each of a shape that broadcasts to (days, cells), as one array."""
    wanted = np.asarray(days, dtype=np.int64)

    def make() -> Inputs:
        named = dict(columns(history, wanted))
        values = np.empty((len(wanted), int(history.in_coverage.sum()), len(named)), dtype=np.float32)
        for index, column in enumerate(named.values()):
            values[:, :, index] = column
        return Inputs(values, tuple(named))

    return history.cached(name, wanted, make)


def _columns(history: History, days: Integers) -> Iterator[tuple[str, Array]]:
    """Return the next-day inputs of some days by name, in the order of stored models."""
    alerts = np.minimum(history.alerts[:, history.in_coverage], MAX_ALERTS_COUNTED).astype(np.uint8)
    occupied = alerts > 0
    ordinary = ordinary_days(history)
    before = history.known_before(days)
    yield from _cell_rates(history.in_coverage, alerts, ordinary, before)
    yield from _yesterday(history, occupied, ordinary, before)
    yield from _other_events(history, ordinary, before)
    maps = np.zeros((len(occupied), *history.in_coverage.shape), dtype=bool)
    maps[:, history.in_coverage] = occupied
    around = binary_dilation(maps, np.ones((1, 3, 3)))[:, history.in_coverage]  # in the cell or its eight neighbours
    for name, daily in (("here", occupied), ("around", around)):
        since = np.clip(days_since_last_alert(history, daily, days), 1, MAX_DAYS_REMEMBERED)
        yield f"log_days_since_last_alert_{name}", np.log(since)
    yield "log_same_kind_of_day", _same_kind_of_day(history, occupied, ordinary, days, before)
    yield from _city_rates(occupied.mean(axis=1, keepdims=True), ordinary, before)
    yield from _calendar(history, days)
    yield from _factors(history, occupied, before)


def _cell_rates(
    in_coverage: Booleans, alerts: Values, ordinary: Booleans, before: Integers
) -> Iterator[tuple[str, Array]]:
    """Return the rates of the cells from alerts (days, cells), smoothed, as they are, and shrunk."""
    occupied = alerts > 0
    for half_life in HALF_LIVES:
        rate = exponential_mean(occupied, half_life, ordinary, before)
        for width in WIDTHS:
            name = f"log_occupied_{half_life:g}_days_{width:g}_cells"
            yield name, np.log(smooth_cells(rate, in_coverage, width) + MIN_RATE)
    for half_life in ALERT_HALF_LIVES:
        yield f"log_alerts_{half_life}_days", np.log(exponential_mean(alerts, half_life, ordinary, before) + MIN_RATE)
    for name, daily in (("occupied", occupied), ("alerts", alerts)):
        for half_life, prior, rate in shrunk_rates(daily, ordinary, before, in_coverage, PRIOR_ALERTS[name]):
            yield f"log_shrunk_{name}_{half_life:g}_days_{prior:g}_prior", np.log(rate)


def _yesterday(
    history: History, occupied: Booleans, ordinary: Booleans, before: Integers
) -> Iterator[tuple[str, Array]]:
    """Return the last ordinary day's cells with alerts, and its evening where hours are known, smoothed."""
    layers: dict[str, Values] = {"yesterday": occupied}
    if history.evening is not None:
        layers["late_yesterday"] = history.evening[:, history.in_coverage]  # `UNSHARED_INPUTS` names `late_`
    for name, daily in layers.items():
        yesterday = last_day(daily * ordinary[:, None], before)
        for width in WIDTHS[:3]:
            yield f"{name}_{width:g}_cells", np.sqrt(smooth_cells(yesterday, history.in_coverage, width))


def _other_events(history: History, ordinary: Booleans, before: Integers) -> Iterator[tuple[str, Array]]:
    """Return rates of counted events that are not forecast; gunshots of all types are one."""
    codes = {"gunshots": list(range(FIRST_EVENT_CODE))}
    codes |= {name: [code] for code, name in enumerate(history.city.event_types, start=FIRST_EVENT_CODE)}
    for name, layers in codes.items():
        if set(layers) & set(history.city.forecast_codes):
            continue
        daily = history.counts[:, layers][:, :, history.in_coverage].sum(axis=1, dtype=np.int64)
        for half_life in LAYER_HALF_LIVES:
            rate = exponential_mean(np.minimum(daily, MAX_ALERTS_COUNTED), half_life, ordinary, before)
            smooth = smooth_cells(rate, history.in_coverage, LAYER_WIDTH)
            yield f"log_nearby_{name}_{half_life}_days", np.log(smooth + MIN_RATE)


def _city_rates(occupied_share: Array, ordinary: Booleans, before: Integers) -> Iterator[tuple[str, Array]]:
    """Return the city's rate over a year, and recent ones relative to it, from shares of occupied cells (days, 1)."""
    usual = exponential_mean(occupied_share, 365, ordinary, before)
    yield f"{CITY_LEVEL}365_days", np.log(usual + MIN_RATE)
    for half_life in CITY_HALF_LIVES:
        recent = exponential_mean(occupied_share, half_life, ordinary, before)
        yield f"{CITY_LEVEL}{half_life}_days_to_365", np.log((recent + MIN_RATE) / (usual + MIN_RATE))


def shrunk_rates(
    daily: Values, ordinary: Booleans, before: Integers, in_coverage: Booleans, priors: Sequence[float]
) -> Iterator[tuple[float, float, Array]]:
    """Return (half-life, prior strength, rate): rates of ever shorter memory, each shrunk towards the one before.

    The first is shrunk towards the mean of its surroundings. With a gamma prior of shape k (the strength) and mean r, N
    alerts in W days have the posterior mean r (k + N) / (k + r W).
    """
    mean = smooth_cells(exponential_mean(daily, np.inf, ordinary, before), in_coverage, WIDTHS[-1])
    rates = dict.fromkeys(priors, mean + MIN_RATE / 3)
    for half_life in SHRUNK_HALF_LIVES:
        alerts, days = decayed_sums(daily, half_life, ordinary, before)
        for prior, rate in rates.items():
            rates[prior] = rate * (prior + alerts) / (prior + rate * days)
            yield half_life, prior, rates[prior]


def last_day(daily: Values, before: Integers) -> Array:
    """Return values of the last day before each of `before`, shape (before, cells); 0 where there is none."""
    return np.where(before[:, None] > 0, daily[before - 1], 0).astype(np.float64)


def days_since_last_alert(history: History, daily: Values, days: Integers) -> Integers:
    """Return days from each cell's last alert, without unknown ones between known ones, shape (days, cells)."""
    never = np.int32(-MAX_DAYS_REMEMBERED)
    day = np.arange(len(daily), dtype=np.int32)[:, None]
    last_before = np.full((len(daily) + 1, daily.shape[1]), never)
    np.maximum.accumulate(np.where(daily > 0, day, never), axis=0, out=last_before[1:])
    last = last_before[history.known_before(days)]
    since = days[:, None] - last
    if history.is_known is None:
        return since
    unknown = np.r_[0, np.cumsum(~history.is_known)]
    return since - (unknown[np.maximum(days - history.lead + 1, 0), None] - unknown[np.maximum(last, 0)])


def _same_kind_of_day(
    history: History, occupied: Booleans, ordinary: Booleans, days: Integers, before: Integers
) -> Array:
    """Return how much busier a cell is on days of the target day's kind (weekend or not) than on all, over years."""
    weekend = dates.weekdays(history.days_to_forecast()) >= 5
    on_weekend = weekend[: len(occupied)]
    usual, on_workdays, on_weekends = (
        exponential_mean(occupied, MAX_DAYS_REMEMBERED, counted, before)
        for counted in (ordinary, ordinary & ~on_weekend, ordinary & on_weekend)
    )
    same = np.where(weekend[days, None], on_weekends, on_workdays)
    return np.asarray(np.log((same + 10 * MIN_RATE) / (usual + 10 * MIN_RATE)))


def weekday_and_season(days: npt.NDArray[np.datetime64]) -> Iterator[tuple[str, Array]]:
    """Return inputs that follow from the weekday and the day of the year, by name, each (days, 1)."""
    weekday = dates.weekdays(days)
    for index, name in enumerate(dates.WEEKDAYS):
        yield name, (weekday == index).astype(np.float64)[:, None]
    phase = 2 * np.pi * dates.days_of_year(days) / dates.YEAR_DAYS
    for harmonic in (1, 2):
        yield f"season_sine_{harmonic}", np.sin(harmonic * phase)[:, None]
        yield f"season_cosine_{harmonic}", np.cos(harmonic * phase)[:, None]


def _calendar(history: History, wanted: Integers) -> Iterator[tuple[str, Array]]:
    """Return weekday, season, public holidays and firework days of the wanted days, by name, each (days, 1)."""
    days = history.days_to_forecast()[wanted]
    yield from weekday_and_season(days)
    public = dates.public_holidays(history.city.holidays, days)
    # Fireworks go off around the firework days too.
    beside = np.zeros(len(days), dtype=bool)
    for shift in (-3, -2, -1, 1, 2, 3):
        beside |= firework_days(history.city, days + np.timedelta64(shift, "D"))
    flags = {
        "is_public_holiday": np.isin(days, public),
        "is_eve_of_public_holiday": np.isin(days + np.timedelta64(1, "D"), public),
        "is_beside_firework_days": beside,
        "is_firework_day": firework_days(history.city, days),
    }
    for name, flag in flags.items():
        yield name, flag.astype(np.float64)[:, None]


def _factors(history: History, occupied: Booleans, before: Integers) -> Iterator[tuple[str, Array]]:
    """Return contributing factors; those of places count the less, the more alerts the cell itself has had."""
    first_unknown = history.days_to_forecast()[before]
    if history.factors.of_cells:
        total = np.zeros((len(occupied) + 1, occupied.shape[1]), np.int32)
        np.cumsum(occupied, axis=0, out=total[1:])
        lately = total[before] - total[np.maximum(before - MAX_DAYS_REMEMBERED, 0)]
        for factor in history.factors.of_cells:
            yield factor.name, factor.inputs(first_unknown, history.in_coverage) / (1 + lately)
    for series in history.factors.of_days:
        yield series.name, series.inputs(first_unknown)


def _outages(alerts: Integers) -> Booleans:
    """Return known days in a silence of the city that chance does not explain, from the days up to them alone."""
    day = np.arange(len(alerts))
    last_alert = np.maximum.accumulate(np.where(alerts > 0, day, -1))
    usual = exponential_mean(alerts.astype(np.float64), dates.YEAR_DAYS)[last_alert + 1]
    return day - last_alert >= np.maximum(OUTAGE_DAYS, OUTAGE_ALERTS / np.maximum(usual, 1e-9))
