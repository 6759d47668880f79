"""The history until now, from stored days and the source, and which record is in force."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from shotspotter_assets.calendar.local_time import days_between
from shotspotter_assets.cleaning.alerts import clean_alerts
from shotspotter_assets.gridding.tensors import sparse_tensors
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.serving.nowcasts import NoHoursError, history_until, nowcast, record_in_force
from shotspotter_assets.serving.record import ServingModels, models_partition
from shotspotter_assets.sources.simulated.source import SimulatedSource
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.serving.town import DAY, TOWN, serving_record

TODAY = TOWN.start + timedelta(days=9)
SOURCE = SimulatedSource(TOWN)


def stored_until(store: Store, last: date) -> Store:
    """Gridded days as the source has them."""
    days = days_between(TOWN.start, last)
    cleaned = clean_alerts(SOURCE.read(days[0], last), days, TOWN)
    for day in days:
        table = cleaned[day].alerts
        dates = np.full(len(table), day, dtype="datetime64[D]")
        store.write_tables(
            "grid_tensors", TOWN.name, "grid.parquet", sparse_tensors(table.add_column(0, "date", [dates]), [day], TOWN)
        )
    return store


@pytest.mark.parametrize("stored_days", [0, 4, 9])
def test_days_that_are_not_stored_are_asked_of_the_source(tmp_path: Path, stored_days: int) -> None:
    store = Store(str(tmp_path / "part"))
    if stored_days:
        stored_until(store, TOWN.start + timedelta(days=stored_days - 1))
    now = datetime(TODAY.year, TODAY.month, TODAY.day, 23, 59, 59, tzinfo=TOWN.zone).astimezone(UTC)
    history, alerts = history_until(store, [SOURCE], TOWN, now)
    whole = CityHistory.load(stored_until(Store(str(tmp_path / "whole")), TODAY), TOWN, TODAY)
    assert history.days == whole.days
    np.testing.assert_array_equal(history.daily_counts, whole.daily_counts)
    assert alerts == whole.daily_counts[-1].sum()


def test_what_happens_after_now_is_not_known(tmp_path: Path) -> None:
    noon = datetime(TODAY.year, TODAY.month, TODAY.day, 12, tzinfo=TOWN.zone).astimezone(UTC)
    history, alerts = history_until(stored_until(Store(str(tmp_path)), TODAY), [SOURCE], TOWN, noon)
    hourly = history.hourly_counts[-24:].sum(axis=(1, 2, 3))
    assert not hourly[12:].any()
    assert hourly.sum() == alerts


def test_the_record_of_the_last_day_that_is_over_is_in_force(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    evening = datetime(DAY.year, DAY.month, DAY.day, 20, tzinfo=TOWN.zone)
    for day in (DAY - timedelta(days=1), DAY):
        record = serving_record(day=day)
        store.write_bytes(models_partition(TOWN.name, day), "record.json", record.model_dump_json().encode())
    assert record_in_force(store, TOWN, evening).day == DAY - timedelta(days=1)
    assert record_in_force(store, TOWN, evening + timedelta(hours=5)).day == DAY
    with pytest.raises(
        NoHoursError, match=r"no live models before 2024-05-30\. Materialise live_models for town first"
    ):
        record_in_force(store, TOWN, evening - timedelta(days=2))


def test_a_city_without_models_of_hours_is_told_why(tmp_path: Path) -> None:
    models = ServingModels(next_day={}, counts=None, hours=None, types=None)  # type: ignore[arg-type]
    record = serving_record(without={"next_hours": "The source publishes days, not hours."})
    history = CityHistory.load(stored_until(Store(str(tmp_path)), TOWN.start), TOWN, TOWN.start)
    with pytest.raises(NoHoursError, match=r"City town: no next hours\. The source publishes days"):
        nowcast(record, models, history, 0, datetime.now(UTC))
