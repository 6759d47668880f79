import shutil
from datetime import date, timedelta
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from threading import Thread

import numpy as np
import pyarrow.compute as pc
import pytest
from click.testing import CliRunner

from shotspotter_assets.__main__ import main
from shotspotter_assets.explore.figures import alerts_by_type, alerts_map, forecast_beside_observed, scores
from shotspotter_assets.explore.small_fold import train_small_fold
from shotspotter_assets.explore.tables import fold_forecasts, issued_forecasts, stored_alerts
from shotspotter_assets.models.forecaster_registry import BASELINES
from shotspotter_assets.storage.errors import MissingPartitionsError
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.conftest import TEST_CITIES
from shotspotter_assets_tests.defs.chain import CITIES
from shotspotter_assets_tests.explore.conftest import CITY, FOLD, ISSUED, MODEL

TINY = CITIES[CITY]


def test_on_all_days_it_forecasts_what_the_stored_report_has(explored: Store) -> None:
    _, _, table = train_small_fold(explored, TINY, FOLD, None, None, model=MODEL)
    stored = fold_forecasts(explored, TINY, FOLD)
    assert len(table) == len(stored)
    for name in (MODEL, *BASELINES):
        np.testing.assert_allclose(table[name].to_numpy(), stored[name].to_numpy(), rtol=1e-9)
    assert scores(table).index[-1] == "never"


def test_impossible_folds_are_refused(explored: Store) -> None:
    with pytest.raises(ValueError, match="max_trees"):
        train_small_fold(explored, TINY, FOLD, model="residual_boosting", max_trees=15)
    with pytest.raises(MissingPartitionsError, match="2024-04-01"):
        train_small_fold(explored, TINY, date(2024, 3, 30), model=MODEL, days=120, test_days=14)
    with pytest.raises(ValueError, match="days before the cutoff"):
        train_small_fold(explored, TINY, FOLD, model=MODEL, days=1, test_days=14)


def test_the_commands_print_the_scores_of_a_fold_and_what_serves(explored: Store, tmp_path: Path) -> None:
    environ = {"SHOTSPOTTER_STORE": explored.root, "SHOTSPOTTER_CITIES": str(TEST_CITIES)}
    environ["DAGSTER_HOME"] = str(tmp_path)

    def run(*command: str) -> str:
        ran = CliRunner().invoke(main, command, env=environ)
        assert ran.exit_code == 0, ran.output
        return ran.output

    table = run("fold", CITY, str(FOLD), "--days", "120", "--model", MODEL)
    assert {MODEL, *BASELINES} <= {line.split()[0] for line in table.splitlines() if line}
    assert "Fold 2024-01-01: 28 test days" in table
    assert f"serves            {MODEL} since {ISSUED}" in run("status", CITY)
    shutil.copytree(explored.root, tmp_path / "store")
    (record,) = (tmp_path / "store" / "live_models" / f"city={CITY}").rglob("record.json")
    record.write_text(record.read_text().replace('"served"', '"serving"'))
    environ["SHOTSPOTTER_STORE"] = str(tmp_path / "store")
    reason = f"{record} cannot be used (served: Field required). Rebuild it: materialize live_models for {CITY} {ISSUED} again."
    assert run("status", CITY).split() == [CITY, "unreadable", *reason.split()]


def test_figures_show_the_stored_alerts_and_forecasts(explored: Store) -> None:
    day = date(2024, 2, 10)
    alerts, table = stored_alerts(explored, TINY), fold_forecasts(explored, TINY, day)
    assert sum(len(trace.x) for trace in alerts_map(TINY, alerts).data) == len(alerts) > 0
    by_type = alerts_by_type(TINY, alerts)
    assert sum(trace.z.sum() for trace in by_type.data) == len(alerts)
    forecast, observed = forecast_beside_observed(TINY, table, MODEL, day, alerts).data
    rows = table.filter(pc.field("date") == day)
    shown = np.array(forecast.z, dtype=float)
    np.testing.assert_allclose(shown[rows["row"], rows["column"]], 100 * rows[MODEL].to_numpy())
    assert np.isfinite(shown).sum() == len(rows)
    assert len(observed.x) == (alerts["wall"].dt.date == day).sum()


def test_alerts_are_drawn_on_the_tiles_of_a_reachable_server(explored: Store) -> None:
    alerts = stored_alerts(explored, TINY)
    with HTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as server:
        tiles = f"http://127.0.0.1:{server.server_port}/{{z}}/{{x}}/{{y}}.png"
        Thread(target=server.handle_request).start()
        drawn = alerts_map(TINY, alerts, tiles)
    assert sum(len(trace.lat) for trace in drawn.data) == len(alerts)
    assert drawn.layout.map.layers[0].source == (tiles,)
    pixels_by_degree = 512 * 2**drawn.layout.map.zoom / 360
    assert 0.05 * pixels_by_degree / np.cos(np.radians(38.905)) == pytest.approx(drawn.layout.height, rel=1e-3)
    plain = alerts_map(TINY, alerts, tiles)
    assert plain == alerts_map(TINY, alerts)
    with pytest.raises(ValueError, match=r"must be an address with \{z\}, \{x\} and \{y\}"):
        alerts_map(TINY, alerts, "https://tile.example.org/map.png")


def test_issued_forecasts_stand_beside_their_alerts(explored: Store) -> None:
    table = issued_forecasts(explored, TINY)
    assert set(table["date"].to_pylist()) == {ISSUED + timedelta(days=1)}
    assert "served" in scores(table).index
