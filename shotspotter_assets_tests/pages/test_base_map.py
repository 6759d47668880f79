"""A base map under the cells: tiles of the server that the city's file names, and of no other."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from PIL import Image
from pydantic import ValidationError

from shotspotter_assets.cities.layers import BaseMap
from shotspotter_assets.pages.site import make_overview, make_pages
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.pages.browser import pixels
from shotspotter_assets_tests.pages.site_of_tiny_city import CITY, TinySite

ATTRIBUTION = "Map: a city's <b>own</b>"


@contextmanager
def tile_server(shade: int) -> Iterator[tuple[str, list[str]]]:
    """A server of tiles of one shade of grey: its address, and what it was asked for."""
    asked: list[str] = []
    tile = BytesIO()
    Image.new("L", (256, 256), shade).save(tile, "PNG")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "image/png")
            self.send_header("Content-Length", str(len(tile.getvalue())))
            self.end_headers()
            self.wfile.write(tile.getvalue())

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


def test_tiles_lie_under_the_cells_and_no_other_server_is_asked(
    browser: Any, tiny_site: TinySite, tmp_path: Path
) -> None:
    shutil.copytree(tiny_site.root / "store", tmp_path / "store")
    store = Store(str(tmp_path / "store"))
    pictures = []
    with tile_server(shade=0) as (black, asked), tile_server(shade=0) as (other, asked_of_other):
        page = browser.new_page(viewport={"width": 1200, "height": 900}, color_scheme="light")
        for base_map in (None, BaseMap(tiles=black + "/{z}/{x}/{y}.png", attribution=ATTRIBUTION)):
            make_pages(store, tiny_site.city.model_copy(update={"base_map": base_map}))
            make_overview(store, [CITY])
            page.goto((tmp_path / "store" / "city_pages" / f"city={CITY}" / "index.html").as_uri())
            page.wait_for_selector("body[data-drawn]")
            page.wait_for_load_state("networkidle")
            pictures.append(pixels(page.locator("#map .canvas").screenshot())[100:-100, 100:-100])
        without, blended = pictures
        assert blended.mean() < 0.8 * without.mean()
        assert page.locator("#map .attribution").inner_text() == ATTRIBUTION
        assert 1 < len(set(asked)) < 40
        page.evaluate(
            "url => new Promise(done => { const one = new Image(); one.onload = one.onerror = done; one.src = url; })",
            f"{other}/0/0/0.png",
        )
        assert not asked_of_other
        page.close()


@pytest.mark.parametrize(
    "tiles",
    [
        "https://tile.example.org/{z}/{x}.png",
        "https://tile.example.org/{z}/{x}/{y}.png?key=abc123def456",
        "https://tile.example.org/{z}/{x}/{y}/{z}.png",
        "https://tile.example.org/{z.__class__}/{x}/{y}.png",
        "http://tile.example.org/{z}/{x}/{y}.png",
        "https://tile.example.org; script-src *//{z}/{x}/{y}.png",
        "file:///etc/{z}/{x}/{y}",
    ],
)
def test_an_unsafe_address_of_tiles_is_refused(tiles: str) -> None:
    with pytest.raises(ValidationError, match="must"):
        BaseMap(tiles=tiles, attribution="ours")
