"""A search that is ended in the Dagster UI, by a real browser: its trials are kept, and the next run goes on with them."""

import json
from pathlib import Path
from typing import Any

import pytest

from shotspotter_assets.models.tuning.trials import Journal
from shotspotter_assets_tests.conftest import TEST_CITIES
from shotspotter_assets_tests.defs.chain import copy_days
from shotspotter_assets_tests.pages.browser import open_browser
from shotspotter_assets_tests.running_system import RunningSystem

CITY, FOLD, REGRESSION = "tiny_city", "2024-01-01", "regime_regression"
LOG = "query($run: ID!) { logsForRun(runId: $run) { ... on EventConnection { events { ... on MessageEvent { message } } } } }"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_search_that_is_ended_in_the_ui_keeps_its_trials_and_a_new_run_goes_on(
    tmp_path: Path, tiny_city_days: Path
) -> None:
    city = (TEST_CITIES / f"{CITY}.yaml").read_text().replace("automation: history", "automation: manual")
    system = RunningSystem(tmp_path, {CITY: city})
    root = copy_days(tiny_city_days, tmp_path / "store", "2023-12-31")
    journal = root / "tuned_settings" / f"city={CITY}" / f"fold={FOLD}" / f"{REGRESSION}.trials.json"

    def kept() -> list[Any]:
        return Journal.model_validate_json(journal.read_bytes()).trials if journal.exists() else []

    def search(trials: int) -> str:
        config = {"forecaster": REGRESSION, "trials": trials}
        return system.launch("tuned_settings", CITY, FOLD, {"ops": {"tuned_settings": {"config": config}}})

    with open_browser() as browser, system:
        ended = search(10_000)
        system.wait_for(lambda: len(kept()) >= 3, seconds=120)
        page = browser.new_page(viewport={"width": 1600, "height": 1200})
        page.goto(f"{system.url}/runs/{ended}")
        page.get_by_role("button", name="Terminate").click(timeout=60_000)
        page.get_by_role("dialog").get_by_role("button", name="Terminate").click()
        system.wait_for(lambda: system.status(ended) == "CANCELED", seconds=60)
        page.goto(f"{system.url}/runs/{ended}")
        page.get_by_text("Canceled", exact=True).first.wait_for()
        before = kept()
        assert before[0].values == {}

        again = search(len(before) + 2)
        system.wait_for(lambda: system.status(again) == "SUCCESS", seconds=120)
        assert len(kept()) == len(before) + 2
        assert kept()[: len(before)] == before
        lines = [event.get("message", "") for event in system.ask(LOG, run=again)["logsForRun"]["events"]]
        assert f"{len(before)} finished trials of this search are there" in lines
    record = json.loads(journal.with_name(f"{REGRESSION}.record.json").read_text())
    assert record["trials"] == len(before) + 2
