"""A small city, the cells that are covered in it, and records of it."""

from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from shotspotter_assets.alerts.cleaning import clean_alerts
from shotspotter_assets.alerts.sources.alert_source import AlertSource
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import days_between
from shotspotter_assets.cities.stored_settings import model_settings
from shotspotter_assets.evaluation.estimates import Gain
from shotspotter_assets.evaluation.gate import Verdict
from shotspotter_assets.forecasts.issued_forecasts import (
    DayTotal,
    Forecast,
    ForecastRecord,
    grid_version,
    with_facts,
    write_forecast,
)
from shotspotter_assets.forecasts.serving_record import ServingRecord
from shotspotter_assets.grid.tensors import grid_schema, sparse_tensors
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.models.trained_models import HOURLY_STACK
from shotspotter_assets.storage.catalogue import CLEANED, HOURLY, TENSORS, TOP_LOCATIONS
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.made_up_city import made_up_city

TOWN = made_up_city("town", (-77.0, 38.0, -76.0, 39.0), (4, 4), start=date(2024, 1, 1))
ALL_CELLS = np.ones((4, 4), dtype=bool)
SOME_CELLS = np.array([[1, 1, 1, 0], [1, 1, 1, 1], [0, 1, 1, 1], [0, 0, 1, 1]], dtype=bool)
DAY = date(2024, 6, 1)
CANDIDATE = "stack"
VERDICT = Verdict(
    served=CANDIDATE, candidate=CANDIDATE, best_baseline="ewma", gain=Gain(0.1, 0.05, 0.15, 13),
    predicted_over_observed=1.0, positives=500, reasons=(), outcome="better",
)  # fmt: skip


def store_days(store: Store, source: AlertSource, city: City, last: date) -> Store:
    days = days_between(city.start, last)
    cleaned = clean_alerts(source.read(days[0], last), days, city)
    store.write_tables(CLEANED, {day: cleaned[day].alerts for day in days}, city.name)
    for day in days:
        table = cleaned[day].alerts
        dated = table.add_column(0, "date", [np.full(len(table), day, dtype="datetime64[D]")])
        store.write_tables(TENSORS, sparse_tensors(dated, [day], city), city.name)
    return store


def history_to(last_known: date, lead: int = 1, city: City = TOWN) -> CityHistory:
    frames = grid_schema(24, city).empty_table().add_column(0, "date", pa.array([], pa.date32()))
    return CityHistory(city, days_between(city.start, last_known), frames, lead)


def serving_record(**changes: Any) -> ServingRecord:
    record = ServingRecord(
        city=TOWN.name, issue_date=DAY, served=CANDIDATE, since=DAY, reasons=("Better.",), last_trained=DAY, models_from=DAY,
        version="aa", models={}, without={HOURLY_STACK: "Not fitted."}, lead=1, last_known=DAY, inputs=("one",),
        validation=(date(2024, 3, 2), DAY), covered=[(0, 0)], weekly_offset=(-0.1, 0.1), data_sha256="cc", versions={},
        gate=VERDICT, types_by=None, settings=model_settings(TOWN), train=(TOWN.start, date(2024, 3, 1)),
    )  # fmt: skip
    return record.model_copy(update=changes)


def issue(
    store: Store, city: City, issue_date: date, table: pa.Table, issued_at: datetime, hourly: pa.Table | None = None,
    **drivers: tuple[str, ...],
) -> Forecast:  # fmt: skip
    """Write a forecast of the day after `issue_date`, with the reasons of cells by `row,column`."""
    record = ForecastRecord(
        city=city.name, issue_date=issue_date, forecast_date=issue_date + timedelta(days=1), served=CANDIDATE,
        models_from=issue_date, why_served=(), expected_alerts=3.0, expected_alerts_low=1.0, expected_alerts_high=5.0,
        interval="", hours="", types="", lead=1, last_known=issue_date, drivers=drivers, issued_at=str(issued_at), version="v",
        grid=grid_version(city),
    )  # fmt: skip
    table = with_facts(table, city, 1, DayTotal(1.0, 5.0, 0.1, 3.0, 2.0), replayed=False)
    top = TOP_LOCATIONS.schema.empty_table()
    forecast = Forecast(table, hourly or HOURLY.schema.empty_table(), top, b"{}", record)
    write_forecast(store, forecast)
    return forecast
