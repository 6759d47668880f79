import ast
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from docs import changed_keys
from docs.make_pictures import OF_BENCHMARKS, PICTURES, Demo, of_demo
from docs.shipped_cities import table
from shotspotter_assets.settings import CHECKOUT, Settings
from shotspotter_assets.storage.catalogue import Asset
from shotspotter_assets.storage.store import Store

ROOT_PAGES = ("README", "CONTRIBUTING", "CODE_OF_CONDUCT", "GOVERNANCE", "SECURITY")
PAGES = [CHECKOUT / f"{name}.md" for name in ROOT_PAGES]
PAGES += [page for page in sorted((CHECKOUT / "docs").rglob("*.md")) if "_build" not in page.parts]
SETTINGS = Settings.from_environment({})
MAX_PICTURE_BYTES = 300_000


def targets(text: str) -> set[str]:
    """Relative addresses of links and pictures, without their anchors."""
    found = {address.partition("#")[0] for address in re.findall(r"\]\(([^)\s]+)\)", text)}
    return {address for address in found if address and "://" not in address}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_named_files_exist(page: Path) -> None:
    text = page.read_text()
    missing = {target for target in targets(text) if not (page.parent / target).exists()}
    if not page.name.startswith("new_"):  # these pages name files that the reader adds
        named = re.findall(r"(?<![\w/.:])(?:benchmarks|deploy|shotspotter_assets)/[\w/.]*\w\.[a-z]+", text)
        missing |= {path for path in named if not (CHECKOUT / path).exists()}
    assert missing == set()


@pytest.mark.parametrize("page", ["reliability.md", "how-to/operations.md"])
def test_named_tests_exist(page: str) -> None:
    named = re.findall(r"`([\w/]*test_\w+\.py)`", (CHECKOUT / "docs" / page).read_text())
    assert named
    tests = CHECKOUT / "shotspotter_assets_tests"
    assert [path for path in named if not (tests / path.removeprefix(f"{tests.name}/")).is_file()] == []


def test_benchmarks_import_what_there_is() -> None:
    missing = set()
    for path in sorted((CHECKOUT / "benchmarks").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("shotspotter_assets"):
                module = CHECKOUT / (node.module or "").replace(".", "/")
                file = module / "__init__.py" if module.is_dir() else module.with_suffix(".py")
                text = file.read_text() if file.exists() else ""
                missing |= {f"{path.name}: {node.module}.{one.name}" for one in node.names if one.name not in text}
    assert missing == set()


def test_the_table_of_shipped_cities_is_that_of_their_files() -> None:
    assert table() in (CHECKOUT / "docs" / "data.md").read_text(), "paste what python -m docs.shipped_cities prints"


def test_the_tables_of_changed_keys_are_those_of_the_declared_assets() -> None:
    page = (CHECKOUT / "docs" / "city_file.md").read_text()
    assert changed_keys.rebuilt() in page, "paste what python -m docs.changed_keys prints"
    assert changed_keys.harmless() in page, "paste what python -m docs.changed_keys prints"


def test_every_picture_is_shown_made_by_one_command_and_small() -> None:
    linked = ((page.parent / target).resolve() for page in PAGES for target in targets(page.read_text()))
    shown = {path for path in linked if path.suffix in (".png", ".svg")}
    made = {*of_demo(Demo(SETTINGS, Store("nowhere"), browser=None)), *OF_BENCHMARKS}
    assert {path.name for path in shown} == made == {path.name for path in PICTURES.iterdir()}
    assert max(path.stat().st_size for path in shown) <= MAX_PICTURE_BYTES


def test_the_lineage_shows_the_assets_of_a_city() -> None:
    from docs.lineage import lineage

    city = SETTINGS.cities["simulated_city"]
    assets = {asset for asset in Asset if city.has(asset) and asset is not Asset.SHARED_MODELS}
    for svg in (lineage(city), (PICTURES / "lineage.svg").read_bytes()):
        texts = ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
        assert {text.text for text in texts} == assets, "run python -m docs.lineage"
