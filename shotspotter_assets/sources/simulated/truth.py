"""The true forecast of a day of the simulated city: probabilities given all alerts before it."""

import numpy as np
from scipy.special import gammainc

from shotspotter_assets.sources.simulated.background import Background, Day, Floats, Integers
from shotspotter_assets.sources.simulated.offspring import MEAN_LAG, OFFSPRING, Steps, lag_share

GENERATIONS = np.arange(3)
"""Generations of a family that are followed within the day: roots, their children, their grandchildren."""


class Oracle:
    """The true forecast of one day from the alerts before it.

    Given these, the day's roots (first alerts, and direct offspring of earlier days' alerts) are a Poisson process,
    and each root has its own family within the day. A cell c stays empty if no root falls into it and no family of a
    root elsewhere enters it, whatever a family does once it is there:

        P(at least one in c) = 1 - exp(-roots in c - families from other cells that enter c)

    Approximations, all within families, which are a small part of a day's alerts: entries are expected numbers, of
    children and grandchildren; an alert is anywhere in its part of a cell; lags are not cut.
    """

    def __init__(self, background: Background, steps: Steps) -> None:
        self._sensors = background.sensors
        self._steps = steps

    def probability(self, day: Day, time: Integers, row: Floats, column: Floats) -> Floats:
        """P(at least one alert in the cell on the day | the alerts before it).

        Args:
            day: the day.
            time: (alerts) before the day, in microseconds since 1970 UTC; the last `MAX_LAG` matters.
            row: (alerts) in cells from the box's south edge.
            column: (alerts) in cells from the box's west edge.

        Returns:
            (rows, columns), zero in cells without sensors.
        """
        steps = self._steps
        roots, for_children, for_grandchildren = self._weighted_roots(day, time, row, column)
        parents = steps.sensors * steps.onward(for_grandchildren)
        children = steps.onward(for_children) - steps.stay * for_children
        grandchildren = steps.onward(parents) - steps.stay * parents - steps.back * for_grandchildren
        reached = steps.in_cells(roots + OFFSPRING * children + OFFSPRING**2 * grandchildren)
        return -np.expm1(-reached * self._sensors)

    def _weighted_roots(self, day: Day, time: Integers, row: Floats, column: Floats) -> Floats:
        """Expected roots of the day by part (generations, part rows, part columns).

        Each is weighted with the share of its descendants of that generation that still come on the day.
        """
        roots = np.multiply.outer(_inherited_shares(day), self._inherited(day, time, row, column))
        for begin in day.beginnings:
            left = day.end - (day.hour_edges[:-1] + day.hour_edges[1:]) / 2
            shares = gammainc(GENERATIONS[:, None], left / MEAN_LAG) @ begin.hours
            cells = self._steps.in_parts(begin.cells.reshape(self._sensors.shape))
            roots += np.multiply.outer(shares * begin.number, cells)
        return roots

    def _inherited(self, day: Day, time: Integers, row: Floats, column: Floats) -> Floats:
        """Expected direct offspring (part rows, part columns) on the day of the alerts before it."""
        each = OFFSPRING * (lag_share(day.end - time) - lag_share(day.start - time))
        by_row, by_column = self._steps.shares(row, column)
        return self._steps.sensors * ((by_row * each[:, None]).T @ by_column)


def _inherited_shares(day: Day) -> Floats:
    """Share of each generation that still comes on the day, in families of offspring of earlier days' alerts.

    The exponential lag forgets: whenever their parents were, these offspring come like exp(-t / MEAN_LAG) after the
    day's start, and a sum of exponential lags has a gamma distribution.
    """
    length = (day.end - day.start) / MEAN_LAG
    return gammainc(GENERATIONS + 1, length) / gammainc(1, length)
