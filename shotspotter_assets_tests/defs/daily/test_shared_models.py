import shutil
from datetime import date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from shotspotter_assets.forecasts.serving_record import ServingRecord
from shotspotter_assets.models.next_day.shared_regression import SharedModels, read_shared
from shotspotter_assets.models.trained_models import FoldRecord
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_file import ALL_CITIES
from shotspotter_assets_tests.defs.chain import CITIES, copy_days, materialize, resources, run_fold, with_city

CITY = "tiny_city"
OTHER = "washington_dc"
FOLD = date(2024, 1, 1)
DAY = date(2024, 1, 20)
WEEK = date(2024, 1, 15)
REGRESSION = {"models": ["regime_regression"]}


@pytest.fixture
def root(tiny_city_days: Path, tmp_path: Path) -> Path:
    return copy_days(tiny_city_days, tmp_path / "store", str(DAY))


def made(root: Path, week: date, instance: dg.DagsterInstance, **cities: Any) -> SharedModels:
    on = resources(str(root), **cities)
    assert materialize("", ["shared_models"], on, instance=instance, partition_key=str(week)).success
    return SharedModels.load(Store(str(root)), ALL_CITIES, week)


def give_others(root: Path, week: date, models: SharedModels) -> None:
    """Store models of a week in which the tiny city takes no part."""
    models.model_copy(update={"week": week, "cities": ["another_city"]}).write(Store(str(root)))


def test_a_week_is_trained_on_earlier_days_of_the_cities_that_share(root: Path, instance: dg.DagsterInstance) -> None:
    models = made(root, WEEK, instance)
    assert models.cities == [CITY]
    assert models.week == WEEK
    assert models.left_out["washington_dc"] == "No day before the cutoff is stored."
    # The days of the week and later ones are not looked at.
    for day in root.glob("grid_tensors/city=tiny_city/date=2024-01-1[5-9]"):
        shutil.rmtree(day)
    assert made(root, WEEK, instance) == models

    refused = made(root, WEEK, instance, cities=with_city(CITY, shared=False))
    assert refused.cities == []
    assert refused.left_out[CITY] == "Its file says `shared: false`."
    assert refused.everyone is None


def test_a_city_that_lacks_a_day_is_left_out_with_the_day(root: Path, instance: dg.DagsterInstance) -> None:
    shutil.rmtree(root / "grid_tensors" / f"city={CITY}" / "date=2023-11-03")
    assert "2023-11-03" in made(root, WEEK, instance).left_out[CITY]


def test_a_city_starts_from_the_latest_models_of_others(root: Path, instance: dg.DagsterInstance) -> None:
    store = Store(str(root))
    city = CITIES[CITY]
    assert read_shared(store, city, DAY).origin == "package|2023-01-01"
    models = made(root, WEEK, instance)
    # It is the only one that took part: there is nothing to learn from itself.
    assert read_shared(store, city, DAY).origin == "package|2023-01-01"
    assert read_shared(store, CITIES[OTHER], WEEK).origin == f"all-cities|{WEEK}"
    for week in ("2023-12-25", "2024-01-08", "2024-01-22"):
        give_others(root, date.fromisoformat(week), models)
    assert read_shared(store, city, DAY).origin == "all-cities|2024-01-08"
    # Models with other inputs are passed over.
    slopes = {f"old_{name}": slope for name, slope in models.everyone.slopes.items()}
    old = models.model_copy(update={"everyone": models.everyone.model_copy(update={"slopes": slopes})})
    give_others(root, date(2024, 1, 8), old)
    assert read_shared(store, city, DAY).origin == "all-cities|2023-12-25"


def test_folds_and_days_start_from_shared_models(root: Path, instance: dg.DagsterInstance) -> None:
    store = Store(str(root))
    on = resources(str(root))
    folds = resources(str(root), cities=with_city(CITY, serves="regime_regression"))
    assert run_fold("fold_models", CITY, str(FOLD), folds, instance, REGRESSION).success
    alone = FoldRecord.load(store, CITY, FOLD).models["regime_regression"]
    assert alone.chosen["shared"] == "package|2023-01-01"
    give_others(root, date(2023, 12, 25), made(root, WEEK, instance))
    assert run_fold("fold_models", CITY, str(FOLD), folds, instance, REGRESSION).success
    started = FoldRecord.load(store, CITY, FOLD).models["regime_regression"]
    assert started.chosen["shared"] == "all-cities|2023-12-25"
    assert started.files != alone.files

    assert materialize(CITY, ["live_models"], on, instance=instance, partition_key=str(DAY)).success
    settings = ServingRecord.load(store, CITY, DAY).models["stack"].chosen
    assert settings["shared"] == "all-cities|2023-12-25"
    assert settings["members"]["residual_boosting"]["shared"] == settings["shared"]
    assert "shared" not in settings["members"]["ew_kde"]


@pytest.mark.parametrize(("sharing", "requested"), [(True, ["2024-01-15"]), (False, [])])
def test_the_schedule_requests_the_current_week(
    root: Path, stored_instance: dg.DagsterInstance, sharing: bool, requested: list[str]
) -> None:
    cities = {
        name: city.model_copy(update={"automation": "recent", "shared": sharing}) for name, city in CITIES.items()
    }
    on = resources(str(root), cities=cities)
    moment = datetime.fromisoformat("2024-01-15T16:00+00:00")
    schedule = on.definitions.resolve_schedule_def("weekly_shared_models")
    with dg.build_schedule_context(stored_instance, moment, resources=dict(on)) as context:
        result = schedule(context)
    assert [one.partition_key for one in [result] if isinstance(one, dg.RunRequest)] == requested
