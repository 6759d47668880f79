"""The notebook in JupyterLab, in a real Chromium: a choice is changed and the figures change."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.conftest import TEST_CITIES
from shotspotter_assets_tests.explore.conftest import FOLD
from shotspotter_assets_tests.explore.test_notebook import NOTEBOOK
from shotspotter_assets_tests.pages.browser import Seen, open_browser

TOKEN = "of-a-test"
PLOTS = "document.querySelectorAll('.js-plotly-plot')"
POINTS = f"({PLOTS}[0]?.data ?? []).map((trace) => trace.x.length).reduce((sum, more) => sum + more, 0)"
FORECAST_DAY = f"{PLOTS}[1]?._fullLayout?.title?.text"


@contextmanager
def jupyter_lab(folder: Path, store: str) -> Iterator[str]:
    """JupyterLab as `make notebook` starts it, on a copy of the notebook; gives the notebook's address."""
    shutil.copy(NOTEBOOK, folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {name: str(folder / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")}
    environ = {
        "SHOTSPOTTER_STORE": store,
        "SHOTSPOTTER_CITIES": str(TEST_CITIES),
        "PYTHONPATH": str(NOTEBOOK.parents[1]),
    }
    options = [f"--ServerApp.port={port}", f"--IdentityProvider.token={TOKEN}", "--no-browser", "--allow-root"]
    config = f"--config={NOTEBOOK.with_name('jupyter_config.py')}"
    command = [sys.executable, "-m", "jupyterlab", config, *options, f"--ServerApp.root_dir={folder}"]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, env={**os.environ, **own, **environ}, stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}/lab/tree/{NOTEBOOK.name}?token={TOKEN}"
    finally:
        server.terminate()
        server.wait(30)


def open_notebook(page: Any, address: str) -> None:
    """Wait for the server and its page."""
    for _ in range(120):
        try:
            page.goto(address)
            break
        except Exception:
            page.wait_for_timeout(500)
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=120_000)
    page.get_by_text("| Idle").wait_for(timeout=120_000)


@pytest.mark.slow
def test_a_choice_is_changed_and_the_figures_change(explored: Store, tmp_path: Path) -> None:
    seen = Seen()
    with jupyter_lab(tmp_path, explored.root) as address, open_browser() as browser:
        page = browser.new_page(viewport={"width": 1400, "height": 3000})
        seen.watch(page)
        open_notebook(page, address)
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        page.wait_for_function(f"{POINTS} > 0 && {FORECAST_DAY}", timeout=120_000)
        points = page.evaluate(POINTS)
        page.get_by_label("Target").select_option("multiple gunshots")
        page.wait_for_function(f"{POINTS} > 0 && {POINTS} < {points}")
        page.get_by_label("Target").select_option("all gunshot alerts")
        page.wait_for_function(f"{FORECAST_DAY} == '{FOLD}'")
        before = page.locator(".js-plotly-plot").nth(1).screenshot()
        page.locator(".widget-slider", has_text="Day").locator(".noUi-handle").press("ArrowRight")
        page.wait_for_function(f"{FORECAST_DAY} == '2024-01-02'")
        assert page.locator(".js-plotly-plot").nth(1).screenshot() != before
        assert page.get_by_role("dialog").count() == 0, "it asks for no build"
        assert page.get_by_text("Jupyter news").count() == 0
        page.keyboard.press("Control+s")
        page.wait_for_function("!document.querySelector('.jp-mod-dirty')")
    saved = json.loads((tmp_path / NOTEBOOK.name).read_text())
    assert all(not cell.get("outputs") for cell in saved["cells"])
    assert [url for url in seen.hosts if "//127.0.0.1:" not in url] == []
