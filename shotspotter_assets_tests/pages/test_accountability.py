import shutil
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from shotspotter_assets.__main__ import main
from shotspotter_assets.accountability.account import Account, AnnualReport, find_figure
from shotspotter_assets.accountability.bounds import WATCHED, kept_bounds
from shotspotter_assets.accountability.stored_sections import NO_APPROVAL, NOT_STATED, alerts_section
from shotspotter_assets.cities.accountability import Accountability, Bounds
from shotspotter_assets.cities.acknowledged import Acknowledged
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.pages.accountability import write_annual_report
from shotspotter_assets.pages.site import ACCOUNTABILITY, make_pages
from shotspotter_assets.serving.approvals import Approvals
from shotspotter_assets.serving.serving_record import ServingRecord
from shotspotter_assets.sources.day_table import Day, DayTable
from shotspotter_assets.storage.catalogue import ANNUAL_REPORT_PAGE, CLEANED, PAGE, Asset
from shotspotter_assets.storage.lineage import Origin, record_lineage
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.conftest import TEST_CITIES
from shotspotter_assets_tests.pages.site_of_tiny_city import CITY, DAYS, FIRST, ISSUED, TinySite

YEAR = date(2023, 1, 1)


@pytest.fixture(scope="session")
def report(tiny_site: TinySite, tmp_path_factory: pytest.TempPathFactory) -> AnnualReport:
    root = tmp_path_factory.mktemp("report") / "store"
    shutil.copytree(tiny_site.root / "store", root)
    return write_annual_report(Store(str(root)), tiny_site.city, YEAR)


def rows(account: Account, table: str) -> list[tuple[object, ...]]:
    return [row for section in account.sections for one in section.tables if one.name == table for row in one.rows]


def value(account: Account, name: str) -> float | None:
    figure = find_figure(account.sections, name)
    assert figure is not None
    return figure.value


def test_alerts_add_up_over_areas_and_months(tiny_site: TinySite, report: AnnualReport) -> None:
    stored = tiny_site.store.read_window(CLEANED, CITY, FIRST, report.last, ["user_id"]).num_rows
    table = rows(report, "alerts_by_area_and_month")
    assert value(report, "alerts") == table[0][-1] == sum(row[-1] for row in table[1:]) == stored > 0
    assert {row[0] for row in table[1:]} >= {"ward 1", "ward 2"}, "the districts of the city's layer"


def test_areas_without_sensors_have_no_number_of_alerts(tiny_site: TinySite) -> None:
    history = CityHistory.load(tiny_site.store, tiny_site.city, FIRST + timedelta(days=40), FIRST)
    areas = np.where(np.isnat(history.coverage_starts) & ~history.alerts.any(axis=0), "the river", "the town")
    assert "the river" in areas
    [table] = alerts_section(tiny_site.city, history, areas).tables
    shown = {row[0]: set(row[1:]) for row in table.rows}
    assert shown["the river"] == {"no sensors"}
    assert "no sensors" not in shown["the town"]
    events = {"event_types": {"robbery": ("Robbery",)}, "targets": {"robbery": ("robbery",)}}
    [table] = alerts_section(tiny_site.city.model_copy(update=events), history, areas).tables
    assert {row[0]: set(row[1:]) for row in table.rows}["the river"] == {0}, "incidents need no sensors"


def test_a_year_under_way_ends_with_its_last_stored_day(report: AnnualReport) -> None:
    assert report.is_under_way
    assert (report.first, report.last) == (FIRST, ISSUED.replace(day=ISSUED.day + DAYS))
    assert value(report, "days") == value(report, "known_days") == (report.last - FIRST).days + 1


def test_unknown_days_are_listed_and_hold_no_alerts(copy: Store, tiny_site: TinySite) -> None:
    out = date(2023, 8, 3)
    table = DayTable.read(copy, CITY)
    DayTable.update(copy, CITY, {out: Day("unknown", "Nothing has come.", 0, 0, table.days[out].settings, None, {})})
    account = write_annual_report(copy, tiny_site.city, YEAR)
    assert value(account, "unknown_days") == 1
    assert rows(account, "unknown_days") == [(str(out), str(out), 1, "Nothing has come.")]


def test_a_year_without_days_names_the_days_that_there_are(copy: Store, tiny_site: TinySite) -> None:
    with pytest.raises(ValueError, match=f"2022 is stored.*{FIRST}"):
        write_annual_report(copy, tiny_site.city, date(2022, 1, 1))


def test_a_year_before_the_stored_days_has_no_report(copy: Store, tiny_site: TinySite) -> None:
    city = tiny_site.city.model_copy(update={"start": date(2022, 1, 1)})
    with pytest.raises(ValueError, match="no day of 2022 is stored"):
        write_annual_report(copy, city, date(2022, 1, 1))


def test_statements_are_shown_as_they_are_or_as_not_stated(
    copy: Store, tiny_site: TinySite, report: AnnualReport
) -> None:
    years = {2023: {"cost": "$1"}, 2022: {"audits": "old"}}
    stated = Accountability(stated={"owner": "Department of Tests"}, years=years)
    account = write_annual_report(copy, tiny_site.city.model_copy(update={"accountability": stated}), YEAR)
    shown = dict(rows(account, "statements"))
    assert (shown["Owner"], shown["Cost in 2023"]) == ("Department of Tests", "$1")
    assert set(shown.values()) == {"Department of Tests", "$1", NOT_STATED}
    assert {value for _, value in rows(report, "statements")} == {NOT_STATED}
    assert shown["Audits in 2023"] == NOT_STATED
    assert "Department of Tests" in account.model_card
    fields = {field: answer for _, field, answer in account.transparency_record.rows}
    assert fields["Organisation or department"] == "Department of Tests"
    assert fields["Senior responsible owner"] == NOT_STATED


def test_new_models_are_listed_with_their_approver(copy: Store, tiny_site: TinySite) -> None:
    city = tiny_site.city.model_copy(update={"approval": "person"})
    record = ServingRecord.load(copy, CITY, ISSUED)
    later = ISSUED + timedelta(days=2)
    changes = {
        "issue_date": later,
        "version": "other",
        "served": "ewma",
        "settings": record.settings | {"coverage": "another"},
    }
    record.model_copy(update=changes).write(copy)
    record_lineage(copy, Asset.LIVE_MODELS, CITY, {later: Origin("newer alerts", "other")})
    Approvals(
        city=CITY, approved={record.version: f"{ISSUED}T12:00:00+00:00"}, approvers={record.version: "A. Smith"}
    ).write(copy)
    listed = rows(write_annual_report(copy, city, YEAR), "models")
    assert listed[0][2:] == (record.served, "first models", f"A. Smith, {ISSUED}")
    assert (str(later), "gunfire", "ewma", "coverage, method", NO_APPROVAL) in listed


def test_accepted_warnings_name_the_person(copy: Store, tiny_site: TinySite) -> None:
    entry = Acknowledged(check="volume", first=date(2023, 7, 4), by="B. Jones", on=date(2023, 8, 1))
    city = tiny_site.city.model_copy(update={"acknowledged": (entry,)})
    assert rows(write_annual_report(copy, city, YEAR), "accepted")[0][2] == "B. Jones"


def test_forecasts_stand_beside_the_simple_map(report: AnnualReport) -> None:
    assert value(report, "forecasts") == DAYS
    assert 0 <= value(report, "caught") <= 1
    assert value(report, "caught_by_simple_method") is not None


def test_unknown_numbers_are_never_zero(copy: Store, tiny_site: TinySite) -> None:
    record = write_annual_report(copy, tiny_site.city.model_copy(update={"first_forecast": None}), YEAR)
    unknown = [figure for section in record.sections for figure in section.figures if figure.value is None]
    assert all(figure.shown == "unknown" and figure.sentence for figure in unknown)


def test_a_written_report_is_linked_from_the_pages(copy: Store, tiny_site: TinySite) -> None:
    written = write_annual_report(copy, tiny_site.city, YEAR)
    assert AnnualReport.load(copy, CITY, YEAR) == written
    page = copy.read_bytes(ANNUAL_REPORT_PAGE, CITY, YEAR).decode()
    assert "the year is under way" in page
    make_pages(copy, tiny_site.city)
    assert copy.read_bytes(PAGE.named(file="annual_report_2023.html"), CITY).decode() == page
    assert 'href="annual_report_2023.html"' in copy.read_bytes(PAGE.named(file=ACCOUNTABILITY), CITY).decode()


def test_a_bound_that_is_left_warns_with_a_remedy(tiny_site: TinySite) -> None:
    account = Account.load(tiny_site.store, CITY)
    assert kept_bounds(account, Bounds()) is None
    assert WATCHED.keys() == Bounds.model_fields.keys()
    unknown = kept_bounds(account, Bounds(least_share_with_outcome=0.5))
    assert unknown is not None
    assert not unknown.passed
    assert "least_share_with_outcome (0.5) cannot be checked" in unknown.message


def test_the_command_prints_the_last_day_and_the_address(copy: Store) -> None:
    environ = {"SHOTSPOTTER_CITIES": str(TEST_CITIES), "SHOTSPOTTER_STORE": copy.root}
    ran = CliRunner().invoke(main, ["annual-report", CITY, "2023"], env=environ)
    days, address = ran.output.splitlines()
    assert days == f"{CITY}: {FIRST} to {ISSUED + timedelta(days=DAYS)}, the year is under way"
    assert Path(address).read_text().startswith("<!doctype html>")
    refused = CliRunner().invoke(main, ["annual-report", CITY, "2022"], env=environ)
    assert (refused.exit_code, refused.output.count("\n")) == (1, 1)


def test_unknown_numbers_name_who_would_provide_them(report: AnnualReport) -> None:
    for name, words in {
        "share_confirmed": "police department",
        "share_of_plan_made": "not the same as not made",
    }.items():
        figure = find_figure(report.sections, name)
        assert figure is not None
        assert (figure.value, figure.shown) == (None, "unknown")
        assert words in figure.sentence
