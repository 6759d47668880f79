from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.sparse import eye_array

from shotspotter_assets.cities.patrol_rules import Repeats
from shotspotter_assets.forecasts.patrol.cover import CoverProblem
from shotspotter_assets.forecasts.patrol.dispatch import (
    PlanRecord,
    dispatch_csv,
    dispatch_table,
    lots_table,
    write_plan,
)
from shotspotter_assets.forecasts.patrol.lottery import QUANTA, Lots, lot_in_words, lot_seed, unit_quanta
from shotspotter_assets.forecasts.patrol.lottery import draw_lots as draw_lots_at
from shotspotter_assets.forecasts.patrol.plan import plan_day
from shotspotter_assets.forecasts.patrol.shifts import ShiftForecasts
from shotspotter_assets.storage.catalogue import LOTS
from shotspotter_assets_tests.forecasts.patrol.cities import patrol_city, patrolled

DAY = date(2024, 5, 1)
IN_COVERAGE = np.ones((4, 5), dtype=bool)
AREAS = np.array([["a"] * 5] * 2 + [["b"] * 5] * 2)


def problem(expected, most=2, area=None, least=()):
    cells = len(expected)
    return CoverProblem(
        expected=np.asarray(expected, np.float64),
        reach=eye_array(cells).tocsr(),
        shares=(0.6, 0.24),
        max_units=np.broadcast_to(most, cells).astype(np.int64),
        area=np.full(cells, -1) if area is None else np.asarray(area),
        min_units=np.asarray(least, np.int64),
    )


def draw_lots(of_shift: CoverProblem, number: int, power: float, seed: int) -> Lots:
    """Lots of cells in a row."""
    cells = np.arange(len(of_shift.expected))
    return draw_lots_at(of_shift, np.column_stack([0 * cells, cells]), number, power, seed)


def test_chances_follow_the_power_of_the_expected_events_up_to_the_cap():
    lots = draw_lots(problem([1, 2, 3, 30], most=1), 2, 2.0, seed=0)
    np.testing.assert_allclose(lots.expected_units, [1 / 14, 4 / 14, 9 / 14, 1], atol=1e-9)
    lots = draw_lots(problem([1, 2, 3, 30], most=2), 3, 1.0, seed=0)
    np.testing.assert_allclose(lots.expected_units, [1 / 6, 2 / 6, 3 / 6, 2], atol=1e-9)
    np.testing.assert_allclose(lots.chance, [1 / 6, 2 / 6, 3 / 6, 1], atol=1e-9)


def test_cells_are_drawn_as_often_as_their_chance_says():
    drawn = problem([0.5, 1, 1, 2, 4, 4, 0, 9], area=[0, 0, 0, 1, 1, 1, -1, -1], least=[1, 1])
    lots = [draw_lots(drawn, 4, 1.0, seed) for seed in range(4_000)]
    units = np.array([one.units for one in lots])
    chance = lots[0].chance
    assert (units.sum(axis=1) == 4).all()
    error = 4 * np.sqrt(chance * (1 - chance) / len(lots)) + 1e-9
    assert (np.abs((units > 0).mean(axis=0) - chance) <= error).all()
    np.testing.assert_allclose(units.mean(axis=0), lots[0].expected_units, atol=0.04)


@settings(max_examples=150, deadline=None)
@given(
    expected=hnp.arrays(np.float64, 12, elements=st.sampled_from([0, 1e-12, 0.01, 0.3, 2, 70])),
    most=hnp.arrays(np.int64, 12, elements=st.integers(0, 3)),
    least=st.lists(st.integers(0, 3), min_size=2, max_size=2),
    more=st.integers(0, 8),
    power=st.sampled_from([0.3, 1.0, 2.0, 10.0]),
    seed=st.integers(0, 1_000),
)
def test_units_caps_and_minima_hold_exactly(expected, most, least, more, power, seed):
    area = np.repeat([0, 1, -1], 4)
    least = np.minimum(least, [most[area == 0].sum(), most[area == 1].sum()])
    number = min(int(least.sum()) + more, int(most.sum()))
    of_shift = problem(expected, most, area, least)
    quanta = unit_quanta(of_shift, number, power)
    lots = draw_lots(of_shift, number, power, seed)
    assert quanta.sum() == number * QUANTA
    assert lots.units.sum() == number
    assert (lots.units <= most).all()
    assert all(lots.units[area == index].sum() >= least[index] for index in (0, 1))
    assert (np.abs(lots.units - lots.expected_units) < 1).all()


def drawn_plan(day=DAY, history=None, **rules):
    city = patrol_city(4, 5, (3, 4), radius_m=510, **{"lottery": 2.0, **rules})
    expected = np.random.default_rng(0).gamma(0.5, 0.2, (2, 4, 5))
    return city, expected, plan_day(city, day, expected, IN_COVERAGE, areas=AREAS, history=history)


def test_a_plan_is_reproduced_and_differs_by_city_day_and_shift():
    plans = [drawn_plan(DAY + timedelta(days=number))[2] for number in (3, 0, 1, 0)]
    assert (plans[1].units == plans[3].units).all()
    assert (plans[0].units != plans[1].units).any()
    seeds = {lot_seed(city, day, shift) for city in "ab" for day in (DAY, date(2024, 5, 2)) for shift in ("x", "y")}
    assert len(seeds) == 8


def test_without_the_key_a_plan_is_greedy_and_has_no_lots():
    city, expected, plan = drawn_plan(lottery=None)
    _, _, drawn = drawn_plan()
    assert all(shift.lots is None for shift in plan.shifts)
    assert drawn.covered_without_lottery == pytest.approx(sum(shift.totals.covered for shift in plan.shifts))
    table = dispatch_table(plan, city, ShiftForecasts(expected, 1 - np.exp(-expected), IN_COVERAGE))
    assert table["chance"].null_count == len(table)
    assert lots_table(plan, city, ShiftForecasts(expected, expected, IN_COVERAGE), AREAS).num_rows == 0


def test_drawn_plans_keep_rests_and_minima():
    rested = np.zeros((4, 5), dtype=bool)
    rested[:, 0] = True
    history = {DAY - timedelta(days=1): rested}
    for number in range(20):
        _, _, plan = drawn_plan(
            DAY + timedelta(days=number % 2), history, repeats=Repeats(most=1, days=3), least_share_per_area=0.3
        )
        for shift in plan.shifts:
            assert not shift.units[rested].any()
            assert min(shift.units[name == AREAS].sum() for name in "ab") >= 1
            assert shift.lots.chance.reshape(4, 5)[rested].max() == 0


def test_only_a_place_of_every_draw_is_called_certain() -> None:
    words = [lot_in_words(chance) for chance in (0.401, 0.997, 1.0)]
    assert words == ["drawn by lot, chance 0.4", "drawn by lot, chance 0.99", "in every draw of the lottery"]


def test_the_tables_have_the_chance_of_every_covered_cell(store):
    city, expected, plan = drawn_plan()
    forecasts = ShiftForecasts(expected, 1 - np.exp(-expected), IN_COVERAGE)
    table = dispatch_table(plan, city, forecasts, areas=AREAS, reasons={(0, 0): ["x"]})
    lots = lots_table(plan, city, forecasts, AREAS)
    rows = lots.to_pylist()
    assert len(rows) == 2 * 20
    chances = {(row["shift"], row["row"], row["column"]): row["chance"] for row in rows}
    for row in table.to_pylist():
        assert row["chance"] == chances[row["shift"], row["row"], row["column"]]
        assert row["reasons"][0] == lot_in_words(row["chance"])
    assert b"drawn by lot, chance" in dispatch_csv(table)
    assert sum(row["expected_units"] for row in rows) == 7
    issue_date = DAY - timedelta(days=1)
    record = PlanRecord(city=city.name, issue_date=issue_date, forecast_date=DAY, lottery=2.0)
    write_plan(store, record, table, lots)
    assert store.read_table(LOTS, city.name, issue_date).drop_columns("shift").num_rows == 40
    write_plan(store, replace_record(record), table)
    assert not store.exists(LOTS, city.name, issue_date)


def replace_record(record):
    return record.model_copy(update={"lottery": None})


def test_ranks_and_gains_are_those_of_the_drawn_places():
    _, expected, plan = drawn_plan()
    for shift, alerts in zip(plan.shifts, expected, strict=True):
        assert shift.added.sum() == pytest.approx(shift.totals.covered)
        assert sorted(shift.rank[shift.units > 0]) == list(range(1, (shift.units > 0).sum() + 1))
        assert shift.totals.expected_alerts == pytest.approx(alerts.sum())
        assert shift.totals.one_more_unit > 0
    assert patrolled(plan).any()


def test_lots_of_a_problem_do_not_depend_on_others():
    one = problem([1, 2, 3, 4])
    again = draw_lots(replace(one, shares=(0.5,)), 2, 1.0, seed=3)
    assert (draw_lots(one, 2, 1.0, seed=3).units == again.units).all()


def test_units_spread_over_the_city() -> None:
    cells = 64
    places = np.indices((8, 8)).reshape(2, -1).T
    even = problem(np.ones(cells), most=1)
    lots = [draw_lots_at(even, places, 8, 1.0, seed).units > 0 for seed in range(200)]
    near = np.abs(places[:, None] - places).max(axis=-1) == 1
    pairs = np.mean([units @ near @ units / 2 for units in lots])
    by_chance = near.sum() / 2 * (8 / cells) * (7 / (cells - 1))
    assert pairs < 0.75 * by_chance
