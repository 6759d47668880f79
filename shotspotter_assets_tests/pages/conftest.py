"""The site of the tiny city, made once, and a browser that opens it."""

import os
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shotspotter_assets.pages.site import make_overview, make_pages
from shotspotter_assets.storage.catalogue import ALERTS
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.conftest import made_once
from shotspotter_assets_tests.pages.browser import open_browser
from shotspotter_assets_tests.pages.site_of_tiny_city import TinySite, make_store


@pytest.fixture(scope="session")
def tiny_site(tmp_path_factory: pytest.TempPathFactory) -> TinySite:
    """The store of the tiny city with its pages; not to be changed."""

    def make(folder: Path) -> None:
        site = make_store(folder)
        make_pages(site.store, site.city)
        make_overview(site.store, list(site.cities))
        (folder / "cities.pickle").write_bytes(pickle.dumps(site.cities))

    root = made_once(tmp_path_factory, "tiny_site", make)
    cities = pickle.loads((root / "cities.pickle").read_bytes())
    return TinySite(Store(str(root / "store")), cities, root)


@pytest.fixture(scope="session")
def folder(tiny_site: TinySite) -> Path:
    return tiny_site.root / "store" / "city_pages"


@pytest.fixture
def copy(tiny_site: TinySite, tmp_path: Path) -> Store:
    return copy_store(tiny_site.store, tmp_path / "store")


def copy_store(store: Store, root: Path) -> Store:
    """Copy a store; days of alerts are linked, as a store replaces files and never changes one."""

    def copied(source: str, target: str) -> None:
        is_day = Path(source).relative_to(store.root).parts[0] in ALERTS and "date=" in source
        (os.link if is_day else shutil.copy)(source, target)

    shutil.copytree(store.root, root, copy_function=copied)
    return Store(str(root))


@pytest.fixture(scope="module")
def browser(folder: Path) -> Iterator[Any]:
    """After the store is made and no longer than its module: its event loop is in the way of runs."""
    with open_browser() as browser:
        yield browser
