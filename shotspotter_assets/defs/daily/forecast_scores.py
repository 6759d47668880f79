"""Forecast scores, by city and day: the forecast issued the day before against what happened, and the last weeks."""

import json
from datetime import date, timedelta
from typing import Any

import dagster as dg
import pyarrow as pa

from shotspotter_assets.cities.registry import Cities
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.automation.conditions import CATCH_UP
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.models.city_history import CityHistory, covered_mask
from shotspotter_assets.partitions import DAY_BEFORE, LAST_FORTNIGHT, Partitions, date_ranges, single_day
from shotspotter_assets.serving.files import FORECAST_SCORES, day_partition, next_day_forecasts
from shotspotter_assets.storage.file_names import RECORD_FILE

DRIFT_DAYS = 28 * 14
"""The last block of 28 days and the thirteen of the year before it."""


def definitions(partitions: Partitions) -> dg.Definitions:
    """The asset and its check."""
    asset = dg.asset(
        partitions_def=partitions.city_date,
        group_name="forecasts",
        kinds={"json"},
        code_version="1",
        deps=[
            dg.AssetDep("risk_forecasts", partition_mapping=DAY_BEFORE),
            dg.AssetDep("grid_tensors", partition_mapping=LAST_FORTNIGHT),
        ],
        automation_condition=CATCH_UP,
    )
    check = dg.asset_check(asset="forecast_scores", name="rolling_gate", partitions_def=partitions.city_date)
    return dg.Definitions(assets=[asset(forecast_scores)], asset_checks=[check(rolling_gate_holds)])


def forecast_scores(
    context: dg.AssetExecutionContext, cities: dg.ResourceParam[Cities], store: StoreResource
) -> dg.MaterializeResult:
    """How the forecast issued the day before did, with rolling skill, level, the gate on issued forecasts, and drift.

    The first day has no forecast and a record that says so. Made again when alerts of the last fortnight are corrected.
    """
    from shotspotter_assets.gridding.coverage import estimate_coverage
    from shotspotter_assets.serving.forecast_scores import (
        WINDOWS,
        day_scores,
        drift_of,
        level_is_off,
        rolling_gate,
        rolling_scores,
        scored_day,
    )

    city, day = single_day(context, cities)
    opened = store.open()
    forecasts = next_day_forecasts(opened, city.name, day - timedelta(days=WINDOWS[-1]), day - timedelta(days=1))
    first = max(city.start, day - timedelta(days=DRIFT_DAYS - 1))
    stored = CityHistory.load(opened, city, day, first)
    alerts = stored.alerts
    scored = {of: scored_day(table, of, alerts[(of - first).days]) for of, table in forecasts.items()}
    record: dict[str, Any] = {
        "city": city.name,
        "day": day.isoformat(),
        "note": None,
        "scores": None,
        "rolling": None,
        "rolling_gate": None,
        "level_is_off": False,
    }
    covered = estimate_coverage(alerts)
    if day in scored:
        row, column = (forecasts[day][name].to_numpy() for name in ("row", "column"))
        expected = float(forecasts[day]["expected"].to_numpy().sum())
        record["scores"] = day_scores(scored[day], expected, int(alerts[-1][row, column].sum()))
        covered = covered_mask(list(zip(row, column, strict=True)), city.shape)
    else:
        record["note"] = f"No forecast was issued on {day - timedelta(days=1)}, so {day} has no score."
    if scored:
        together = pa.concat_tables(list(scored.values()))
        record["rolling"] = rolling_scores(together, day)
        record["rolling_gate"] = rolling_gate(together, day)
        record["level_is_off"] = level_is_off(record["rolling"])
    record["drift"] = drift_of(stored.daily_counts, first, covered, city)
    partition = day_partition(FORECAST_SCORES, city.name, day)
    content = json.dumps(record, indent=1)
    opened.write_bytes(partition, RECORD_FILE, content.encode())
    return dg.MaterializeResult(
        metadata={**panel.rounded(_metadata(record)), "path": opened.uri(partition, RECORD_FILE)},
    )


def rolling_gate_holds(
    context: dg.AssetCheckExecutionContext, cities: dg.ResourceParam[Cities], store: StoreResource
) -> dg.AssetCheckResult:
    """The candidate's issued forecasts pass the gate, their level is right, and the alerts have not drifted.

    When the gate fails, the next live models serve the best baseline.
    """
    wrong: dict[str, list[str]] = {}
    for date_range in date_ranges(context, cities):
        for day in date_range.days:
            record = read_scores(store.open(), date_range.city.name, day)
            gate, rolling = record["rolling_gate"], record["rolling"]
            reasons = list(record["drift"]["reasons"])
            if gate is not None and not gate["passed"]:
                reasons.insert(0, f"The rolling gate says {gate['served']}: {' '.join(gate['reasons'])}")
            if record["level_is_off"]:
                reasons.append(
                    f"Predicted / observed of the last weeks is {rolling['91']['predicted_over_observed']:.2f}."
                )
            if reasons:
                wrong[date_range.key(day)] = reasons
    return dg.AssetCheckResult(
        passed=not wrong,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"reasons_by_partition": wrong},
        description=" ".join(f"{key}: {' '.join(reasons)}" for key, reasons in list(wrong.items())[:5]) or None,
    )


def _metadata(record: dict[str, Any]) -> dict[str, Any]:
    """Numbers that plot over the days, and words."""
    numbers: dict[str, Any] = {"note": record["note"]} if record["note"] else {}
    scores, rolling, gate, drift = (record[name] for name in ("scores", "rolling", "rolling_gate", "drift"))
    if scores is not None:
        numbers |= {name: value for name, value in scores.items() if isinstance(value, int | float)}
        numbers |= {"hit_rate_5": scores["hit_rate"]["5"]} if scores["hit_rate"]["5"] is not None else {}
    for days, of in (rolling or {}).items():
        gains = {f"gain_{days}_days_over_{name}": gain["gain"] for name, gain in of["gain_over"].items()}
        of_window = {f"predicted_over_observed_{days}_days": of["predicted_over_observed"], **gains}
        numbers |= {name: value for name, value in of_window.items() if value is not None}
    if gate is not None:
        numbers |= {
            "rolling_gate_passed": gate["passed"],
            "rolling_gate": panel.bullets(gate["reasons"]),
        }
    return numbers | {
        "alerts_per_day_28_days": drift["rate"]["recent"],
        "alerts_outside_28_days": drift["coverage"]["alerts_outside"],
        "drifted": drift["drifted"],
        "drift": panel.bullets(drift["reasons"]),
    }


def read_scores(store: Any, city: str, day: date) -> dict[str, Any]:
    """The record of a day's scores.

    Raises:
        MissingObjectError: the day was not scored.
    """
    record: dict[str, Any] = json.loads(store.read_bytes(day_partition(FORECAST_SCORES, city, day), RECORD_FILE))
    return record
