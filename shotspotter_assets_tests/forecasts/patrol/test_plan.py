import itertools
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from shotspotter_assets.cities.patrol_rules import Repeats
from shotspotter_assets.forecasts.patrol.cover import CoverProblem, greedy, reach_matrix
from shotspotter_assets.forecasts.patrol.dispatch import PlanRecord, dispatch_table, patrols_before, write_plan
from shotspotter_assets.forecasts.patrol.plan import plan_day
from shotspotter_assets.forecasts.patrol.shifts import ShiftForecasts
from shotspotter_assets.storage.catalogue import DISPATCH_CSV, DISPATCH_MAP
from shotspotter_assets_tests.forecasts.patrol.cities import patrol_city, patrolled

DAY = date(2024, 5, 1)
REFERENCE_SHARES = (0.6, 0.24, 0.1)
alerts = hnp.arrays(np.float64, (4, 4), elements=st.floats(0, 5).map(lambda value: round(value, 3)))


def alerts_by_hand(units, expected, radius_cells, shares):
    """Expected alerts that units cover, cell by cell; cells are squares of side 1."""
    covered = 0.0
    for row, column in np.ndindex(expected.shape):
        away = (np.indices(units.shape) - [[[row]], [[column]]]) ** 2
        covered += expected[row, column] * sum(shares[: int(units[away.sum(axis=0) <= radius_cells**2].sum())])
    return covered


def all_placements(cells, number, most):
    for chosen in itertools.combinations_with_replacement(range(cells), number):
        counts = np.bincount(chosen, minlength=cells)
        if counts.max(initial=0) <= most:
            yield counts


def plan(city, expected, **arguments):
    expected = np.broadcast_to(expected, (len(city.patrol.shifts), *city.shape))
    in_coverage = arguments.pop("in_coverage", np.ones(city.shape, dtype=bool))
    return plan_day(city, arguments.pop("day", DAY), expected, in_coverage, **arguments)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("radius_m", "number"), [(0, 3), (510, 2), (720, 3)])
def test_a_plan_comes_close_to_the_best_of_all_placements(seed, radius_m, number):
    expected = np.random.default_rng(seed).gamma(0.3, 0.2, (3, 4))
    best = max(
        alerts_by_hand(units.reshape(3, 4), expected, radius_m / 500, REFERENCE_SHARES)
        for units in all_placements(12, number, 2)
    )
    day = plan(patrol_city(3, 4, number, radius_m=radius_m), expected)
    (shift,) = tuple(one.totals for one in day.shifts)
    assert 0.95 * best <= shift.covered <= best + 1e-9
    assert shift.covered == pytest.approx(alerts_by_hand(day.units, expected, radius_m / 500, REFERENCE_SHARES))
    assert shift.within_reach == pytest.approx(alerts_by_hand(day.units, expected, radius_m / 500, [1, 0, 0, 0, 0]))


def test_alerts_within_reach_count_in_full_and_once():
    # Two units reach the middle cell, one reaches the outer ones: shares weight what is covered, not what is in reach.
    expected = np.array([[0.2, 0.3, 0.2, 0.1], [0.0] * 4])
    day = plan(patrol_city(2, 4, 2, radius_m=510, most_units_per_cell=1), expected)
    (shift,) = tuple(one.totals for one in day.shifts)
    assert shift.within_reach == pytest.approx(0.8)
    assert shift.covered < 0.7


@settings(max_examples=25, deadline=None)
@given(expected=alerts, number=st.integers(0, 5), radius_m=st.sampled_from([0, 510, 800]))
def test_more_units_cover_more_and_never_more_than_is_in_reach(expected, number, radius_m):
    fewer, more = (plan(patrol_city(4, 4, units, radius_m=radius_m), expected) for units in (number, number + 1))
    (less_covered,), (shift,) = ((one.totals for one in plans.shifts) for plans in (fewer, more))
    assert shift.covered == pytest.approx(less_covered.covered + less_covered.one_more_unit)
    assert shift.covered <= shift.within_reach + 1e-9 <= expected.sum() + 1e-6
    assert more.units.sum() == number + 1
    assert more.units.max() <= 2


@settings(max_examples=25, deadline=None)
@given(alerts, hnp.arrays(bool, (4, 4)), hnp.arrays(bool, (4, 4)), st.sampled_from([0.0, 0.2, 0.4]))
def test_rules_are_kept_or_named(expected, in_coverage, rested, share):
    areas = np.array([["a", "a", "b", "b"]] * 3 + [[""] * 4])
    city = patrol_city(4, 4, 5, least_share_per_area=share, repeats=Repeats(most=1, days=3))
    history = {DAY - timedelta(days=2): rested}
    room = {name: 2 * (in_coverage & ~rested & (areas == name)).sum() for name in ("a", "b")}
    least = {name: int(np.ceil(share * 5)) for name in ("a", "b") if (in_coverage & (areas == name)).any()}
    if 2 * (in_coverage & ~rested).sum() < 5 or any(room[name] < least[name] for name in least):
        with pytest.raises(ValueError, match=r"rule patrol\.(repeats|most_units_per_cell)"):
            plan(city, expected, in_coverage=in_coverage, areas=areas, history=history)
        return
    (shift,) = plan(city, expected, in_coverage=in_coverage, areas=areas, history=history).shifts
    assert not shift.units[~in_coverage | rested].any()
    assert all(shift.units[areas == name].sum() >= number for name, number in least.items())


def test_cells_are_ranked_by_their_first_unit():
    expected = np.diag([1.0, 0.0, 0.1])
    (shift,) = plan(patrol_city(3, 3, 3, radius_m=0), expected).shifts
    # 0.6 and 0.24 at the hot cell, then 0.06.
    assert (shift.added[0, 0], shift.added[2, 2]) == (pytest.approx(0.84), pytest.approx(0.06))
    assert (shift.units[0, 0], shift.units[2, 2]) == (2, 1)
    assert (shift.rank[0, 0], shift.rank[2, 2]) == (1, 2)


def test_a_cell_rests_after_its_share_of_patrols():
    expected = np.full((3, 3), 0.1)
    expected[1, 1] = 5.0
    city = patrol_city(3, 3, 1, radius_m=0, repeats=Repeats(most=2, days=4))
    history = {}
    sent = []
    for number in range(8):
        day = DAY + timedelta(days=number)
        history[day] = patrolled(plan(city, expected, day=day, history=history))
        sent.append(bool(history[day][1, 1]))
    assert sent == [True, True, False, False, True, True, False, False]


@pytest.mark.parametrize(
    ("rules", "units", "message"),
    [
        ({"least_share_per_area": 0.5}, 3, r"patrol\.least_share_per_area: .*2 areas"),
        ({"most_units_per_cell": 1}, 10, r"patrol\.most_units_per_cell: .*9"),
        ({"repeats": {"most": 1, "days": 2}, "most_units_per_cell": 1}, 4, r"patrol\.repeats: .*6 cells"),
        ({"repeats": {"most": 1, "days": 2}, "least_share_per_area": 0.1}, 3, "area b.*6 cells"),
    ],
)
def test_an_impossible_rule_is_named(rules, units, message):
    areas = np.array([["a"] * 3, ["b"] * 3, ["b"] * 3])
    with pytest.raises(ValueError, match=message):
        plan(patrol_city(3, 3, units, **rules), 1.0, areas=areas, history={DAY - timedelta(days=1): areas == "b"})


ISSUE = date(2024, 5, 1)
CITY = patrol_city(3, 3, 1, radius_m=0, repeats=Repeats(most=2, days=7))
IN_COVERAGE = np.ones((3, 3), dtype=bool)


def record(issue_date, **more):
    days = {"issue_date": issue_date, "forecast_date": issue_date + timedelta(days=1)}
    return PlanRecord(city=CITY.name, **days, **more)


def write(store, issue_date):
    expected = np.arange(9.0).reshape(1, 3, 3)
    plan = plan_day(CITY, issue_date + timedelta(days=1), expected, IN_COVERAGE)
    table = dispatch_table(plan, CITY, ShiftForecasts(expected, expected / 10, IN_COVERAGE))
    write_plan(store, record(issue_date, shifts=tuple(shift.totals for shift in plan.shifts)), table)
    return plan


def test_earlier_plans_are_read_by_the_day_that_they_were_for(store):
    plan = write(store, ISSUE - timedelta(days=1))
    write(store, ISSUE)
    write(store, ISSUE - timedelta(days=8))
    history = patrols_before(store, CITY, ISSUE)
    assert list(history) == [ISSUE]
    assert (history[ISSUE] == patrolled(plan)).all()


def test_an_empty_plan_takes_the_exports_of_an_earlier_one_away(store):
    write(store, ISSUE)
    assert store.exists(DISPATCH_CSV, CITY.name, ISSUE)
    write_plan(store, record(ISSUE, note="none"))
    assert not store.exists(DISPATCH_CSV, CITY.name, ISSUE)
    assert not store.exists(DISPATCH_MAP, CITY.name, ISSUE)
    assert patrols_before(store, CITY, ISSUE + timedelta(days=1)) == {}


def best_by_hand(problem, number):
    """Value of the best of all placements of so many units."""
    placements = itertools.product(*(range(most + 1) for most in problem.max_units))
    return max(problem.value(np.array(units)) for units in placements if sum(units) == number)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    number=st.sampled_from([0, 2, 4, 6]),
    radius_m=st.sampled_from([0, 510, 800]),
    shares=st.sampled_from([(0.6, 0.24, 0.1), (0.5, 0.5), (1.0,)]),
)
def test_a_greedy_plan_has_the_guaranteed_share_of_the_best_value(seed, number, radius_m, shares):
    problem = CoverProblem(
        expected=np.random.default_rng(seed).gamma(0.3, 0.5, 6), reach=reach_matrix(patrol_city(2, 3, 0), radius_m),
        shares=shares, max_units=np.full(6, 2), area=np.full(6, -1), min_units=np.zeros(0, int),
    )  # fmt: skip
    cells, _ = greedy(problem, number)
    assert problem.value(np.bincount(cells, minlength=6)) >= (1 - 1 / np.e) * best_by_hand(problem, number) - 1e-12
