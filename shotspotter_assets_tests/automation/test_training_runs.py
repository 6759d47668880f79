"""Training is a run of its own: the newest day is issued without it, and refreshed after it."""

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from shotspotter_assets.automation.stored import Stored
from shotspotter_assets.defs.requested_runs import LONG_TAG
from shotspotter_assets.forecasts import retraining
from shotspotter_assets.forecasts.retraining import LiveModels
from shotspotter_assets.forecasts.serving_record import ServingRecord
from shotspotter_assets.forecasts.training import MIN_HISTORY_DAYS
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.storage.catalogue import STATUS, Asset
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.automation.conftest import TODAY, YESTERDAY
from shotspotter_assets_tests.automation.living_city import NAME, LivingCity, assets_of, noon, row, rows

ONE_DAY = timedelta(days=1)
START = TODAY - timedelta(days=MIN_HISTORY_DAYS + 9)
MANY = 12  # alerts a day, so many that a day without any is not plausible
TRAINING = {"live_models"}
CHEAP = "serves: regime_regression\nnetwork: false\npatrol: {shifts: [{name: night, start: 20, end: 4, units: 2}]}\n"


def run_all_but_long_ones(town: LivingCity) -> None:
    """Run what is requested except trainings and folds, until nothing else is."""
    while requests := [
        one for one in town.tick() if assets_of(one) != TRAINING and "fold_models" not in assets_of(one)
    ]:
        for request in requests:
            assert town.run(request, checks=False)


@pytest.fixture(scope="module")
def first_page(tmp_path_factory: pytest.TempPathFactory) -> LivingCity:
    """A new city with its first page, whose training is due."""
    town = LivingCity(tmp_path_factory.mktemp("first") / "town", START, noon(TODAY))
    town.write_city_file(more=CHEAP)
    town.land("history.csv", *rows(START, YESTERDAY, MANY))
    run_all_but_long_ones(town)
    return town


@pytest.fixture
def town(first_page: LivingCity, tmp_path: Path) -> LivingCity:
    return first_page.copy(tmp_path / "town")


def training(town: LivingCity) -> dg.RunRequest:
    [request] = [request for request in town.tick() if assets_of(request) == TRAINING]
    return request


def models(town: LivingCity, day: date = TODAY) -> ServingRecord:
    return ServingRecord.load(town.store, NAME, day)


def test_a_first_page_does_not_wait_for_training_and_says_so(town: LivingCity) -> None:
    record = models(town)
    assert record.is_interim
    assert record.served in {"ew_kde", "ewma", "historical_mean"}
    assert (record.training_due, record.due_since) == ("trained because no earlier day has models", YESTERDAY)
    assert record.reasons[0] == (
        f"Models are to be trained because no earlier day has models (due since the forecast for 16 March 2026). Until "
        f"then the best simple method serves: {record.served}. To train them, run: shotspotter run town"
    )
    assert town.forecast(TODAY).why_served == record.reasons
    assert f"  serves            {record.served}, models of 16 March 2026\n" in town.command("status")
    assert json.loads(town.store.read_bytes(STATUS, NAME))["forecast_date"] == str(TODAY + ONE_DAY)


def test_a_training_is_a_long_run_and_tomorrow_is_refreshed_after_it(town: LivingCity) -> None:
    request = training(town)
    assert request.tags[LONG_TAG] == "true"
    assert "no earlier day has models" in request.tags["shotspotter/reason"]
    before = town.forecast(TODAY)
    assert town.run(request)
    trained = models(town)
    assert (trained.is_interim, trained.training_due, trained.models_from) == (False, "", TODAY)
    assert trained.candidate == "regime_regression"
    [refresh] = [request for request in town.tick() if "risk_forecasts" in assets_of(request)]
    assert town.run(refresh)
    assert models(town) == trained
    assert town.forecast(TODAY).version != before.version
    assert not [request for request in town.tick() if "live_models" in assets_of(request)]


def test_the_newest_day_waits_for_no_training_and_its_rows_outdate_none(town: LivingCity) -> None:
    request = training(town)
    interim = models(town)
    town.land("late.csv", row(YESTERDAY, 40), row(YESTERDAY, 41))
    with town.under_way(TRAINING, request.tags):
        requests = [one for one in town.tick() if "fold_models" not in assets_of(one)]
        while requests:
            for one in requests:
                assert LONG_TAG not in one.tags
                assert town.run(one, checks=False)
            requests = [one for one in town.tick() if "fold_models" not in assets_of(one)]
        assert town.table.days[YESTERDAY].rows == MANY + 2
        refreshed = town.forecast(TODAY)
        assert len(refreshed.versions) == 2
        assert models(town).version == interim.version, "simple methods are fitted once"
    assert town.run(request)
    trained = models(town)
    town.land("later.csv", row(YESTERDAY, 42))
    run_all_but_long_ones(town)
    assert (models(town).version, models(town).training_due) == (trained.version, "")
    assert Stored.read(town.store, town.city).is_current(Asset.RISK_FORECASTS, TODAY)
    assert town.forecast(TODAY).models_from == TODAY


def test_models_trained_during_a_step_of_the_chain_are_not_replaced(
    town: LivingCity, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = training(town)
    choose = retraining.choose_models
    trained: list[ServingRecord] = []

    def choose_before_a_training_ends(store: Store, stored: CityHistory, *args: Any, **how: Any) -> LiveModels:
        chosen = choose(store, stored, *args, **how)
        if stored.issue_date == TODAY:
            monkeypatch.undo()
            assert chosen.record.is_interim
            assert town.run(request)
            trained.append(models(town))
        return chosen

    town.land("late.csv", row(YESTERDAY, 40))
    monkeypatch.setattr(retraining, "choose_models", choose_before_a_training_ends)
    run_all_but_long_ones(town)
    [stored] = trained
    assert (models(town).version, models(town).is_interim) == (stored.version, False)
    assert models(town).training_due == ""


def test_a_claim_of_a_training_outdates_no_forecast(town: LivingCity) -> None:
    request = training(town)
    stored = Stored.read(town.store, town.city)

    def look(_: date | None) -> str:
        with town.under_way(TRAINING, request.tags):
            assert [one for one in town.tick() if "fold_models" not in assets_of(one)] == []
        return "version"

    stored.write(Asset.LIVE_MODELS, [TODAY], look)


def test_a_simple_method_serves_a_lead_until_its_models_are_trained(town: LivingCity) -> None:
    assert town.run(training(town))
    town.now += 2 * ONE_DAY
    run_all_but_long_ones(town)
    record = models(town, TODAY + 2 * ONE_DAY)
    assert (record.is_interim, record.lead) == (True, 4)
    assert record.training_due == "retrained for a lead of 4 days because the live models were fitted for 2"
    town.land("days.csv", *rows(TODAY, TODAY + ONE_DAY, MANY))
    run_all_but_long_ones(town)
    record = models(town, TODAY + 2 * ONE_DAY)
    assert (record.is_interim, record.lead, record.models_from, record.training_due) == (False, 2, TODAY, "")
