"""Checks of the reports: whether the forecast that is to be served was shown to be better than the best baseline."""

import dagster as dg

from shotspotter_assets.defs.environment import PARTITIONS
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.defs.walk_forward.evaluation_reports import REPORT_FILE
from shotspotter_assets.defs.walk_forward.walk_forward_reports import walk_forward_partition, walk_forward_reports


@dg.asset_check(asset=walk_forward_reports, partitions_def=PARTITIONS.cities)
def forecast_beats_best_baseline(context: dg.AssetCheckExecutionContext, store: StoreResource) -> dg.AssetCheckResult:
    """The candidate forecast was shown to be better than the best baseline; where not, that baseline is served.

    The lower end of the 90% interval of its gain is above zero, and predicted / observed lies within 0.8 to 1.25.
    """
    from shotspotter_assets.evaluation.walk_forward_report import WalkForwardReport

    content = store.open().read_bytes(walk_forward_partition(context.partition_key), REPORT_FILE)
    report = WalkForwardReport.model_validate_json(content)
    verdict = report.verdict
    return dg.AssetCheckResult(
        passed=verdict.passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{context.partition_key}: {verdict.served} is served. {' '.join(verdict.reasons)}",
        metadata={
            "served": verdict.served,
            "candidate": verdict.candidate,
            "best_baseline": verdict.best_baseline,
            **verdict.gain.ends(),
            "days": report.days,
            "positives": verdict.positives,
        },
    )
