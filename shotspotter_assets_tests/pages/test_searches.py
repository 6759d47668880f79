"""The searches of settings on the track record."""

from datetime import date
from pathlib import Path

import pytest

from shotspotter_assets.evaluation.report_files import walk_forward_partition
from shotspotter_assets.models.tuning.tuned_settings import tuned_partition
from shotspotter_assets.pages.searches import searches
from shotspotter_assets.pages.site import make_pages, pages_partition
from shotspotter_assets.storage.file_names import REPORT_FILE
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.defs.chain import CITIES
from shotspotter_assets_tests.evaluation import test_walk_forward_report
from shotspotter_assets_tests.evaluation.test_tuned_gain import BOOSTING, searched, use_of

CITY, FIRST, SECOND = "tiny_city", date(2024, 1, 1), date(2024, 4, 1)
PNG = b"\x89PNG"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(str(tmp_path))
    searched(store, FIRST, {"leaves": 9}, city=CITY)
    searched(store, SECOND, {"leaves": 20, "l2": 3.14159}, city=CITY)
    searched(store, FIRST, {}, "regime_regression", city=CITY)
    store.write_bytes(tuned_partition(CITY, SECOND), f"{BOOSTING}.history.png", PNG)
    return store


def test_the_newest_search_of_each_forecaster_is_shown(store: Store) -> None:
    regression, boosting = searches(store, CITY)
    assert (boosting.found.fold, boosting.settings, boosting.pictures) == (
        SECOND,
        "leaves 20, l2 3.14",
        {f"search_{BOOSTING}_history.png": PNG},
    )
    assert "not been judged" in boosting.state
    assert regression.state == "Nothing better than the current settings was found."
    use = use_of(SECOND, {"leaves": 20})[BOOSTING].model_copy(update={"words": "They are in force."})
    report = test_walk_forward_report.report(tuned={BOOSTING: use})
    store.write_bytes(walk_forward_partition(CITY), REPORT_FILE, report.content())
    assert searches(store, CITY)[1].state == "They are in force."
    assert searches(store, "another_city") == []


def test_the_page_shows_it_with_its_pictures(store: Store) -> None:
    make_pages(store, CITIES[CITY])
    page = store.read_bytes(pages_partition(CITY), "track_record.html").decode()
    assert "9 settings were tried on the days before" in page
    assert "Best there: leaves 20, l2 3.14." in page
    assert '<img src="search_residual_boosting_history.png" alt="Validation loss of each trial' in page
    assert store.read_bytes(pages_partition(CITY), "search_residual_boosting_history.png") == PNG
