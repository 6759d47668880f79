from pathlib import Path

import pandas as pd

from benchmarks.simulated_outcomes import FILE, FIRST, LAST, calls
from shotspotter_assets.accountability.alert_outcomes import outcome_summary
from shotspotter_assets.city_files import load_cities
from shotspotter_assets.storage.catalogue import ALERTS
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.defs.chain import materialize, resources

CITY = "simulated_city"


def test_the_packaged_calls_are_those_that_the_command_writes(tmp_path: Path) -> None:
    calls().to_parquet(tmp_path / "calls.parquet", index=False)
    pd.testing.assert_frame_equal(pd.read_parquet(FILE), pd.read_parquet(tmp_path / "calls.parquet"))


def test_most_simulated_alerts_have_their_own_call(tmp_path: Path) -> None:
    on = resources(str(tmp_path), cities={CITY: load_cities()[CITY]})
    for assets in (ALERTS, ("alert_outcomes",)):
        assert materialize(CITY, assets, on, days=("2025-04-01", "2025-04-10")).success
    month = outcome_summary(Store(str(tmp_path)), on.settings.cities[CITY], FIRST, LAST)
    assert 0.85 < month.alerts_with_report / month.alerts < 0.95
    assert month.unmatched <= 0.02 * month.alerts
    assert 0.7 < month.alerts_by_outcome["unconfirmed"] / month.alerts_with_report < 0.85
    assert month.sensors.to_dispatch is not None
    assert 2 < month.sensors.to_dispatch.median < 4
    assert month.persons.number > 40
