"""A Hawkes process in continuous time on top of the hour's forecast: an incident makes others near it likelier for a while.

The intensity of covered cell c at time t is

    b r_c(t) + sum over incidents j before t of q_j(t) sum over m of n_m g_m(t - t_j) S_m(c, x_j, t)

with r the hour's forecast spread evenly over its hour; n_m the incidents that one incident triggers, g_m an exponential density of
their delay and S_m the cell's share of them: that of a Gaussian around the incident's point, or, for one m, that of r in the whole
city, as some nights have more everywhere than their hours were forecast to have. The hour's forecast
knows the incidents of the hours before it: q_j is 1 within the hour of incident j, and one fitted number from then on. So
the process has what the hour's forecast cannot have, and no incident counts twice. Incidents are the parents, not alerts, whose
duplicates would pass for contagion. All numbers have maximum likelihood (Daley and Vere-Jones 2003, section 7.2): the sum of the
logarithms of the intensity at the incidents, less its integral over time and cells.

The level stays that of the hour's forecast: on the last 120 days before the first test day, fitted on what was before, that was
worth 0.005 nats per incident in Oakland and 0.011 in Cincinnati.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from typing import ClassVar, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.spatial import cKDTree
from scipy.special import ndtr

from shotspotter_assets.gridding.cells import Plane
from shotspotter_assets.models.forecaster import ChosenSettings
from shotspotter_assets.models.hourly_history import HourlyHistory, HourlyHistoryError
from shotspotter_assets.models.next_minutes.incidents import Array, Incidents, seconds_of

MEMORY_MINUTES: Final = 720.0
"""An incident triggers nothing after this."""
MEMORY_METRES: Final = 4_000.0
"""Nor farther away."""
MIN_INCIDENTS: Final = 50
"""Of the hours to fit on: fewer tell nothing of what follows them."""
TOLERANCE: Final = 1e-7
"""Of the fit, relative, in a log likelihood of some nats per incident: far below what chance makes of it."""
FILE: Final = "next_minutes.json"

INITIAL_BACKGROUND: Final = 0.8
INITIAL_KNOWN_SHARE: Final = 0.5
MAX_BACKGROUND: Final = 2.0
MIN_BACKGROUND: Final = 0.2
MAX_KNOWN_SHARE: Final = 2.0
MIN_SHARE: Final = 1e-6
MAX_TRIGGERED: Final = 0.5
WIDTH_BOUNDS_METRES: Final = (50.0, 1_500.0)


@dataclass(frozen=True)
class InitialTrigger:
    """Where the fit of a trigger starts, and the range of its half-life in minutes."""

    triggered: float
    half_life: float
    width: float
    half_life_bounds: tuple[float, float]


INITIAL_CITY_WIDE: Final = (0.05, 20.0)
CITY_WIDE_BOUNDS: Final = ((1e-6, 0.5), (3.0, 360.0))
INITIAL_TRIGGERS: Final = (
    InitialTrigger(0.01, 1.0, 120.0, (0.5, 3.0)),
    InitialTrigger(0.01, 8.0, 120.0, (3.0, 30.0)),
    InitialTrigger(0.05, 60.0, 400.0, (30.0, 360.0)),
)
"""The echo of one incident at another place, a repeat within minutes, and one within hours. Fitted on the first of the two years
before the first test day, three forecast the second better than two, and two better than one, in Oakland and in Cincinnati."""


@dataclass(frozen=True)
class Trigger:
    """One way in which incidents follow another.

    Attributes:
        triggered: expected number of incidents that one triggers.
        half_life: of the delay, in minutes.
        width: standard deviation of the distance to the east and to the north, in metres.
    """

    triggered: float
    half_life: float
    width: float

    def share_until(self, minutes: Array) -> Array:
        """Share of what is triggered that comes within so many minutes; same shape."""
        return _share_until(self.half_life, minutes)


@dataclass(frozen=True)
class CityWideTrigger:
    """How incidents follow another anywhere in the city, spread over it as the hour's forecast is; see `Trigger`."""

    triggered: float
    half_life: float


class Triggered(NamedTuple):
    """Expected incidents that earlier ones trigger within some periods."""

    near: Array
    """Of each covered cell, by the triggers around a point, shape (periods, cells)."""
    city_wide: Array
    """Of the whole city, shape (periods,)."""


@dataclass(frozen=True)
class FittedMinutes:
    """The fitted process.

    Attributes:
        background: factor of the hour's forecast, b.
        known_share: q of incidents of earlier hours.
        triggers: the quick one first.
        city_wide: that of the whole city.
        level: incidents of the hours that it was fitted on over those that the hour's forecast expected there. Forecasts are
            divided by it: the level is learned week by week by the hour's forecast, and is off where it is looked back from.
        incidents: how many it was fitted on.
        gain: in nats per incident, over the hour's forecast with a fitted factor alone, where it was fitted.
    """

    background: float
    known_share: float
    triggers: tuple[Trigger, ...]
    city_wide: CityWideTrigger
    level: float
    incidents: int
    gain: float
    name: ClassVar[str] = "self_exciting_minutes"

    def expected(self, even: Array, triggered: Triggered) -> Array:
        """Expected incidents, given those of the hour's forecast and those `triggered`, shape (periods, cells)."""
        city_wide = even * (triggered.city_wide / even.sum(axis=1))[:, None]
        return (self.background * even + triggered.near + city_wide) / self.level

    def triggered(self, incidents: Incidents, history: HourlyHistory, instant: float, minutes: Array) -> Triggered:
        """Expected incidents that those before an instant trigger in each covered cell within some minutes from it on.

        Those that these trigger in turn are left out: in the cell of one that is to come, there is one anyway.

        Args:
            incidents: those after the instant are not looked at.
            history: tells the covered cells, and when the hour of the instant began.
            instant: seconds since 1970.
            minutes: shape (periods,).
        """
        recent = incidents.within(instant - 60 * MEMORY_MINUTES, np.nextafter(instant, np.inf))
        hour_began = seconds_of(history.starts)
        hour_began = hour_began[np.searchsorted(hour_began, instant, "right") - 1]
        is_known = np.where(recent.seconds < hour_began, self.known_share, 1.0)
        age = (instant - recent.seconds) / 60
        ends = np.minimum(age + minutes[:, None], MEMORY_MINUTES)

        def shares(half_life: float) -> Array:
            return is_known * (_share_until(half_life, ends) - _share_until(half_life, age))

        grid = CellMasses(history, recent.metres)
        near = np.zeros((len(minutes), int(history.in_coverage.sum())))
        for trigger in self.triggers:
            near += trigger.triggered * shares(trigger.half_life) @ grid.of_all(trigger.width)
        return Triggered(near, self.city_wide.triggered * shares(self.city_wide.half_life).sum(axis=1))

    @property
    def settings(self) -> ChosenSettings:
        """The fitted numbers, and what they say."""
        return {"in_words": self.in_words, "incidents": self.incidents, "gain": round(self.gain, 4)}

    def files(self) -> dict[str, bytes]:
        """The file that `load` reads."""
        return {FILE: json.dumps(asdict(self), indent=1).encode()}

    @classmethod
    def load(cls, files: Mapping[str, bytes]) -> "FittedMinutes":
        """What was fitted, from its `files`."""
        content = json.loads(files[FILE])
        triggers = tuple(Trigger(**one) for one in content["triggers"])
        return cls(**content | {"triggers": triggers, "city_wide": CityWideTrigger(**content["city_wide"])})

    @property
    def in_words(self) -> str:
        """What follows an incident, in a sentence."""
        of_each = " and ".join(
            f"{100 * one.triggered:.1f} with half of them within {one.half_life:.1f} min and {one.width:.0f} m around"
            for one in self.triggers
        )
        anywhere = (
            f"{100 * self.city_wide.triggered:.1f} anywhere, half of them within {self.city_wide.half_life:.0f} min"
        )
        return f"100 incidents trigger {of_each}, and {anywhere}."


@dataclass(frozen=True)
class CellMasses:
    """Shares of Gaussians around points that lie in the covered cells.

    Attributes:
        history: tells the grid and the covered cells.
        metres: the points, shape (points, 2), see `Incidents`.
    """

    history: HourlyHistory
    metres: Array

    def of_all(self, width: float) -> Array:
        """Of every covered cell, shape (points, cells)."""
        by_column, by_row = self._along(0, width), self._along(1, width)
        row, column = np.nonzero(self.history.in_coverage)
        return by_row[:, row] * by_column[:, column]

    def of_some(self, point: npt.NDArray[np.int64], places: npt.NDArray[np.int64], width: float) -> tuple[Array, Array]:
        """(of one cell for each pair, shape (pairs,); of all covered cells together, shape (points,)).

        Args:
            point: the point of each pair, shape (pairs,).
            places: row and column of its cell, shape (pairs, 2).
            width: standard deviation in metres.
        """
        by_column, by_row = self._along(0, width), self._along(1, width)
        of_pairs = by_row[point, places[:, 0]] * by_column[point, places[:, 1]]
        return of_pairs, ((by_row @ self.history.in_coverage) * by_column).sum(axis=1)

    def _along(self, axis: int, width: float) -> Array:
        plane, (rows, columns) = self._plane, self.history.city.shape
        length, number = ((plane.width, columns), (plane.height, rows))[axis]
        edges = np.linspace(0, length, number + 1)
        return np.diff(ndtr((edges - self.metres[:, axis, None]) / width), axis=1)

    @cached_property
    def _plane(self) -> Plane:
        return Plane.of(self.history.city)


def fit_minutes(
    incidents: Incidents, history: HourlyHistory, hours: range, even: npt.NDArray[np.floating]
) -> FittedMinutes:
    """The process of maximum likelihood on some hours, but for those of firework days.

    A night of fireworks would pass for contagion.

    Args:
        incidents: at least those of the hours.
        history: tells the clock and the covered cells.
        hours: contiguous.
        even: expected incidents of each hour and covered cell by the hour's forecast, shape (len(hours), cells).

    Raises:
        HourlyHistoryError: too few incidents lie in the hours.
    """
    likelihood = _Likelihood.of(incidents, history, hours, even)
    if len(likelihood.rate) < MIN_INCIDENTS:
        raise HourlyHistoryError(
            f"City {history.city.name}: {len(likelihood.rate)} incidents from {history.starts[hours.start]} on, outside "
            f"firework days, and {MIN_INCIDENTS} are needed for a forecast of the next minutes."
        )
    start = [INITIAL_BACKGROUND, INITIAL_KNOWN_SHARE, *INITIAL_CITY_WIDE]
    bounds = [(MIN_BACKGROUND, MAX_BACKGROUND), (MIN_SHARE, MAX_KNOWN_SHARE), *CITY_WIDE_BOUNDS]
    for one in INITIAL_TRIGGERS:
        start += [one.triggered, one.half_life, one.width]
        bounds += [(MIN_SHARE, MAX_TRIGGERED), one.half_life_bounds, WIDTH_BOUNDS_METRES]
    number = len(likelihood.rate)
    best = minimize(
        lambda logs: -likelihood.of_process(*_process_of(logs)) / number,
        np.log(start),
        method="L-BFGS-B",
        bounds=np.log(bounds),
        options={"ftol": TOLERANCE},
    )
    gain = -float(best.fun) - likelihood.without / number
    return FittedMinutes(*_process_of(best.x), level=number / likelihood.total, incidents=number, gain=gain)


def _process_of(logs: Array) -> tuple[float, float, tuple[Trigger, ...], CityWideTrigger]:
    background, known_share, triggered, half_life, *others = np.exp(logs).tolist()
    triggers = tuple(Trigger(*of_one) for of_one in np.reshape(others, (-1, 3)).tolist())
    return background, known_share, triggers, CityWideTrigger(triggered, half_life)


def _share_until(half_life: float, minutes: Array) -> Array:
    return -np.expm1(-np.log(2) / half_life * minutes)


@dataclass(frozen=True)
class _Likelihood:
    """What the likelihood needs of the incidents of some hours.

    Attributes:
        rate: of the hour's forecast at each incident in coverage, per minute, shape (events,).
        total: the same over all hours and cells.
        masses: by width, `CellMasses.of_some` of the pairs and parents; the last ones are kept, as a gradient by differences
            asks for each again.
        known_after: minutes from each parent to the end of its hour, shape (parents,).
        ends_after: minutes from each parent to where its triggering, or what is looked at, ends, shape (parents,).
        parent: of each pair, shape (pairs,).
        event: of each pair, ascending, shape (pairs,).
        delay: from parent to event in minutes, shape (pairs,).
        city_share: of the event's cell in the hour's forecast of the city, shape (events,).
        any_parent: as `parent`, of pairs at whatever distance.
        any_event: their events.
        any_delay: their delays.
    """

    rate: Array
    total: float
    masses: Callable[[float], tuple[Array, Array]]
    known_after: Array
    ends_after: Array
    parent: npt.NDArray[np.int64]
    event: npt.NDArray[np.int64]
    delay: Array
    city_share: Array
    any_parent: npt.NDArray[np.int64]
    any_event: npt.NDArray[np.int64]
    any_delay: Array

    @classmethod
    def of(
        cls, incidents: Incidents, history: HourlyHistory, hours: range, even: npt.NDArray[np.floating]
    ) -> "_Likelihood":
        starts = seconds_of(history.starts)
        looked_at = incidents.within(starts[hours.start], starts[hours.stop])
        hour = np.searchsorted(starts, looked_at.seconds, "right") - 1
        fireworks = history.clock.fireworks
        ordinary = ~fireworks[hour]
        hour, parents = (
            hour[ordinary],
            Incidents(looked_at.seconds[ordinary], looked_at.metres[ordinary], looked_at.places[ordinary]),
        )
        cell = parents.covered_cells(history.in_coverage)
        is_event = cell >= 0
        rate = even[hour[is_event] - hours.start, cell[is_event]].astype(np.float64) / 60
        of_fireworks = np.flatnonzero(fireworks[hours.start : hours.stop]) + hours.start
        stops = starts[np.r_[of_fireworks, hours.stop]]
        ends = np.minimum(stops[np.searchsorted(stops, parents.seconds)], parents.seconds + 60 * MEMORY_MINUTES)
        earlier, later = _near_pairs(parents, MEMORY_METRES, is_event)
        any_earlier, any_later = _near_pairs(parents, np.inf, is_event)
        event = np.cumsum(is_event) - 1

        def masses(width: float) -> tuple[Array, Array]:
            return CellMasses(history, parents.metres).of_some(earlier, parents.places[later], width)

        return cls(
            rate=np.maximum(rate, 1e-12),
            total=float(even[~fireworks[hours.start : hours.stop]].sum(dtype=np.float64)),
            masses=lru_cache(2 * len(INITIAL_TRIGGERS))(masses),
            known_after=(starts[hour + 1] - parents.seconds) / 60,
            ends_after=(ends - parents.seconds) / 60,
            parent=earlier,
            event=event[later],
            delay=(parents.seconds[later] - parents.seconds[earlier]) / 60,
            city_share=rate / (even[hour[is_event] - hours.start].sum(axis=1, dtype=np.float64) / 60),
            any_parent=any_earlier,
            any_event=event[any_later],
            any_delay=(parents.seconds[any_later] - parents.seconds[any_earlier]) / 60,
        )

    @property
    def without(self) -> float:
        """Log likelihood of the hour's forecast alone, with the best factor."""
        events = len(self.rate)
        return float(np.log(self.rate * events / self.total).sum() - events)

    def of_process(
        self, background: float, known_share: float, triggers: tuple[Trigger, ...], city_wide: CityWideTrigger
    ) -> float:
        """Log likelihood."""
        factor = np.where(self.delay > self.known_after[self.parent], known_share, 1.0)
        at_events = background * self.rate
        expected = background * self.total
        for trigger in triggers:
            density = trigger.triggered * _density(trigger.half_life, self.delay)
            of_pairs, of_parents = self.masses(trigger.width)
            at_events = at_events + np.bincount(self.event, factor * density * of_pairs, len(at_events))
            expected += trigger.triggered * float(self._share(trigger.half_life, known_share) @ of_parents)
        factor = np.where(self.any_delay > self.known_after[self.any_parent], known_share, 1.0)
        density = city_wide.triggered * _density(city_wide.half_life, self.any_delay)
        at_events = at_events + self.city_share * np.bincount(self.any_event, factor * density, len(at_events))
        expected += city_wide.triggered * float(self._share(city_wide.half_life, known_share).sum())
        return float(np.log(at_events).sum() - expected)

    def _share(self, half_life: float, known_share: float) -> Array:
        """Of what each parent triggers, the part that is looked at, shape (parents,)."""
        new = _share_until(half_life, np.minimum(self.known_after, self.ends_after))
        return new + known_share * (_share_until(half_life, self.ends_after) - new)


def _density(half_life: float, delay: Array) -> Array:
    decay = np.log(2) / half_life
    return decay * np.exp(-decay * delay)


def _near_pairs(
    incidents: Incidents, metres: float, is_event: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(earlier incidents, later ones that are events) within `MEMORY_MINUTES` and about so many metres, not at one instant."""
    scaled = np.column_stack([incidents.metres / metres, incidents.seconds / (60 * MEMORY_MINUTES)])
    pairs = cKDTree(scaled).query_pairs(1.0, p=np.inf, output_type="ndarray")
    earlier, later = np.sort(pairs, axis=1).T.astype(np.int64)
    chosen = (incidents.seconds[later] > incidents.seconds[earlier]) & is_event[later]
    return earlier[chosen], later[chosen]
