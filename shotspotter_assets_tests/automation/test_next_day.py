"""The forecast of tomorrow: issued from noon on, refreshed until its day begins, and scored as it was issued."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from unittest import mock

import pytest

from shotspotter_assets.forecasts.issued_scores import ScoreRecord
from shotspotter_assets.forecasts.patrol.dispatch import PlanRecord
from shotspotter_assets.storage.catalogue import FORECAST
from shotspotter_assets_tests.automation.conftest import START, TODAY, YESTERDAY
from shotspotter_assets_tests.automation.living_city import NAME, LivingCity, row, rows

ONE_DAY = timedelta(days=1)
TOMORROW = TODAY + ONE_DAY
MANY = 12  # alerts a day, so many that a day without any is not plausible
PATROL = "patrol: {shifts: [{name: night, start: 20, end: 4, units: 2}]}\n"


@pytest.fixture
def town(tmp_path: Path) -> LivingCity:
    town = LivingCity(tmp_path / "town", START, datetime(2026, 3, 16, 14, tzinfo=UTC))
    town.write_city_file(more=PATROL)
    return town


def settle_at(town: LivingCity, day: date, hour: int, minute: int = 0) -> set[str]:
    """Move to a local time, settle, and return the assets of the runs."""
    town.now = datetime(day.year, day.month, day.day, hour, minute, tzinfo=town.city.zone).astimezone(UTC)
    town.requested.clear()
    town.settle(checks=False)
    return {key.path[-1] for request in town.requested for key in request.asset_selection or ()}


def test_tomorrow_is_forecast_at_noon_and_stays_once_it_has_begun(town: LivingCity) -> None:
    town.land("history.csv", *rows(START, YESTERDAY))
    settle_at(town, TODAY, 10)
    assert town.store.days_present(FORECAST, NAME) == {YESTERDAY}
    assert settle_at(town, TODAY, 11, 59) == set()
    settle_at(town, TODAY, 12)
    issued = town.forecast(TODAY)
    assert (issued.forecast_date, issued.lead, issued.last_known) == (TOMORROW, 2, YESTERDAY)
    content = town.store.read_bytes(FORECAST, NAME, TODAY)

    town.land("today.csv", *rows(TODAY, TODAY, 9))
    made = settle_at(town, TOMORROW, 7)
    assert made == {"raw_alerts", "cleaned_alerts", "grid_tensors", "forecast_scores", "city_pages"}
    assert settle_at(town, TOMORROW, 11) == set()
    settle_at(town, TOMORROW, 12)
    assert town.forecast(TOMORROW).last_known == TODAY
    town.land("tomorrow.csv", *rows(TOMORROW, TOMORROW))
    settle_at(town, TOMORROW + ONE_DAY, 7)
    assert ScoreRecord.load(town.store, NAME, TOMORROW).lead == 2
    assert (town.forecast(TODAY), town.store.read_bytes(FORECAST, NAME, TODAY)) == (issued, content)


def test_each_version_is_recorded_with_its_time_and_lead(town: LivingCity) -> None:
    town.land("history.csv", *rows(START, YESTERDAY - ONE_DAY, MANY))
    settle_at(town, TODAY, 12)
    first = town.forecast(TODAY)
    town.land("yesterday.csv", *rows(YESTERDAY, YESTERDAY, MANY))
    settle_at(town, TODAY, 15)
    second = town.forecast(TODAY)
    assert first.versions == second.versions[:-1]
    assert [(version.lead, version.version) for version in second.versions] == [(3, first.version), (2, second.version)]
    assert [version.issued_at[:13] for version in second.versions] == ["2026-03-16T16", "2026-03-16T19"]

    # A run that ends between forecast and plan, one minute before the day begins.
    town.land("late.csv", row(YESTERDAY, 30, place=5))
    town.now = datetime(2026, 3, 17, 3, 59, tzinfo=UTC)
    with mock.patch("shotspotter_assets.forecasts.patrol.plan.plan_day", side_effect=OSError("killed")):
        results = [town.run(request, checks=False) for _ in range(2) for request in town.tick()]
    assert results == [True, False]
    third = town.forecast(TODAY)
    assert len(third.versions) == 3
    settle_at(town, TOMORROW, 0, 5)
    assert town.forecast(TODAY) == third
    plan = PlanRecord.load(town.store, NAME, TODAY)
    assert plan.forecast_versions == {"gunfire": third.version}


def test_a_forecast_that_came_late_is_refreshed_until_its_day_is_over(town: LivingCity) -> None:
    town.land("history.csv", *rows(START, YESTERDAY - ONE_DAY, MANY))
    settle_at(town, TODAY, 8)
    late = town.forecast(YESTERDAY)
    assert late.lead == 2
    town.land("yesterday.csv", *rows(YESTERDAY, YESTERDAY, MANY))
    settle_at(town, TODAY, 9)
    assert town.forecast(YESTERDAY).lead == 1
