from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from shotspotter_assets.geometry.grid import Grid
from shotspotter_assets.serving import issued_forecasts
from shotspotter_assets.serving.retraining import reusable_record
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.serving.test_risk_tables import CELLS, next_day
from shotspotter_assets_tests.serving.town import DAY, TOWN, history_to, issue, serving_record

NEXT = DAY + timedelta(days=1)
MIDNIGHT = datetime(2024, 6, 3, 4, tzinfo=UTC)
"""The local end of the day after `DAY`."""


@pytest.fixture
def issued(store: Store) -> issued_forecasts.Forecast:
    return issue(store, TOWN, DAY, next_day(np.full(CELLS, 0.2)), MIDNIGHT, **{"0,1": ("near",)})


def test_a_day_is_over_at_local_midnight() -> None:
    assert not issued_forecasts.is_over(NEXT, TOWN, MIDNIGHT - timedelta(seconds=1))
    assert issued_forecasts.is_over(NEXT, TOWN, MIDNIGHT)


def test_an_issued_forecast_stays_once_its_day_is_over(store: Store, issued: issued_forecasts.Forecast) -> None:
    assert issued_forecasts.issued_on_grid(store, TOWN, DAY, MIDNIGHT - timedelta(seconds=1)) is None
    kept = issued_forecasts.issued_on_grid(store, TOWN, DAY, MIDNIGHT)
    assert kept == issued.record
    assert kept.cell_drivers() == {(0, 1): ("near",)}
    assert issued_forecasts.issued_on_grid(store, TOWN, NEXT, MIDNIGHT + timedelta(days=9)) is None


def test_the_models_of_an_issued_forecast_stay_too(store: Store, issued: issued_forecasts.Forecast) -> None:
    record = serving_record()
    record.write(store)
    assert reusable_record(store, history_to(DAY), MIDNIGHT) == record
    assert reusable_record(store, history_to(DAY), MIDNIGHT - timedelta(hours=1)) is None


def test_a_forecast_made_after_its_day_may_be_made_again(store: Store, issued: issued_forecasts.Forecast) -> None:
    late = replace(issued, record=issued.record.model_copy(update={"replayed": True}))
    issued_forecasts.write_forecast(store, late)
    assert issued_forecasts.issued_on_grid(store, TOWN, DAY, MIDNIGHT) is None


def test_a_forecast_of_another_grid_may_be_made_again(store: Store, issued: issued_forecasts.Forecast) -> None:
    other = TOWN.model_copy(update={"grid": Grid(rows=5, columns=5)})
    assert issued_forecasts.issued_on_grid(store, other, DAY, MIDNIGHT) is None
    assert not issued_forecasts.next_day_forecasts(store, other, DAY, NEXT)
    assert list(issued_forecasts.next_day_forecasts(store, TOWN, DAY, NEXT)) == [NEXT]


def test_a_day_without_a_forecast_says_why(store: Store, issued: issued_forecasts.Forecast) -> None:
    late = history_to(DAY, lead=15)
    issued_forecasts.write_forecast(store, issued_forecasts.withheld(store, late))
    record = issued_forecasts.load_record(store, TOWN.name, late.issue_date)
    assert (record.lead, record.last_known, record.last_issued) == (15, DAY, DAY)
    assert "publication.longest_lead" in record.no_forecast
    assert (record.data_in_words, issued.record.data_in_words) == (
        "alerts up to 1 June 2024, 15 days before",
        "alerts up to 1 June 2024",
    )
    assert issued_forecasts.issued_on_grid(store, TOWN, late.issue_date, MIDNIGHT + timedelta(days=99)) is None
    assert issued_forecasts.withheld(store, late, "Too few days.").no_forecast == "No forecast is issued. Too few days."
