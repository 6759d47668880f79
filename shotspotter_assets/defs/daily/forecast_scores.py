"""Forecast scores, by city and day: the forecast issued the day before against what happened, and the last weeks."""

from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING

import dagster as dg

from shotspotter_assets.cities.registry import Cities
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.automation.conditions import CATCH_UP
from shotspotter_assets.defs.checks import keep_findings
from shotspotter_assets.defs.replay_runs import known_then
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.partitions import DAY_BEFORE, LAST_FORTNIGHT, Partitions, date_ranges, single_day
from shotspotter_assets.storage.file_names import RECORD_FILE

if TYPE_CHECKING:
    from shotspotter_assets.serving.forecast_scores import ScoreRecord


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
    """How the forecast issued the day before did, with rolling skill, calibration, the gate on issued forecasts, and drift.

    The first day has no forecast and a record that tells so, and so has a day that is not known yet. All is of forecasts
    issued at the lead of the last one. Made again when alerts of the last fortnight are corrected.
    """
    from shotspotter_assets.models.city_history import CityHistory, DaysNotKnownError
    from shotspotter_assets.serving.drift import DRIFT_DAYS
    from shotspotter_assets.serving.forecast_scores import WINDOWS, score, write_scores
    from shotspotter_assets.serving.issued_forecasts import next_day_forecasts
    from shotspotter_assets.serving.record import ServingRecord

    city, day = single_day(context, cities)
    opened = store.open()
    first = max(city.start, day - timedelta(days=DRIFT_DAYS - 1))
    forecasts = next_day_forecasts(opened, city, day - timedelta(days=WINDOWS[-1] - 1), day)
    serving = ServingRecord.latest_before(opened, city.name, day)
    then = known_then(context, opened, city)
    try:
        history = CityHistory.load(opened, city, day, first, then)
    except DaysNotKnownError:
        history = CityHistory.load(opened, city, day, known_then=then)
    record = score(history, forecasts, serving)
    path = write_scores(opened, record)
    return dg.MaterializeResult(metadata={**panel.rounded(_metadata(record)), "path": path})


def rolling_gate_holds(
    context: dg.AssetCheckExecutionContext, cities: dg.ResourceParam[Cities], store: StoreResource
) -> dg.AssetCheckResult:
    """The candidate's issued forecasts pass the gate and are calibrated, and the alerts have not drifted.

    When the gate fails, the next live models serve the best baseline.
    """
    from shotspotter_assets.serving.forecast_scores import ScoreRecord

    opened = store.open()
    wrong: dict[str, list[str]] = {}
    for date_range in date_ranges(context, cities):
        city = date_range.city.name
        warnings = {day: ScoreRecord.load(opened, city, day).warnings() for day in date_range.days}
        wrong |= {date_range.key(day): reasons for day, reasons in warnings.items() if reasons}
        if date_range.last == max(opened.days_present("forecast_scores", city, RECORD_FILE)):
            # A correction scores past days again, which says nothing of the present.
            newest = warnings[date_range.last]
            keep_findings(store, "rolling_gate", [(date_range, not newest, " ".join(newest))])
    return dg.AssetCheckResult(
        passed=not wrong,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"reasons_by_partition": wrong},
        description=" ".join(f"{key}: {' '.join(reasons)}" for key, reasons in list(wrong.items())[:5]) or None,
    )


def _metadata(record: "ScoreRecord") -> panel.Metadata:
    """Numbers that plot over the days, and words."""
    numbers: panel.Metadata = {"note": record.note, "lead": record.lead, "last_known": str(record.last_known)}
    if record.scores is not None:
        scores = asdict(record.scores)
        numbers |= scores | {"hit_rate": None, "hit_rate_5": record.scores.hit_rate[5]}
    for days, rolling in (record.rolling or {}).items():
        numbers[f"predicted_over_observed_{days}_days"] = rolling.predicted_over_observed
        numbers[f"replayed_{days}_days"] = rolling.replayed
        numbers |= {f"gain_{days}_days_over_{name}": gain.gain for name, gain in rolling.gain_over.items()}
    if record.rolling_gate is not None:
        numbers["rolling_gate_passed"] = record.rolling_gate.passed
        numbers["rolling_gate"] = panel.bullets(record.rolling_gate.reasons)
    drift = record.drift
    numbers |= {
        "alerts_per_day_28_days": drift.rate.recent,
        "alerts_outside_28_days": drift.coverage.alerts_outside,
        "drifted": drift.drifted,
        "drift": panel.bullets(drift.reasons),
    }
    return {name: value for name, value in numbers.items() if value is not None}
