from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from shotspotter_assets.alerts.checks.finding import Finding
from shotspotter_assets.alerts.days.city_now import alerts_on_time, lateness
from shotspotter_assets.alerts.days.day_table import Day, DayState, DayTable
from shotspotter_assets.cities import local_time
from shotspotter_assets.cities.publication import Publication
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.alerts.checks.sound_city import CITY

NEWEST = date(2024, 12, 31)
COUNTS = [10] * 120


def a_day(rows: int, state: DayState = "known", why: str = "") -> Day:
    return Day(state, why, rows, rows if state == "held_back" else 0, "", None, {})


def after(
    days: int, days_late: int = 0, issued: date | None = None, lead: int = 14, state: DayState = "unknown"
) -> Finding:
    """The finding some days after the last alerts of a city whose rows are due some days after their day."""
    stored = {NEWEST - timedelta(days=back): a_day(rows) for back, rows in enumerate(COUNTS)}
    stored |= {NEWEST + timedelta(days=1 + at): a_day(0, state) for at in range(days)}
    table = DayTable(dict(sorted(stored.items())))
    city = CITY.model_copy(update={"publication": Publication(longest_lead=lead)})
    yesterday = NEWEST + timedelta(days=days)
    return alerts_on_time(table, city, yesterday, yesterday - timedelta(days=days_late), yesterday, issued)


def test_days_that_nothing_has_reported_are_named_with_the_remedy() -> None:
    assert after(0).passed
    assert after(0).message == "Alerts up to 31 December 2024."
    found = after(6)
    assert found.numbers == {"days_late": 6}
    assert "Alerts up to 31 December 2024; 1 to 6 January 2025 are not known." in found.message
    assert "shotspotter quiet sound_city 2025-01-01 2025-01-02" in after(2).message
    assert "implausible" in found.message
    assert "shotspotter quiet" not in found.message, "a word does not make an implausible silence known"
    assert after(1).passed, "the newest file may come in the morning"
    assert "1 January 2025 is not known" in after(1).message
    assert alerts_on_time(DayTable(), CITY, NEWEST, NEWEST, NEWEST).passed


def test_the_command_names_no_days_with_rows() -> None:
    gaps = [NEWEST - timedelta(days=back) for back in (0, 1, 4)]
    stored = {NEWEST - timedelta(days=back): a_day(rows) for back, rows in enumerate(COUNTS)}
    table = DayTable(dict(sorted({**stored, **{day: a_day(0, "unknown") for day in gaps}}.items())))
    found = alerts_on_time(table, CITY, NEWEST, NEWEST, NEWEST)
    assert found.numbers == {"days_late": 3}
    assert found.message.endswith("shotspotter quiet sound_city 2024-12-30 2024-12-31")


@pytest.mark.parametrize(("hour", "passed"), [(11, True), (12, False)])
def test_the_lead_is_that_of_tomorrows_forecast_from_noon_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hour: int, passed: bool
) -> None:
    store = Store(str(tmp_path))
    DayTable.update(store, CITY.name, {NEWEST: a_day(10), NEWEST + timedelta(days=1): a_day(0, "unknown")})
    noon = datetime(2025, 1, 2, hour, tzinfo=CITY.zone)
    monkeypatch.setattr(local_time, "now", lambda: noon)
    city = CITY.model_copy(update={"publication": Publication(longest_lead=2)})
    assert lateness(store, city).passed == passed


def test_reported_silence_is_on_time() -> None:
    assert after(6, state="silent").message == "Alerts up to 6 January 2025."
    assert after(6, state="known").passed


@pytest.mark.parametrize(("days_late", "passed"), [(10, True), (3, False)])
def test_days_that_are_not_due_yet_are_not_late(days_late: int, passed: bool) -> None:
    assert after(10, days_late=days_late).passed == passed


def test_a_last_known_day_that_is_too_old_for_a_forecast_is_named() -> None:
    found = after(20, days_late=60)
    assert found.numbers == {"lead": 21}
    assert "the day to forecast is 21 days after the last known day" in found.message
    assert after(20, days_late=60, lead=21).passed
    assert "the forecast issued on 2024-12-31 is out of date" in after(20, days_late=60, issued=NEWEST).message


def test_rows_of_days_held_back_are_no_sign_of_life() -> None:
    table = {NEWEST - timedelta(days=back): a_day(10, "known" if back > 20 else "held_back") for back in range(120)}
    found = alerts_on_time(DayTable(dict(sorted(table.items()))), CITY, NEWEST, NEWEST, NEWEST)
    assert found.numbers == {"lead": 22}
    assert "lerts up to 10 December 2024; 11 to 31 December 2024 are held back" in found.message
