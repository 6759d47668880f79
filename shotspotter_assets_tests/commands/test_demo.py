from datetime import date
from pathlib import Path

import numpy as np
import pytest

from shotspotter_assets.__main__ import demo
from shotspotter_assets.automation.stored import Stored
from shotspotter_assets.city_files import load_cities
from shotspotter_assets.commands.demo import DEMONSTRATIONS, is_stored, stages, with_truth
from shotspotter_assets.commands.runs import Launch
from shotspotter_assets.defs.partitions import PARTITION, partitions_of, range_tags
from shotspotter_assets.evaluation.forecasts_table import forecasts_table
from shotspotter_assets.evaluation.score_rows import ScoreTable, all_rows
from shotspotter_assets.grid.cells import cell_numbers, cells_at
from shotspotter_assets.grid.dates import dates_of
from shotspotter_assets.models.forecaster_registry import HISTORICAL_MEAN
from shotspotter_assets.storage.catalogue import ALERTS, FOLD_FORECASTS, Asset
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.conftest import TEST_CITIES


def test_the_command_offers_each_demonstration() -> None:
    [city, _] = demo.params
    assert tuple(city.type.choices) == tuple(DEMONSTRATIONS)
    assert city.default == next(iter(DEMONSTRATIONS))


def test_the_city_of_the_demo_is_washington_dc_without_a_live_source() -> None:
    shown, living = (load_cities()[name] for name in ("washington_dc_2018", "washington_dc"))
    for key in ("box", "grid", "layers", "streets", "patrol"):
        assert getattr(shown, key) == getattr(living, key)
    assert shown.arrivals == {"landed"}
    assert not shown.is_automated
    assert shown.last_test_day(DEMONSTRATIONS[shown.name].fold) == shown.end


def test_the_demo_fills_every_partition_of_its_city() -> None:
    city = load_cities()["washington_dc_2018"]
    shown = DEMONSTRATIONS[city.name]
    issued = [str(day) for day in (shown.first_issue, shown.last_issue)]
    assert partitions_of(city, Asset.FOLD_MODELS).get_partition_keys() == [str(cutoff) for cutoff in shown.folds]
    for asset in (Asset.RISK_FORECASTS, Asset.FORECAST_SCORES):
        assert partitions_of(city, asset).get_partition_keys()[:: (shown.last_issue - shown.first_issue).days] == issued
    launches = [launch for stage in stages(city) for launch in stage]
    assert {asset for launch in launches for asset in launch.assets} == {
        asset for asset in Asset if city.has(asset)
    } - {Asset.SHARED_MODELS}
    years = [launch.tags[PARTITION] for launch in launches if Asset.ANNUAL_REPORTS in launch.assets]
    assert years == partitions_of(city, Asset.ANNUAL_REPORTS).get_partition_keys()


def test_the_demo_leaves_out_days_that_are_stored(tiny_city_days: Path) -> None:
    stored = Stored.read(Store(str(tiny_city_days)).draft(), load_cities(TEST_CITIES)["tiny_city"])
    for last, is_left_out in ((date(2024, 3, 31), True), (date(2024, 4, 1), False)):
        launch = Launch("days", "tiny_city", ALERTS, range_tags(date(2023, 7, 1), last))
        assert is_stored(launch, stored) is is_left_out


def test_the_true_risk_is_scored_beside_the_forecasts(tmp_path: Path) -> None:
    city = load_cities()["simulated_city"]
    store = Store(str(tmp_path))
    fold = DEMONSTRATIONS[city.name].fold
    days = np.datetime64(fold) + np.arange(20)
    row, column = np.indices(city.shape).reshape(2, -1)
    alerts = city.source.open(city.site, None).read(fold, days[-1].item())
    observed = np.zeros((20, row.size), bool)
    places = cells_at(city, *(alerts[name].to_numpy() for name in ("longitude", "latitude")))
    observed[(dates_of(alerts) - days[0]).astype(int), cell_numbers(city, *places)] = True
    table = forecasts_table(days, (row, column), observed, {HISTORICAL_MEAN: np.full(observed.shape, observed.mean())})
    store.write_table(FOLD_FORECASTS, table, city.name, fold)
    scores = with_truth(store, city, fold, ScoreTable(all_rows(table, [])))
    assert scores.models() == ["truth", HISTORICAL_MEAN]
    assert scores.value("gain_nats_per_positive", "truth") > 1
    assert scores.value("predicted_over_observed", "truth") == pytest.approx(1, abs=0.15)
