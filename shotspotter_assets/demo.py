"""Runs the whole chain on the embedded simulated city and prints how the forecasts did: `make demo`."""

import json
import os
import time
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final

import dagster as dg

from shotspotter_assets.cities.registry import find_city
from shotspotter_assets.definitions import build_definitions
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.defs.run_summary import failed_check
from shotspotter_assets.evaluation.fold_report import FoldReport
from shotspotter_assets.evaluation.gate import TRUTH
from shotspotter_assets.evaluation.report_files import fold_partition
from shotspotter_assets.partitions import key_of, next_cutoff, range_tags
from shotspotter_assets.settings import Settings
from shotspotter_assets.storage.file_names import REPORT_FILE
from shotspotter_assets.storage.store import Store

CITY: Final = "simulated_city"
FOLDS: Final = (date(2025, 1, 1), date(2025, 4, 1))

SMALL_NETWORK: Final = {
    "models": ["conv_lstm", "residual_boosting", "stack"],
    "conv_lstm": {"filters": 4, "days": 8, "epochs": 6, "patience": 3, "learning_rate": 3e-3},
}
"""The reference network trains in about a minute a fold with these; in its default size it takes hours."""

DEMO_TAG: Final = {"shotspotter_assets/demo": "true"}

SHOWN_SCORES: Final = {
    "log_loss": "log loss",
    "gain_nats_per_positive": "gain [nats]",
    "brier_skill": "Brier skill",
    "average_precision": "AP",
    "predicted_over_observed": "pred/obs",
    "seconds_to_train": "train [s]",
}


@dataclass(frozen=True)
class Launch:
    """One run, which is what `dg launch` would start."""

    title: str
    assets: tuple[str, ...]
    first: date
    last: date
    config: dict[str, Any] = field(default_factory=dict)

    @property
    def command(self) -> str:
        """The command that starts such a run by hand."""
        first, last = key_of(CITY, self.first), key_of(CITY, self.last)
        which = f'--partition "{first}"' if first == last else f'--partition-range "{first}...{last}"'
        config = f" --config-json '{json.dumps(self.config)}'" if self.config else ""
        return f"dg launch --assets {','.join(self.assets)} {which}{config}"

    def run(self, definitions: dg.Definitions, instance: dg.DagsterInstance) -> list[dg.AssetCheckEvaluation]:
        """The results of its checks, after a run in this process."""
        one = {"dagster/partition": key_of(CITY, self.first)}
        job = definitions.resolve_implicit_global_asset_job_def()
        subset = job.get_subset(asset_selection={dg.AssetKey(asset) for asset in self.assets})
        result = subset.execute_in_process(
            run_config=self.config | {"loggers": {"console": {"config": {"log_level": "INFO"}}}},
            instance=instance,
            tags=DEMO_TAG | (one if self.first == self.last else range_tags(CITY, self.first, self.last)),
        )
        return list(result.get_asset_check_evaluations())


def main() -> None:
    """Materialise two years of days and two folds into the instance of DAGSTER_HOME, then show the scores."""
    started = time.monotonic()
    settings = Settings.from_environment(os.environ)
    definitions = build_definitions(settings)
    with dg.DagsterInstance.get() as instance:
        # A demo that was killed could not end its run, which would hold a place in the queue for ever.
        for run in instance.get_runs(dg.RunsFilter(tags=DEMO_TAG, statuses=[dg.DagsterRunStatus.STARTED])):
            instance.report_run_failed(run)
        checks: list[dg.AssetCheckEvaluation] = []
        for launch in launches(find_city(settings.cities, CITY).start):
            _show_step(launch.title)
            print(f"    {launch.command}", flush=True)
            checks += launch.run(definitions, instance)
    for fold in FOLDS:
        _show_fold(StoreResource(root=settings.store_root).open(), fold)
    for check in checks:
        if not check.passed:
            print(failed_check(check))
    _show_step(f"done in {time.monotonic() - started:.0f} s; see the runs and the plots with: make ui")


def launches(first: date) -> list[Launch]:
    """The runs of the demo, of the days from `first` on."""
    last = next_cutoff(FOLDS[-1]) - timedelta(days=1)
    days = Launch(
        f"1/3  alerts and grids of {CITY}, {first} to {last}",
        ("raw_alerts", "cleaned_alerts", "grid_tensors"),
        first,
        last,
    )
    network = {"ops": {"fold_models": {"config": SMALL_NETWORK}}}
    models = [
        Launch(
            f"2/3  the models of fold {fold}, the reference network in a small size",
            ("fold_models",),
            fold,
            fold,
            network,
        )
        for fold in FOLDS
    ]
    reports = [
        Launch(f"3/3  the report of fold {fold}: baselines, scores, plots", ("evaluation_reports",), fold, fold)
        for fold in FOLDS
    ]
    return [days, *models, *reports]


def _show_fold(store: Store, fold: date) -> None:
    partition = fold_partition(CITY, fold)
    report = FoldReport.model_validate_json(store.read_bytes(partition, REPORT_FILE))
    possible = report.models[TRUTH].gain_nats_per_positive
    print(
        f"\nFold {fold}: {report.test_days} test days, {report.covered_cells} covered cells, {report.alerts:,} alerts, "
        f"{report.base_rate:.2%} of cell-days with an alert"
    )
    print(f"{'model':22s}" + "".join(f"{title:>13s}" for title in SHOWN_SCORES.values()) + f"{'of possible':>13s}")
    for name, scores in sorted(report.models.items(), key=lambda item: item[1].log_loss):
        values = [getattr(scores, score) for score in SHOWN_SCORES]
        cells = "".join(f"{'-':>13s}" if value is None else f"{value:13.4f}" for value in values)
        gain = scores.gain_nats_per_positive
        share = "-" if gain is None or not possible else f"{gain / possible:.0%}"
        print(f"{name:22s}{cells}{share:>13s}")
    print(f"report and plots: {store.uri(partition, REPORT_FILE).removesuffix(REPORT_FILE)}")


def _show_step(text: str) -> None:
    print(f"\n=== {text}", flush=True)


if __name__ == "__main__":
    main()
