import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from shotspotter_assets.__main__ import demo
from shotspotter_assets.calendar.dates import dates_of
from shotspotter_assets.city_files import load_cities
from shotspotter_assets.demo import DEMONSTRATIONS, with_truth
from shotspotter_assets.evaluation.forecasts_table import forecasts_table
from shotspotter_assets.evaluation.score_rows import ScoreTable, all_rows
from shotspotter_assets.geometry.cells import cell_numbers, cells_at
from shotspotter_assets.models.forecaster_registry import HISTORICAL_MEAN
from shotspotter_assets.settings import CHECKOUT
from shotspotter_assets.storage.catalogue import FOLD_FORECASTS
from shotspotter_assets.storage.store import Store


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


def test_the_true_risk_is_scored_beside_the_forecasts(tmp_path: Path) -> None:
    city = load_cities()["simulated_city"]
    store = Store(str(tmp_path))
    fold = DEMONSTRATIONS[city.name].fold
    days = np.datetime64(fold) + np.arange(20)
    row, column = np.indices(city.shape).reshape(2, -1)
    alerts = city.source.open(city, None).read(fold, days[-1].item())
    observed = np.zeros((20, row.size), bool)
    places = cells_at(city, *(alerts[name].to_numpy() for name in ("longitude", "latitude")))
    observed[(dates_of(alerts) - days[0]).astype(int), cell_numbers(city, *places)] = True
    table = forecasts_table(days, (row, column), observed, {HISTORICAL_MEAN: np.full(observed.shape, observed.mean())})
    store.write_table(FOLD_FORECASTS, table, city.name, fold)
    scores = with_truth(store, city, fold, ScoreTable(all_rows(table, [])))
    assert scores.models() == ["truth", HISTORICAL_MEAN]
    assert scores.value("gain_nats_per_positive", "truth") > 1
    assert scores.value("predicted_over_observed", "truth") == pytest.approx(1, abs=0.15)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_demo_runs_on_a_fresh_instance(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text((CHECKOUT / ".dagster_home" / "dagster.yaml").read_text())
    environ = os.environ | {"DAGSTER_HOME": str(home), "SHOTSPOTTER_STORE": str(tmp_path / "store")}
    done = subprocess.run(
        [sys.executable, "-m", "shotspotter_assets", "demo"], capture_output=True, text=True, check=False, cwd=CHECKOUT,
        env=environ,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    for shown in (
        "Fold 2018-10-01: 92 test days",
        "conv_lstm",
        "Saturday, 15 December 2018 by",
        "patrol units by shift",
        "Nowcast from 2018-12-15 22:30",
        "  15m ",
        "  4h ",
    ):
        assert shown in done.stdout
    likeliest = done.stdout.partition("80% interval)\n")[2].splitlines()[0]
    assert "near " in likeliest
    assert "District" in likeliest
    [pages] = [line for line in done.stdout.splitlines() if line.startswith("The pages for analysts")]
    overview = Path(pages.partition(": ")[2])
    assert overview.is_file()
    assert "2018-12-15 22:30" in (overview.parents[1] / "city=washington_dc_2018" / "last_hours.html").read_text()
