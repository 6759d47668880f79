"""A store of the tiny city with forecasts that were issued under a clock of their own."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from pathlib import Path
from unittest import mock

import pytest

from shotspotter_assets.calendar import local_time
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.defs.chain import copy_days, materialize, resources, with_city
from shotspotter_assets_tests.instances import instance_in_memory

CITIES = with_city("tiny_city", retraining="weekly", serves="logistic_regression", time_precision="day")
CITY = CITIES["tiny_city"]
FIRST = date(2024, 3, 26)
LAST = date(2024, 3, 28)


@contextmanager
def clock(day: date, hour: int) -> Iterator[None]:
    now = datetime.combine(day, time(hour), tzinfo=CITY.zone).astimezone(local_time.now().tzinfo)
    with mock.patch.object(local_time, "now", return_value=now):
        yield


@pytest.fixture(scope="package")
def issued(tiny_city_days: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Forecasts of 27 to 29 March 2024, each issued at 18 o'clock of the day before; not to be changed."""
    root = copy_days(tiny_city_days, tmp_path_factory.mktemp("hub") / "store", str(LAST + timedelta(days=1)))
    on = resources(str(root), cities=CITIES)
    with instance_in_memory(root.parent) as instance:
        for day in local_time.days_between(FIRST, LAST):
            with clock(day, 18):
                made = materialize(
                    "tiny_city",
                    ["live_models", "risk_forecasts"],
                    on,
                    partition_key=str(day),
                    checks=(),
                    instance=instance,
                )
            assert made.success
    return Store(str(root))
