from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pydantic import ValidationError

from shotspotter_assets.cities.layers import BaseMap
from shotspotter_assets.pages.site import make_overview, make_pages
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.pages.browser import MAX_WAIT_MS, pixels
from shotspotter_assets_tests.pages.site_of_tiny_city import CITY, TinySite

SERVER = "https://tile.example.org/"
ATTRIBUTION = "Map: a city's <b>own</b>"


@pytest.mark.slow
def test_tiles_come_from_one_server(browser: Any, copy: Store, tiny_site: TinySite) -> None:
    black = BytesIO()
    asked = list[str]()
    pictures = []
    Image.new("L", (256, 256), 0).save(black, "PNG")

    def answer(route: Any) -> None:
        asked.append(route.request.url)
        route.fulfill(body=black.getvalue(), content_type="image/png")

    page = browser.new_page(viewport={"width": 1200, "height": 900}, color_scheme="light")
    page.set_default_timeout(MAX_WAIT_MS)
    page.route("https://**/*", answer)
    for base_map in (None, BaseMap(tiles=SERVER + "{z}/{x}/{y}.png", attribution=ATTRIBUTION)):
        make_pages(copy, tiny_site.city.model_copy(update={"base_map": base_map}))
        make_overview(copy, [CITY])
        page.goto(Path(copy.root, "city_pages", f"city={CITY}", "index.html").as_uri())
        page.wait_for_selector("body[data-drawn]")
        page.wait_for_load_state("networkidle")
        pictures.append(pixels(page.locator("#map .canvas").screenshot())[100:-100, 100:-100])
    without, blended = pictures
    assert blended.mean() < without.mean()
    assert page.locator("#map .attribution").inner_text() == ATTRIBUTION
    page.evaluate(
        "url => new Promise(done => { const one = new Image(); one.onload = one.onerror = done; one.src = url; })",
        "https://other.example.org/0/0/0.png",
    )
    assert 1 < len(set(asked)) < 40
    assert all(url.startswith(SERVER) for url in asked)
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
