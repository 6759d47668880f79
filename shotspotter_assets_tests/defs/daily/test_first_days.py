from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pytest

from shotspotter_assets.city_files import Cities
from shotspotter_assets.forecasts.issued_forecasts import NoForecast, load_record, next_day_forecasts
from shotspotter_assets.forecasts.issued_scores import ScoreRecord
from shotspotter_assets.forecasts.serving_record import ServingRecord
from shotspotter_assets.forecasts.training import MIN_HISTORY_DAYS
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.defs.chain import CITIES, copy_days, materialize, resources

CITY = "tiny_city"
FIRST = CITIES[CITY].start
LATER = FIRST + timedelta(days=60)


@pytest.fixture
def root(tiny_city_days: Path, tmp_path: Path) -> Path:
    return copy_days(tiny_city_days, tmp_path / "store", str(LATER))


def run(
    root: Path, instance: dg.DagsterInstance, day: date, cities: Cities = CITIES, *, assets: tuple[str, ...] = ()
) -> None:
    names = assets or ("live_models", "risk_forecasts")
    on = resources(str(root), cities=cities)
    assert materialize(CITY, names, on, checks=(), instance=instance, partition_key=str(day)).success


def test_the_first_day_has_a_forecast_with_wide_intervals(root: Path, instance: dg.DagsterInstance) -> None:
    store = Store(str(root))
    for day in (FIRST, LATER):
        run(root, instance, day)
    first, later = (ServingRecord.load(store, CITY, day) for day in (FIRST, LATER))
    assert first.served == later.served == "new_city"
    assert first.reasons[0] == f"The city has 1 known day, and its own models need {MIN_HISTORY_DAYS}."
    assert "start at those of other cities (package|2023-01-01), for the whole box" in first.reasons[1]
    factors = [float(record.reasons[1].split("may be up to ")[1].split()[0]) for record in (first, later)]
    assert factors[0] > factors[1] > 1

    # Of all cells, each with an interval that its alerts make narrower.
    tables = next_day_forecasts(store, CITIES[CITY], FIRST, LATER + timedelta(days=1))
    widths = []
    for table in tables.values():
        assert table.num_rows == CITIES[CITY].shape[0] * CITIES[CITY].shape[1]
        low, p, high = (table[name].to_numpy() for name in ("low", "probability", "high"))
        assert ((low < p) & (p < high)).all()
        widths.append((high / low).mean())
    assert widths[0] > widths[1]
    assert "of other cities" in load_record(store, CITY, FIRST).interval


def test_the_first_forecast_is_scored_and_has_pages(root: Path, instance: dg.DagsterInstance) -> None:
    run(root, instance, FIRST, assets=("live_models", "risk_forecasts", "street_risk", "patrol_plans"))
    run(root, instance, FIRST + timedelta(days=1), assets=("forecast_scores", "live_models", "risk_forecasts"))
    record = ScoreRecord.load(Store(str(root)), CITY, FIRST + timedelta(days=1))
    assert record.scores is not None
    on = resources(str(root))
    assert materialize(CITY, ["city_pages"], on, instance=instance).success


def test_a_city_without_days_and_shared_models_has_no_forecast(
    root: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shotspotter_assets.models.next_day.shared_regression.package_start", lambda city, by: None)
    run(root, instance, LATER)
    record = load_record(Store(str(root)), CITY, LATER)
    assert isinstance(record, NoForecast)
    assert ServingRecord.find(Store(str(root)), CITY, LATER) is None
