from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from scipy.sparse import csr_array, eye_array
from scipy.spatial import KDTree

from shotspotter_assets.accountability.visit_trial import EXPOSURES, Change, Trial, changes
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


EFFECTS = Shares(cell=-0.4, cell_next=-0.1, around=0.04, around_next=0.0)
KNOWN = -0.31  # change by a visit as a share of the expected alerts
SEEDS = range(6)
DAYS = 180
TOLERANCE = 0.08  # of the mean over the seeds, whose standard error is 0.03
PAIRED_TOLERANCE = 0.05  # of the difference of two estimates from the same seeds


def of_sending(trial: Trial) -> list[Change]:
    return changes(trial, trial.drawn)


def held(seeds: range, shares: Shares, days: int) -> list[int]:
    """Number of seeds in which the interval of each exposure holds its share, and in which all do."""
    counts = np.zeros(len(EXPOSURES) + 1, int)
    for seed in seeds:
        found = of_sending(simulated_trial(seed, shares, days))
        holds = [one.low <= share * one.expected <= one.high for one, share in zip(found, shares, strict=True)]
        counts += [*holds, all(holds)]
    return counts.tolist()


@pytest.mark.parametrize("shares", [EFFECTS, Shares()])
def test_intervals_hold_the_known_change(shares: Shares) -> None:
    *each, _ = held(range(8), shares, 80)
    assert min(each) >= 7


@pytest.mark.slow
@pytest.mark.parametrize("shares", [EFFECTS, Shares()])
def test_intervals_hold_the_known_change_in_90_of_100_cities(shares: Shares) -> None:
    *each, together = held(range(100), shares, 150)
    assert min(each) >= 90
    assert together >= 84  # 90 in the mean; fewer than 84 have a chance of 4%


def test_a_large_effect_is_found_where_and_when_it_is() -> None:
    found = {(one.where, one.when): one for one in of_sending(simulated_trial(3, EFFECTS, 400))}
    assert found["cell", "shift"].high < 0
    assert found["cell", "next days"].high < 0
    assert found["around", "next days"].low < 0 < found["around", "next days"].high
    assert found["cell", "shift"].value == pytest.approx(-0.4 * found["cell", "shift"].expected, rel=0.25)


@pytest.mark.parametrize(
    ("change", "department", "sending", "visit_made"),
    [
        pytest.param(0.0, Department(), 0.0, 0.0, id="no effect"),
        pytest.param(KNOWN, Department(), KNOWN, KNOWN, id="known effect"),
        pytest.param(KNOWN, Department(made=0.5), KNOWN / 2, KNOWN, id="half not made"),
        pytest.param(KNOWN, Department(in_log=0.5), KNOWN, 2 * KNOWN, id="half of the rows lost"),
        pytest.param(KNOWN, Department(after_alert=0.5), KNOWN, -0.39, id="unplanned visits after an alert"),
        pytest.param(KNOWN, Department(displaced=1.0), KNOWN, KNOWN, id="displacement two cells away"),
    ],
)
def test_effects_of_sending_and_of_visits_made(
    change: float, department: Department, sending: float, visit_made: float
) -> None:
    services = [simulated_service(seed, Shares(cell=change), DAYS, department) for seed in SEEDS]
    of_sent = mean_share([of_sending(trial) for trial, _ in services])
    of_made = mean_share([changes(trial, logged) for trial, logged in services])
    assert of_sent == pytest.approx(sending, abs=TOLERANCE)
    assert of_made - of_sent == pytest.approx(visit_made - sending, abs=PAIRED_TOLERANCE)


def mean_share(found: list[list[Change]]) -> float:
    """Mean over the seeds of the change in the cell during the shift, as a share of the expected alerts."""
    return float(np.mean([here.value / here.expected for here, *_ in found]))


def test_unknown_shifts_count_neither_as_quiet_nor_as_busy() -> None:
    trial = simulated_trial(2, Shares(), 120)
    known = np.arange(120) % 5 > 0
    blank = replace(trial, is_known=known, alerts=np.where(known[:, None], trial.alerts, 1_000.0))
    silent = replace(trial, is_known=known, alerts=np.where(known[:, None], trial.alerts, 0.0))
    assert of_sending(blank) == of_sending(silent)


def test_lots_that_decide_nothing_teach_nothing() -> None:
    trial = simulated_trial(2, Shares(), 20)
    certain = replace(trial, expected_units=trial.drawn.astype(float))
    assert of_sending(certain) == []
