"""A landed log of patrols becomes the day's patrols made, and its check says what is not reported."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np

from shotspotter_assets.accountability.patrols_made import PatrolsRecord
from shotspotter_assets.accountability.visit_effects import visit_effects
from shotspotter_assets.city_files import CityFile
from shotspotter_assets.forecasts.patrol.dispatch import PlanRecord, dispatch_table, lots_table, write_plan
from shotspotter_assets.forecasts.patrol.plan import plan_day
from shotspotter_assets.forecasts.patrol.shifts import ShiftForecasts
from shotspotter_assets.storage.catalogue import PATROLS_MADE
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.defs.chain import materialize, resources
from shotspotter_assets_tests.forecasts.patrol.cities import patrol_city
from shotspotter_assets_tests.instances import instance_in_memory

DAY = date(2024, 5, 1)
PATROLS = {
    "source": {"kind": "landing", "settle_seconds": 0, "columns": {"time": "from", "longitude": None, "latitude": None}},
    "columns": {"unit": "unit", "until": "to", "cell": "cell"},
}  # fmt: skip


def test_a_landed_log_is_stored_by_day_and_read_by_the_effect_of_visits(tmp_path: Path) -> None:
    described = patrol_city(4, 4, (2, 2), lottery=1.0).model_dump() | {"patrols": PATROLS, "automation": "manual"}
    city = CityFile.model_validate(described)
    store = Store(str(tmp_path / "store"))
    expected = np.random.default_rng(0).gamma(0.5, 0.2, (2, 4, 4))
    covered = np.ones((4, 4), bool)
    forecasts = ShiftForecasts(expected, 1 - np.exp(-expected), covered)
    areas = np.full((4, 4), "a")
    plan = plan_day(city, DAY, expected, covered, areas=areas)
    table = dispatch_table(plan, city, forecasts, areas=areas)
    record = PlanRecord(city=city.name, issue_date=DAY - timedelta(days=1), forecast_date=DAY)
    write_plan(store, record, table, lots_table(plan, city, forecasts, areas))
    landing = tmp_path / "landing" / "squareville_patrols"
    landing.mkdir(parents=True)
    cell = table["cell"][0].as_py()
    log = f"unit,from,to,cell\nA,2024-05-01T06:00Z,2024-05-01T12:00Z,{cell}\nA,2024-05-01T13:00Z,2024-05-01T12:30Z,{cell}\n"
    (landing / "log.csv").write_text(log)
    on = resources(str(tmp_path / "store"), str(tmp_path / "landing"), {city.name: city})
    with instance_in_memory(tmp_path) as instance:
        run = materialize(city.name, ["patrols_made"], on, instance=instance, partition_key=str(DAY))
    assert run.success
    stored = PatrolsRecord.load(store, city.name, DAY)
    assert (stored.carried_out_hours, stored.problem_count) == (6.0, 1)
    assert "log.csv, row 3" in stored.problems[0]
    made = store.read_table(PATROLS_MADE, city.name, DAY).to_pylist()
    assert {row["made_hours"] for row in made if row["shift"] == "shift 1"} == {None}
    (check,) = run.get_asset_check_evaluations()
    assert not check.passed
    assert "left out: 1" in str(check.description)
    assert visit_effects(store, city, DAY, DAY).reported_shifts == 0, "alerts of the day are not known"
