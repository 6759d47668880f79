"""Checks of the live chain: whether issued forecasts still hold."""

import dagster as dg

from shotspotter_assets.defs.daily.forecast_scores import forecast_scores, read_scores
from shotspotter_assets.defs.environment import PARTITIONS
from shotspotter_assets.defs.partition_keys import stretches
from shotspotter_assets.defs.resources import StoreResource


@dg.asset_check(asset=forecast_scores, name="rolling_gate", partitions_def=PARTITIONS.city_date)
def rolling_gate_holds(context: dg.AssetCheckExecutionContext, store: StoreResource) -> dg.AssetCheckResult:
    """The candidate's issued forecasts pass the gate, their level is right, and the alerts have not drifted.

    When the gate fails, the next live models serve the best baseline.
    """
    wrong: dict[str, list[str]] = {}
    for stretch in stretches(context):
        for day in stretch.days:
            record = read_scores(store.open(), stretch.city.name, day)
            gate, rolling = record["rolling_gate"], record["rolling"]
            reasons = list(record["drift"]["reasons"])
            if gate is not None and not gate["passed"]:
                reasons.insert(0, f"The rolling gate says {gate['served']}: {' '.join(gate['reasons'])}")
            if record["level_is_off"]:
                reasons.append(
                    f"Predicted / observed of the last weeks is {rolling['91']['predicted_over_observed']:.2f}."
                )
            if reasons:
                wrong[stretch.key(day)] = reasons
    return dg.AssetCheckResult(
        passed=not wrong,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"reasons_by_partition": wrong},
        description=" ".join(f"{key}: {' '.join(of)}" for key, of in list(wrong.items())[:5]) or None,
    )
