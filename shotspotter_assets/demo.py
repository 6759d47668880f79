"""The demonstration: the whole chain on the packaged alerts of Washington DC, or on the simulated city."""

import multiprocessing
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from functools import cache
from typing import Any, Final, NamedTuple

import click
import dagster as dg
import numpy as np

from shotspotter_assets.automation.due import ALERTS, PRODUCTS
from shotspotter_assets.calendar.dates import dates_of
from shotspotter_assets.cities.city import City
from shotspotter_assets.city_files import find_city
from shotspotter_assets.definitions import build_definitions
from shotspotter_assets.defs.partitions import range_tags
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.evaluation.fold_report import FoldReport
from shotspotter_assets.evaluation.forecasts_table import cells_of
from shotspotter_assets.evaluation.score_rows import ALL, Score, ScoreTable, all_rows
from shotspotter_assets.explore.small_fold import LEGEND, fold_text
from shotspotter_assets.models.forecaster_registry import HISTORICAL_MEAN
from shotspotter_assets.models.probability import clip_probability
from shotspotter_assets.pages.places import Places
from shotspotter_assets.pages.words import long_day
from shotspotter_assets.patrol.dispatch import read_plan
from shotspotter_assets.serving.issued_forecasts import ForecastRecord, load_record
from shotspotter_assets.settings import Settings, dagster_home
from shotspotter_assets.sources.simulated.simulated_settings import SimulatedSettings
from shotspotter_assets.storage.catalogue import FOLD_FORECASTS, FOLD_REPORT, FOLD_SCORES, INDEX, TOP_LOCATIONS
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_file import ALL_CITIES, Asset


class Demonstration(NamedTuple):
    """The fold and the issue dates of a demonstration, which stores all days to the end of the fold's test window."""

    fold: date
    first_issue: date
    last_issue: date


DEMONSTRATIONS: Final = {
    # An ordinary week of December: the data end on the eve of New Year's fireworks.
    "washington_dc_2018": Demonstration(date(2018, 10, 1), date(2018, 12, 10), date(2018, 12, 14)),
    "simulated_city": Demonstration(date(2025, 4, 1), date(2025, 6, 26), date(2025, 6, 30)),
}
"""Demonstrations by city, the default one first."""
SMALL_NETWORKS: Final = {
    "network": {"networks": 1, "filters": 8, "epochs": 6, "train_days": 730},
    "conv_lstm": {"filters": 4, "days": 4, "epochs": 4, "train_days": 730, "learning_rate": 3e-3},
}
"""Settings of networks that train in seconds."""
SHOWN_PLACES: Final = 5
WORKERS: Final = 2  # runs at a time, as many as `dagster.yaml` allows
INSTANCE: Final = """\
telemetry: {enabled: false}
event_log_storage: {module: shotspotter_assets.defs.event_log, class: BatchedSqliteEventLogStorage}
"""
"""A `dagster.yaml` for a new DAGSTER_HOME."""


class Launch(NamedTuple):
    """One run of assets of a city, with the tags of its partitions and config by asset."""

    title: str
    city: str
    assets: Sequence[Asset]
    tags: Mapping[str, str] = {}
    config: Mapping[str, Mapping[str, Any]] = {}


def run_demo(name: str, *, days_only: bool) -> None:
    """Materialize a city's days; unless `days_only`, also a fold, daily products and pages, and print the results."""
    started = time.monotonic()
    _ensure_home()
    os.environ.setdefault("OMP_NUM_THREADS", str(max((os.cpu_count() or WORKERS) // WORKERS, 1)))
    settings = Settings.from_environment(os.environ)
    city, (fold, *issues) = find_city(settings.cities, name), DEMONSTRATIONS[name]
    last = city.last_test_day(fold)
    days = Launch(f"alerts and grids of {city.start} to {last}", name, ALERTS, range_tags(city.start, last))
    networks = {"settings": SMALL_NETWORKS}
    training: dict[str, Any] = {Asset.FOLD_MODELS: {"models": ["stack", "conv_lstm"], **networks}}
    tested, tags = (Asset.FOLD_MODELS, Asset.EVALUATION_REPORTS), {"dagster/partition": str(fold)}
    chain = (*PRODUCTS, Asset.FORECAST_SCORES, *((Asset.STREET_SCORES,) if city.streets else ()))
    title = f"forecasts, patrol plans and scores of {issues[0]} to {issues[1]}"
    runs = [
        Launch(f"models and report of fold {fold}", name, tested, tags, training),
        Launch(title, name, chain, range_tags(*issues), {Asset.LIVE_MODELS: networks}),
    ]
    reports = Launch("report of all folds, and the pages", name, (Asset.WALK_FORWARD_REPORTS, Asset.CITY_PAGES))
    stages = {"half a minute": [days]} | ({} if days_only else {"two minutes": runs, "seconds": [reports]})
    # A fork would inherit the locks of this process's threads.
    with ProcessPoolExecutor(WORKERS, multiprocessing.get_context("spawn")) as pool:
        warnings = set[str]()
        for usual, stage in stages.items():
            click.echo(f"running {' and '.join(launch.title for launch in stage)}; usually {usual}")
            warnings |= {line for lines in pool.map(_run, stage) for line in lines}
    store = StoreResource(root=settings.store_root).open()
    if not days_only:
        _show_results(store, city)
    if warnings:
        click.echo("\n  ".join(["\nChecks that warn:", *sorted(warnings)]))
    click.echo(f"\ndone in {time.monotonic() - started:.0f} s")
    if days_only:
        click.echo(f"Train a fold on these days: shotspotter fold {name} {fold}")
    else:
        click.echo(f"The pages for analysts and shift commanders: {store.uri(INDEX, ALL_CITIES)}")
        click.echo("Open them with: make pages, or shotspotter pages")
    click.echo("The assets, with tables, maps and plots: make ui, or dagster dev -m shotspotter_assets.definitions")


def _ensure_home() -> None:
    home = dagster_home(os.environ)
    os.environ["DAGSTER_HOME"] = str(home)
    if not home.is_dir():
        home.mkdir(parents=True)
        (home / "dagster.yaml").write_text(INSTANCE)


@cache
def _definitions() -> dg.Definitions:
    return build_definitions(Settings.from_environment(os.environ))


def _run(launch: Launch) -> list[str]:
    started, selection = time.monotonic(), {dg.AssetKey([launch.city, asset]) for asset in launch.assets}
    job = _definitions().resolve_implicit_global_asset_job_def().get_subset(asset_selection=selection)
    ops = {f"{launch.city}__{asset}": {"config": values} for asset, values in launch.config.items()}
    config = {"ops": ops, "loggers": {"console": {"config": {"log_level": "WARNING"}}}}
    with dg.DagsterInstance.get() as instance:
        result = job.execute_in_process(run_config=config, instance=instance, tags=launch.tags)
    click.echo(f"{launch.title}: {time.monotonic() - started:.0f} s")
    failed = [check for check in result.get_asset_check_evaluations() if not check.passed]
    return [f"{one.check_name} of {one.asset_key.to_user_string()}: {one.description}" for one in failed]


def with_truth(store: Store, city: City, fold: date, scores: ScoreTable) -> ScoreTable:
    """Return the scores with those of the simulation's own risk as `truth`."""
    from shotspotter_assets.sources.simulated.source import SimulatedSource

    forecasts = store.read_table(FOLD_FORECASTS, city.name, fold)
    at, (row, column) = dates_of(forecasts) - np.datetime64(fold), cells_of(forecasts)
    risk = SimulatedSource(city).true_risk(fold, city.last_test_day(fold))
    truth = clip_probability(risk[at.astype(np.int64), row, column])
    beside = forecasts.select(["date", "row", "column", "observed", HISTORICAL_MEAN])
    rows = all_rows(beside.append_column("truth", [truth]), [])
    return ScoreTable(rows | scores.rows | {(ALL, ALL, "truth", "seconds_to_train"): Score(None)})


def _show_results(store: Store, city: City) -> None:
    name, (fold, _, issue), store = city.name, DEMONSTRATIONS[city.name], store.of(city.target)
    report, scores = FoldReport.load(store, name, fold), ScoreTable.load(store, FOLD_SCORES, name, fold)
    truth = ""
    if isinstance(city.source, SimulatedSettings):
        scores = with_truth(store, city, fold, scores)
        truth = " truth is the risk from which alerts are drawn."
    files = store.uri(FOLD_REPORT, name, fold).removesuffix(FOLD_REPORT.file)
    click.echo(f"\n{fold_text(report, scores)}\n\n{LEGEND}")
    click.echo("stack combines forecasters, network among them, and serves by default.", nl=False)
    click.echo(f" The networks are small here; conv_lstm is the report's.{truth}\nreport and plots: {files}")
    facts = load_record(store, name, issue)
    assert isinstance(facts, ForecastRecord)
    interval = f"{facts.expected_alerts_low:.0f} to {facts.expected_alerts_high:.0f} (80% interval)"
    expected = f"{facts.expected_alerts:.1f} alerts expected, {interval}"
    click.echo(f"\nForecast of {long_day(facts.forecast_date)} by {facts.served}: {expected}")
    top = store.read_table(TOP_LOCATIONS, name, issue).slice(0, SHOWN_PLACES)
    places = Places(city).names(top["row"].to_numpy(), top["column"].to_numpy())
    for place, probability in zip(places, top["probability"].to_pylist(), strict=True):
        click.echo(f"  {probability:4.0%}  {place}")
    plan, _ = read_plan(store, name, issue)
    units = plan.to_pandas().groupby("shift", sort=False)["units"].sum()
    click.echo(f"  patrol units by shift: {', '.join(f'{shift} {number}' for shift, number in units.items())}")
