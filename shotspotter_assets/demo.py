"""Runs the whole chain on the embedded simulated city and prints how the forecasts did: `make demo`."""

import json
import time
from datetime import date, timedelta
from typing import Any

import dagster as dg

from shotspotter_assets.cities.registry import find_city
from shotspotter_assets.definitions import defs
from shotspotter_assets.defs.environment import CITIES, STORE_ROOT
from shotspotter_assets.defs.partition_keys import RANGE_END, RANGE_START
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.defs.walk_forward.evaluation_reports import REPORT_FILE
from shotspotter_assets.partitions import next_cutoff
from shotspotter_assets.storage.store import Partition

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
    with dg.DagsterInstance.get() as instance:
        # A demo that was killed could not say so, and its run would hold a place in the queue for ever.
        for run in instance.get_runs(dg.RunsFilter(tags=DEMO_TAG, statuses=[dg.DagsterRunStatus.STARTED])):
            instance.report_run_failed(run)
        first, last = find_city(CITIES, CITY).start, next_cutoff(FOLDS[-1]) - timedelta(days=1)
        _say(f"1/3  alerts and grids of {CITY}, {first} to {last}")
        _run(
            instance,
            ["raw_alerts", "cleaned_alerts", "grid_tensors"],
            {RANGE_START: f"{CITY}|{first}", RANGE_END: f"{CITY}|{last}"},
        )
        for fold in FOLDS:
            _say(f"2/3  the models of fold {fold}, the reference network in a small size: {SMALL_NETWORK}")
            _run(
                instance,
                ["fold_models"],
                {"dagster/partition": f"{CITY}|{fold}"},
                {"fold_models": {"config": SMALL_NETWORK}},
            )
        for fold in FOLDS:
            _say(f"3/3  the report of fold {fold}: baselines, scores, plots")
            _run(instance, ["evaluation_reports"], {"dagster/partition": f"{CITY}|{fold}"})
    for fold in FOLDS:
        _show(fold)
    _say(f"done in {time.monotonic() - started:.0f} s; see the runs and the plots with: make ui")


def _run(
    instance: dg.DagsterInstance, assets: list[str], tags: dict[str, str], ops: dict[str, Any] | None = None
) -> None:
    job = defs().resolve_implicit_global_asset_job_def()
    keys = {dg.AssetKey(asset) for asset in assets}
    job.get_subset(asset_selection=keys).execute_in_process(
        run_config={"ops": ops or {}, "loggers": {"console": {"config": {"log_level": "INFO"}}}},
        instance=instance,
        tags=tags | DEMO_TAG,
    )


def _show(fold: date) -> None:
    store = StoreResource(root=STORE_ROOT).open()
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
