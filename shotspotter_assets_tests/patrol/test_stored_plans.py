from datetime import date, timedelta

import numpy as np

from shotspotter_assets.cities.patrol_rules import Repeats
from shotspotter_assets.patrol.dispatch import dispatch_table
from shotspotter_assets.patrol.plan import plan_day
from shotspotter_assets.patrol.shifts import ShiftForecasts
from shotspotter_assets.patrol.stored_plans import PlanRecord, patrols_before, write_plan
from shotspotter_assets.storage.catalogue import DISPATCH_CSV, DISPATCH_MAP
from shotspotter_assets_tests.patrol.cities import patrol_city, patrolled

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
