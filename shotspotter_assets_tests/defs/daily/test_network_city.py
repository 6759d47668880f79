import json
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest

from shotspotter_assets.forecasts.issued_scores import ScoreRecord
from shotspotter_assets.forecasts.serving_record import ServingRecord
from shotspotter_assets.storage.catalogue import FORECAST_RECORD, SERVING_RECORD
from shotspotter_assets_tests.defs.chain import copy_days
from shotspotter_assets_tests.defs.daily.test_live_chain import CITY, Chain, at_horizon

DAY = date(2023, 11, 5)
NETWORKS: dict[str, dict[str, Any]] = {
    "network": {"epochs": 2},
    "conv_lstm": {"days": 2, "recurrent_layers": 1, "filters": 2, "epochs": 2, "batch_size": 40},
}


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
def test_network_serves(network: str, tmp_path: Path, instance: dg.DagsterInstance, tiny_city_days: Path) -> None:
    root = copy_days(tiny_city_days, tmp_path / "store", str(DAY))
    chain = Chain(root, instance, serves=network, forecasters={network: NETWORKS[network]})
    chain.run(DAY, settings={network: {"epochs": 1}})
    record = ServingRecord.load(chain.store, CITY, DAY)
    assert (record.candidate, next(iter(record.models))) == (network, network)
    # Four weeks are too few for the gate, so a baseline serves and the network is forecast beside it.
    assert record.served == record.gate.best_baseline
    beside = next_day(chain)
    assert not np.allclose(beside["candidate"], beside["probability"])

    accepted = record.model_copy(update={"served": network, "gate": replace(record.gate, served=network)})
    chain.store.write_bytes(SERVING_RECORD, accepted.model_dump_json().encode(), CITY, DAY)
    chain.run(DAY, ["risk_forecasts", "street_risk", "patrol_plans", "forecast_scores"])
    served = next_day(chain)
    np.testing.assert_array_equal(served["probability"], beside["candidate"])
    assert ((served["low"] <= served["probability"]) & (served["probability"] <= served["high"])).all()
    facts = json.loads(chain.store.read_bytes(FORECAST_RECORD, CITY, DAY))
    assert facts["served"] == network
    assert facts["drivers"], "a network that starts at the regression has that one's reasons"
    assert ScoreRecord.load(chain.store, CITY, DAY).note


def next_day(chain: Chain) -> dict[str, np.ndarray]:
    rows = at_horizon(chain.forecast(DAY), "day")
    return {name: rows[name].to_numpy() for name in ("probability", "candidate", "low", "high")}


@pytest.mark.slow
def test_network_is_forecast_beside_what_serves_and_continues_weekly(
    tmp_path: Path, instance: dg.DagsterInstance, tiny_city_days: Path
) -> None:
    root = copy_days(tiny_city_days, tmp_path / "store", str(DAY + timedelta(days=1)))
    small = {"network": {"epochs": 2, "filters": 4, "networks": 1}}
    chain = Chain(root, instance, serves="ewma", network=True, forecasters=small)
    chain.run(DAY)
    forecast = at_horizon(chain.forecast(DAY), "day")
    assert not np.allclose(forecast["model_network"], forecast["model_historical_mean"])
    chosen = ServingRecord.load(chain.store, CITY, DAY).models["network"].chosen
    assert "validation_loss_before" not in chosen

    following = DAY + timedelta(days=1)
    chain.run(following, ["live_models"], retrain=True)
    chosen = ServingRecord.load(chain.store, CITY, following).models["network"].chosen
    assert chosen["validation_loss_before"] > 0
    chain.change_city(serves="ewma", network=False, forecasters=small)
    chain.run(following, ["live_models"])
    record = ServingRecord.load(chain.store, CITY, following)
    assert record.reasons[0] == "Retrained because the city's file has another value of network."
    assert "network" not in record.models
