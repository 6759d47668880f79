"""A base map under the cells: the tiles of the city's file in their places, and of no other server."""

import math
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from pydantic import ValidationError

from shotspotter_assets.cities.layers import BaseMap
from shotspotter_assets.gridding.cells import Plane
from shotspotter_assets.pages.ground import MAX_TILES, Ground
from shotspotter_assets.pages.layers import CityLayers
from shotspotter_assets.pages.places import Places
from shotspotter_assets.pages.site import make_overview, make_pages
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.pages.browser import pixels
from shotspotter_assets_tests.pages.site_of_tiny_city import CITY, TinySite

WHOSE = "Map: a city's <b>own</b>"


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


def with_base_map(site: TinySite, server: str) -> Any:
    """The tiny city with tiles of a server."""
    return site.city.model_copy(update={"base_map": BaseMap(tiles=server + "/{z}/{x}/{y}.png", attribution=WHOSE)})


def shown(page: Any, folder: Path) -> npt.NDArray[np.uint8]:
    """The pixels of tomorrow's map, shape (height, width, 3)."""
    page.goto((folder / f"city={CITY}" / "index.html").as_uri())
    page.wait_for_selector("body[data-drawn]")
    page.wait_for_load_state("networkidle")
    return pixels(page.locator("#map canvas").screenshot())


def test_the_map_lies_under_the_cells_and_no_other_server_is_asked(
    browser: Any, tiny_site: TinySite, tmp_path: Path
) -> None:
    store = Store(str(tmp_path / "store"))
    shutil.copytree(tiny_site.root / "store", tmp_path / "store")
    folder = tmp_path / "store" / "city_pages"
    with tile_server(shade=0) as (black, asked), tile_server(shade=0) as (other, asked_of_other):
        page = browser.new_page(viewport={"width": 1200, "height": 900}, color_scheme="light")
        without = shown(page, folder)
        make_pages(store, with_base_map(tiny_site, black))
        make_overview(store, [CITY])
        blended = shown(page, folder)
        inside = np.s_[100:-100, 100:-100]
        assert blended[inside].mean() < 0.6 * without[inside].mean()
        assert len(np.unique(blended[inside].reshape(-1, 3), axis=0)) > 3  # the cells can be told apart
        assert page.locator("#map .attribution").inner_text() == WHOSE
        assert 1 < len(set(asked)) <= MAX_TILES
        page.evaluate(
            "url => new Promise(done => { const one = new Image(); one.onload = one.onerror = done; one.src = url; })",
            f"{other}/0/0/0.png",
        )
        assert not asked_of_other
        page.close()


def test_tiles_are_where_mercator_has_them_and_cover_the_city(tiny_site: TinySite) -> None:
    city = with_base_map(tiny_site, "https://tile.example.org")
    layers = CityLayers.read(city)
    ground = Ground.of(city, layers, Places(city, layers), np.ones(city.shape, dtype=bool))
    plane = Plane.of(city)
    for tile in ground.tiles:
        found = re.fullmatch(r"https://tile\.example\.org/(\d+)/(\d+)/(\d+)\.png", tile.address)
        assert found is not None
        z, x, y = map(int, found.groups())
        # https://wiki.openstreetmap.org/wiki/Slippy_map_tilenames
        north_west = [x / 2**z * 360 - 180, math.degrees(math.atan(math.sinh(math.pi * (1 - 2 * y / 2**z))))]
        assert (tile.west, tile.north) == pytest.approx(plane.metres(np.array(north_west)).tolist(), abs=1)
    assert min(tile.west for tile in ground.tiles) <= 0
    assert max(tile.east for tile in ground.tiles) >= ground.width
    assert min(tile.south for tile in ground.tiles) <= 0
    assert max(tile.north for tile in ground.tiles) >= ground.height
    assert MAX_TILES / 4 < len(ground.tiles) <= MAX_TILES


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
def test_an_address_that_is_none_of_tiles_is_refused(tiles: str) -> None:
    with pytest.raises(ValidationError, match="must"):
        BaseMap(tiles=tiles, attribution="ours")
