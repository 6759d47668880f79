"""Makes all pictures of README and docs: `make pictures`, or `make pictures ARGS="--data FOLDER --cache FOLDER"`.

Most are of Washington DC, from what `make demo` has stored; the demo is run first where it was not. Pages and notebook are
photographed in Chromium. The picture of ten cities needs their alerts (see docs/results.md), and that of feedback minutes;
both are left as they are without `--data` and `--feedback`.
"""

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

import pyarrow.compute as pc

from shotspotter_assets.cities.city import City
from shotspotter_assets.city_files import find_city
from shotspotter_assets.commands.demo import DEMONSTRATIONS
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.forecasts.issued_forecasts import NEXT_DAY_HORIZON, ForecastRecord
from shotspotter_assets.forecasts.pictures import risk_map
from shotspotter_assets.pages.site import make_overview, make_pages
from shotspotter_assets.settings import CHECKOUT, Settings
from shotspotter_assets.storage.catalogue import FOLD_PICTURE, FOLD_REPORT, FORECAST, PAGE
from shotspotter_assets.storage.store import Store

CITY: Final = next(iter(DEMONSTRATIONS))
FOLD: Final = DEMONSTRATIONS[CITY].fold
PICTURES: Final = Path(__file__).parent / "pictures"
CHROMIUM: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WINDOW: Final = {"width": 1200, "height": 1150}
NOTEBOOK: Final = CHECKOUT / "notebooks" / "explore.ipynb"


@dataclass(frozen=True)
class Demo:
    """What the demo has stored, and a browser."""

    settings: Settings
    store: Store
    browser: Any

    @cached_property
    def city(self) -> City:
        """The city of the demo."""
        return find_city(self.settings.cities, CITY)

    @cached_property
    def issue(self) -> ForecastRecord:
        """The forecast that the demo prints."""
        return ForecastRecord.load(self.store, CITY, DEMONSTRATIONS[CITY].shown_issue)

    def lineage(self) -> bytes:
        """SVG of the assets of a city."""
        from docs import lineage

        return lineage.lineage(self.settings.cities[lineage.CITY])

    def of_report(self, name: str) -> bytes:
        """A plot of the last fold's report."""
        return self.store.read_bytes(FOLD_PICTURE.named(plot=name), CITY, FOLD)

    def risk_map(self) -> bytes:
        """The forecast that the demo prints, as the UI shows it."""
        issue = self.issue
        table = self.store.read_table(FORECAST, CITY, issue.issue_date)
        title = f"Risk of {issue.forecast_date} ({issue.served}): {issue.expected_alerts:.1f} alerts expected"
        return risk_map(table.filter(pc.equal(table["horizon"], NEXT_DAY_HORIZON)), self.city, title)

    def page(self, file: str) -> bytes:
        """One of the city's pages, opened from the disk."""
        page = self.browser.new_page(viewport=WINDOW, color_scheme="light")
        page.goto(Path(self.store.uri(PAGE.named(file=file), CITY)).as_uri())
        page.wait_for_selector("body[data-drawn]")
        png: bytes = page.screenshot()
        page.close()
        return png

    def notebook(self) -> bytes:
        """The notebook with all of its cells run: from the choices to the scores of a forecast."""
        with tempfile.TemporaryDirectory() as folder, jupyter_lab(Path(folder), self.settings.store_root) as address:
            page = self.browser.new_page(viewport={"width": 1250, "height": 3300})
            page.goto(address)
            run_all_cells(page)
            page.wait_for_function(
                "document.querySelectorAll('.heatmaplayer image').length > 0 &&"
                "![...document.querySelectorAll('.jp-InputPrompt')].some(prompt => prompt.textContent.includes('*'))",
                timeout=300_000,
            )
            page.keyboard.press("Control+b")  # without the list of files
            page.wait_for_timeout(2_000)
            png: bytes = page.locator(".jp-Notebook").first.screenshot()
            page.close()
        return png


def of_demo(demo: Demo) -> dict[str, Callable[[], bytes]]:
    """What makes each picture of the demo, by the name of its file."""
    return {
        "lineage.svg": demo.lineage,
        "risk_map.png": demo.risk_map,
        "forecast.png": partial(demo.of_report, "forecast"),
        "reliability.png": partial(demo.of_report, "reliability"),
        "page_now.png": partial(demo.page, "index.html"),
        "page_past.png": partial(demo.page, "past.html"),
        "notebook.png": demo.notebook,
    }


RELIABILITY: Final = "reliability_by_city.svg"
GAINS: Final = "gains_by_city.svg"
FEEDBACK: Final = "feedback.svg"
OF_BENCHMARKS: Final = (RELIABILITY, GAINS, FEEDBACK)


def main() -> None:
    """Write all pictures into `docs/pictures`."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path, help="folder with the alerts of real cities, for the picture of them")
    arguments.add_argument("--cache", type=Path, help="folder for what is fitted on them, which takes hours")
    arguments.add_argument("--feedback", action="store_true", help="simulate feedback anew, which takes ten minutes")
    arguments.add_argument("--only", nargs="+", help="names of the files to make")
    asked = arguments.parse_args()
    settings = Settings.from_environment(os.environ)
    store = StoreResource(root=settings.store_root).open()
    if not (store.exists(FOLD_REPORT, CITY, FOLD) and store.days_present(ForecastRecord.stored_as, CITY)):
        subprocess.run([sys.executable, "-m", "shotspotter_assets", "demo"], check=True)
    with chromium() as browser:
        demo = Demo(settings, store, browser)
        make_pages(store, demo.city)
        make_overview(store, list(settings.cities))
        for name, make in of_demo(demo).items():
            if not asked.only or name in asked.only:
                write(name, make())
    script = str(CHECKOUT / "benchmarks" / "reports" / "gains_figure.py")
    subprocess.run([sys.executable, script, str(CHECKOUT / "docs" / "results.md"), str(PICTURES / GAINS)], check=True)
    if asked.data and asked.cache:
        of_real_cities(asked.data, asked.cache, PICTURES / RELIABILITY)
    else:
        print(f"left as it is, without --data and --cache: {RELIABILITY}")
    if asked.feedback:
        options = ["-m", "benchmarks.feedback", "--figure", str(PICTURES / FEEDBACK)]
        subprocess.run([sys.executable, *options], check=True, cwd=CHECKOUT)
    else:
        print(f"left as it is, without --feedback: {FEEDBACK}")


def write(name: str, content: bytes) -> None:
    """Write a picture; a PNG with a palette, which is a third as large."""
    path = PICTURES / name
    path.write_bytes(content)
    if path.suffix == ".png":
        from PIL import Image

        with Image.open(path) as image:
            image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"written: {name}, {path.stat().st_size / 1000:.0f} kB", flush=True)


def of_real_cities(data: Path, cache: Path, path: Path) -> None:
    """The reliability of the stack in the cities of docs/results.md; members that are not in the cache are fitted."""
    script = CHECKOUT / "benchmarks" / "next_day.py"
    options = ["--data", str(data), "--cache", str(cache), "--summary", "--reliability", str(path)]
    subprocess.run([sys.executable, str(script), *options], check=True, stdout=subprocess.DEVNULL)
    print(f"written: {path.name}, {path.stat().st_size / 1000:.0f} kB")


@contextmanager
def chromium() -> Iterator[Any]:
    """The system's Chromium, without a window."""
    from playwright.sync_api import sync_playwright

    found = next((path for name in CHROMIUM if (path := shutil.which(name))), None)
    if found is None:
        sys.exit(
            "Pages and notebook are photographed in Chromium: put one on the PATH (Debian: apt-get install chromium)."
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def jupyter_lab(folder: Path, store: str, **environ: str) -> Iterator[str]:
    """JupyterLab as `make notebook` starts it, on a copy of the notebook in a folder; gives the notebook's address."""
    shutil.copy(NOTEBOOK, folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token, config = os.urandom(16).hex(), NOTEBOOK.with_name("jupyter_config.py")
    own = {name: f"{folder}/{name}" for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")}
    options = [f"--ServerApp.port={port}", f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder}"]
    with (folder / "jupyter.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", f"--config={config}", *options, "--no-browser", "--allow-root"],
            env={**os.environ, **own, "SHOTSPOTTER_STORE": store, "PYTHONPATH": str(CHECKOUT), **environ},
            stdout=log,
            stderr=log,
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/api", server)
        yield f"http://127.0.0.1:{port}/lab/tree/{NOTEBOOK.name}?token={token}"
    finally:
        server.terminate()
        server.wait(30)


def wait_for(address: str, server: "subprocess.Popen[bytes]", seconds: float = 120.0) -> None:
    """Until a server answers; fails where it has ended, or does not answer in time."""
    stop = time.monotonic() + seconds
    while server.poll() is None and time.monotonic() < stop:
        try:
            with urlopen(address):
                return
        except OSError:
            time.sleep(0.3)
    raise RuntimeError(f"{address} does not answer.")


def run_all_cells(page: Any) -> None:
    """Run the notebook that a page of JupyterLab shows, once its kernel is ready."""
    page.get_by_text("| Idle").wait_for(timeout=120_000)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()


if __name__ == "__main__":
    main()
