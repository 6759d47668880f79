import json
import shutil
from datetime import date, timedelta
from pathlib import Path
from socket import create_server
from typing import Any, Literal

import ipywidgets as ipw
import nbformat
import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pytest
from click.testing import CliRunner
from nbclient import NotebookClient
from pydantic import BaseModel, Field
from traitlets.config.loader import PyFileConfigLoader

from shotspotter_assets.__main__ import main
from shotspotter_assets.cities.layers import SeriesFactor
from shotspotter_assets.city_files import load_cities
from shotspotter_assets.commands.explore.explorer import FIGURE, Explorer, setting_widget
from shotspotter_assets.commands.explore.figures import alerts_by_type, alerts_map, forecast_beside_observed, scores
from shotspotter_assets.commands.explore.small_fold import train_small_fold
from shotspotter_assets.commands.explore.tables import fold_forecasts, issued_forecasts, stored_alerts
from shotspotter_assets.models.forecaster_registry import BASELINES, NEXT_DAY, NEXT_HOURS
from shotspotter_assets.models.forecaster_settings import Backbone
from shotspotter_assets.models.trained_models import WITHOUT_FACTORS
from shotspotter_assets.storage.errors import MissingPartitionsError
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.conftest import TEST_CITIES
from shotspotter_assets_tests.defs.chain import CITIES, materialize, resources, with_city
from shotspotter_assets_tests.instances import instance_in_memory

CITY = "tiny_city"
FOLD = date(2024, 1, 1)
MODEL = "residual_boosting"
ISSUED = date(2024, 3, 30)  # issue date of the one forecast


@pytest.fixture(scope="module")
def explored(reported_fold: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store of the tiny city with a reported fold and one issued forecast; not to be changed."""
    root = tmp_path_factory.mktemp("explored")
    shutil.copytree(reported_fold, root / "store")
    on = resources(str(root / "store"), cities=with_city(CITY, serves=MODEL))
    with instance_in_memory(root) as instance:
        live = ["live_models", "risk_forecasts"]
        assert materialize(CITY, live, on, checks=(), instance=instance, partition_key=str(ISSUED)).success
    return Store(str(root / "store"))


@pytest.fixture
def explorer(explored: Store) -> Explorer:
    return Explorer(CITY, {"SHOTSPOTTER_STORE": explored.root, "SHOTSPOTTER_CITIES": str(TEST_CITIES)})


def shown(output: ipw.Output) -> list[Any]:
    """Kind and content of each view in an output."""
    return [next(iter(one["data"].items())) for one in output.outputs]


def title(output: ipw.Output) -> str:
    kind, figure = shown(output)[-1]
    assert kind == FIGURE, figure
    return figure["layout"]["title"]["text"]


def test_choices_are_those_of_the_city_and_redraw_its_views(explorer: Explorer) -> None:
    assert explorer.city.options == (CITY,)
    days = date(2023, 7, 1), date(2024, 3, 31), date(2024, 3, 4)
    assert (explorer.day.min, explorer.day.max, explorer.day.value) == days
    assert explorer.model.options == NEXT_DAY
    assert "No reported fold" not in str(shown(explorer.forecast))
    explorer.model.value = MODEL
    before = title(explorer.forecast)
    explorer.day.value = date(2024, 2, 10)
    assert (before, title(explorer.forecast)) == ("2024-03-04", "2024-02-10")
    explorer.horizon.value = 4
    assert explorer.model.options == NEXT_HOURS
    assert title(explorer.forecast) == "2024-02-10 20:00 to 00:00"
    explorer.hour.value = 9
    assert title(explorer.forecast) == "2024-02-10 08:00 to 12:00"


def test_another_target_is_drawn_and_trained(explorer: Explorer) -> None:
    explorer.model.value = "historical_mean"
    explorer.days.value = 120
    every = shown(explorer.alerts)[0][1]["data"]
    explorer.target.value = "single gunshot", ("single gunshot",)
    assert {trace["name"] for trace in every} > {"single gunshot"}
    assert [trace["name"] for trace in shown(explorer.alerts)[0][1]["data"]] == ["single gunshot"]
    assert "train a small fold for another target" in shown(explorer.forecast)[0][1]
    explorer.train()
    table, figure = shown(explorer.trained)
    assert all(name in table[1] for name in BASELINES)
    assert figure[0] == FIGURE


def test_settings_of_the_model_are_widgets_and_reach_the_fold(explorer: Explorer) -> None:
    explorer.model.value = "residual_boosting"
    explorer.days.value = 120
    widgets = {one.description: one for one in explorer.settings.children}
    assert explorer.changes() == {}
    widgets["max_trees"].value = 15
    assert explorer.changes() == {"max_trees": 15}
    explorer.train()
    [(kind, text)] = shown(explorer.trained)
    assert (kind, "residual_boosting: max_trees: Input should be a multiple of 10" in text) == ("text/plain", True)
    explorer.model.value = "stack"
    explorer.settings.children[0].value = "[ewma, ew_kde]"
    assert explorer.changes() == {"members": ["ewma", "ew_kde"]}


@pytest.mark.slow
@pytest.mark.parametrize(("model", "days"), [("conv_lstm", 2), ("network", 16)])
def test_networks_are_trained_on_another_number_of_days(explorer: Explorer, model: str, days: int) -> None:
    explorer.model.value = model
    explorer.days.value = 120
    widgets = {one.description: one for one in explorer.settings.children}
    small = {"days": days, "recurrent_layers": 1, "epochs": 1, "filters": 1, "networks": 1}
    for name, value in small.items():
        widgets[name].value = value
    explorer.train()
    [(_, table), (kind, _)] = shown(explorer.trained)
    assert (model in table, kind) == (True, FIGURE)


def test_hours_are_trained(explorer: Explorer) -> None:
    explorer.horizon.value = 4
    explorer.days.value = 120
    explorer.train()
    assert "climatology" in shown(explorer.trained)[0][1]
    assert title(explorer.trained) == "2024-03-04 20:00 to 00:00"


def test_widgets_follow_the_types_of_settings() -> None:
    class Made(BaseModel):
        on: bool = True
        number: int = 3
        rate: float = Field(0.5, description="A rate.")
        start: Literal["nothing", "regression"] = "nothing"
        backbone: Backbone = Backbone.conv_lstm
        names: list[str] = ["a"]
        limit: int | None = None

    widgets = [setting_widget(name, field, field.default) for name, field in Made.model_fields.items()]
    numbers = [ipw.Checkbox, ipw.IntText, ipw.FloatText]
    assert [type(one) for one in widgets] == [*numbers, *[ipw.Dropdown] * 2, *[ipw.Text] * 2]
    assert [json.loads(one.value) for one in widgets[-2:]] == [["a"], None]
    assert widgets[3].options == ("nothing", "regression")
    assert (widgets[4].value, widgets[4].options) == ("conv_lstm", tuple(Backbone))
    assert widgets[2].tooltip == "A rate."


NOTEBOOK = Path(__file__).parents[3] / "notebooks" / "explore.ipynb"


def test_it_is_stored_without_outputs() -> None:
    notebook = json.loads(NOTEBOOK.read_text())
    for cell in notebook["cells"]:
        ran = cell.get("outputs") or cell.get("execution_count")
        assert not ran, "clear them: .venv/bin/jupyter nbconvert --clear-output --inplace notebooks/explore.ipynb"
        assert len(cell["source"]) <= 6, "cells are short: what is longer belongs into shotspotter_assets/explore"
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"


@pytest.mark.slow
def test_it_runs_and_shows_widgets_figures_and_scores(monkeypatch: pytest.MonkeyPatch, explored: Store) -> None:
    monkeypatch.setenv("SHOTSPOTTER_STORE", explored.root)
    monkeypatch.setenv("SHOTSPOTTER_CITIES", str(TEST_CITIES))
    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOK.parents[1]))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        cell.source = cell.source.replace("washington_dc_2018", CITY).replace(
            "explorer.train", f"explorer.model.value, explorer.days.value = '{MODEL}', 120\nexplorer.train"
        )
    client = NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(NOTEBOOK.parent)}})
    client.execute()
    shown = [cell.outputs[-1].data for cell in notebook.cells if cell.cell_type == "code"]
    assert all("application/vnd.jupyter.widget-view+json" in data for data in shown)
    outputs = [state["outputs"] for state in client.widget_state.values() if state["_model_name"] == "OutputModel"]
    kinds = [[next(iter(one["data"])) for one in of_output] for of_output in outputs]
    assert kinds == [[FIGURE, FIGURE], ["text/html", FIGURE], ["text/html", FIGURE]]


def test_an_empty_store_is_explained(tmp_path: Path) -> None:
    environ = {"SHOTSPOTTER_STORE": str(tmp_path), "SHOTSPOTTER_CITIES": str(TEST_CITIES)}
    with pytest.raises(ValueError, match=r"tiny_city.*`make demo`"):
        Explorer(CITY, environ)


def test_it_is_served_on_loopback_alone_and_saved_without_outputs() -> None:
    config = PyFileConfigLoader(str(NOTEBOOK.with_name("jupyter_config.py"))).load_config()
    assert config.ServerApp.ip == "127.0.0.1"
    stored = nbformat.read(NOTEBOOK, as_version=4)
    ran = nbformat.from_dict(stored)
    ran.cells[1].update(execution_count=1, outputs=[nbformat.v4.new_output("stream", text="an alert at 38.9, -77.0")])
    assert ran != stored
    config.FileContentsManager.pre_save_hook({"type": "notebook", "content": ran}, path="explore.ipynb")
    assert ran == stored


TINY = CITIES[CITY]


def test_on_all_days_it_forecasts_what_the_stored_report_has(explored: Store) -> None:
    _, _, table = train_small_fold(explored, TINY, FOLD, None, None, model=MODEL)
    stored = fold_forecasts(explored, TINY, FOLD)
    assert len(table) == len(stored)
    for name in (MODEL, *BASELINES):
        np.testing.assert_allclose(table[name].to_numpy(), stored[name].to_numpy(), rtol=1e-9)
    assert scores(table).index[-1] == "never"


def test_only_a_fold_of_a_city_with_factors_has_a_row_without_them(explored: Store, tmp_path: Path) -> None:
    days = [date(2023, 7, 1) + timedelta(days=number) for number in range(274)]
    heat = np.random.default_rng(0).normal(size=len(days))
    (tmp_path / "heat.csv").write_text(
        "\n".join(["date,heat", *(f"{day},{value}" for day, value in zip(days, heat, strict=True))])
    )
    factor = {"kind": "series", "path": tmp_path / "heat.csv", "column": "heat", "known_from": date(2023, 6, 30)}
    with_heat = TINY.model_copy(update={"factors": {"heat": SeriesFactor.model_validate(factor)}})
    _, scores, plain = train_small_fold(explored, TINY, FOLD, 120, 14, model=MODEL)
    _, with_factors, table = train_small_fold(explored, with_heat, FOLD, 120, 14, model=MODEL)
    assert WITHOUT_FACTORS not in scores.models()
    assert WITHOUT_FACTORS in with_factors.models()
    np.testing.assert_allclose(table[WITHOUT_FACTORS], plain[MODEL])
    assert not np.allclose(table[MODEL], plain[MODEL])


def test_impossible_folds_are_refused(explored: Store) -> None:
    with pytest.raises(ValueError, match="max_trees"):
        train_small_fold(explored, TINY, FOLD, model="residual_boosting", changes={"max_trees": 15})
    with pytest.raises(MissingPartitionsError, match="2024-04-01"):
        train_small_fold(explored, TINY, date(2024, 3, 30), model=MODEL, days=120, test_days=14)
    with pytest.raises(ValueError, match=r"\d+ days"):
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
    assert f"serves            {MODEL}, models of 30 March 2024" in run("status", CITY)
    shutil.copytree(explored.root, tmp_path / "store")
    (record,) = (tmp_path / "store" / "live_models" / f"city={CITY}").rglob("record.json")
    record.write_text(record.read_text().replace('"served"', '"serving"'))
    environ["SHOTSPOTTER_STORE"] = str(tmp_path / "store")
    reason = f"{record} cannot be used (served: Field required). Rebuild it: materialize live_models for {CITY} {ISSUED} again."
    assert run("status", CITY).split() == [CITY, "unreadable", *reason.split()]


def test_figures_show_the_stored_alerts_and_forecasts(explored: Store) -> None:
    day = date(2024, 2, 10)
    alerts = stored_alerts(explored, TINY)
    table = fold_forecasts(explored, TINY, day)
    assert sum(len(trace.x) for trace in alerts_map(TINY, alerts).data) == len(alerts) > 0
    by_type = alerts_by_type(TINY, alerts)
    assert sum(trace.z.sum() for trace in by_type.data) == len(alerts)
    forecast, observed = forecast_beside_observed(TINY, table, MODEL, day, alerts).data
    rows = table.filter(pc.field("date") == day)
    shown = np.array(forecast.z, dtype=float)
    np.testing.assert_allclose(shown[rows["row"], rows["column"]], 100 * rows[MODEL].to_numpy())
    assert np.isfinite(shown).sum() == len(rows)
    assert len(observed.x) == (alerts["wall"].dt.date == day).sum()


def test_alerts_are_drawn_on_tiles_that_only_the_browser_fetches(explored: Store) -> None:
    alerts = stored_alerts(explored, TINY)
    with create_server(("127.0.0.1", 0)) as server:
        tiles = f"http://127.0.0.1:{server.getsockname()[1]}/{{z}}/{{x}}/{{y}}.png"
        drawn = alerts_map(TINY, alerts, tiles)
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert sum(len(trace.lat) for trace in drawn.data) == len(alerts)
    assert drawn.layout.map.layers[0].source == (tiles,)
    pixels_by_degree = 512 * 2**drawn.layout.map.zoom / 360
    assert 0.05 * pixels_by_degree / np.cos(np.radians(38.905)) == pytest.approx(drawn.layout.height, rel=1e-3)
    with pytest.raises(ValueError, match=r"\{z\}.*\{x\}.*\{y\}"):
        alerts_map(TINY, alerts, "https://tile.example.org/map.png")


def test_without_tiles_alerts_lie_on_the_streets_and_districts_of_the_city() -> None:
    city = load_cities()["simulated_city"]
    alerts = pd.DataFrame({"longitude": [-77.0], "latitude": [38.9], "type": ["single gunshot"], "wall": ["20:00"]})
    streets, districts, points = alerts_map(city, alerts).data
    assert (streets.name, districts.name, points.name) == ("streets", "districts", "single gunshot")
    for lines in (streets, districts):
        assert np.isnan(lines.x).any()  # gaps between lines
        assert city.box.west - 0.01 < np.nanmin(lines.x) < np.nanmax(lines.x) < city.box.east + 0.01


def test_issued_forecasts_stand_beside_their_alerts(explored: Store) -> None:
    table = issued_forecasts(explored, TINY)
    assert set(table["date"].to_pylist()) == {ISSUED + timedelta(days=1)}
    assert "served" in scores(table).index
