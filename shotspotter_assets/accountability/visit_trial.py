"""Estimates of what a visit changes, from plans whose places were drawn by lot with recorded chances.

A cell that the lot sent a unit to is compared with those that it could have sent one to. The statistic of Horvitz and
Thompson (1952), the sum of (drawn - chance) x (alerts - forecast), has mean zero if visits change nothing, whatever the
forecast misses. Its distribution comes from drawing the same lots again (Fisher 1935). Alerts of a cell and shift depend on
visits of the cell and of its neighbours, in the shift and in the days before: each changes them by a share of the forecast,
an exposure mapping as in Aronow and Samii (2017). There is a statistic for each exposure; the estimates set all to zero.
"""

from dataclasses import dataclass, field
from itertools import product
from typing import Final, Literal

import numpy as np
from scipy.sparse import csr_array

from shotspotter_assets.evaluation.estimates import CONFIDENCE, Estimate
from shotspotter_assets.forecasts.patrol.lottery import QUANTA, random_order
from shotspotter_assets.storage.arrays import Array, Booleans, Integers, Singles

Where = Literal["cell", "around"]
When = Literal["shift", "next days"]
EXPOSURES: Final[tuple[tuple[Where, When], ...]] = (
    ("cell", "shift"),
    ("cell", "next days"),
    ("around", "shift"),
    ("around", "next days"),
)
NEXT_HOURS: Final = 72  # a visit may change shifts that begin so long after its own
ORDERS: Final = 10  # random orders of the cells for the lots that are drawn again
STARTS: Final = 25  # random starts with each order


@dataclass(frozen=True)
class Trial:
    """Shifts with lots by start; arrays have shape (shifts, cells) without a note."""

    start: Array  # hours since any instant, shape (shifts,)
    is_known: Booleans  # False where the alerts of the shift are not known, shape (shifts,)
    expected_units: Array  # as in `catalogue.LOTS`; 0 outside the coverage
    drawn: Booleans
    alerts: Array
    expected: Array  # alerts that were forecast before the draw
    places: Integers  # row and column of each cell, shape (cells, 2)
    area: Integers  # index of the area, or -1, shape (cells,)
    ring: csr_array  # 1 for cells side by side or corner to corner, shape (cells, cells)

    @property
    def is_decided(self) -> Booleans:
        """Cells that the lot may or may not send a unit to."""
        return (self.expected_units > 0) & (self.expected_units < 1)

    def before(self, values: Array, where: Where, when: When) -> Array:
        """Return sums over the cells and shifts in which a visit may change a cell and shift; same shape."""
        return self._around(self._window(values, -NEXT_HOURS) if when == "next days" else values, where)

    def after(self, values: Array, where: Where, when: When) -> Array:
        """Return sums over the cells and shifts that a visit in a cell and shift may change; same shape."""
        return self._around(self._window(values, NEXT_HOURS) if when == "next days" else values, where)

    def _around(self, values: Array, where: Where) -> Array:
        return np.asarray((self.ring @ values.T).T) if where == "around" else values

    def _window(self, values: Array, hours: int) -> Array:
        """Sum up the shifts that begin within the next `hours`, or the last ones if negative, without the own start."""
        own = np.searchsorted(self.start, self.start, side="right" if hours > 0 else "left")
        far = np.searchsorted(self.start, self.start + hours, side="right" if hours > 0 else "left")
        sums = np.concatenate([np.zeros_like(values[:1]), np.cumsum(values, axis=0)])
        return np.asarray(sums[np.maximum(own, far)] - sums[np.minimum(own, far)])


@dataclass(frozen=True)
class Change(Estimate):
    """Change of the number of alerts by one visit, with an interval; those of all `EXPOSURES` hold together with 90%."""

    where: Where = field(kw_only=True)
    when: When = field(kw_only=True)
    expected: float = field(kw_only=True)  # alerts forecast for the same cells and hours


def changes(trial: Trial, visited: Array) -> list[Change]:
    """Return the change by a visit for each of `EXPOSURES`; none if the lots do not determine all of them.

    Args:
        trial: Lots and alerts.
        visited: 1 or 0 by shift and cell. With `trial.drawn` the change is that of sending a unit, which the lot decides.
            With the visits of a log it is that of a visit made, as far as the log has all of them.
    """
    values = _values(trial, visited)
    shape = (-1, len(EXPOSURES), len(EXPOSURES) + 1)
    chance = np.where(trial.is_decided, trial.expected_units, 0.0)
    mean = np.einsum("tc,tck->k", chance, values)
    drawn = np.einsum("tc,tck->k", trial.drawn, values, dtype=np.float64)
    statistics = (drawn - mean).reshape(shape)[0]
    again = (_sums_again(trial, values, np.random.default_rng(0)) - mean).reshape(shape)
    if np.linalg.matrix_rank(statistics[:, 1:]) < len(EXPOSURES):
        return []
    estimates = np.linalg.solve(statistics[:, 1:], statistics[:, 0])
    # The statistics of lots drawn again, if visits change as much as estimated.
    noise = again[:, :, 0] - again[:, :, 1:] @ estimates
    errors = np.linalg.solve(statistics[:, 1:], noise.T)
    spread = errors.std(axis=1)
    # All intervals together hold with the level: somebody who looks at each finds no change by chance that often.
    half = np.quantile(abs(errors / spread[:, None]).max(axis=0), CONFIDENCE) * spread
    return [_change(trial, number, float(estimates[number]), float(half[number])) for number in range(len(EXPOSURES))]


def _values(trial: Trial, visited: Array) -> Singles:
    """Return what a drawn cell adds to each statistic, by exposure: of alerts, and of each exposure's changes.

    Shape (shifts, cells, exposures x (1 + exposures)); 0 in cells that the lot does not decide.
    """
    exposures = [trial.before(visited, where, when) for where, when in EXPOSURES]
    responses = [trial.alerts - trial.expected, *(trial.expected * exposure for exposure in exposures)]
    known = [np.where(trial.is_known[:, None], response, 0.0) for response in responses]
    values = np.empty((*trial.drawn.shape, len(EXPOSURES) * len(known)), np.float32)  # years of shifts fill gigabytes
    for number, ((where, when), response) in enumerate(product(EXPOSURES, known)):
        values[..., number] = np.where(trial.is_decided, trial.after(response, where, when), 0.0)
    return values


def _change(trial: Trial, number: int, share: float, half: float) -> Change:
    """Return a change by one visit, given its share of the alerts expected in these cells and shifts, plus or minus `half`."""
    where, when = EXPOSURES[number]
    weight = np.where(trial.is_decided, trial.expected_units * (1 - trial.expected_units), 0.0)
    expected = trial.after(np.where(trial.is_known[:, None], trial.expected, 0.0), where, when)
    mean = float((weight * expected).sum() / weight.sum())
    return Change(share * mean, (share - half) * mean, (share + half) * mean, where=where, when=when, expected=mean)


def _sums_again(trial: Trial, values: Singles, random: np.random.Generator) -> Array:
    """Draw all lots again, and sum up `values`, shape (shifts, cells, columns), of drawn cells; shape (draws, columns).

    Draws share an order of the cells in groups. Given any order chances are those of the lots, so sums keep their mean, and
    over the orders their variance.
    """
    # Whole units are certain, and lie on the comb wherever it starts.
    quanta = np.rint(trial.expected_units % 1 * QUANTA).astype(np.int64)
    units = quanta.sum(axis=1) // QUANTA
    shift = np.repeat(np.arange(len(units)), units)
    teeth = np.arange(len(shift)) * QUANTA
    sums = []
    for _ in range(ORDERS):
        order = random_order(trial.places, trial.area, random)
        ends = np.cumsum(quanta[:, order])
        for _ in range(STARTS):
            start = random.integers(QUANTA, size=len(units))
            shifts, places = np.divmod(np.searchsorted(ends, teeth + start[shift], side="right"), len(order))
            sums.append(values[shifts, order[places]].sum(axis=0, dtype=np.float64))
    return np.array(sums)
