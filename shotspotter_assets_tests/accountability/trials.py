"""Simulated trials: plans drawn by lot in a small city, whose visits change alerts by known shares of those expected."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array, eye_array
from scipy.spatial import KDTree

from shotspotter_assets.accountability.visit_trial import Trial
from shotspotter_assets.patrol.cover import CoverProblem
from shotspotter_assets.patrol.lottery import draw_lots

ROWS = COLUMNS = 8
CELLS = ROWS * COLUMNS
PLACES = np.indices((ROWS, COLUMNS)).reshape(2, -1).T
AREA = np.arange(CELLS) // 16
RESTED_DAYS = 6
LASTS_SHIFTS = 3  # one shift a day


class Shares(NamedTuple):
    """Changes by a visit as shares of the expected alerts, in the order of `EXPOSURES`."""

    cell: float = 0.0
    cell_next: float = 0.0
    around: float = 0.0
    around_next: float = 0.0


def ring() -> csr_array:
    pairs = KDTree(PLACES).query_pairs(1.5, output_type="ndarray")
    both = np.concatenate([pairs, pairs[:, ::-1]])
    return csr_array((np.ones(len(both)), both.T), shape=(CELLS, CELLS))


def simulated_trial(seed: int, shares: Shares, days: int, units: int = 6) -> Trial:
    """Plans of a shift a day, a cell on at most 3 of 7 days; the forecast misses the mean of each cell and day."""
    random = np.random.default_rng(seed)
    level = random.gamma(0.8, 0.3, CELLS)
    problem = CoverProblem(
        expected=level,
        reach=eye_array(CELLS).tocsr(),
        shares=(0.6,),
        max_units=np.full(CELLS, 2),
        area=AREA,
        min_units=np.ones(4, np.int64),
    )
    neighbours = ring()
    drawn = []
    expected_units = []
    expected = []
    alerts = []
    for day in range(days):
        rests = np.sum(drawn[-RESTED_DAYS:], axis=0) >= 3 if day else np.zeros(CELLS, bool)
        forecast = level * (1 + 0.2 * np.sin(day / 7))
        today = replace(problem, expected=forecast, max_units=np.where(rests, 0, problem.max_units))
        lots = draw_lots(today, PLACES, units, 2.0, seed=1_000 * seed + day)
        visits = lots.units > 0
        before = np.sum([np.zeros(CELLS), *drawn[-LASTS_SHIFTS:]], axis=0)
        changed = 1 + shares.cell * visits + shares.cell_next * before
        changed += shares.around * (neighbours @ visits) + shares.around_next * (neighbours @ before)
        missed = random.gamma(3, 1 / 3, CELLS)
        alerts.append(random.poisson(forecast * missed * np.maximum(changed, 0)))
        drawn.append(visits)
        expected_units.append(lots.expected_units)
        expected.append(forecast)
    return Trial(
        start=24.0 * np.arange(days),
        is_known=np.ones(days, bool),
        expected_units=np.array(expected_units),
        drawn=np.array(drawn),
        visited=np.array(drawn, np.float64),
        alerts=np.array(alerts, np.float64),
        expected=np.array(expected),
        places=PLACES,
        area=AREA,
        ring=neighbours,
    )
