"""The searches of settings on the track record."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from shotspotter_assets.models.tuning.tuned_settings import TunedSettings, tuned_file, tuned_partition
from shotspotter_assets.pages.searches import searches
from shotspotter_assets.pages.site import make_pages, pages_partition
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.defs.chain import CITIES

CITY, FIRST, SECOND = "tiny_city", date(2024, 1, 1), date(2024, 4, 1)
PNG = b"\x89PNG"
BOOSTING = "residual_boosting"


def searched(store: Store, fold: date, settings: dict[str, Any], name: str = BOOSTING) -> None:
    """A search of that fold that found these settings."""
    day = fold - timedelta(days=1)
    found = TunedSettings(
        city=CITY, fold=fold, forecaster=name, settings=settings, loss=0.1, start_loss=0.11, gain=0.1, trials=9,
        stopped=0, failed=0, seconds=1.0, train_first=day, train_last=day, validation_first=day, validation_last=day,
        data_sha256="", key="", config={}, versions={},
    )  # fmt: skip
    store.write_bytes(tuned_partition(CITY, fold), tuned_file(name), found.model_dump_json().encode())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(str(tmp_path))
    searched(store, FIRST, {"leaves": 9})
    searched(store, SECOND, {"leaves": 20, "l2": 3.14159})
    searched(store, FIRST, {}, "regime_regression")
    store.write_bytes(tuned_partition(CITY, SECOND), f"{BOOSTING}.history.png", PNG)
    return store


def test_the_newest_search_of_each_forecaster_is_shown(store: Store) -> None:
    regression, boosting = searches(store, CITY)
    assert (boosting.found.fold, boosting.settings) == (SECOND, "leaves 20, l2 3.14")
    assert [*boosting.pictures] == [f"search_{BOOSTING}_history.png"]
    assert boosting.state == "They apply once the city's file has them."
    assert regression.state == "Nothing better than the current settings was found."
    assert searches(store, "another_city") == []


def test_the_page_shows_it_with_its_pictures(store: Store) -> None:
    make_pages(store, CITIES[CITY])
    page = store.read_bytes(pages_partition(CITY), "track_record.html").decode()
    assert "9 settings were tried on the days before" in page
    assert "Best there: leaves 20, l2 3.14." in page
    assert '<img src="search_residual_boosting_history.png" alt="Validation loss of each trial' in page
    assert store.read_bytes(pages_partition(CITY), "search_residual_boosting_history.png") == PNG
