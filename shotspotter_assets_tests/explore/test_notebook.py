"""The notebook as it is stored, and run from its first to its last cell by a real kernel without a browser."""

import json
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from traitlets.config.loader import PyFileConfigLoader

from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.conftest import TEST_CITIES
from shotspotter_assets_tests.explore.conftest import CITY, FOLD

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "explore.ipynb"
WIDGET = "application/vnd.jupyter.widget-view+json"

CHANGED = """
explorer.day_slider.value = "2024-02-10"
print(explorer.city.name, explorer.source_list.value, explorer.forecast_box.children[0].layout.title.text)
"""
EMPTY = 'Explorer.open({"SHOTSPOTTER_STORE": "no_such_store"})'


def test_it_is_stored_without_outputs() -> None:
    notebook = json.loads(NOTEBOOK.read_text())
    for cell in notebook["cells"]:
        ran = cell.get("outputs") or cell.get("execution_count")
        assert not ran, "clear them: .venv/bin/jupyter nbconvert --clear-output --inplace notebooks/explore.ipynb"
        assert len(cell["source"]) <= 6, "cells are short: what is longer belongs into shotspotter_assets/explore"
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"


def test_it_runs_shows_widgets_and_says_in_a_sentence_that_nothing_is_stored(
    monkeypatch: pytest.MonkeyPatch, explored: Store
) -> None:
    monkeypatch.setenv("SHOTSPOTTER_STORE", explored.root)
    monkeypatch.setenv("SHOTSPOTTER_CITIES", str(TEST_CITIES))
    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOK.parents[1]))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    refused = nbformat.v4.new_code_cell(EMPTY, metadata={"tags": ["raises-exception"]})
    notebook.cells += [nbformat.v4.new_code_cell(CHANGED), refused]
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()
    *views, changed, refused = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    assert [[output.output_type for output in outputs] for outputs in views] == [["execute_result"]] * 4
    assert all(WIDGET in outputs[0].data for outputs in views)
    assert changed[0].text == f"{CITY} report of fold {FOLD} 2024-02-10\n"
    [error] = refused
    [sentence] = error.traceback
    assert sentence.startswith(
        f"Nothing to explore is stored in {NOTEBOOK.parents[1] / 'no_such_store'} yet. Run `make"
    )


def test_it_is_served_on_loopback_alone_and_saved_without_outputs() -> None:
    config = PyFileConfigLoader(str(NOTEBOOK.with_name("jupyter_config.py"))).load_config()
    assert config.ServerApp.ip == "127.0.0.1"
    stored = nbformat.read(NOTEBOOK, as_version=4)
    ran = nbformat.from_dict(stored)
    ran.cells[1].update(execution_count=1, outputs=[nbformat.v4.new_output("stream", text="an alert at 38.9, -77.0")])
    assert ran != stored
    config.FileContentsManager.pre_save_hook({"type": "notebook", "content": ran}, path="explore.ipynb")
    assert ran == stored
