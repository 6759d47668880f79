import json
import shutil
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest

from shotspotter_assets.alerts.days.day_table import Day, DayTable
from shotspotter_assets.alerts.sources.source_kinds import SimulatedSettings
from shotspotter_assets.cities.local_time import days_between
from shotspotter_assets.forecasts.issued_forecasts import lead_of, load_record
from shotspotter_assets.forecasts.issued_scores import ScoreRecord
from shotspotter_assets.forecasts.serving_record import ServingRecord
from shotspotter_assets.storage.catalogue import ALERTS, DAYS, FORECAST, PLAN, PLAN_RECORD, TENSORS
from shotspotter_assets.storage.lineage import Origin, read_lineage, record_lineage
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.defs.chain import CITIES, resources, run_days, with_city
from shotspotter_assets_tests.defs.daily.test_live_chain import CITY, Chain, at_horizon, metadata_of
from shotspotter_assets_tests.instances import instance_in_memory

FIRST = date(2023, 7, 1)
DAY = date(2023, 12, 10)
NEXT = DAY + timedelta(days=1)
ALERTS_PER_DAY = 20.0
SIMULATED = SimulatedSettings(kind="simulated", seed=3, alerts_per_day=ALERTS_PER_DAY)
SOURCE = CITIES["landing_city"].source


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("twenty_a_day") / "store"
    with instance_in_memory(root.parent) as instance:
        cities = with_city(CITY, source=SIMULATED)
        assert run_days(CITY, str(FIRST), str(DAY), resources(str(root), cities=cities), instance).success
    # Days without recorded settings fit any source.
    store = Store(str(root))
    for asset in ALERTS:
        origins = {
            date.fromisoformat(day): Origin(made_from)
            for day, (made_from, _) in read_lineage(store, asset, CITY).items()
        }
        record_lineage(store, asset, CITY, origins)
    return root


@pytest.fixture
def late(days: Path, tmp_path: Path, instance: dg.DagsterInstance) -> Callable[..., Chain]:
    """The live chain where the last days to an issue date are stored without an alert."""

    def make(days_late: int, **changes: Any) -> Chain:
        root = tmp_path / f"late_{days_late}"
        shutil.copytree(days, root)
        chain = Chain(root, instance, source=SOURCE, **changes)
        silence(chain, DAY - timedelta(days=days_late - 1), DAY)
        return chain

    return make


def silence(chain: Chain, first: date, last: date) -> None:
    stored = chain.store.read_table(TENSORS, CITY, DAY - timedelta(days=40))
    days = days_between(first, last)
    chain.store.write_tables(TENSORS, {day: stored.slice(0, 0) for day in days}, CITY)
    unknown = Day("unknown", "not published", 0, 0, "", None, {})
    DayTable.update(chain.store, CITY, dict.fromkeys(days, unknown))
    record_lineage(chain.store, "grid_tensors", CITY, dict.fromkeys(days, Origin("silent")))


def test_a_source_two_days_late_has_a_usual_forecast_with_its_lead(late: Callable[..., Chain]) -> None:
    widths = {}
    for days_late in (0, 2):
        chain = late(days_late)
        result = chain.run(DAY)
        record = load_record(chain.store, CITY, DAY)
        known = DAY - timedelta(days=days_late)
        assert (record.forecast_date, record.lead, record.last_known) == (NEXT, days_late + 1, known)
        assert 0.7 * ALERTS_PER_DAY < record.expected_alerts < 1.3 * ALERTS_PER_DAY
        serving = ServingRecord.load(chain.store, CITY, DAY)
        assert (serving.lead, serving.last_known) == (record.lead, record.last_known)
        assert serving.validation[1] == record.last_known
        shown = metadata_of(result)["risk_forecasts"]
        assert (shown["lead"], shown["from"]) == (record.lead, record.data)
        assert next(iter(shown)) == "forecast_date"
        forecast = chain.forecast(DAY)
        assert lead_of(forecast) == record.lead
        assert set(forecast["horizon"].to_pylist()) == {"day", "1h", "2h", "4h"}
        assert ("days after 2023-12-08 are not known" in record.hours) == bool(days_late)
        widths[days_late] = serving.weekly_offset[1] - serving.weekly_offset[0]
        assert chain.read(PLAN, DAY)["units"].to_numpy().sum() == 4
        scores = ScoreRecord.load(chain.store, CITY, DAY)
        assert ("not known yet" in (scores.note or "")) == bool(days_late)
    assert widths[2] >= 0.9 * widths[0]


def test_beyond_the_longest_lead_each_asset_has_the_reason(late: Callable[..., Chain]) -> None:
    issued_on = DAY - timedelta(days=20)
    chain = late(0)
    chain.run(issued_on, ["live_models", "risk_forecasts"])
    silence(chain, issued_on + timedelta(days=1), DAY)
    result = chain.run(DAY)
    why = (
        f"No forecast is issued. The last known day is {issued_on}, 21 days before {NEXT}, and publication.longest_lead of "
        "tiny_city is 14."
    )
    record = load_record(chain.store, CITY, DAY)
    assert (record.no_forecast, record.lead, record.last_issued) == (why, 21, issued_on)
    shown = metadata_of(result)["risk_forecasts"]
    assert shown["no_forecast"] == why
    assert not chain.store.exists(FORECAST, CITY, DAY)
    assert chain.store.read_table(PLAN, CITY, DAY).num_rows == 0
    plan = json.loads(chain.store.read_bytes(PLAN_RECORD, CITY, DAY))
    assert plan["note"] == f"No plan, because there is no forecast. {why}"
    serving = ServingRecord.load(chain.store, CITY, DAY)
    assert (serving.trained, serving.models_from, serving.last_known) == (False, issued_on, issued_on)
    assert serving.reasons[0].startswith("Not retrained because no forecast is issued.")
    note = ScoreRecord.load(chain.store, CITY, DAY).note
    assert note == f"Alerts of {DAY} are not known yet: the last known day is {issued_on}."
    # A city whose file allows it gets one.
    longer = chain.cities[CITY].publication.model_copy(update={"longest_lead": 21})
    chain.change_city(source=SOURCE, publication=longer)
    chain.run(DAY, ["live_models", "risk_forecasts"])
    record = load_record(chain.store, CITY, DAY)
    assert record.lead == 21
    assert 0.7 * ALERTS_PER_DAY < record.expected_alerts < 1.3 * ALERTS_PER_DAY


def test_models_are_fitted_for_the_new_lead_when_rows_arrive(late: Callable[..., Chain], days: Path) -> None:
    chain = late(3)
    before = DAY - timedelta(days=1)
    chain.run(before, ["live_models", "risk_forecasts"])
    assert ServingRecord.load(chain.store, CITY, before).lead == 3
    for day in (DAY - timedelta(days=2), before, DAY):
        folder = f"grid_tensors/city={CITY}/date={day}"
        shutil.copytree(days / folder, chain.root / folder, dirs_exist_ok=True)
    for file in (f"raw_alerts/city={CITY}/{DAYS.file}", f"grid_tensors/city={CITY}/_lineage.json"):
        shutil.copy2(days / file, chain.root / file)
    # The models of the day before were fitted for three days ahead, so its forecast rebuilt is the same.
    issued = at_horizon(chain.forecast(before), "day")
    chain.run(before, ["risk_forecasts"])
    np.testing.assert_array_equal(at_horizon(chain.forecast(before), "day")["probability"], issued["probability"])
    chain.run(DAY)
    serving = ServingRecord.load(chain.store, CITY, DAY)
    assert (serving.trained, serving.lead, serving.models_from) == (True, 1, DAY)
    assert serving.reasons[0] == "Retrained for a lead of 1 day because the live models were fitted for 3."
    scores = ScoreRecord.load(chain.store, CITY, DAY)
    assert (scores.lead, scores.note) == (3, None)
    assert scores.scores is not None
