import json
import re
import shutil
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from shotspotter_assets.__main__ import main
from shotspotter_assets.accountability.account import WATCHED, Account, AnnualReport, Period, find_figure, kept_bounds
from shotspotter_assets.accountability.stored_sections import NO_APPROVAL, NOT_STATED, alerts_section
from shotspotter_assets.alerts.days.day_table import Day, DayTable
from shotspotter_assets.cities.accountability import Accountability, Bounds
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import ONE_DAY, day_start
from shotspotter_assets.cities.publication import Acknowledged
from shotspotter_assets.forecasts.approval import Approvals
from shotspotter_assets.forecasts.issued_forecasts import NoForecast, load_record, write_forecast
from shotspotter_assets.forecasts.patrol.dispatch import PlanRecord, write_plan
from shotspotter_assets.forecasts.serving_record import ServingRecord
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.pages.public import write_annual_report, years_in_words
from shotspotter_assets.pages.site import ACCOUNTABILITY, make_pages
from shotspotter_assets.pages.track_record import ISSUED as ISSUED_IN_TIME
from shotspotter_assets.pages.track_record import REPLAYED, track_record
from shotspotter_assets.storage.catalogue import ANNUAL_REPORT, ANNUAL_REPORT_PAGE, CLEANED, PAGE, Asset
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
    period = replace(Period.read(tiny_site.store, tiny_site.city, FIRST, FIRST), history=history)
    [table] = alerts_section(period, areas).tables
    shown = {row[0]: set(row[1:]) for row in table.rows}
    assert shown["the river"] == {"no sensors"}
    assert "no sensors" not in shown["the town"]
    events = {"event_types": {"robbery": ("Robbery",)}, "targets": {"robbery": ("robbery",)}}
    of_incidents = replace(period, city=tiny_site.city.model_copy(update=events))
    [table] = alerts_section(of_incidents, areas).tables
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


def test_a_report_with_forms_of_an_earlier_version_is_read(copy: Store, report: AnnualReport) -> None:
    form = {"name": "datasheet", "title": "Datasheet of the alerts", "columns": ["Question"], "rows": [["Why?"]]}
    earlier = json.loads(report.content()) | {"datasheet": form, "transparency_record": form}
    copy.write_bytes(ANNUAL_REPORT, json.dumps(earlier).encode(), CITY, YEAR)
    assert AnnualReport.load(copy, CITY, YEAR) == report


def test_new_models_are_listed_with_their_approver(copy: Store, tiny_site: TinySite) -> None:
    city = tiny_site.city.model_copy(update={"approval": "person"})
    record = ServingRecord.load(copy, CITY, ISSUED)
    later = ISSUED + timedelta(days=2)
    for issue_date in (ISSUED, later):
        set_issued(copy, city, issue_date, -12)
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
    assert (str(later + ONE_DAY), "gunfire", "ewma", "coverage, method", NO_APPROVAL) in listed


def test_accepted_warnings_name_the_person(copy: Store, tiny_site: TinySite) -> None:
    entry = Acknowledged(check="volume", first=date(2023, 7, 4), by="B. Jones", on=date(2023, 8, 1))
    city = tiny_site.city.model_copy(update={"acknowledged": (entry,)})
    assert rows(write_annual_report(copy, city, YEAR), "accepted")[0][2] == "B. Jones"


def test_forecasts_stand_beside_the_simple_map(report: AnnualReport) -> None:
    assert 0 <= value(report, "caught") <= 1
    assert value(report, "caught_by_simple_method") is not None


def service(account: Account) -> dict[str, float | None]:
    return {name: value(account, name) for name in ("forecasts", "replayed", "withheld", "without_forecast", "plans")}


def test_replays_are_no_service(report: AnnualReport) -> None:
    without = (report.last - FIRST).days + 1 - DAYS
    days = {"forecasts": 0, "replayed": DAYS, "withheld": 0, "without_forecast": without, "plans": 0}
    assert service(report) == days
    assert "All forecasts of the period are replays." in sentence(report, "replayed")
    assert f"All {DAYS} plans came after the day" in sentence(report, "plans")
    assert f"{without} days had none." in sentence(report, "plans")
    assert rows(report, "models") == [], "replays bring no model into service"
    assert {row[1] for row in rows(report, "forecasts_by_month")} == {REPLAYED}


def sentence(account: Account, name: str) -> str:
    figure = find_figure(account.sections, name)
    return figure.sentence


def set_issued(store: Store, city: City, issue_date: date, hours: int) -> None:
    """Let the forecast of an issue date be issued so many hours after its day began."""
    record = load_record(store, CITY, issue_date)
    issued_at = day_start(issue_date + ONE_DAY, city.zone) + timedelta(hours=hours)
    record.model_copy(update={"replayed": False, "issued_at": issued_at.isoformat()}).write(store)


def test_report_page_facts_and_track_record_count_days_of_service_alike(copy: Store, tiny_site: TinySite) -> None:
    city = tiny_site.city
    set_issued(copy, city, ISSUED, -12)
    set_issued(copy, city, ISSUED + ONE_DAY, 12)
    withheld = ISSUED + 3 * ONE_DAY
    facts = load_record(copy, CITY, withheld).model_dump(
        include={"city", "issue_date", "forecast_date", "lead", "last_known"}
    )
    write_forecast(copy, NoForecast(**facts, no_forecast="The source is late.", last_issued=None))
    write_plan(copy, PlanRecord(city=CITY, issue_date=withheld, forecast_date=withheld + ONE_DAY, note="No forecast."))
    written = write_annual_report(copy, city, YEAR)
    make_pages(copy, city)
    account = Account.load(copy, CITY)
    without = (written.last - FIRST).days + 1 - DAYS
    days = {"forecasts": 2, "replayed": 1, "withheld": 1, "without_forecast": without, "plans": 2}
    assert service(written) == service(account) == days
    assert "1 of them after it had begun" in sentence(account, "forecasts")
    page = copy.read_bytes(PAGE.named(file=ACCOUNTABILITY), CITY).decode()
    shown = re.findall(r"<dt>Days with .* forecast</dt><dd><strong>(\d+)</strong>", page)
    assert shown == [str(number) for number in days.values()][:4]
    track = track_record(copy, city, written.last, written.first)
    assert {row.made: row.days for row in track.months} == {ISSUED_IN_TIME: 2, REPLAYED: 1}


def test_the_years_that_are_over_and_reported_are_named(tiny_site: TinySite) -> None:
    city = tiny_site.city.model_copy(update={"start": date(2018, 3, 1)})
    last = date(2023, 11, 18)
    words = years_in_words(city, last, [2020])
    assert words == "5 years of this city are over: 2018, 2019, 2020, 2021, 2022. Reported: 2020."
    assert years_in_words(tiny_site.city, last, []) == "No year is over yet. None is reported."
    ended = city.model_copy(update={"start": date(2023, 1, 1), "end": last})
    assert years_in_words(ended, last, []) == "1 year of this city is over: 2023. None is reported."


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
        assert (figure.value, figure.shown) == (None, "unknown")
        assert words in figure.sentence
