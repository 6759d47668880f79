"""Maturity in the live chain: a shadow that changes no bit of what serves, and a candidate that its level withholds."""

import json
import shutil
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pytest

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.stored_settings import model_settings, settings_hash
from shotspotter_assets.city_files import CityFileError
from shotspotter_assets.commands.status import status_facts, status_text
from shotspotter_assets.forecasts.issued_forecasts import load_record
from shotspotter_assets.forecasts.issued_scores import ScoreRecord
from shotspotter_assets.forecasts.retraining import outdated
from shotspotter_assets.models.forecaster_registry import check_forecasters
from shotspotter_assets.settings import Settings
from shotspotter_assets.storage import catalogue
from shotspotter_assets.storage.catalogue import Asset
from shotspotter_assets_tests.defs.chain import CITIES, copy_days
from shotspotter_assets_tests.defs.daily.test_live_chain import CITY, Chain, metadata_of
from shotspotter_assets_tests.instances import instance_in_memory

DAY = date(2023, 11, 5)
NEXT = DAY + timedelta(days=1)
SHADOW = "regime_regression"
QUICK = {"serves": "ewma", "time_precision": "day"}
UNUSABLE = "residual_boosting"
"""A shadow that cannot be trained, as it has no such setting."""
FILES = (catalogue.HOURLY, catalogue.TOP_LOCATIONS)


def chain_with(shadow: str | None, root: Path, instance: dg.DagsterInstance) -> Chain:
    """The chain of `DAY`, and the scores of the day after it."""
    chain = Chain(root, instance, shadow=shadow, forecasters={UNUSABLE: {"trees": 3}}, **QUICK)
    chain.run(DAY, ["live_models", "risk_forecasts", "patrol_plans"])
    chain.run(NEXT, ["forecast_scores"])
    return chain


@pytest.fixture(scope="module")
def chains(tiny_city_days: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str | None, Chain]:
    """The chain with a shadow, with one that cannot be trained, and with none."""
    made = {}
    for shadow in (None, SHADOW, UNUSABLE):
        root = copy_days(tiny_city_days, tmp_path_factory.mktemp(str(shadow)) / "store", str(NEXT))
        with instance_in_memory(root.parent) as instance:
            made[shadow] = chain_with(shadow, root, instance)
    return made


CLOCK_AND_SHADOW = ("issued_at", "written_at", "shadow", "table_sha256")


def record(chain: Chain) -> dict[str, Any]:
    """The forecast's record without what a clock writes."""
    facts = json.loads(chain.store.read_bytes(catalogue.FORECAST_RECORD, CITY, DAY))
    return {name: value for name, value in facts.items() if name not in CLOCK_AND_SHADOW}


def models(chain: Chain) -> dict[str, Any]:
    """The serving record without its shadow and the seconds of trainings."""
    facts = chain.models(DAY).model_dump(exclude={"shadow"})
    return facts | {"models": {name: model["files"] for name, model in facts["models"].items()}}


def test_a_shadow_changes_no_bit_of_what_serves(chains: dict[str | None, Chain]) -> None:
    alone = chains[None]
    beside = chains[SHADOW]
    assert models(alone) == models(beside)
    assert record(alone) == record(beside)
    with_shadow = beside.forecast(DAY)
    without = alone.forecast(DAY)
    assert with_shadow.drop_columns(["shadow"]).equals(without)
    facts = dict(with_shadow.schema.metadata)
    assert facts.pop(b"shadow") == SHADOW.encode()
    assert facts == without.schema.metadata
    assert all(alone.read(file, DAY).equals(beside.read(file, DAY), check_metadata=True) for file in FILES)
    for file in (catalogue.RISK_MAP, catalogue.DISPATCH_CSV):
        assert alone.store.read_bytes(file, CITY, DAY) == beside.store.read_bytes(file, CITY, DAY)


def test_a_shadow_is_stated_and_scored(chains: dict[str | None, Chain]) -> None:
    chain = chains[SHADOW]
    assert (chain.models(DAY).shadow.name, chain.models(DAY).shadow.problem) == (SHADOW, "")
    assert load_record(chain.store, CITY, DAY).shadow == f"{SHADOW} is forecast in the shadow: scored, never shown."
    day = chain.forecast(DAY)
    shadow = day["shadow"].to_numpy()
    assert not np.allclose(shadow, day["probability"].to_numpy())
    scores = ScoreRecord.load(chain.store, CITY, NEXT)
    assert (scores.shadow.name, scores.shadow.first, scores.shadow.days) == (SHADOW, NEXT, 1)
    assert f"In the shadow: {SHADOW}, on 1 scored day since {NEXT}" in scores.shadow.text()
    came = {(row["row"], row["column"]) for row in chain.read(catalogue.TENSORS, NEXT).to_pylist()}
    cells = zip(day["row"].to_pylist(), day["column"].to_pylist(), strict=True)
    observed = np.array([cell in came for cell in cells])
    losses = [-np.log(np.where(observed, p, 1 - p)).sum() for p in (day["probability"].to_numpy(), shadow)]
    assert scores.shadow.gain.value == pytest.approx((losses[0] - losses[1]) / observed.sum())
    assert ScoreRecord.load(chains[None].store, CITY, NEXT).model_dump(exclude={"shadow"}) == scores.model_dump(
        exclude={"shadow"}
    )


def test_a_shadow_that_cannot_be_trained_stops_nothing(chains: dict[str | None, Chain]) -> None:
    alone = chains[None]
    failed = chains[UNUSABLE]
    assert failed.models(DAY).shadow.problem.startswith(f"The shadow {UNUSABLE} could not be trained: ")
    assert models(alone) == models(failed)
    assert failed.forecast(DAY).equals(alone.forecast(DAY), check_metadata=True)
    assert load_record(failed.store, CITY, DAY).shadow == failed.models(DAY).shadow.problem
    assert ScoreRecord.load(failed.store, CITY, NEXT).shadow is None


def test_a_shadow_that_is_lost_or_was_removed_is_not_forecast(
    chains: dict[str | None, Chain], instance: dg.DagsterInstance
) -> None:
    chain = Chain(chains[SHADOW].root, instance, shadow=SHADOW, forecasters={UNUSABLE: {"trees": 3}}, **QUICK)
    serving = chain.models(DAY)
    model = f"{SHADOW}{serving.suffix}"
    chain.store.delete(catalogue.LIVE_MODEL.named(model=model, file=min(serving.shadow.files)), CITY, DAY)
    chain.run(DAY, ["risk_forecasts"])
    assert chain.forecast(DAY).equals(chains[None].forecast(DAY), check_metadata=True)
    assert load_record(chain.store, CITY, DAY).shadow.startswith(f"The shadow {SHADOW} could not be forecast: ")
    for file in serving.shadow.files:
        chain.store.write_bytes(catalogue.LIVE_MODEL.named(model=model, file=file), b"{}", CITY, DAY)
    chain.run(DAY, ["risk_forecasts"])
    assert load_record(chain.store, CITY, DAY).shadow.endswith("again, live_models with `retrain` on.")
    chain.change_city(**QUICK)
    chain.run(DAY, ["risk_forecasts"])
    assert load_record(chain.store, CITY, DAY).shadow == ""


def test_the_panel_names_the_shadow_of_the_city_and_not_that_of_the_models(
    chains: dict[str | None, Chain], tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    shutil.copytree(chains[SHADOW].root, tmp_path / "store")
    panels = {}
    for shadow in (SHADOW, "logistic_regression", None):
        chain = Chain(tmp_path / "store", instance, shadow=shadow, forecasters={UNUSABLE: {"trees": 3}}, **QUICK)
        panels[shadow] = metadata_of(chain.run(NEXT, ["live_models"]))["live_models"].get("shadow")
        chain.store.delete(catalogue.SERVING_RECORD, CITY, NEXT)
    later = "logistic_regression was not trained with these models; the next training adds it."
    assert panels == {SHADOW: SHADOW, "logistic_regression": later, None: None}


def test_another_shadow_outdates_nothing(chains: dict[str | None, Chain]) -> None:
    city = chains[None].cities[CITY]
    other = city.model_copy(update={"shadow": SHADOW})
    assert {asset: settings_hash(city, asset) for asset in Asset} == {
        asset: settings_hash(other, asset) for asset in Asset
    }
    assert model_settings(city) == model_settings(other)
    assert outdated(other, chains[None].models(DAY)) == ""


@pytest.mark.parametrize("name", ["stack", "ewma", "never", "oracle", "network"])
def test_what_is_forecast_anyway_is_no_shadow(name: str) -> None:
    city = CITIES[CITY].model_copy(update={"shadow": name})
    with pytest.raises(CityFileError, match=f"{CITY}.yaml: shadow: '{name}' cannot run in the shadow .allowed: "):
        check_forecasters(city)
    check_forecasters(CITIES[CITY].model_copy(update={"shadow": "residual_boosting"}))


def test_a_candidate_whose_level_is_off_is_withheld_and_status_says_so(
    chains: dict[str | None, Chain], tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    shutil.copytree(chains[None].root, tmp_path / "store")
    chain = Chain(tmp_path / "store", instance, gate="alarm", level="withhold", **QUICK)
    forecast = chain.forecast(DAY)
    tripled = pa.array(3 * forecast["candidate"].to_numpy())
    for back in range(1, 101):
        wrong = forecast.set_column(forecast.column_names.index("candidate"), "candidate", tripled)
        chain.store.write_table(catalogue.FORECAST, wrong, CITY, DAY - timedelta(days=back))
    before = chain.models(DAY)
    gate = replace(before.gate, served="ewma", overruled="Not shown to be better.")
    yesterday = {
        "issue_date": DAY - timedelta(days=1),
        "served": "ewma",
        "gate": gate,
        "settings": model_settings(city(chain)),
    }
    before.model_copy(update=yesterday).write(chain.store)
    chain.run(DAY, ["live_models"])
    record = chain.models(DAY)
    assert (record.candidate, record.served) == ("ewma", record.gate.best_baseline)
    assert record.reasons[0] == "Retrained because the level of ewma is off."
    assert record.gate.withheld.startswith(
        "ewma is withheld for its level. Expected / observed of 100 forecast days to "
    )
    assert f"Until then these models serve {record.served}." in " ".join(record.reasons)
    chain.run(NEXT, ["live_models", "risk_forecasts", "forecast_scores"])
    assert not chain.models(NEXT).trained
    level = ScoreRecord.load(chain.store, CITY, NEXT).level
    text = status_text(status_facts(Settings(chain.cities, str(chain.root), str(tmp_path)), CITY, instance))
    assert record.gate.withheld in text
    assert level.sentence() in text


def city(chain: Chain) -> City:
    return chain.cities[CITY]


def test_a_member_of_the_stack_needs_no_training_of_its_own(
    tiny_city_days: Path, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    root = copy_days(tiny_city_days, tmp_path / "store", str(DAY))
    members = {"stack": {"members": ["city_mean", "ewma"]}}
    chain = Chain(root, instance, serves="stack", time_precision="day", forecasters=members, shadow="city_mean")
    check_forecasters(city(chain))
    chain.run(DAY, ["live_models", "risk_forecasts"])
    assert chain.models(DAY).shadow.model_dump() == {"name": "city_mean", "files": {}, "problem": ""}
    forecast = chain.forecast(DAY)
    assert forecast["shadow"].equals(forecast["model_city_mean"])
