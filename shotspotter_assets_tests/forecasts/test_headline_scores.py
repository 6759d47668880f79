import itertools
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shotspotter_assets.alerts.days.day_table import Day, DayTable
from shotspotter_assets.cities.local_time import ONE_DAY, days_between
from shotspotter_assets.cities.patrol_rules import PatrolRules, Shift
from shotspotter_assets.evaluation.estimates import weekly_gain, weekly_sums
from shotspotter_assets.evaluation.fold_report import LEADS
from shotspotter_assets.forecasts.headline_scores import (
    MIN_DAYS,
    flip_flop_index,
    headline_scores,
    jumpiness,
    last_shown_lead,
)
from shotspotter_assets.forecasts.issued_scores import DayScores, ScoreRecord
from shotspotter_assets.forecasts.patrol.dispatch import dispatch_table, unit_hours
from shotspotter_assets.forecasts.patrol.plan import plan_day
from shotspotter_assets.forecasts.patrol.shifts import ShiftForecasts
from shotspotter_assets.storage.catalogue import FOLD_LEADS, PLAN
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.defs.chain import CITIES

CITY = CITIES["tiny_city"]
FIRST = date(2022, 1, 1)
LAST = date(2023, 3, 31)
DAYS = days_between(FIRST, LAST)


def with_days(store: Store, last: date = LAST) -> None:
    day = Day("known", "It has rows.", 1, 0, "", None, {"": "1"})
    DayTable.update(store, CITY.name, dict.fromkeys(days_between(FIRST, last), day))


def scored(day: date, sums: dict[str, float], index: float | None = 0.25) -> ScoreRecord:
    scores = DayScores(
        log_loss=0.1, gain_over_historical_mean=None, hit_rate_5=None, expected_alerts=1.0, observed_alerts=1, numbers={},
        sums=sums,
    )  # fmt: skip
    return ScoreRecord(
        city=CITY.name, scored_date=day, lead=1, last_known=day, note=None, scores=scores, rolling=None, rolling_gate=None,
        flip_flop=index,
    )  # fmt: skip


def lead_losses(days: list[date], shown: int) -> pa.Table:
    """Losses of test days, with a gain up to a lead and none after it."""
    rows = [
        {"date": day, "lead": lead, "positives": 2, "loss": 9.0 + day.day % 3 / 10, "loss_of_mean": 9.5 + (lead > shown) * -1}
        for lead in LEADS for day in days
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, FOLD_LEADS.schema)


def rows_of(store: Store) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = headline_scores(store, CITY).to_pylist()
    return rows


def test_each_month_has_the_numbers_of_its_year(store: Store) -> None:
    with_days(store, LAST + ONE_DAY)
    random = np.random.default_rng(0)
    sums = {
        day: {"positives": float(random.poisson(3)), "served": 9 + random.random(), "ewma": 9.5 + random.random(), "ew_kde": 12.0}
        for day in DAYS
    }  # fmt: skip
    replayed = {day for day in DAYS if day < date(2022, 6, 1)}
    for day in DAYS:
        scored(day, {} if day in replayed else sums[day], 0.1 if day.year == 2022 else 0.3).write(store)
    store.write_table(
        FOLD_LEADS, lead_losses(days_between(date(2022, 10, 1), date(2022, 12, 31)), 28), CITY.name, date(2022, 10, 1)
    )
    rows = rows_of(store)
    assert [row["last"] for row in rows][::14] == [date(2022, 1, 31), LAST]
    year = [day for day in DAYS if day > LAST - timedelta(days=365) and day not in replayed]
    columns = {name: np.array([sums[day][name] for day in year]) for name in ("served", "ewma", "positives")}
    gain = weekly_gain(weekly_sums(np.array(year, "datetime64[D]"), columns["positives"], columns), "served", "ewma")
    last = rows[-1]
    assert (last["issued_days"], last["best"], last["unknown"]) == (len(year), "ewma", "")
    assert (last["gain"], last["low"], last["high"]) == (gain.value, gain.low, gain.high)
    assert (last["tested_days"], last["lead"]) == (92, 14)
    assert last["flip_flop"] == pytest.approx((0.1 * 275 + 0.3 * 90) / 365)


def test_a_number_of_too_few_days_is_unknown_and_says_so(store: Store) -> None:
    with_days(store)
    for day in DAYS[: MIN_DAYS + 6]:
        scored(day, {"positives": 1.0, "served": 1.0, "ewma": 2.0}, None).write(store)
    rows = {row["last"]: row for row in rows_of(store)}
    february = rows[date(2022, 2, 28)]
    march = rows[date(2022, 3, 31)]
    assert (february["gain"], february["issued_days"]) == (None, 59)
    assert "gain (59 days" in february["unknown"]
    assert (march["gain"], march["issued_days"], march["lead"], march["flip_flop"]) == (1.0, 90, None, None)
    assert "gain (" not in march["unknown"]
    assert "days ahead (0 days" in march["unknown"]
    assert rows[LAST]["issued_days"] == 0, "a year without forecasts"


def test_without_a_full_month_or_any_score_there_is_no_row(store: Store) -> None:
    assert rows_of(store) == []
    with_days(store, date(2022, 1, 30))
    scored(FIRST, {}).write(store)
    assert rows_of(store) == []


@pytest.mark.parametrize("shown", [0, *LEADS])
def test_the_lead_is_the_last_one_before_a_gain_is_not_shown(shown: int) -> None:
    losses = lead_losses(DAYS[:92], shown)
    assert last_shown_lead(losses) == shown
    if shown == LEADS[0]:  # a later gain does not count
        better = losses.to_pylist()
        for row in better:
            row["loss"] -= 5.0 * (row["lead"] == LEADS[-1])
        assert last_shown_lead(pa.Table.from_pylist(better, FOLD_LEADS.schema)) == shown


def test_the_lead_is_unknown_without_any_alert() -> None:
    losses = lead_losses(DAYS[:92], 14)
    without = losses.set_column(2, "positives", pa.array(np.zeros(len(losses), np.int32)))
    assert last_shown_lead(without) is None


def test_the_flip_flop_index_is_that_of_griffiths_by_cell() -> None:
    plans = np.random.default_rng(0).integers(0, 4, (7, 5)).astype(float)
    by_cell = [
        (sum(abs(after - before) for before, after in itertools.pairwise(cell)) - (max(cell) - min(cell))) / 5
        for cell in plans.T.tolist()
    ]
    assert flip_flop_index(plans) == pytest.approx(sum(by_cell) / (2 * plans.sum() / 7))
    cells = np.eye(2)
    assert flip_flop_index(cells[[0, 1, 0, 1, 0, 1, 0]]) == pytest.approx(1.0)
    assert flip_flop_index(cells[[0, 0, 0, 1, 1, 1, 1]]) == 0.0, "one move is no flip-flop"
    assert flip_flop_index(3 * cells[[0, 0, 1, 0, 0, 0, 0]]) == pytest.approx(3 * 2 / 5 / (2 * 3))


def next_day(probability: list[float]) -> pa.Table:
    row, column = np.divmod(np.arange(len(probability)), CITY.shape[1])
    return pa.table({"horizon": ["day"] * len(row), "row": row, "column": column, "probability": probability})


def test_without_plans_the_flagged_cells_are_compared() -> None:
    """With 20 cells, one of them is flagged each day."""
    others = [0.01] * 18
    east = [0.02, 0.5, *others]
    west = [0.5, 0.02, *others]
    forecasts = {day: next_day(east if at % 2 else west) for at, day in enumerate(DAYS[:8])}
    store = Store("/nowhere")
    assert jumpiness(store, CITY, forecasts, DAYS[7]) == pytest.approx(1.0)
    assert jumpiness(store, CITY, forecasts, DAYS[8]) is None, "a day of the week lacks a forecast"


def test_plans_are_compared_by_unit_hours(store: Store) -> None:
    night = Shift(name="night", start=22, end=6, units=3)
    city = CITY.model_copy(update={"patrol": PatrolRules(shifts=(night,), radius_m=1.0)})
    areas = np.full(city.shape, "", object)
    everywhere = np.ones(city.shape, bool)
    random = np.random.default_rng(0)
    forecasts = {day: next_day([0.5, *[0.1] * 19]) for day in DAYS[:7]}
    hours = np.zeros((7, *city.shape))
    for of_day, day in zip(hours, DAYS, strict=False):
        expected = random.random((1, *city.shape))
        planned = plan_day(city, day, expected, everywhere, areas=areas, history={})
        plan = dispatch_table(planned, city, ShiftForecasts(expected, expected, everywhere), areas=areas)
        assert unit_hours(plan).sum() == 24
        of_day[plan["row"].to_numpy(), plan["column"].to_numpy()] = unit_hours(plan)
        store.write_table(PLAN, plan, city.name, day - ONE_DAY)
    assert jumpiness(store, city, forecasts, DAYS[6]) == flip_flop_index(hours.reshape(7, -1)) > 0
    of_present_grid = {day: table for day, table in forecasts.items() if day > DAYS[1]}
    assert jumpiness(store, city, of_present_grid, DAYS[6]) is None


@pytest.mark.parametrize(("positives", "later"), [(1.0, "ew_kde"), (0.0, "ewma")], ids=["no common method", "no alert"])
def test_a_gain_that_is_undefined_on_enough_days_says_why(store: Store, positives: float, later: str) -> None:
    with_days(store)
    for at, day in enumerate(DAYS[:90]):
        scored(day, {"positives": positives, "served": 1.0, "ewma" if at < 45 else later: 2.0}, None).write(store)
    row = {row["last"]: row for row in rows_of(store)}[date(2022, 3, 31)]
    assert (row["gain"], row["issued_days"]) == (None, 90)
    assert "A gain also needs an alert on one of them, and a simple method that forecast every one." in row["unknown"]
    assert "gain (90 days" in row["unknown"]


def test_a_plan_without_a_unit_has_no_index(store: Store) -> None:
    forecasts = {day: next_day([0.5, *[0.1] * 19]) for day in DAYS[:7]}
    for day in forecasts:
        store.write_table(PLAN, PLAN.schema.empty_table(), CITY.name, day - ONE_DAY)
    assert jumpiness(store, CITY, forecasts, DAYS[6]) is None
    store.delete(PLAN, CITY.name, DAYS[6] - ONE_DAY)
    assert jumpiness(store, CITY, forecasts, DAYS[6]) is None, "a lost plan"
