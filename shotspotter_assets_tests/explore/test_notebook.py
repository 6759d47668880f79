import json
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from traitlets.config.loader import PyFileConfigLoader

from shotspotter_assets.explore.explorer import FIGURE, Explorer
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.conftest import TEST_CITIES
from shotspotter_assets_tests.explore.conftest import CITY, MODEL

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "explore.ipynb"


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
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(NOTEBOOK.parent)}})
    client.execute()
    shown = [cell.outputs[-1].data for cell in notebook.cells if cell.cell_type == "code"]
    assert all("application/vnd.jupyter.widget-view+json" in data for data in shown)
    outputs = [state["outputs"] for state in client.widget_state.values() if state["_model_name"] == "OutputModel"]
    kinds = [[next(iter(one["data"])) for one in of_output] for of_output in outputs]
    assert kinds == [[FIGURE, FIGURE], ["text/html", FIGURE], ["text/html", FIGURE]]


def test_an_empty_store_is_explained(tmp_path: Path) -> None:
    environ = {"SHOTSPOTTER_STORE": str(tmp_path), "SHOTSPOTTER_CITIES": str(TEST_CITIES)}
    with pytest.raises(ValueError, match=r"No day of tiny_city is stored in .* Run `make demo`"):
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
