"""Runs the whole chain on the embedded simulated city and prints how the forecasts did: `make demo`."""

import json
import os
import time
from datetime import date, timedelta
from typing import Any

import dagster as dg

from shotspotter_assets.cities.registry import find_city
from shotspotter_assets.definitions import build_definitions
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.partitions import key_of, next_cutoff, range_tags
from shotspotter_assets.settings import Settings
from shotspotter_assets.storage.file_names import REPORT_FILE
from shotspotter_assets.storage.store import Partition, Store

CITY = "simulated_city"
FOLDS = (date(2025, 1, 1), date(2025, 4, 1))

SMALL_NETWORK = {
    "models": ["conv_lstm", "residual_boosting"],
    "filters": 4,
    "days": 8,
    "epochs": 6,
    "patience": 3,
    "learning_rate": 3e-3,
}
"""The reference network trains in about a minute a fold with these; in its default size it takes hours."""

DEMO_TAG = {"shotspotter_assets/demo": "true"}

TABLE = {
    "log_loss": "log loss",
    "gain_nats_per_positive": "gain [nats]",
    "brier_skill": "Brier skill",
    "average_precision": "AP",
    "predicted_over_observed": "pred/obs",
    "seconds_to_train": "train [s]",
}


def main() -> None:
    """Materialise two years of days and two folds into the instance of DAGSTER_HOME, then show the scores."""
    started = time.monotonic()
    settings = Settings.from_environment(os.environ)
    definitions = build_definitions(settings)
    with dg.DagsterInstance.get() as instance:
        # A demo that was killed could not say so, and its run would hold a place in the queue for ever.
        for run in instance.get_runs(dg.RunsFilter(tags=DEMO_TAG, statuses=[dg.DagsterRunStatus.STARTED])):
            instance.report_run_failed(run)

        def make(assets: list[str], tags: dict[str, str], ops: dict[str, Any] | None = None) -> None:
            job = definitions.resolve_implicit_global_asset_job_def()
            job.get_subset(asset_selection={dg.AssetKey(asset) for asset in assets}).execute_in_process(
                run_config={"ops": ops or {}, "loggers": {"console": {"config": {"log_level": "INFO"}}}},
                instance=instance,
                tags=tags | DEMO_TAG,
            )

        first, last = find_city(settings.cities, CITY).start, next_cutoff(FOLDS[-1]) - timedelta(days=1)
        _say(f"1/3  alerts and grids of {CITY}, {first} to {last}")
        make(["raw_alerts", "cleaned_alerts", "grid_tensors"], range_tags(CITY, first, last))
        for fold in FOLDS:
            _say(f"2/3  the models of fold {fold}, the reference network in a small size: {SMALL_NETWORK}")
            tags = {"dagster/partition": key_of(CITY, fold)}
            make(["fold_models"], tags, {"fold_models": {"config": SMALL_NETWORK}})
        for fold in FOLDS:
            _say(f"3/3  the report of fold {fold}: baselines, scores, plots")
            make(["evaluation_reports"], {"dagster/partition": key_of(CITY, fold)})
    for fold in FOLDS:
        _show(StoreResource(root=settings.store_root).open(), fold)
    _say(f"done in {time.monotonic() - started:.0f} s; see the runs and the plots with: make ui")


def _show(store: Store, fold: date) -> None:
    partition = Partition("evaluation_reports", CITY, "fold", fold)
    report = json.loads(store.read_bytes(partition, REPORT_FILE))
    models = report["models"]
    possible = models["true_intensity"]["gain_nats_per_positive"]
    print(
        f"\nFold {fold}: {report['test_days']} test days, {report['covered_cells']} covered cells, {report['alerts']:,} alerts, "
        f"{report['base_rate']:.2%} of cell-days with an alert"
    )
    print(f"{'model':22s}" + "".join(f"{title:>13s}" for title in TABLE.values()) + f"{'of possible':>13s}")
    for name, scores in sorted(models.items(), key=lambda item: item[1]["log_loss"]):
        share = scores["gain_nats_per_positive"] / possible
        cells = "".join(f"{scores[key]:13.4f}" if scores[key] is not None else f"{'-':>13s}" for key in TABLE)
        print(f"{name:22s}{cells}{share:13.0%}")
    print(f"report and plots: {store.uri(partition, REPORT_FILE).removesuffix(REPORT_FILE)}")


def _say(text: str) -> None:
    print(f"\n=== {text}", flush=True)


if __name__ == "__main__":
    main()
