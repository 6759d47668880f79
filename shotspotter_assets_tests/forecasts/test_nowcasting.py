from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shotspotter_assets.alerts.cleaning import clean_alerts
from shotspotter_assets.alerts.sources.alert_source import AlertSource
from shotspotter_assets.alerts.sources.landing.folder import LandingFolder
from shotspotter_assets.alerts.sources.schema import read_sources
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import days_between
from shotspotter_assets.city_files import CityFile
from shotspotter_assets.forecasts.nowcast_scores import score_nowcasts
from shotspotter_assets.forecasts.nowcasting import UntilNow, days_to_read, forecast_now, history_until, record_in_force
from shotspotter_assets.grid.tensors import sparse_tensors
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.models.next_hours.incident_points import NO_ALERTS, Incidents
from shotspotter_assets.models.trained_models import HOURLY_STACK, TrainedModels
from shotspotter_assets.storage.catalogue import ISSUED_MINUTES, TENSORS
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.forecasts.town import DAY, TOWN, serving_record, store_days
from shotspotter_assets_tests.models.next_hours.simulated_incidents import CELLS, CITY, NOON, incidents

TODAY = TOWN.start + timedelta(days=9)
SOURCE = TOWN.source.open(TOWN.site, None)


def stored_until(store: Store, last: date) -> Store:
    return store_days(store, SOURCE, TOWN, last)


def read_until(store: Store, readers: Sequence[AlertSource], city: City, now: datetime) -> UntilNow:
    days = days_to_read(store, city, now)
    return history_until(store, readers, city, now, days, read_sources(readers, days[0], days[-1]))


@pytest.mark.parametrize("stored_days", [0, 4, 9])
def test_days_that_are_not_stored_are_read_from_the_source(tmp_path: Path, stored_days: int) -> None:
    store = Store(str(tmp_path / "part"))
    if stored_days:
        stored_until(store, TOWN.start + timedelta(days=stored_days - 1))
    now = datetime(TODAY.year, TODAY.month, TODAY.day, 23, 59, 59, tzinfo=TOWN.zone).astimezone(UTC)
    history, alerts, *_ = read_until(store, [SOURCE], TOWN, now)
    whole = CityHistory.load(stored_until(Store(str(tmp_path / "whole")), TODAY), TOWN, TODAY)
    assert history.days == whole.days
    np.testing.assert_array_equal(history.daily_counts, whole.daily_counts)
    assert alerts == whole.daily_counts[-1].sum()


def test_alerts_after_now_do_not_count(tmp_path: Path) -> None:
    noon = datetime(TODAY.year, TODAY.month, TODAY.day, 12, tzinfo=TOWN.zone).astimezone(UTC)
    history, alerts, *_ = read_until(stored_until(Store(str(tmp_path)), TODAY), [SOURCE], TOWN, noon)
    hourly = history.hourly(np.ones(TOWN.shape, dtype=bool)).counts[-24:].sum(axis=(1, 2))
    assert not hourly[12:].any()
    assert hourly.sum() == alerts


def landed_days(folder: Path, alerts: Sequence[int], *, daily_files: bool) -> tuple[City, list[AlertSource]]:
    source: dict[str, Any] = {"kind": "landing", "settle_seconds": 0, "columns": {"time": "when"}}
    source |= {"file_date": "%Y-%m-%d"} if daily_files else {}
    city = CityFile.model_validate(TOWN.model_dump() | {"source": source})
    folder.mkdir()
    for at, number in enumerate(alerts):
        day = TOWN.start + timedelta(days=at)
        rows = [f"{day}T{17 + minute // 60}:{minute % 60:02}:00Z,38.5,-76.5" for minute in range(number)]
        (folder / f"{day}.csv").write_text("\n".join(["when,latitude,longitude", *rows]) + "\n")
    return city, [LandingFolder(city.site, city.source, str(folder), Store(str(folder.with_name("store"))))]


@pytest.mark.parametrize("stored_days", [8, 9])
def test_incidents_do_not_depend_on_stored_days(tmp_path: Path, stored_days: int) -> None:
    store = stored_until(Store(str(tmp_path)), TOWN.start + timedelta(days=stored_days - 1))
    now = datetime(TODAY.year, TODAY.month, TODAY.day, 0, 30, tzinfo=TOWN.zone)
    incidents = read_until(store, [SOURCE], TOWN, now).incidents
    days = days_between(TODAY - timedelta(days=1), TODAY)
    cleaned = clean_alerts(SOURCE.read(days[0], days[-1]), days, TOWN)
    begun = Incidents.of_alerts(pa.concat_tables([cleaned[day].alerts for day in days]), TOWN).within(
        -np.inf, now.timestamp()
    )
    assert len(begun) > 0
    np.testing.assert_array_equal(incidents.seconds, begun.seconds)


@pytest.mark.parametrize("stored_days", [0, 30])
def test_empty_daily_files_are_days_without_alerts(tmp_path: Path, stored_days: int) -> None:
    city, readers = landed_days(tmp_path / "landing", [20] * 28 + [0] * 2, daily_files=True)
    store = Store(str(tmp_path / "store"))
    days = days_between(city.start, city.start + timedelta(days=29))
    rows = readers[0].read(days[0], days[-1])
    for day, tensor in sparse_tensors(cleaned_rows(rows, days, city), days, city).items():
        if stored_days:
            store.write_table(TENSORS, tensor, city.name, day)
    now = datetime.combine(days[-1] + timedelta(days=1), time(12), UTC)
    history, alerts, *_ = read_until(store, readers, city, now)
    assert (history.last_known, alerts) == (now.date(), 0)
    assert history.daily_counts.sum() == 20 * 28


def cleaned_rows(rows: pa.Table, days: Sequence[date], city: City) -> pa.Table:
    return pa.concat_tables(
        cleaned.alerts.add_column(0, "date", [np.full(len(cleaned.alerts), day, dtype="datetime64[D]")])
        for day, cleaned in clean_alerts(rows, days, city).items()
    )


def test_an_unknown_yesterday_prevents_a_nowcast(tmp_path: Path) -> None:
    city, readers = landed_days(tmp_path / "landing", [20] * 27, daily_files=False)
    now = datetime.combine(city.start + timedelta(days=30), time(12), UTC)
    with pytest.raises(
        ValueError,
        match=r"2024-01-30.*2024-01-27.*longest_lead",
    ):
        read_until(Store(str(tmp_path / "store")), readers, city, now)


def test_the_record_of_the_last_past_day_is_in_force(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    evening = datetime(DAY.year, DAY.month, DAY.day, 20, tzinfo=TOWN.zone)
    for day in (DAY - timedelta(days=1), DAY):
        serving_record(issue_date=day).write(store)
    assert record_in_force(store, TOWN, evening).issue_date == DAY - timedelta(days=1)
    assert record_in_force(store, TOWN, evening + timedelta(hours=5)).issue_date == DAY
    with pytest.raises(ValueError, match=r"2024-05-30.*live_models.*town"):
        record_in_force(store, TOWN, evening - timedelta(days=2))


def test_a_city_without_models_of_hours_says_why(tmp_path: Path) -> None:
    models = TrainedModels(next_day={}, counts=None, hourly={}, types=None)
    words = "The source publishes days, not hours."
    record = serving_record(without={HOURLY_STACK: words})
    history = CityHistory.load(stored_until(Store(str(tmp_path)), TOWN.start), TOWN, TOWN.start)
    until_now = UntilNow(history, 0, Incidents.of_alerts(NO_ALERTS, TOWN))
    with pytest.raises(ValueError, match=r"town.*hours.*days"):
        forecast_now(record, models, until_now, datetime.now(UTC))


SCORED_DATE = date(2021, 2, 3)


def issued(start: datetime, probability: list[float], minutes: int = 15, even: float = 0.1) -> pa.Table:
    values = {
        "starts_utc": [start] * 3, "minutes": [minutes] * 3, "row": [row for row, _ in CELLS],
        "column": [column for _, column in CELLS], "probability": probability, "even": [even] * 3,
    }  # fmt: skip
    return pa.table([values[name] for name in ISSUED_MINUTES.schema.names], schema=ISSUED_MINUTES.schema)


def test_only_incidents_within_the_minutes_are_observed() -> None:
    begun = incidents((NOON, 0), (NOON + timedelta(minutes=15), 1), (NOON + timedelta(minutes=15, seconds=1), 2))
    record = score_nowcasts(CITY, SCORED_DATE, issued(NOON, [0.1, 0.4, 0.2]), begun)
    scores = record.scores["15m"]
    assert (record.nowcasts, record.incidents, scores.nowcasts, scores.observed) == (1, 3, 1, 1)
    assert scores.expected == pytest.approx(0.7)
    gain = np.log(0.4 / 0.1) + np.log(0.9 / 0.9) + np.log(0.8 / 0.9)
    assert scores.gain_over_even == pytest.approx(gain, rel=1e-5)


def test_minutes_that_end_after_midnight_are_not_scored() -> None:
    late = datetime(2021, 2, 4, 4, 30, tzinfo=UTC)
    table = pa.concat_tables([issued(late, [0.1] * 3, minutes) for minutes in (30, 60)])
    record = score_nowcasts(CITY, SCORED_DATE, table, incidents((late + timedelta(minutes=20), 1)))
    assert (record.scores["30m"].observed, record.scores["60m"].nowcasts) == (1, 0)


def test_a_day_without_nowcasts_has_no_scores() -> None:
    record = score_nowcasts(CITY, SCORED_DATE, None, incidents((NOON, 0)))
    assert (record.nowcasts, record.scores, record.incidents) == (0, {}, 1)
