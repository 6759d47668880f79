"""Simulated trials: plans drawn by lot in a small city, whose visits change alerts by known shares of those expected.

The department makes some of the visits and others besides, and its log lacks some rows (`Department`).
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array, eye_array
from scipy.spatial import KDTree

from shotspotter_assets.accountability.visit_trial import Trial
from shotspotter_assets.forecasts.patrol.cover import CoverProblem
from shotspotter_assets.forecasts.patrol.lottery import draw_lots
from shotspotter_assets.storage.arrays import Array

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


class Department(NamedTuple):
    """Shares of visits and of log rows, and of alerts."""

    made: float = 1.0  # of the drawn visits
    in_log: float = 1.0  # of the visits that were made
    after_alert: float = 0.0  # of the cells with an alert, which a unit visits afterwards without a plan
    displaced: float = 0.0  # of the change in a visited cell, which moves two cells away


def near(farthest: float, nearest: float = 0.5) -> csr_array:
    """Return 1 for pairs of cells at a distance between two numbers of cells."""
    pairs = KDTree(PLACES).query_pairs(farthest, output_type="ndarray")
    pairs = pairs[np.linalg.norm(PLACES[pairs[:, 0]] - PLACES[pairs[:, 1]], axis=1) > nearest]
    both = np.concatenate([pairs, pairs[:, ::-1]])
    return csr_array((np.ones(len(both)), both.T), shape=(CELLS, CELLS))


def simulated_trial(seed: int, shares: Shares, days: int) -> Trial:
    """Return the trial of a department that makes all visits."""
    return simulated_service(seed, shares, days, Department())[0]


def simulated_service(seed: int, shares: Shares, days: int, department: Department) -> tuple[Trial, Array]:
    """Return a trial and the visits in the department's log.

    There is one shift a day with six units, and a cell has one on at most 3 of 7 days. The forecast misses the mean of each
    cell and day.
    """
    random = np.random.default_rng(seed)
    of_department = np.random.default_rng([seed, 1])
    level = random.gamma(0.8, 0.3, CELLS)
    problem = CoverProblem(
        expected=level,
        reach=eye_array(CELLS).tocsr(),
        shares=(0.6,),
        max_units=np.full(CELLS, 2),
        area=AREA,
        min_units=np.ones(4, np.int64),
    )
    neighbours = near(1.5)
    far = near(2.0, 1.5)
    drawn = []
    made = []
    logged = []
    expected_units = []
    expected = []
    alerts = []
    for day in range(days):
        rests = np.sum(drawn[-RESTED_DAYS:], axis=0) >= 3 if day else np.zeros(CELLS, bool)
        forecast = level * (1 + 0.2 * np.sin(day / 7))
        today = replace(problem, expected=forecast, max_units=np.where(rests, 0, problem.max_units))
        lots = draw_lots(today, PLACES, 6, 2.0, seed=1_000 * seed + day)
        visits = (lots.units > 0) & (of_department.random(CELLS) < department.made)
        before = np.sum([np.zeros(CELLS), *made[-LASTS_SHIFTS:]], axis=0)
        changed = 1 + shares.cell * visits + shares.cell_next * before
        changed += shares.around * (neighbours @ visits) + shares.around_next * (neighbours @ before)
        moved = -department.displaced * shares.cell * visits * forecast / far.sum(axis=0)
        missed = random.gamma(3, 1 / 3, CELLS)
        alerts.append(random.poisson(missed * (forecast * np.maximum(changed, 0) + far @ moved)))
        later = (alerts[-1] > 0) & (of_department.random(CELLS) < department.after_alert)
        logged.append((visits | later) & (of_department.random(CELLS) < department.in_log))
        made.append(visits)
        drawn.append(lots.units > 0)
        expected_units.append(lots.expected_units)
        expected.append(forecast)
    trial = Trial(
        start=24.0 * np.arange(days),
        is_known=np.ones(days, bool),
        expected_units=np.array(expected_units),
        drawn=np.array(drawn),
        alerts=np.array(alerts, np.float64),
        expected=np.array(expected),
        places=PLACES,
        area=AREA,
        ring=neighbours,
    )
    return trial, np.array(logged, np.float64)
