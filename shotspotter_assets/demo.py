"""Run the whole chain on the embedded simulated city and print the scores: `make demo`."""

import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from typing import Any, Final

import dagster as dg

from shotspotter_assets.automation.due import ALERTS, PRODUCTS
from shotspotter_assets.definitions import build_definitions
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.evaluation.report_files import fold_partition, read_fold_report
from shotspotter_assets.partitions import asset_key, range_tags
from shotspotter_assets.settings import Settings
from shotspotter_assets.storage.file_names import ALL_CITIES, INDEX_FILE, REPORT_FILE, TOP_FILE
from shotspotter_assets.storage.store import Partition, Store

CITY: Final = "simulated_city"
FOLDS: Final = (date(2025, 1, 1), date(2025, 4, 1))
LAST_DAY: Final = date(2025, 6, 30)
DAILY_DAYS: Final = 5
"""The last days, whose daily chain is run."""

SMALL_NETWORK: Final = {"filters": 4, "days": 8, "epochs": 4, "patience": 3, "learning_rate": 3e-3}
"""Settings of the report's network that train in half a minute."""

WORKERS: Final = 2
"""Runs at a time, as many as `dagster.yaml` allows."""

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
train        seconds to train; - where nothing was trained, or as a part of stack
stack combines other forecasters and serves by default; conv_lstm is the report's network, small and hardly trained here."""


@dataclass(frozen=True)
class Launch:
    """One run of assets of the city."""

    title: str
    assets: Sequence[str]
    tags: dict[str, str] = field(default_factory=dict)
    """Name its partitions."""
    config: dict[str, dict[str, Any]] = field(default_factory=dict)


def main() -> None:
    """Materialize the city's days, two folds and the daily chain of its last days, and show scores and forecast."""
    started = time.monotonic()
    os.environ.setdefault("OMP_NUM_THREADS", str(max((os.cpu_count() or WORKERS) // WORKERS, 1)))
    settings = Settings.from_environment(os.environ)
    first = settings.cities[CITY].start
    days = Launch(f"alerts and grids to {LAST_DAY}", ALERTS, range_tags(first, LAST_DAY))
    folds = [[_fold_launch(FOLDS[1], ["stack", "conv_lstm"])], [_fold_launch(FOLDS[0], ["stack"])]]
    reports = Launch("report of all folds, and the pages", ("walk_forward_reports", "city_pages"))
    # A fork would inherit the locks of this process's threads.
    with ProcessPoolExecutor(WORKERS, multiprocessing.get_context("spawn")) as pool:
        warnings = [*pool.map(_run, [[days]])]
        warnings += pool.map(_run, [*folds, [_daily_launch()]])
        warnings += pool.map(_run, [[reports]])
    store = StoreResource(root=settings.store_root).open()
    for fold in FOLDS:
        _show_fold(store, fold)
    print(f"\n{LEGEND}")
    _show_tomorrow(store)
    if found := sorted({line for lines in warnings for line in lines}):
        print("\nChecks that warn, as they would for a real city:", *found, sep="\n  ")
    print(f"\ndone in {time.monotonic() - started:.0f} s")
    pages = store.uri(Partition("city_pages", ALL_CITIES), INDEX_FILE)
    print(f"The pages for analysts and shift commanders: {pages}")
    print("Open them with: make pages")
    print("The assets, with tables, maps and plots: make ui, then http://127.0.0.1:3000/assets")


def _fold_launch(fold: date, models: list[str]) -> Launch:
    training = {"fold_models": {"models": models, "settings": {"conv_lstm": SMALL_NETWORK}}}
    # Only the last report has forecasts of the next hours and of types.
    report = {"evaluation_reports": {} if fold == FOLDS[-1] else {"horizons": [], "types": False}}
    title, tags = f"models and report of fold {fold}", {"dagster/partition": str(fold)}
    return Launch(title, ("fold_models", "evaluation_reports"), tags, training | report)


def _daily_launch() -> Launch:
    chain, first = (*PRODUCTS, "forecast_scores"), LAST_DAY - timedelta(days=DAILY_DAYS - 1)
    return Launch(f"forecasts, patrol plans and scores of {first} to {LAST_DAY}", chain, range_tags(first, LAST_DAY))


@cache
def _definitions() -> dg.Definitions:
    """The definitions, built once in each process of the pool."""
    return build_definitions(Settings.from_environment(os.environ))


def _run(launches: Sequence[Launch]) -> list[str]:
    """Run the launches in turn in a process of the pool; returns the checks that did not pass."""
    city = Settings.from_environment(os.environ).cities[CITY]
    failed = []
    for launch in launches:
        started = time.monotonic()
        selection = {asset_key(city, asset) for asset in launch.assets}
        job = _definitions().resolve_implicit_global_asset_job_def().get_subset(asset_selection=selection)
        ops = {f"{CITY}__{asset}": {"config": values} for asset, values in launch.config.items()}
        with dg.DagsterInstance.get() as instance:
            result = job.execute_in_process(
                run_config={"ops": ops, "loggers": {"console": {"config": {"log_level": "WARNING"}}}},
                instance=instance,
                tags=launch.tags,
            )
        print(f"{launch.title}: {time.monotonic() - started:.0f} s", flush=True)
        failed += [
            f"{check.check_name} of {check.asset_key.to_user_string()}: {check.description}"
            for check in result.get_asset_check_evaluations()
            if not check.passed
        ]
    return failed


def _show_fold(store: Store, fold: date) -> None:
    partition = fold_partition(CITY, fold)
    report, scores = read_fold_report(store, CITY, fold)
    print(
        f"\nFold {fold}: {report.test_days} test days, {report.covered_cells} covered cells, {report.alerts:,} alerts, "
        f"{report.base_rate:.2%} of cell-days with an alert"
    )
    print(f"{'model':22s}" + "".join(f"{title:>13s}" for title in SHOWN_SCORES.values()))
    for name in scores.models():
        values = [scores.value(score, name) for score in SHOWN_SCORES]
        print(f"{name:22s}" + "".join(f"{'-':>13s}" if value is None else f"{value:13.4f}" for value in values))
    print(f"report and plots: {store.uri(partition, REPORT_FILE).removesuffix(REPORT_FILE)}")


def _show_tomorrow(store: Store) -> None:
    """The forecast issued on the last day, its likeliest places, and the units of its plan."""
    from shotspotter_assets.patrol.stored_plans import read_plan
    from shotspotter_assets.serving.issued_forecasts import ForecastRecord, forecast_partition, load_record

    facts = load_record(store, CITY, LAST_DAY)
    assert isinstance(facts, ForecastRecord)
    plan, _ = read_plan(store, CITY, LAST_DAY)
    units = plan.to_pandas().groupby("shift", sort=False)["units"].sum()
    print(
        f"\nForecast of {facts.day} by {facts.served}: {facts.expected_alerts:.1f} alerts expected, "
        f"{facts.expected_alerts_low:.0f} to {facts.expected_alerts_high:.0f} (80% interval)"
    )
    for place in store.read_table(forecast_partition(CITY, LAST_DAY), TOP_FILE).to_pylist()[:3]:
        print(f"  {place['latitude']:.4f}, {place['longitude']:.4f}: {place['probability']:.0%}, as {place['why']}")
    print(f"  patrol units by shift: {', '.join(f'{shift} {number}' for shift, number in units.items())}")


if __name__ == "__main__":
    main()
