"""The scores of a fold as text."""

from typing import Final

from shotspotter_assets.evaluation.fold_report import FoldReport
from shotspotter_assets.evaluation.score_rows import ScoreTable

SHOWN_SCORES: Final = {
    "log_loss": "log loss",
    "gain_nats_per_positive": "gain [nats]",
    "brier_skill": "Brier skill",
    "average_precision": "AP",
    "predicted_over_observed": "pred/obs",
    "seconds_to_train": "train [s]",
}
LEGEND: Final = """\
log loss     lower is better; the table is sorted by it
gain         improvement over historical_mean, the long-run mean of each cell, in nats per cell-day with an alert
Brier skill  squared error compared with historical_mean; above 0 is better
AP           average precision of the ranked cells and days; 1 is perfect
pred/obs     forecast cell-days with an alert for each one observed; 1 is calibrated
train        seconds to train; - where nothing was trained, or as a part of stack"""


def fold_text(report: FoldReport, scores: ScoreTable) -> str:
    """Return a line on the test days, and a table with a row for each model."""
    facts = (
        f"Fold {report.fold}: {report.test_days} test days, {report.covered_cells} covered cells, {report.alerts:,} alerts, "
        f"{report.base_rate:.2%} of cell-days with an alert"
    )
    lines = [facts, f"{'model':22s}" + "".join(f"{title:>13s}" for title in SHOWN_SCORES.values())]
    for name in scores.models():
        values = [scores.value(score, name) for score in SHOWN_SCORES]
        lines.append(f"{name:22s}" + "".join(f"{'-':>13s}" if value is None else f"{value:13.4f}" for value in values))
    return "\n".join(lines)
