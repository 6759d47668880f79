"""Outcomes, plans made and burden become figures with one sentence; what nobody reported stays unknown."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from shotspotter_assets.accountability.account import Account, Figure, Period, Section, find_figure, kept_bounds
from shotspotter_assets.accountability.burden_audit import BurdenAudit, Comparison, Estimate
from shotspotter_assets.accountability.measured_sections import (
    FLAGGED,
    NO_GROUPS,
    TOO_FEW_DAYS,
    burden_section,
    outcome_section,
    plan_section,
)
from shotspotter_assets.accountability.patrols_made import PatrolsRecord
from shotspotter_assets.alerts.checks.finding import Finding
from shotspotter_assets.alerts.sources.side_settings import table_folder
from shotspotter_assets.alerts.sources.side_tables import TableState
from shotspotter_assets.cities.accountability import Bounds
from shotspotter_assets.cities.local_time import days_between
from shotspotter_assets.forecasts.patrol.dispatch import PlanRecord, write_plan
from shotspotter_assets.storage.catalogue import ALERT_OUTCOMES, CLEANED, DISPATCH_CSV, TABLE_STATE
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.accountability.test_alert_outcomes import DAY, NOON, TOWN, alert
from shotspotter_assets_tests.accountability.test_patrols_made import LOG, city_with, plan_of


def outcome(user_id: int | None, what: str, origin: str = "sensor", minutes: float | None = None) -> dict[str, Any]:
    later = {} if minutes is None else {"arrived_utc": NOON, "cleared_utc": NOON + timedelta(minutes=minutes)}
    return {"user_id": user_id, "origin": origin, "outcome": what, "matched_by": "", "received_utc": NOON, **later}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(str(tmp_path))
    alerts = [{name: value for name, value in alert(number, number).items() if name != "date"} for number in range(10)]
    store.write_table(CLEANED, pa.Table.from_pylist(alerts, CLEANED.schema), "town", DAY)
    return store


def issued(store: Store, days: int = 1) -> Period:
    """Days whose forecasts were issued."""
    last = DAY + timedelta(days=days - 1)
    return replace(Period.read(store, TOWN, DAY, last), states=dict.fromkeys(days_between(DAY, last), "issued"))


def audited(store: Store, audit: BurdenAudit | None) -> Period:
    """A day of a city with an audit."""
    return replace(Period.read(store, TOWN, DAY, DAY), audit=audit)


def value(sections: list[Section], name: str) -> float | None:
    figure = find_figure(sections, name)
    return figure.value


def test_outcomes_are_shares_of_alerts_and_open_ones_are_none(store: Store) -> None:
    reports = [outcome(0, "confirmed"), *(outcome(number, "unconfirmed", minutes=30) for number in (1, 2, 3)),
               outcome(4, "open"), outcome(None, "confirmed", "person")]  # fmt: skip
    store.write_table(ALERT_OUTCOMES, pa.Table.from_pylist(reports, ALERT_OUTCOMES.schema), "town", DAY)
    section = outcome_section(Period.read(store, TOWN, DAY, DAY))
    assert value([section], "share_with_outcome") == pytest.approx(4 / 10)
    assert value([section], "share_confirmed") == pytest.approx(1 / 4)
    assert value([section], "hours_unconfirmed") == pytest.approx(1.5)
    assert value([section], "minutes_to_dispatch") is None, "no report states a dispatch"
    assert [row[:3] for row in section.tables[0].rows] == [("Sensors", 5, 1), ("Persons", 1, 1)]


def test_a_table_without_reports_is_unknown_and_not_zero(store: Store) -> None:
    section = outcome_section(Period.read(store, TOWN, DAY, DAY))
    assert {figure.value for figure in section.figures} == {None}
    assert "no report" in section.figures[0].sentence
    state = TableState(notes=("town/outcomes: the column nosuch is missing.",))
    store.write_bytes(TABLE_STATE, state.model_dump_json().encode(), table_folder("town", "outcomes"))
    assert outcome_section(Period.read(store, TOWN, DAY, DAY)).figures[0].sentence == state.notes[0]


@pytest.mark.parametrize(
    ("share", "shown"), [(0.0, "0%"), (0.004, "<1%"), (0.5, "50%"), (0.996, ">99%"), (1.0, "100%")]
)
def test_few_are_not_shown_as_none_and_most_not_as_all(share: float, shown: str) -> None:
    assert Figure(name="share", title="Share", value=share, unit="share", sentence="All.").shown == shown


def test_open_reports_give_no_share_and_say_so(store: Store) -> None:
    reports = [outcome(0, "open"), outcome(1, "open", minutes=5)]
    store.write_table(ALERT_OUTCOMES, pa.Table.from_pylist(reports, ALERT_OUTCOMES.schema), "town", DAY)
    section = outcome_section(Period.read(store, TOWN, DAY, DAY))
    assert [value([section], name) for name in ("share_confirmed", "hours_unconfirmed")] == [None, None]
    assert "All reports are open" in section.figures[0].sentence


@pytest.mark.parametrize(
    ("what", "hours", "sentence"), [("confirmed", 0.0, "is unconfirmed"), ("unconfirmed", None, "police department")]
)
def test_hours_are_zero_only_without_unconfirmed_reports(
    store: Store, what: str, hours: float | None, sentence: str
) -> None:
    reports = pa.Table.from_pylist([outcome(0, what)], ALERT_OUTCOMES.schema)
    store.write_table(ALERT_OUTCOMES, reports, "town", DAY)
    figure = find_figure([outcome_section(Period.read(store, TOWN, DAY, DAY))], "hours_unconfirmed")
    assert figure.value == hours
    assert sentence in figure.sentence


def test_stored_outcomes_of_a_removed_section_are_unknown(store: Store) -> None:
    reports = pa.Table.from_pylist([outcome(0, "confirmed")], ALERT_OUTCOMES.schema)
    store.write_table(ALERT_OUTCOMES, reports, "town", DAY)
    section = outcome_section(Period.read(store, TOWN.model_copy(update={"outcomes": None}), DAY, DAY))
    assert {figure.value for figure in section.figures} == {None}


def test_empty_plans_are_no_days_with_a_plan(store: Store) -> None:
    for issue_date in (DAY - timedelta(days=1), DAY):
        write_plan(store, PlanRecord(city="town", issue_date=issue_date, forecast_date=DAY, note="No rules."))
    section = plan_section(issued(store, 2))
    assert value([section], "plans") == 0
    assert "No plan was made" in section.figures[1].sentence


def test_days_with_a_plan_and_no_record_of_patrols_are_not_reported(store: Store) -> None:
    hours = {"planned_hours": 8, "reported_hours": 8, "carried_out_hours": 8, "made_hours": 8, "outside_hours": 0}
    counts = {"visits": 1, "reported_visits": 1, "made_visits": 1}
    PatrolsRecord(city="town", scored_date=DAY, state="reported", **hours, **counts).write(store)
    for issue_date in (DAY - timedelta(days=1), DAY):
        store.write_bytes(DISPATCH_CSV, b"shift,cell\n", "town", issue_date)
    figure = find_figure([plan_section(issued(store, 2))], "share_of_plan_made")
    assert "not reported: 1 planned day." in figure.sentence


def test_the_share_of_a_plan_counts_reported_visits_alone(store: Store) -> None:
    hours = {"planned_hours": 8, "reported_hours": 4, "carried_out_hours": 3, "made_hours": 3, "outside_hours": 0}
    counts = {"visits": 2, "reported_visits": 1, "made_visits": 1}
    assert value([plan_section(issued(store))], "share_of_plan_made") is None
    PatrolsRecord(city="town", scored_date=DAY, state="partly reported", **hours, **counts).write(store)
    section = plan_section(issued(store))
    assert value([section], "share_of_plan_made") == pytest.approx(0.75)
    assert "not reported: 1 visit." in section.figures[1].sentence


def bound_on_plans(store: Store, bound: float, days: int = 1) -> Finding:
    section = plan_section(issued(store, days))
    account = Account(city="town", title="Town", first=DAY, last=DAY, sections=(section,))
    finding = kept_bounds(account, Bounds(least_share_of_plan_made=bound))
    assert finding is not None
    return finding


@pytest.mark.parametrize(
    ("reported", "bound", "passes", "words"),
    [
        (8, 0.5, True, "All bounds are kept."),
        (4, 0.3, True, "All bounds are kept."),  # also if the other visit was not made
        (4, 0.5, False, "least_share_of_plan_made (0.5) cannot be checked."),
        (4, 0.9, False, "the city's bound is 0.9"),  # even if the other visit was made
    ],
)
def test_a_bound_on_plans_holds_whatever_is_not_reported(
    store: Store, reported: float, bound: float, passes: bool, words: str
) -> None:
    made = 0.75 * reported
    hours = {"planned_hours": 8, "reported_hours": reported, "carried_out_hours": made, "made_hours": made}
    counts = {"visits": 2, "reported_visits": reported // 4, "made_visits": 1, "outside_hours": 0}
    PatrolsRecord(city="town", scored_date=DAY, state="partly reported", **hours, **counts).write(store)
    finding = bound_on_plans(store, bound)
    assert finding.passed == passes
    assert words in finding.message


def test_a_bound_on_plans_is_not_known_without_the_log_of_a_planned_day(store: Store) -> None:
    hours = {"planned_hours": 8, "reported_hours": 8, "carried_out_hours": 8, "made_hours": 8, "outside_hours": 0}
    counts = {"visits": 1, "reported_visits": 1, "made_visits": 1}
    PatrolsRecord(city="town", scored_date=DAY, state="reported", **hours, **counts).write(store)
    assert bound_on_plans(store, 0.9).passed
    tomorrow = DAY + timedelta(days=1)
    plan, _ = plan_of(city_with(LOG), tomorrow)
    write_plan(store, PlanRecord(city="town", issue_date=DAY, forecast_date=tomorrow), plan)
    finding = bound_on_plans(store, 0.9, days=2)
    assert not finding.passed
    assert "cannot be checked" in finding.message
    assert "not reported: 1 planned day" in finding.message


def audit(kind: str = "group") -> BurdenAudit:
    pair = Comparison(
        kind=kind,
        policy="served",
        first="Black",
        second="White",
        exposure=(32.0, 2.0),
        difference=Estimate(value=30, low=29, high=31),
        ratio=Estimate(value=8, low=5, high=10),
    )
    return BurdenAudit(
        city="town", first=DAY, last=DAY, days=1, comparisons=(pair,), sentences=("A finding.",), visits=("A visit.",)
    )


def test_the_largest_ratio_names_both_groups(store: Store) -> None:
    section = burden_section(audited(store, audit()))
    ratio = find_figure([section], "burden_ratio")
    assert (ratio.value, ratio.low, ratio.high) == (8, 5, 10)
    assert "32.0 days a year (Black), against 2.0 (White)" in ratio.sentence
    assert value([section], "burden_difference") == 30
    assert section.sentences == (FLAGGED, "A finding.", "A visit.")


def test_a_pair_with_few_flagged_days_has_a_difference_and_no_ratio(store: Store) -> None:
    [group] = audit().comparisons
    changes = {"kind": "area", "first": "outside west", "second": "west", "exposure": (40.0, 0.0), "ratio": None}
    west = group.model_copy(update={**changes, "difference": Estimate(value=40, low=38, high=42)})
    section = burden_section(audited(store, audit().model_copy(update={"comparisons": (group, west)})))
    ratio, difference = section.figures
    assert (ratio.value, difference.value) == (8, 40)
    assert (
        "No ratio is given for 1 comparison, because either of the two has fewer than 20 flagged days" in ratio.sentence
    )
    [row] = next(table.rows for table in section.tables if table.name == "burden_area")
    assert row == ("outside west", 40.0, "west", 0.0, "40.0 (38.0 to 42.0)", "too few flagged days")
    none = burden_section(audited(store, audit().model_copy(update={"comparisons": (west,)})))
    unknown = find_figure([none], "burden_ratio")
    assert unknown.value is None
    assert "fewer than 20 flagged days" in unknown.sentence


def test_an_audit_without_groups_says_who_would_provide_them(store: Store) -> None:
    without_layer = audit("area").model_copy(update={"unit": "cell"})
    assert any("audit" in sentence for sentence in burden_section(audited(store, without_layer)).sentences)
    assert {figure.value for figure in burden_section(audited(store, None)).figures} == {None}


def test_an_audit_of_too_few_days_asks_for_no_layer_that_the_city_has(store: Store) -> None:
    section = burden_section(audited(store, audit().model_copy(update={"comparisons": ()})))
    assert {figure.sentence for figure in section.figures} == {TOO_FEW_DAYS}
    assert NO_GROUPS not in section.sentences


def test_a_left_bound_names_the_number_and_a_remedy(store: Store) -> None:
    account = Account(
        city="town", title="Town", first=DAY, last=DAY, sections=(burden_section(audited(store, audit())),)
    )
    kept = kept_bounds(account, Bounds(most_burden_ratio=8))
    left = kept_bounds(account, Bounds(most_burden_ratio=5))
    assert kept.passed
    assert not left.passed
    assert "8.0 times" in left.message
    assert "(most_burden_ratio)" in left.message


def test_a_layer_of_residents_hides_no_larger_disparity_of_areas(store: Store) -> None:
    """Figure, table and bound watch areas beside groups, and name the kind of the largest."""
    [group] = audit().comparisons
    changes = {"kind": "area", "first": "north-east", "second": "outside north-east", "exposure": (79.7, 6.3)}
    ratio = Estimate(value=12.7, low=9, high=15)
    area = group.model_copy(update={**changes, "ratio": ratio, "difference": Estimate(value=73.4, low=70, high=80)})
    of_alerts = area.model_copy(update={"policy": "observed", "ratio": Estimate(value=3.6, low=3, high=4)})
    of_mean = area.model_copy(update={"policy": "cell mean", "ratio": Estimate(value=6.8, low=6, high=8)})
    both = audit().model_copy(update={"comparisons": (group, area, of_alerts, of_mean)})
    section = burden_section(audited(store, both))
    figure = find_figure([section], "burden_ratio")
    assert (figure.value, figure.title) == (12.7, "Largest ratio of flagged days, by area")
    assert "3.6 (3.0 to 4.0) for days with an alert, 6.8" in figure.sentence
    assert {table.name: table.rows[0][0] for table in section.tables} == {
        "burden_group": "Black",
        "burden_area": "north-east",
    }
    account = Account(city="town", title="Town", first=DAY, last=DAY, sections=(section,))
    left = kept_bounds(account, Bounds(most_burden_ratio=9))
    assert not left.passed
    assert "by area: 12.7 times" in left.message
