"""The pictures of README and docs: one command makes all of them, and all that it makes are shown."""

import re
from xml.etree import ElementTree

from docs.lineage import lineage
from docs.make_pictures import OF_REAL_CITIES, PICTURES, Demo, of_demo
from shotspotter_assets.definitions import build_definitions
from shotspotter_assets.settings import CHECKOUT, Settings
from shotspotter_assets.storage.store import Store

SETTINGS = Settings.from_environment({})
MADE = {*of_demo(Demo(SETTINGS, Store("nowhere"), browser=None)), OF_REAL_CITIES}
MAX_BYTES = 300_000


def named(text: str) -> set[str]:
    """Pictures of Markdown."""
    return set(re.findall(r"!\[[^]]*\]\(([^)]+)\)", text))


def test_each_picture_that_is_shown_is_made_and_each_one_made_is_shown() -> None:
    pages = [CHECKOUT / "README.md", CHECKOUT / "CONTRIBUTING.md", *(CHECKOUT / "docs").rglob("*.md")]
    shown = {
        (page.parent / picture).resolve()
        for page in pages
        if "_build" not in page.parts
        for picture in named(page.read_text())
    }
    assert shown == {PICTURES / name for name in MADE}
    assert {path.name for path in PICTURES.iterdir()} == MADE


def test_pictures_are_small() -> None:
    assert {path.name: path.stat().st_size for path in PICTURES.iterdir() if path.stat().st_size > MAX_BYTES} == {}


def test_the_lineage_is_of_the_assets_that_there_are() -> None:
    definitions = build_definitions(SETTINGS)
    assets = {key.to_user_string() for key in definitions.resolve_asset_graph().get_all_asset_keys()}
    for svg in (lineage(definitions), (PICTURES / "lineage.svg").read_bytes()):
        root = ElementTree.fromstring(svg)
        assert {text.text for text in root.iter("{http://www.w3.org/2000/svg}text")} == assets, "run `make pictures`"


def test_a_picture_of_another_place_is_noticed() -> None:
    assert named("![a](pictures/x.png) and [a link](y.md) ![](z.svg)") == {"pictures/x.png", "z.svg"}
