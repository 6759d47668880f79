import itertools
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shotspotter_assets.forecasts.patrol.cover import MAX_PAIRS, optimum
from shotspotter_assets.forecasts.patrol.plan import gap_of_day, plan_day
from shotspotter_assets_tests.forecasts.patrol.cities import patrol_city

DAY = date(2024, 5, 1)
AREAS = np.array([["a", "a", "b"], ["a", "b", ""]])


def day_plan(seed, units=3, **rules):
    """Plan of a city of 2 x 3 cells, one of them outside the coverage."""
    expected = np.random.default_rng(seed).gamma(0.3, 0.5, (1, 2, 3))
    in_coverage = np.array([[True] * 3, [True, True, seed % 2 == 0]])
    return plan_day(patrol_city(2, 3, units, **rules), DAY, expected, in_coverage, areas=AREAS)


def best_by_hand(problem, number):
    """Value of the best of all placements that keep the maxima and the minima of areas."""
    values = []
    for units in itertools.product(*(range(most + 1) for most in problem.max_units)):
        of_area = np.bincount(problem.area + 1, units, len(problem.min_units) + 1)[1:]
        if sum(units) == number and (of_area >= problem.min_units).all():
            values.append(problem.value(np.array(units)))
    return max(values)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    units=st.sampled_from([0, 2, 4, 5, 6]),
    radius_m=st.sampled_from([0, 510, 800]),
    shares=st.sampled_from([(0.6, 0.24, 0.1), (0.5, 0.5), (1.0,)]),
    least=st.sampled_from([0.0, 0.3]),
)
def test_the_optimum_is_the_best_placement_and_no_greedy_plan_beats_it(seed, units, radius_m, shares, least):
    plan = day_plan(seed, units, radius_m=radius_m, shares=shares, least_share_per_area=least)
    (shift,) = plan.shifts
    best = optimum(shift.problem, units, 60.0)
    assert best.is_proved
    assert best.bound == pytest.approx(best_by_hand(shift.problem, units), rel=1e-5, abs=1e-12)
    assert shift.totals.covered <= best.bound * (1 + 1e-9) + 1e-12
    assert gap_of_day(plan, 60.0) == pytest.approx(best.gap(shift.totals.covered))


@pytest.mark.parametrize(("row", "gap"), [([3.0, 2, 1, 2, 3, 0], 0.0), ([2.0, 2, 3, 3, 2, 2], 1 - 12 / 14)])
def test_two_units_on_a_line_have_a_known_gap(row, gap):
    # A unit reaches the cells beside its own. In the second row the greedy first unit takes the middle, the best two do not.
    expected = np.array([[row, [0.0] * 6]])
    plan = plan_day(patrol_city(2, 6, 2, radius_m=510, shares=(1.0,)), DAY, expected, np.ones((2, 6), bool))
    assert gap_of_day(plan, 60.0) == pytest.approx(gap, abs=1e-6)


def test_a_lottery_is_compared_by_the_plan_that_it_replaces():
    drawn = day_plan(3, lottery=1.0)
    assert gap_of_day(drawn, 60.0) == pytest.approx(gap_of_day(day_plan(3), 60.0))
    assert drawn.shifts[0].totals.covered < drawn.covered_without_lottery


def test_a_bound_without_time_is_no_optimum():
    expected = np.random.default_rng(0).gamma(0.3, 0.5, (1, 30, 30))
    plan = plan_day(patrol_city(30, 30, 40, radius_m=1_100), DAY, expected, np.ones((30, 30), bool))
    best = optimum(plan.shifts[0].problem, 40, 0.0)
    assert not best.is_proved
    assert plan.shifts[0].totals.covered <= best.bound <= expected.sum() + 1e-9
    assert gap_of_day(plan, 0.0) is None


def test_a_plan_of_very_many_cells_in_reach_is_not_tried():
    expected = np.ones((1, 40, 40))
    plan = plan_day(patrol_city(40, 40, 1, radius_m=3_000), DAY, expected, np.ones((40, 40), bool))
    assert plan.shifts[0].problem.reach.nnz > MAX_PAIRS
    assert gap_of_day(plan, 60.0) is None
