"""What a day of the simulated city is expected to bring, given all alerts before it: the oracle's forecast."""

from typing import NamedTuple

import numpy as np
from scipy.special import gammainc

from shotspotter_assets.sources.simulated_background import HOUR, Background, Day, Floats
from shotspotter_assets.sources.simulated_offspring import MEAN_LAG, OFFSPRING, Steps, lag_share

GENERATIONS = np.arange(5)
"""Generations of a family that are followed within the day: the root itself is the first."""


class Truth(NamedTuple):
    """Of one day (rows, columns), zero in cells without sensors."""

    probability: Floats
    """Of at least one alert."""
    number: Floats
    """Expected number of alerts."""


class Oracle:
    """The true forecast of one day from the alerts before it.

    Given these, the day's roots (first alerts, and direct offspring of earlier days' alerts) are a Poisson
    process, and each root has its own family within the day. A cell c stays empty if no root falls into it and no
    family of a root elsewhere enters it, whatever a family does once it is there:

        P(at least one in c) = 1 - exp(-roots in c - families from other cells that enter c)

    Approximations, all within families (a few percent of the alerts of a day): entries are expected numbers, of
    children and grandchildren; an alert is anywhere in its cell, as first alerts are; lags are not cut.
    """

    def __init__(self, background: Background, steps: Steps) -> None:
        self._sensors = background.sensors
        self._steps = steps
        self._stay = steps.rows[0, 0] * steps.columns[0, 0]
        out_and_back = steps.rows**2 @ self._sensors.astype(float) @ steps.columns**2
        self._return = out_and_back - self._stay**2

    def day(self, day: Day, time: Floats, row: Floats, column: Floats) -> Truth:
        """Truth about a day from the alerts before its start, of which the last `MAX_LAG` matter.

        `time` (alerts) in microseconds since 1970 UTC; `row`, `column` in cells from the south-west corner.
        """
        # able[j]: the roots by cell (rows, columns), each weighted by the share of its j-th generation that
        # still comes on this day.
        able = np.multiply.outer(_inherited_shares(day), self._inherited(day, time, row, column))
        for begin in day.beginnings:
            left = day.end - day.start - (np.arange(len(begin.hours)) + 0.5) * HOUR
            shares = gammainc(GENERATIONS[:, None], np.maximum(left, 0) / MEAN_LAG) @ begin.hours
            able += np.multiply.outer(shares * begin.number, begin.cells.reshape(self._sensors.shape))

        number = able[-1]
        for roots in able[-2::-1]:
            number = roots + OFFSPRING * self._sensors * self._steps.onward(number)

        parents = self._sensors * self._steps.onward(able[2])
        children = self._steps.onward(able[1]) - self._stay * able[1]
        grandchildren = self._steps.onward(parents) - self._stay * parents - self._return * able[2]
        reached = able[0] + OFFSPRING * children + OFFSPRING**2 * grandchildren
        return Truth(-np.expm1(-reached * self._sensors), number)

    def _inherited(self, day: Day, time: Floats, row: Floats, column: Floats) -> Floats:
        """Expected direct offspring (rows, columns) of earlier alerts on the day."""
        each = OFFSPRING * (lag_share(day.end - time) - lag_share(day.start - time))
        by_row, by_column = self._steps.shares(row, column)
        return self._sensors * ((by_row * each[:, None]).T @ by_column)


def _inherited_shares(day: Day) -> Floats:
    """Share of each generation that still comes on the day, in families of offspring of earlier days' alerts.

    The exponential lag forgets: whenever their parents were, these offspring come like exp(-t / MEAN_LAG) after
    the day's start, and a sum of exponential lags has a gamma distribution.
    """
    length = (day.end - day.start) / MEAN_LAG
    return gammainc(GENERATIONS + 1, length) / gammainc(1, length)
