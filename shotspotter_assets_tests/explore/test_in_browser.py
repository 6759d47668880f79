"""The notebook in JupyterLab, in a real Chromium: a choice is changed and the figures change."""

import json
from pathlib import Path

import pytest

from docs.make_pictures import jupyter_lab, run_all_cells
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.conftest import TEST_CITIES
from shotspotter_assets_tests.explore.conftest import FOLD
from shotspotter_assets_tests.explore.test_notebook import NOTEBOOK
from shotspotter_assets_tests.pages.browser import Seen, open_browser

PLOTS = "document.querySelectorAll('.js-plotly-plot')"
POINTS = f"({PLOTS}[0]?.data ?? []).map((trace) => trace.x.length).reduce((sum, more) => sum + more, 0)"
FORECAST_DAY = f"{PLOTS}[1]?._fullLayout?.title?.text"


@pytest.mark.slow
def test_a_choice_is_changed_and_the_figures_change(explored: Store, tmp_path: Path) -> None:
    seen = Seen()
    with (
        open_browser() as browser,
        jupyter_lab(tmp_path, explored.root, SHOTSPOTTER_CITIES=str(TEST_CITIES)) as address,
    ):
        page = browser.new_page(viewport={"width": 1400, "height": 3000})
        seen.watch(page)
        page.goto(address)
        run_all_cells(page)
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
