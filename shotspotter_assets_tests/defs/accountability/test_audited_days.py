"""Days of a fold with plans and outcomes that are written by hand."""

import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shotspotter_assets.accountability.policies import CELL_MEAN, LAST_YEAR, AuditedDays, read_audited_days
from shotspotter_assets.evaluation.forecasts_table import SERVED
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.storage.catalogue import PLAN
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.defs.chain import CITIES

CITY = CITIES["tiny_city"]
LAST = date(2024, 3, 31)
VALUES: dict[str, Any] = {"string": "", "list<string>": [], "double": 0.0, "int16": 0, "int32": 0}


def one_row(table: Any, **values: Any) -> pa.Table:
    filled = {name: VALUES.get(column.kind) for name, column in table.own_columns.items()} | values
    return pa.Table.from_pylist([filled], pa.schema([table.schema.field(name) for name in filled]))


@pytest.fixture
def store(tmp_path: Path, reported_fold: Path) -> Store:
    return Store(shutil.copytree(reported_fold, tmp_path / "store").as_posix())


def audited(store: Store, **changes: Any) -> AuditedDays:
    days = read_audited_days(store, CITY.model_copy(update=changes), LAST)
    assert days is not None
    return days


def test_a_fold_is_read_with_its_alerts_and_the_map_of_the_year_before(store: Store) -> None:
    days = audited(store)
    assert (str(days.days[0]), str(days.days[-1]), len(days.days)) == ("2024-01-01", "2024-03-31", 91)
    assert list(days.probability) == [SERVED, CELL_MEAN, LAST_YEAR]
    history = CityHistory.load(store, CITY, LAST)
    alerts = history.alerts.reshape(len(history.days), -1)[:, days.cells]
    assert (days.alerts == alerts[-91:]).all()
    before = (alerts[:-91] > 0).mean(axis=0)
    assert days.probability[LAST_YEAR][0] == pytest.approx(before, abs=2e-6)
    assert days.unit_hours is None


def test_plans_give_hours_of_units_on_their_days_alone(store: Store) -> None:
    day = date(2024, 2, 10)
    first = audited(store)
    row, column = (int(axis) for axis in np.unravel_index(first.cells[3], CITY.shape))
    plan = one_row(
        PLAN, forecast_date=day, starts_at="2024-02-10T22:00:00-05:00", ends_at="2024-02-11T06:00:00-05:00",
        units=2, row=row, column=column,
    )  # fmt: skip
    store.write_table(PLAN, plan, CITY.name, day - timedelta(days=1))
    hours = audited(store).unit_hours
    assert hours is not None
    assert np.isfinite(hours).all(axis=1).nonzero()[0].tolist() == [40]
    assert hours[40].sum() == hours[40, 3] == 16
