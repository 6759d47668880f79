import json
from pathlib import Path

import pytest

from docs.make_pictures import jupyter_lab, run_all_cells
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.conftest import TEST_CITIES
from shotspotter_assets_tests.explore.conftest import CITY
from shotspotter_assets_tests.explore.test_notebook import NOTEBOOK
from shotspotter_assets_tests.pages.browser import Seen, open_browser

HEATMAP = "document.querySelectorAll('.js-plotly-plot .heatmaplayer image').length > 0"


@pytest.mark.slow
def test_figures_are_drawn(explored: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of_tiny_city = tmp_path / "source" / NOTEBOOK.name
    of_tiny_city.parent.mkdir()
    of_tiny_city.write_text(NOTEBOOK.read_text().replace("simulated_city", CITY))
    monkeypatch.setattr("docs.make_pictures.NOTEBOOK", of_tiny_city)
    (of_tiny_city.parent / "jupyter_config.py").write_text(NOTEBOOK.with_name("jupyter_config.py").read_text())
    seen, folder = Seen(), tmp_path / "lab"
    folder.mkdir()
    with open_browser() as browser, jupyter_lab(folder, explored.root, SHOTSPOTTER_CITIES=str(TEST_CITIES)) as address:
        page = browser.new_page(viewport={"width": 1400, "height": 3000})
        seen.watch(page)
        page.goto(address)
        run_all_cells(page)
        page.wait_for_function(HEATMAP, timeout=120_000)
        assert page.get_by_role("dialog").count() == 0, "it asks for no build"
        assert page.get_by_text("Jupyter news").count() == 0
        page.keyboard.press("Control+s")
        page.wait_for_function("!document.querySelector('.jp-mod-dirty')")
    saved = json.loads((folder / NOTEBOOK.name).read_text())
    assert all(not cell.get("outputs") for cell in saved["cells"])
    assert [url for url in seen.hosts if "//127.0.0.1:" not in url] == []
