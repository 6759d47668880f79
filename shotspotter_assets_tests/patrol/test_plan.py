import itertools
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import ValidationError

from shotspotter_assets.cities.patrol_rules import PatrolRules, Repeats, Shift
from shotspotter_assets.patrol.cover import CoverProblem, exact, greedy, in_order_of_value
from shotspotter_assets.patrol.plan import PatrolRulesError, plan_day
from shotspotter_assets.patrol.reach import reach_matrix
from shotspotter_assets_tests.patrol.cities import patrol_city

DAY = date(2024, 5, 1)


def share(units, shares):
    return sum(shares[: int(units)])


def value_by_hand(units, expected, radius_cells, shares):
    """Expected alerts covered, cell by cell: the definition, without matrices. Cells are squares of side 1."""
    in_coverage = 0.0
    for row, column in np.ndindex(expected.shape):
        near = sum(
            units[r, c] for r, c in np.ndindex(units.shape) if (r - row) ** 2 + (c - column) ** 2 <= radius_cells**2
        )
        in_coverage += expected[row, column] * share(near, shares)
    return in_coverage


def all_placements(cells, number, most):
    for chosen in itertools.combinations_with_replacement(range(cells), number):
        counts = np.bincount(chosen, minlength=cells)
        if counts.max(initial=0) <= most:
            yield counts


def plan(city, expected, **arguments):
    expected = np.broadcast_to(expected, (len(city.patrol.shifts), *city.shape))
    in_coverage = arguments.pop("in_coverage", np.ones(city.shape, dtype=bool))
    return plan_day(city, arguments.pop("day", DAY), expected, in_coverage, **arguments)


def random_alerts(seed, shape):
    return np.random.default_rng(seed).gamma(0.3, 0.2, shape)


class TestAgainstBruteForce:
    @pytest.mark.parametrize("seed", range(6))
    @pytest.mark.parametrize(("radius_m", "number"), [(0, 3), (510, 2), (510, 3), (720, 3)])
    def test_no_placement_is_better(self, seed, radius_m, number):
        expected = random_alerts(seed, (3, 4))
        city = patrol_city(3, 4, number, radius_m=radius_m)
        shares = city.patrol.shares
        best = max(
            value_by_hand(units.reshape(3, 4), expected, radius_m / 500, shares)
            for units in all_placements(12, number, city.patrol.most_units_per_cell)
        )
        (shift,) = plan(city, expected).shifts
        assert shift.method == "exact"
        assert shift.reached == pytest.approx(best, rel=1e-5)
        assert shift.reached == pytest.approx(value_by_hand(shift.units, expected, radius_m / 500, shares))

    @pytest.mark.parametrize("seed", range(4))
    def test_with_areas_and_a_cap_on_repeats(self, seed):
        expected = random_alerts(seed, (3, 4))
        areas = np.array([["west"] * 2 + ["east"] * 2] * 3)
        city = patrol_city(
            3, 4, 3, radius_m=510, least_share_per_area=0.3, repeats=Repeats(most=1, days=2), most_units_per_cell=1
        )
        rested = np.zeros((3, 4), dtype=bool)
        rested.ravel()[np.argsort(-expected.ravel())[:2]] = True
        allowed = [
            units.reshape(3, 4)
            for units in all_placements(12, 3, 1)
            if not units[rested.ravel()].any()
            and all(units[(areas == name).ravel()].sum() >= 1 for name in ("west", "east"))
        ]
        best = max(value_by_hand(units, expected, 1.02, city.patrol.shares) for units in allowed)
        (shift,) = plan(city, expected, areas=areas, history={DAY - timedelta(days=1): rested}).shifts
        assert shift.reached == pytest.approx(best, rel=1e-5)
        assert any((shift.units == units).all() for units in allowed)

    @pytest.mark.parametrize("seed", range(4))
    def test_one_more_unit_is_worth_what_the_best_larger_plan_adds(self, seed):
        expected = random_alerts(seed, (3, 4))
        (two,) = plan(patrol_city(3, 4, 2, radius_m=510), expected).shifts
        (three,) = plan(patrol_city(3, 4, 3, radius_m=510), expected).shifts
        assert two.one_more == pytest.approx(three.best - two.best, rel=1e-4)

    def test_the_solver_beats_greedy_where_greedy_is_known_to_fail(self):
        # Greedy takes a middle cell (2 + 3 + 3) and then adds 4; the two beside the middle cover all.
        expected = np.array([[2.0, 2, 3, 3, 2, 2], [0] * 6])
        (shift,) = plan(patrol_city(2, 6, 2, radius_m=510, shares=(1.0,)), expected).shifts
        assert shift.reached == pytest.approx(14)
        assert shift.greedy_ratio == pytest.approx(12 / 14)


alerts = hnp.arrays(np.float64, (4, 4), elements=st.floats(0, 5).map(lambda value: round(value, 3)))


class TestProperties:
    @settings(max_examples=25, deadline=None)
    @given(expected=alerts, number=st.integers(0, 5), radius_m=st.sampled_from([0, 510, 800]), seed=st.integers(0, 9))
    def test_more_units_cover_more_and_never_more_than_all(self, expected, number, radius_m, seed):
        rules = {"radius_m": radius_m, "near_tie": 0.05, "seed": seed}
        (fewer,) = plan(patrol_city(4, 4, number, **rules), expected).shifts
        (more,) = plan(patrol_city(4, 4, number + 1, **rules), expected).shifts
        slack = 1e-5 * expected.sum()
        assert more.best >= fewer.best - slack
        assert fewer.reached <= fewer.best + slack <= expected.sum() + 2 * slack
        assert fewer.reached >= 0.95 * fewer.best - slack
        assert fewer.units.sum() == number
        assert fewer.units.max() <= 2
        assert 1 - 1 / np.e <= fewer.greedy_ratio <= 1 + 1e-5
        assert fewer.added.sum() == pytest.approx(fewer.reached)
        assert (np.diff(fewer.added) <= 1e-9).all()

    @settings(max_examples=25, deadline=None)
    @given(
        expected=alerts,
        in_coverage=hnp.arrays(bool, (4, 4)),
        rested=hnp.arrays(bool, (4, 4)),
        share=st.sampled_from([0.0, 0.2, 0.4]),
        near_tie=st.sampled_from([0.0, 0.1]),
    )
    def test_rules_are_kept_or_named(self, expected, in_coverage, rested, share, near_tie):
        areas = np.array([["a", "a", "b", "b"]] * 3 + [[""] * 4])
        city = patrol_city(4, 4, 5, least_share_per_area=share, repeats=Repeats(most=1, days=3), near_tie=near_tie)
        history = {DAY - timedelta(days=2): rested}
        room = {name: 2 * (in_coverage & ~rested & (areas == name)).sum() for name in ("a", "b")}
        least = {name: int(np.ceil(share * 5)) for name in ("a", "b") if (in_coverage & (areas == name)).any()}
        if 2 * (in_coverage & ~rested).sum() < 5 or any(room[name] < least[name] for name in least):
            with pytest.raises(PatrolRulesError, match=r"rule patrol\.(repeats|most_units_per_cell)"):
                plan(city, expected, in_coverage=in_coverage, areas=areas, history=history)
            return
        (shift,) = plan(city, expected, in_coverage=in_coverage, areas=areas, history=history).shifts
        assert not shift.units[~in_coverage | rested].any()
        assert all(shift.units[areas == name].sum() >= number for name, number in least.items())

    @settings(max_examples=30, deadline=None)
    @given(expected=alerts, chosen=st.lists(st.integers(0, 15), max_size=6), radius_m=st.sampled_from([0, 510, 1_200]))
    def test_gains_are_what_one_more_unit_adds(self, expected, chosen, radius_m):
        units = np.bincount(np.array(chosen, dtype=int), minlength=16)
        problem = problem_of(expected, radius_m)
        more = [problem.value(units + step) - problem.value(units) for step in np.eye(16, dtype=int)]
        np.testing.assert_allclose(problem.gains(units), more, atol=1e-9)


def problem_of(expected, radius_m):
    city = patrol_city(*expected.shape)
    cells = expected.size
    nowhere, none = np.full(cells, -1), np.zeros(0, dtype=int)
    reach = reach_matrix(city, 1, radius_m)
    return CoverProblem(expected.ravel(), reach, (0.6, 0.24, 0.1), np.full(cells, 2), nowhere, none)


class TestNearTies:
    def test_chance_chooses_among_equal_plans_and_repeats_itself(self):
        expected = np.full((6, 6), 0.1)
        plans = {seed: plan(patrol_city(6, 6, 3, radius_m=0, near_tie=0.01, seed=seed), expected) for seed in range(5)}
        again = plan(patrol_city(6, 6, 3, radius_m=0, near_tie=0.01, seed=3), expected)
        assert (again.shifts[0].units == plans[3].shifts[0].units).all()
        assert len({plan.shifts[0].units.tobytes() for plan in plans.values()}) == 5
        assert all(plan.shifts[0].reached == pytest.approx(0.18) for plan in plans.values())

    def test_days_and_shifts_are_drawn_apart(self):
        city = patrol_city(6, 6, (3, 3), radius_m=0, near_tie=0.01)
        first, second = plan(city, 0.1), plan(city, 0.1, day=DAY + timedelta(days=1))
        units = [shift.units.tobytes() for day in (first, second) for shift in day.shifts]
        assert len(set(units)) == 4

    def test_a_clear_winner_is_never_left(self):
        expected = np.full((4, 4), 0.01)
        expected[1, 2] = 1.0
        for seed in range(10):
            (shift,) = plan(patrol_city(4, 4, 1, radius_m=0, near_tie=0.05, seed=seed), expected).shifts
            assert shift.units[1, 2] == 1


class TestFloor:
    def test_units_that_add_too_little_are_not_recommended(self):
        expected = np.zeros((3, 3))
        expected[0, 0], expected[2, 2] = 1.0, 0.1
        (shift,) = plan(patrol_city(3, 3, 3, radius_m=0, floor=0.2), expected).shifts
        # 0.6 and 0.24 at the hot cell, then 0.06.
        np.testing.assert_allclose(shift.added, [0.6, 0.24, 0.06])
        assert (shift.units[0, 0], shift.units[2, 2]) == (2, 1)
        assert (shift.recommended[0, 0], shift.recommended[2, 2]) == (2, 0)
        assert (shift.rank[0, 0], shift.rank[2, 2]) == (1, 2)

    def test_but_those_that_an_area_needs_are(self):
        expected = np.zeros((3, 3))
        expected[0, 0], expected[2, 2] = 1.0, 0.1
        areas = np.array([["hot"] * 3, ["hot"] * 3, ["quiet"] * 3])
        (shift,) = plan(
            patrol_city(3, 3, 3, radius_m=0, floor=0.2, least_share_per_area=0.3), expected, areas=areas
        ).shifts
        assert shift.recommended[2, 2] == 1

    def test_nothing_expected_recommends_nobody(self):
        (shift,) = plan(patrol_city(3, 3, 3), 0.0).shifts
        assert (shift.units.sum(), shift.recommended.sum(), shift.reached, shift.one_more) == (3, 0, 0, 0)


class TestGroups:
    def test_a_unit_covers_its_group(self):
        expected = np.zeros((4, 6))
        expected[2:4, 4:6] = [[0.1, 0.2], [0.3, 0.4]]
        city = patrol_city(4, 6, 1, group=2, radius_m=0, shares=(1.0,))
        day = plan(city, expected)
        assert day.shifts[0].units.tolist() == [[0, 0, 0], [0, 0, 1]]
        assert day.shifts[0].reached == pytest.approx(1.0)
        assert day.patrolled.nonzero()[0].tolist() == [2, 2, 3, 3]

    def test_the_radius_counts_from_the_middle_of_the_group(self):
        reach = reach_matrix(patrol_city(4, 6), 2, 800).toarray().reshape(4, 6, 2, 3)
        # Middles of the next cells are 750 m east and 250 m north or south of the group's: 791 m.
        assert reach[:, :, 0, 0].astype(int).tolist() == [
            [1, 1, 1, 0, 0, 0],
            [1, 1, 1, 0, 0, 0],
            [1, 1, 0, 0, 0, 0],
            [0, 0, 0, 0, 0, 0],
        ]

    def test_an_area_without_a_group_of_its_own_needs_no_units(self):
        areas = np.full((4, 4), "large")
        areas[0, 0] = "small"
        (shift,) = plan(patrol_city(4, 4, 1, group=2, least_share_per_area=0.5), 1.0, areas=areas).shifts
        assert shift.units.sum() == 1

    def test_a_group_that_does_not_fit_the_grid_is_named(self):
        with pytest.raises(PatrolRulesError, match=r"squareville.*patrol\.group.*2 x 2 cells do not fill 3 rows"):
            plan(patrol_city(3, 4, group=2), 1.0)


class TestInfeasible:
    @pytest.mark.parametrize(
        ("rules", "units", "rule", "text"),
        [
            ({"least_share_per_area": 0.5}, 3, "least_share_per_area", "2 areas want at least 2 each"),
            ({"most_units_per_cell": 1}, 10, "most_units_per_cell", "room for 9"),
            ({"repeats": {"most": 1, "days": 2}, "most_units_per_cell": 1}, 4, "repeats", "6 cells were patrolled"),
        ],
    )
    def test_the_rule_in_the_way_is_named(self, rules, units, rule, text):
        areas = np.array([["a"] * 3, ["b"] * 3, ["b"] * 3])
        rested = np.array([[False] * 3, [True] * 3, [True] * 3])
        with pytest.raises(PatrolRulesError, match=text) as error:
            plan(patrol_city(3, 3, units, **rules), 1.0, areas=areas, history={DAY - timedelta(days=1): rested})
        assert error.value.rule == rule
        assert f"rule patrol.{rule}" in str(error.value)

    def test_an_area_that_rests_altogether(self):
        areas = np.array([["a"] * 3, ["b"] * 3, ["b"] * 3])
        city = patrol_city(3, 3, 3, least_share_per_area=0.1, repeats=Repeats(most=1, days=2))
        with pytest.raises(PatrolRulesError, match="area a, where 3 cells were patrolled"):
            plan(city, 1.0, areas=areas, history={DAY - timedelta(days=1): areas == "a"})

    def test_wrong_numbers(self):
        expected = np.ones((1, 3, 3))
        expected[0, 1, 2] = np.nan
        with pytest.raises(ValueError, match="shift shift 0, row 1, column 2"):
            plan(patrol_city(3, 3), expected)
        with pytest.raises(ValueError, match=r"expected alerts have shape \(2, 3, 3\)"):
            plan_day(patrol_city(3, 3), DAY, np.ones((2, 3, 3)), np.ones((3, 3), dtype=bool))
        with pytest.raises(ValueError, match=r"cells patrolled on 2024-04-30 have shape \(2, 2\)"):
            plan(patrol_city(3, 3), 1.0, history={DAY - timedelta(days=1): np.ones((2, 2), dtype=bool)})
        unheard = plan(patrol_city(3, 3), expected, in_coverage=~np.isnan(expected[0])).shifts[0]
        assert unheard.total == 8

    @pytest.mark.parametrize(
        "rules",
        [
            {"shares": (0.5, 0.6)},
            {"shares": (0.9, 0.2)},
            {"repeats": {"most": 3, "days": 3}},
            {"shifts": [{"name": "a", "start": 6, "end": 6, "units": 1}]},
            {
                "shifts": [
                    {"name": "a", "start": 6, "end": 7, "units": 1},
                    {"name": "a", "start": 7, "end": 8, "units": 1},
                ]
            },
        ],
    )
    def test_rules_that_make_no_sense_are_refused_when_read(self, rules):
        with pytest.raises(ValidationError):
            PatrolRules(**{"shifts": (Shift(name="day", start=6, end=14, units=1),), **rules})


class TestRepeats:
    def test_a_cell_rests_once_it_was_patrolled_often_enough(self):
        expected = np.full((3, 3), 0.1)
        expected[1, 1] = 5.0
        city = patrol_city(3, 3, 1, radius_m=0, repeats=Repeats(most=2, days=4))
        history, sent = {}, []
        for number in range(8):
            day = DAY + timedelta(days=number)
            history[day] = plan(city, expected, day=day, history=history).patrolled
            sent.append(bool(history[day][1, 1]))
        assert sent == [True, True, False, False, True, True, False, False]


class TestOutOfTime:
    def test_greedy_stands_in_and_it_is_said(self):
        expected = random_alerts(0, (36, 36))
        city = patrol_city(36, 36, 20, radius_m=1_000)
        (shift,) = plan(city, expected, time_limit_s=1e-3).shifts
        assert shift.method == "greedy"
        assert shift.units.sum() == 20
        assert shift.greedy_ratio == 1
        assert shift.gap is None or shift.gap > 0

    def test_exact_says_so(self):
        (shift,) = plan(patrol_city(4, 4, 3), random_alerts(0, (4, 4))).shifts
        assert shift.method == "exact"
        assert shift.gap == pytest.approx(0, abs=1e-5)


def test_tiny_expectations_are_planned_as_well_as_large_ones():
    expected = random_alerts(1, (4, 4))
    large, small = problem_of(expected, 510), problem_of(expected * 1e-9, 510)
    assert (exact(large, 4, 10).units == exact(small, 4, 10).units).all()


def test_units_in_order_of_value_are_those_of_the_plan():
    problem = problem_of(random_alerts(2, (4, 4)), 510)
    units = exact(problem, 5, 10).units
    groups, added = in_order_of_value(problem, units)
    assert (np.bincount(groups, minlength=16) == units).all()
    assert added[0] == pytest.approx(problem.gains(np.zeros(16, dtype=int))[units > 0].max())
    assert sum(greedy(problem, 5)[1]) <= sum(added) + 1e-9
