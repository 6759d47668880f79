"""Pooled scores of a city as Markdown: `python benchmarks/reports/pooled_results.py washington_dc 2018-01-01 ...`.

Reads the store (`SHOTSPOTTER_STORE`); the folds must have been reported before. With and without firework days, with
90% intervals of the gain over the historical mean and over gradient boosting from a weekly block bootstrap.
"""

import argparse
import os
from datetime import date
from typing import Any

from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.evaluation.forecasts_table import pool_tables, without_firework_days
from shotspotter_assets.evaluation.gains import table_gain
from shotspotter_assets.evaluation.report_files import read_fold_report
from shotspotter_assets.evaluation.scores import score_table
from shotspotter_assets.settings import Settings
from shotspotter_assets.storage.store import Partition

COLUMNS = {
    "log_loss": ("log loss", "{:.5f}"),
    "brier_skill": ("Brier skill", "{:+.4f}"),
    "average_precision": ("AP", "{:.3f}"),
    "roc_auc": ("AUC", "{:.3f}"),
    "predicted_over_observed": ("pred/obs", "{:.2f}"),
    "calibration_slope": ("slope", "{:.2f}"),
    "accuracy_1": ("accuracy", "{:.4f}"),
    "accuracy_10": ("10:1-weighted accuracy", "{:.3f}"),
}


def main() -> None:
    """Print both tables and the training times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("city")
    parser.add_argument("folds", type=date.fromisoformat, nargs="+", help="cutoffs, as 2018-01-01")
    chosen = parser.parse_args()
    store = StoreResource(root=Settings.from_environment(os.environ).store_root).open()
    partitions = [Partition("evaluation_reports", chosen.city, "fold", fold) for fold in chosen.folds]
    scores = [read_fold_report(store, chosen.city, fold)[1] for fold in chosen.folds]
    forecasts = pool_tables([store.read_table(partition, "forecasts.parquet") for partition in partitions])
    seconds = {name: sum(one.value("seconds_to_train", name) or 0 for one in scores) for name in scores[0].models()}
    for title, table in (
        ("All days", forecasts),
        ("Without 3-5 July, 31 December, 1 January", without_firework_days(forecasts)),
    ):
        days = len(set(table["date"].to_pylist()))
        base_rate = table["observed"].to_numpy().mean()
        print(f"\n### {title}: {days} days, {table.num_rows:,} cell-days, base rate {base_rate:.3%}\n")
        show(table, seconds)


def show(table: Any, seconds: dict[str, float]) -> None:
    """One Markdown table, the best model first."""
    titles = [title for title, _ in COLUMNS.values()]
    head = [
        "model",
        *titles,
        "hit rate at 5%",
        "PAI at 5%",
        "gain over historical mean",
        "gain over gradient boosting",
        "training",
    ]
    print("| " + " | ".join(head) + " |")
    print("| " + " | ".join("---" for _ in head) + " |")
    for name, scores in sorted(score_table(table).items(), key=lambda item: item[1]["log_loss"]):
        values = [(scores[key], form) for key, (_, form) in COLUMNS.items()]
        numbers = ["-" if value is None else form.format(value) for value, form in values]
        gains = [table_gain(table, name, over).text("+.3f") for over in ("historical_mean", "gradient_boosting")]
        row = [
            name,
            *numbers,
            f"{scores['hit_rate_5']:.3f}",
            f"{scores['pai_5']:.2f}",
            *gains,
            f"{seconds[name]:,.0f} s",
        ]
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
