"""Runs parts of the chain for tests, as a launch from the UI would: by partition, by range, on any store."""

from typing import Any

import dagster as dg

from shotspotter_assets.defs.alerts.alert_checks import rows_are_conserved
from shotspotter_assets.defs.alerts.grid_checks import counts_equal_alerts
from shotspotter_assets.defs.alerts.grid_tensors import grid_tensors
from shotspotter_assets.defs.alerts.raw_alerts import cleaned_alerts, raw_alerts
from shotspotter_assets.defs.partition_keys import RANGE_END, RANGE_START
from shotspotter_assets.defs.resources import SourcesResource, StoreResource
from shotspotter_assets.defs.walk_forward.fold_models import fold_models

DAILY = [raw_alerts, cleaned_alerts, grid_tensors, rows_are_conserved, counts_equal_alerts]
TINY_NETWORK = {"models": ["conv_lstm"], "days": 4, "recurrent_layers": 2, "filters": 2, "epochs": 2, "batch_size": 40}


def resources(store_root: str, landing_root: str = "landing") -> dict[str, Any]:
    """The resources of the definitions, on other roots."""
    return {"store": StoreResource(root=store_root), "sources": SourcesResource(landing_root=landing_root)}


def run_days(
    city: str,
    first: str,
    last: str,
    resources: dict[str, Any],
    instance: dg.DagsterInstance,
    raise_on_error: bool = True,
    assets: list[str] | None = None,
) -> dg.ExecuteInProcessResult:
    """One run of the daily assets (or some of them) and their checks over a range of days."""
    tags = {RANGE_START: f"{city}|{first}", RANGE_END: f"{city}|{last}"}
    return dg.materialize(
        DAILY, resources=resources, instance=instance, tags=tags, raise_on_error=raise_on_error, selection=assets
    )


def run_fold(
    asset: dg.AssetsDefinition,
    city: str,
    fold: str,
    resources: dict[str, Any],
    instance: dg.DagsterInstance,
    network: dict[str, Any] | None = None,
    horizons: list[int] | None = None,
) -> dg.ExecuteInProcessResult:
    """One run of a fold's model or report."""
    of_asset = (
        network or TINY_NETWORK if asset is fold_models else {"horizons": horizons or [], "types": bool(horizons)}
    )
    config = {"ops": {asset.op.name: {"config": of_asset}}}
    return dg.materialize(
        [asset], resources=resources, instance=instance, partition_key=f"{city}|{fold}", run_config=config
    )


__all__ = ["DAILY", "TINY_NETWORK", "fold_models", "resources", "run_days", "run_fold"]
