import re
import shutil
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from shotspotter_assets.__main__ import main
from shotspotter_assets.alerts.checks.all_checks import keep_findings
from shotspotter_assets.alerts.days.city_now import alerts_on_time
from shotspotter_assets.alerts.days.day_table import DayTable
from shotspotter_assets.forecasts.daily_forecast import withheld
from shotspotter_assets.forecasts.issued_forecasts import load_record, with_shadow_column, write_forecast
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.models.forecaster_registry import FORECASTERS
from shotspotter_assets.pages.public import write_annual_report
from shotspotter_assets.pages.rendering import SEE_STATUS, TITLES, plain
from shotspotter_assets.pages.site import TABS, make_pages
from shotspotter_assets.storage.catalogue import FORECAST, HEADLINES, Asset
from shotspotter_assets_tests.defs.chain import materialize, resources, with_city
from shotspotter_assets_tests.instances import instance_in_memory
from shotspotter_assets_tests.pages.conftest import copy_store
from shotspotter_assets_tests.pages.site_of_tiny_city import CITY, TinySite

YEAR = date(2023, 1, 1)
ANNUAL = "annual_report_2023.html"


@pytest.fixture(scope="module")
def full_pages(tiny_site: TinySite, reported_fold: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Pages of a city with a fold's report, a shadow, headline scores, a warning and a year's report, also without forecast."""
    root = tmp_path_factory.mktemp("full") / "store"
    store = copy_store(tiny_site.store, root)
    for asset in (Asset.FOLD_MODELS, Asset.EVALUATION_REPORTS):
        shutil.copytree(reported_fold / asset, root / asset, dirs_exist_ok=True)
    with instance_in_memory(root.parent) as instance:
        on = resources(str(root), cities=with_city(CITY, serves="residual_boosting"))
        assert materialize(CITY, ("walk_forward_reports",), on, checks=(), instance=instance).success
    for day in store.days_present(FORECAST, CITY):
        table = store.read_table(FORECAST, CITY, day)
        cells = pc.sum(pc.equal(table["horizon"], "day")).as_py()
        store.write_table(FORECAST, with_shadow_column(table, "regime_regression", np.full(cells, 0.1)), CITY, day)
    city = tiny_site.city
    issued = tiny_site.last_issued
    reasons = tuple(f"Better than {name}. {name} serves." for name in TITLES)
    load_record(store, CITY, issued).model_copy(update={"served": "ew_kde", "why_served": reasons}).write(store)
    headline = dict.fromkeys(HEADLINES.schema.names, 0) | {"last": date(2023, 10, 31), "best": "ewma", "unknown": ""}
    store.write_table(HEADLINES, pa.Table.from_pylist([headline], HEADLINES.schema), CITY)
    late = issued + timedelta(days=5)
    silent = alerts_on_time(DayTable.read(store, CITY), city, late, late, late, issued)
    assert "raw_alerts" in silent.message
    keep_findings(store, city, [issued], {"alerts_are_on_time": silent})
    write_annual_report(store, city, YEAR)
    with_forecast = make_pages(store, city).contents
    why = f"The level of stack is off. If it is right, run: shotspotter accept {CITY} {issued}"
    write_forecast(store, withheld(store, CityHistory.load(store, city, issued), why))
    without_forecast = {f"withheld {file}": content for file, content in make_pages(store, city).contents.items()}
    return {name: content.decode() for name, content in (with_forecast | without_forecast).items()}


def visible(html: str) -> str:
    """The text of a page without the model card, which engineers read."""
    html = re.sub(r'<details class="panel prose" id="card">.*?</details>', " ", html, flags=re.DOTALL)
    return " ".join(re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", html, flags=re.DOTALL).split())


def test_no_page_names_an_asset_a_model_or_a_command(full_pages: dict[str, str]) -> None:
    readable = {name: visible(html) for name, html in full_pages.items() if name.endswith(".html")}
    assert {*TABS} - {"last_hours.html"} | {ANNUAL, "withheld index.html"} <= readable.keys()
    # A name that is an English word too, such as nowcasts, cannot be told from it.
    assets = [name for name in Asset if "_" in name]
    models = [name for name, title in TITLES.items() if name not in title]
    commands = [rf"shotspotter {name}" for name in main.commands]
    technical = re.compile(rf"\b({'|'.join([*assets, *models, *commands, 'dg launch'])})\b")
    assert {name: technical.findall(text) for name, text in readable.items() if technical.search(text)} == {}
    assert "made by the recency-weighted map" in readable["index.html"]
    assert "The level of the combined forecast is off." in readable["withheld index.html"]
    assert "over the recent mean of each cell" in readable["track_record.html"]


def test_every_forecaster_has_a_title_of_its_own() -> None:
    assert {name: TITLES[name] for name in FORECASTERS} == {name: entry.title for name, entry in FORECASTERS.items()}
    assert len({*TITLES.values()}) == len(TITLES)


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("stack is served.", "The combined forecast is served."),
        ("Better than ew_kde. the stack serves.", "Better than the recency-weighted map. The combined forecast serves."),
        ("It is never zero; the network learns.", "It is never zero; the network learns."),
        ("Check the source; if there were none, run: shotspotter quiet town 2026-11-26", "Check the source."),
        ("No live_models are stored.", SEE_STATUS),
        ("", ""),
    ],
)  # fmt: skip
def test_stored_sentences_become_plain(stored: str, shown: str) -> None:
    assert plain(stored) == shown
