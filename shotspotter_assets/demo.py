"""The demonstration: the whole chain on the embedded simulated city, with its scores."""

import multiprocessing
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import date, timedelta
from functools import cache
from typing import Any, Final, NamedTuple

import click
import dagster as dg

from shotspotter_assets.automation.due import ALERTS, PRODUCTS
from shotspotter_assets.city_files import find_city
from shotspotter_assets.definitions import build_definitions
from shotspotter_assets.defs.partitions import range_tags
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.evaluation.fold_report import FoldReport
from shotspotter_assets.evaluation.score_rows import ScoreTable
from shotspotter_assets.explore.small_fold import LEGEND, fold_text
from shotspotter_assets.patrol.stored_plans import read_plan
from shotspotter_assets.serving.issued_forecasts import ForecastRecord, load_record
from shotspotter_assets.settings import Settings, dagster_home
from shotspotter_assets.storage.catalogue import FOLD_REPORT, FOLD_SCORES, INDEX, TOP_LOCATIONS
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_file import ALL_CITIES, Asset

CITY: Final = "simulated_city"
FOLDS: Final = (date(2025, 1, 1), date(2025, 4, 1))
LAST_DAY: Final = date(2025, 6, 30)
DAILY_DAYS: Final = 5
"""The last days, whose daily chain is run."""
SMALL_NETWORK: Final = {"filters": 4, "days": 8, "epochs": 4, "patience": 3, "learning_rate": 3e-3}
"""Settings of the report's network that train in half a minute."""
WORKERS: Final = 2
"""Runs at a time, as many as `dagster.yaml` allows."""
INSTANCE: Final = """\
telemetry: {enabled: false}
event_log_storage: {module: shotspotter_assets.defs.event_log, class: BatchedSqliteEventLogStorage}
"""
"""A `dagster.yaml` for a new DAGSTER_HOME."""


class Launch(NamedTuple):
    """One run of assets of the city, with the tags of its partitions and config by asset."""

    title: str
    assets: Sequence[Asset]
    tags: Mapping[str, str] = {}
    config: Mapping[str, Mapping[str, Any]] = {}


def run_demo(*, days_only: bool) -> None:
    """Materialize the city's days; unless `days_only`, also folds, last daily products and pages, and print the results."""
    started = time.monotonic()
    _ensure_home()
    os.environ.setdefault("OMP_NUM_THREADS", str(max((os.cpu_count() or WORKERS) // WORKERS, 1)))
    settings = Settings.from_environment(os.environ)
    first = find_city(settings.cities, CITY).start
    daily = LAST_DAY - timedelta(days=DAILY_DAYS - 1)
    days = Launch(f"alerts and grids to {LAST_DAY}", ALERTS, range_tags(first, LAST_DAY))
    chain, title = (*PRODUCTS, Asset.FORECAST_SCORES), f"forecasts, patrol plans and scores of {daily} to {LAST_DAY}"
    runs = [
        _fold_launch(FOLDS[1], ["stack", "conv_lstm"]),
        _fold_launch(FOLDS[0], ["stack"]),
        Launch(title, chain, range_tags(daily, LAST_DAY)),
    ]
    reports = Launch("report of all folds, and the pages", (Asset.WALK_FORWARD_REPORTS, Asset.CITY_PAGES))
    stages = [[days]] if days_only else [[days], runs, [reports]]
    # A fork would inherit the locks of this process's threads.
    with ProcessPoolExecutor(WORKERS, multiprocessing.get_context("spawn")) as pool:
        warnings = {line for stage in stages for lines in pool.map(_run, stage) for line in lines}
    store = StoreResource(root=settings.store_root).open()
    if not days_only:
        _show_results(store)
    if warnings:
        click.echo("\n  ".join(["\nChecks that warn, as they would for a real city:", *sorted(warnings)]))
    click.echo(f"\ndone in {time.monotonic() - started:.0f} s")
    if days_only:
        click.echo(f"Train a fold on these days: shotspotter fold {CITY} {FOLDS[1]}")
    else:
        click.echo(f"The pages for analysts and shift commanders: {store.uri(INDEX, ALL_CITIES)}")
        click.echo("Open them with: make pages, or shotspotter pages")
    click.echo("The assets, with tables, maps and plots: make ui, or dagster dev -m shotspotter_assets.definitions")


def _ensure_home() -> None:
    """Set DAGSTER_HOME, and make the folder if it is missing, as outside a checkout."""
    home = dagster_home(os.environ)
    os.environ["DAGSTER_HOME"] = str(home)
    if not home.is_dir():
        home.mkdir(parents=True)
        (home / "dagster.yaml").write_text(INSTANCE)


def _fold_launch(fold: date, models: list[str]) -> Launch:
    training: dict[str, Any] = {Asset.FOLD_MODELS: {"models": models, "settings": {"conv_lstm": SMALL_NETWORK}}}
    # Only the last report has forecasts of the next hours and of types.
    report = {Asset.EVALUATION_REPORTS: {} if fold == FOLDS[-1] else {"horizons": [], "types": False}}
    title, tags = f"models and report of fold {fold}", {"dagster/partition": str(fold)}
    return Launch(title, (Asset.FOLD_MODELS, Asset.EVALUATION_REPORTS), tags, training | report)


@cache
def _definitions() -> dg.Definitions:
    return build_definitions(Settings.from_environment(os.environ))


def _run(launch: Launch) -> list[str]:
    """Run a launch in a process of the pool; return the checks that did not pass."""
    started, selection = time.monotonic(), {dg.AssetKey([CITY, asset]) for asset in launch.assets}
    job = _definitions().resolve_implicit_global_asset_job_def().get_subset(asset_selection=selection)
    ops = {f"{CITY}__{asset}": {"config": values} for asset, values in launch.config.items()}
    config = {"ops": ops, "loggers": {"console": {"config": {"log_level": "WARNING"}}}}
    with dg.DagsterInstance.get() as instance:
        result = job.execute_in_process(run_config=config, instance=instance, tags=launch.tags)
    click.echo(f"{launch.title}: {time.monotonic() - started:.0f} s")
    return [
        f"{check.check_name} of {check.asset_key.to_user_string()}: {check.description}"
        for check in result.get_asset_check_evaluations()
        if not check.passed
    ]


def _show_results(store: Store) -> None:
    """Print the scores of the folds, the forecast issued on the last day, and the units of its plan."""
    for fold in FOLDS:
        files = store.uri(FOLD_REPORT, CITY, fold).removesuffix(FOLD_REPORT.file)
        report, scores = FoldReport.load(store, CITY, fold), ScoreTable.load(store, FOLD_SCORES, CITY, fold)
        click.echo(f"\n{fold_text(report, scores)}\nreport and plots: {files}")
    click.echo(f"\n{LEGEND}\nstack combines other forecasters and serves by default; ", nl=False)
    click.echo("conv_lstm is the report's network, small and hardly trained here.")
    facts = load_record(store, CITY, LAST_DAY)
    assert isinstance(facts, ForecastRecord)
    plan, _ = read_plan(store, CITY, LAST_DAY)
    units = plan.to_pandas().groupby("shift", sort=False)["units"].sum()
    click.echo(
        f"\nForecast of {facts.forecast_date} by {facts.served}: {facts.expected_alerts:.1f} alerts expected, "
        f"{facts.expected_alerts_low:.0f} to {facts.expected_alerts_high:.0f} (80% interval)"
    )
    for place in store.read_table(TOP_LOCATIONS, CITY, LAST_DAY).to_pylist()[:3]:
        click.echo(
            f"  {place['latitude']:.4f}, {place['longitude']:.4f}: {place['probability']:.0%}, as {place['why']}"
        )
    click.echo(f"  patrol units by shift: {', '.join(f'{shift} {number}' for shift, number in units.items())}")
