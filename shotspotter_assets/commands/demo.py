"""The demonstration: the whole chain on the packaged alerts of Washington DC, or on the simulated city."""

import os
import time
from collections.abc import Sequence
from concurrent.futures import as_completed
from datetime import date, datetime, timedelta
from typing import Any, Final, NamedTuple

import click
import dagster as dg
import numpy as np

from shotspotter_assets.alerts.sources.source_kinds import SimulatedSettings
from shotspotter_assets.automation.stored import Stored
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import ONE_DAY, day_start, days_between
from shotspotter_assets.cities.stored_settings import settings_version
from shotspotter_assets.city_files import PACKAGE_CITIES, find_city
from shotspotter_assets.commands.explore.small_fold import LEGEND, fold_text
from shotspotter_assets.commands.progress import processes
from shotspotter_assets.commands.runs import Launch, cpu_seconds, lines_of, run_launch, show_warnings
from shotspotter_assets.defs.partitions import range_tags
from shotspotter_assets.defs.requested_runs import fail_lost_runs
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.evaluation.estimates import Estimate
from shotspotter_assets.evaluation.fold_report import FoldReport
from shotspotter_assets.evaluation.forecasts_table import cells_of
from shotspotter_assets.evaluation.score_rows import ALL, ScoreTable, all_rows, beside_the_report
from shotspotter_assets.forecasts.issued_forecasts import ForecastRecord, load_record
from shotspotter_assets.forecasts.nowcasting import NowcastRecord
from shotspotter_assets.forecasts.patrol.dispatch import read_plan
from shotspotter_assets.grid.dates import dates_of
from shotspotter_assets.models.forecaster import clip_probability
from shotspotter_assets.models.forecaster_registry import HISTORICAL_MEAN, NETWORK, StackSettings
from shotspotter_assets.pages.places import Places
from shotspotter_assets.pages.rendering import long_day
from shotspotter_assets.settings import Settings, lineage_address, prepare_home
from shotspotter_assets.storage.catalogue import (
    ALERTS,
    CITY_SCORES,
    FOLD_FORECASTS,
    FOLD_REPORT,
    FOLD_SCORES,
    INDEX,
    NOWCAST_HOURS,
    NOWCAST_MINUTES,
    PRODUCTS,
    TOP_LOCATIONS,
    Asset,
)
from shotspotter_assets.storage.lineage import Origin
from shotspotter_assets.storage.progress import Steps
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_file import ALL_CITIES


class Demonstration(NamedTuple):
    """The folds and the issue dates of a demonstration, which stores all days to the end of the last fold's test window."""

    folds: Sequence[date]
    first_issue: date
    shown_issue: date  # issue date of the printed forecast
    last_issue: date

    @property
    def fold(self) -> date:
        """The last fold, in which networks are trained too."""
        return self.folds[-1]


DEMONSTRATIONS: Final = {
    # An ordinary day is shown: the data end on the eve of New Year's fireworks.
    "washington_dc_2018": Demonstration(
        [date(2018, month, 1) for month in (1, 4, 7, 10)], date(2018, 12, 27), date(2018, 12, 29), date(2018, 12, 31)
    ),
    "simulated_city": Demonstration(
        [date(2024, 7, 1), date(2024, 10, 1), date(2025, 1, 1), date(2025, 4, 1)],
        date(2025, 6, 26),
        date(2025, 6, 30),
        date(2025, 6, 30),
    ),
}
"""Demonstrations by city, the default one first."""
SMALL_NETWORKS: Final = {
    "network": {"networks": 1, "filters": 8, "epochs": 6},
    "conv_lstm": {"filters": 4, "days": 4, "epochs": 4, "learning_rate": 1e-3},
}
"""Settings of networks that train in seconds."""
WITHOUT_NETWORK: Final = {"stack": {"members": [name for name in StackSettings().members if name != NETWORK]}}
SHOWN_PLACES: Final = 5
NOWCAST_AFTER: Final = timedelta(hours=22, minutes=30)  # start of the nowcast, from the start of the last forecast day
WORKERS: Final = 2  # runs at a time
WITHOUT_LINEAGE: Final = frozenset({Asset.TUNED_SETTINGS, Asset.NOWCASTS})
"""Assets that do not record what they are made from; their runs are short."""


def run_demo(name: str, *, days_only: bool) -> None:
    """Materialize a city's days; unless `days_only`, also a fold, daily products and pages, and print the results."""
    started = time.monotonic()
    os.environ["DAGSTER_HOME"] = str(prepare_home(os.environ))
    os.environ["SHOTSPOTTER_CITIES"] = str(PACKAGE_CITIES)  # those of `new-city` may lie beside the store
    settings = Settings.from_environment(os.environ)
    city = find_city(settings.cities, name)
    store = StoreResource(root=settings.store_root).open()
    with dg.DagsterInstance.get() as instance:
        fail_lost_runs(instance)  # of an interrupted demonstration
    warnings = _run(stages(city, days_only=days_only), store, city)
    if not days_only:
        _show_results(store, city)
    show_warnings(warnings)
    click.echo(f"\ndone in {time.monotonic() - started:.0f} s, {cpu_seconds():.0f} CPU seconds")
    if days_only:
        click.echo(f"Train a fold on these days: shotspotter fold {name} {DEMONSTRATIONS[name].fold}")
    else:
        click.echo(f"The pages for analysts and shift commanders: {store.uri(INDEX, ALL_CITIES)}")
        click.echo("Open them with: shotspotter pages (in a checkout: make pages)")
    click.echo(
        f"The assets, with tables, maps and plots: shotspotter ui (make ui), then {lineage_address(settings.ui_url, name)}"
    )


def _run(all_stages: Sequence[Sequence[Launch]], store: Store, city: City) -> set[str]:
    """Run the launches that are not stored, or all of them again if they are; return lines about checks that warn."""
    warnings = set[str]()
    stored = Stored.read(store, city)
    all_launches = [launch for stage in all_stages for launch in stage]
    is_new = all(is_stored(launch, stored) for launch in all_launches if WITHOUT_LINEAGE.isdisjoint(launch.assets))
    launches = [launch for launch in all_launches if is_new or not is_stored(launch, stored)]
    seconds = sum(launch.seconds for launch in launches)
    usually = f"demonstration, usually {seconds / WORKERS:.0f} s in all"
    with Steps("run", len(launches), usually) as runs, processes(WORKERS) as pool:
        for stage in all_stages:
            stored = Stored.read(store, city)  # as the stages before have left it
            running = {
                pool.submit(run_launch, launch): launch.seconds / seconds
                for launch in stage
                if is_new or not is_stored(launch, stored)
            }
            for run in as_completed(running):
                click.echo(run.result().line)
                warnings.update(lines_of(run.result().warnings))
                runs.advance(running[run])
    return warnings


def is_stored(launch: Launch, stored: Stored) -> bool:
    """Return True if all partitions of a launch are made from their present inputs; False if that is not recorded."""
    dates = sorted(map(date.fromisoformat, launch.tags.values()))
    days = list(days_between(dates[0], dates[-1])) if dates else []
    if launch.assets == ALERTS:
        settings = settings_version(stored.city, Asset.GRID_TENSORS)
        return all(
            day in stored.table.days
            and stored.origin(Asset.GRID_TENSORS, day) == Origin(stored.table.made_from(day), settings)
            for day in days
        )
    keys: list[date | None] = [*days] or [None]
    return all(stored.is_current(asset, key) for asset in launch.assets for key in keys)


def stages(city: City, *, days_only: bool = False) -> list[list[Launch]]:
    """Return the runs that may be made together, which fill all partitions of the city."""
    if days_only:
        return [[_days(city)]]
    demonstration = DEMONSTRATIONS[city.name]
    last_fold, *earlier_folds = _folds(city)
    # A search of one trial only scores the settings without a search.
    tuned: dict[str, dict[str, Any]] = {Asset.TUNED_SETTINGS: {"trials": 1}}
    searches = [
        Launch(f"settings of fold {fold}", city.name, (Asset.TUNED_SETTINGS,), range_tags(fold, fold), tuned, seconds=5)
        for fold in demonstration.folds
    ]
    now = day_start(demonstration.shown_issue + ONE_DAY, city.zone) + NOWCAST_AFTER
    of_now: dict[str, dict[str, Any]] = {Asset.NOWCASTS: {"now": now.isoformat()}}
    years = [date(year, 1, 1) for year in range(city.start.year, demonstration.fold.year + 1)]
    return [
        [_days(city)],
        # The longest first, so that both processes end at about the same time.
        [last_fold, _daily_products(city), *earlier_folds, *searches, *_outcomes(city)],
        [
            Launch("report of all folds", city.name, (Asset.WALK_FORWARD_REPORTS,), seconds=10),
            Launch("nowcast", city.name, (Asset.NOWCASTS,), config=of_now, seconds=10),
            Launch("burden audit", city.name, (Asset.BURDEN_AUDITS,), seconds=5),
        ],
        [
            Launch(
                f"annual report of {year.year}", city.name, (Asset.ANNUAL_REPORTS,), range_tags(year, year), seconds=2
            )
            for year in years
        ],
        [Launch("pages", city.name, (Asset.CITY_PAGES,), seconds=5)],
    ]


def _days(city: City) -> Launch:
    last = city.last_test_day(DEMONSTRATIONS[city.name].fold)
    tags = range_tags(city.start, last)
    return Launch(f"alerts and grids of {city.start} to {last}", city.name, ALERTS, tags, seconds=20)


def _folds(city: City) -> list[Launch]:
    """Return a run for each fold, the last one first, which alone has networks, and scores of hours and types."""
    launches: list[Launch] = []
    for cutoff in reversed(DEMONSTRATIONS[city.name].folds):
        config: dict[str, dict[str, Any]] = {
            Asset.FOLD_MODELS: {"settings": WITHOUT_NETWORK},
            Asset.EVALUATION_REPORTS: {"horizons": [], "types": False},
        }
        if not launches:
            config = {Asset.FOLD_MODELS: {"models": ["conv_lstm"], "settings": SMALL_NETWORKS}}
        title = f"models and report of fold {cutoff}"
        tags = range_tags(cutoff, cutoff)
        assets = (Asset.FOLD_MODELS, Asset.EVALUATION_REPORTS)
        launches.append(Launch(title, city.name, assets, tags, config, seconds=25 if launches else 70))
    return launches


def _daily_products(city: City) -> Launch:
    _, first, _, last = DEMONSTRATIONS[city.name]
    chain = (*PRODUCTS, Asset.FORECAST_SCORES, *((Asset.STREET_SCORES,) if city.streets else ()))
    title = f"forecasts, patrol plans and scores of {first} to {last}"
    config: dict[str, dict[str, Any]] = {Asset.LIVE_MODELS: {"settings": SMALL_NETWORKS}}
    return Launch(title, city.name, chain, range_tags(first, last), config, seconds=60)


def _outcomes(city: City) -> list[Launch]:
    """Return the run of outcomes of the fold's test window; none for a city without them."""
    cutoff = DEMONSTRATIONS[city.name].fold
    tags = range_tags(cutoff, city.last_test_day(cutoff))
    outcomes = Launch(f"outcomes from {cutoff} on", city.name, (Asset.ALERT_OUTCOMES,), tags, seconds=3)
    return [outcomes] if city.has(Asset.ALERT_OUTCOMES) else []


def with_truth(store: Store, city: City, fold: date, scores: ScoreTable) -> ScoreTable:
    """Return the scores with those of the simulation's own risk as `truth`."""
    forecasts = store.read_table(FOLD_FORECASTS, city.name, fold)
    days = (dates_of(forecasts) - np.datetime64(fold)).astype(np.int64)
    row, column = cells_of(forecasts)
    risk = city.source.open(city.site, None).true_risk(fold, city.last_test_day(fold))
    truth = clip_probability(risk[days, row, column])
    beside = forecasts.select(["date", "row", "column", "observed", HISTORICAL_MEAN])
    rows = all_rows(beside.append_column("truth", [truth]), [])
    untrained = {(ALL, ALL, "truth", score): Estimate(None) for score in ("seconds_to_train", "cpu_seconds_to_train")}
    return ScoreTable(rows | scores.rows | untrained)


def _show_results(store: Store, city: City) -> None:
    """Print the fold's scores, the last forecast with its likeliest places and units, and the nowcast."""
    store = store.of(city.target)
    _show_scores(store, city)
    _show_forecast(store, city)
    _show_nowcast(store, city)


def _show_scores(store: Store, city: City) -> None:
    """Print the last fold's scores beside the gains of all folds, and the accuracy beside that of the reference report."""
    fold = DEMONSTRATIONS[city.name].fold
    report = FoldReport.load(store, city.name, fold)
    scores = ScoreTable.load(store, FOLD_SCORES, city.name, fold)
    truth = ""
    if isinstance(city.source, SimulatedSettings):
        scores = with_truth(store, city, fold, scores)
        truth = " truth is the risk from which alerts are drawn."
    files = store.uri(FOLD_REPORT, city.name, fold).removesuffix(FOLD_REPORT.file)
    folds = DEMONSTRATIONS[city.name].folds
    pooled = ScoreTable.load(store, CITY_SCORES, city.name)
    of_all = (
        "-" if name not in pooled.models() else pooled.gain(HISTORICAL_MEAN, name).text() for name in scores.models()
    )
    facts, *table = fold_text(report, scores).splitlines()
    click.echo(f"\n{facts}")
    for line, gain in zip(table, [f"gain in {len(folds)} folds (90% interval)", *of_all], strict=True):
        click.echo(f"{line}   {gain}")
    click.echo(
        f"\n{LEGEND}\n{len(folds)} folds      those from {folds[0]} on, tested to the end of the last one, pooled"
    )
    click.echo("stack combines forecasters, network among them, and serves by default.", nl=False)
    click.echo(
        f" conv_lstm is the report's network, started at the regression.{truth}\nThe networks are small here.\n"
        f"{beside_the_report(scores, 'conv_lstm', report.test_days, str(report.covered_cells))}\n"
        f"report and plots: {files}"
    )


def _show_forecast(store: Store, city: City) -> None:
    """Print the last forecast with its likeliest places, and the units of its plan."""
    issue = DEMONSTRATIONS[city.name].shown_issue
    facts = load_record(store, city.name, issue)
    assert isinstance(facts, ForecastRecord)
    interval = f"{facts.expected_alerts_low:.0f} to {facts.expected_alerts_high:.0f} (80% interval)"
    expected = f"{facts.expected_alerts:.1f} alerts expected, {interval}"
    click.echo(f"\nForecast of {long_day(facts.forecast_date)} by {facts.served}: {expected}")
    top = store.read_table(TOP_LOCATIONS, city.name, issue).slice(0, SHOWN_PLACES)
    places = Places(city).names(top["row"].to_numpy(), top["column"].to_numpy())
    for place, probability in zip(places, top["probability"].to_pylist(), strict=True):
        click.echo(f"  {probability:4.0%}  {place}")
    plan, _ = read_plan(store, city.name, issue)
    units = plan.to_pandas().groupby("shift", sort=False)["units"].sum()
    click.echo(f"  patrol units by shift: {', '.join(f'{shift} {number}' for shift, number in units.items())}")


def _show_nowcast(store: Store, city: City) -> None:
    """Print the expected incidents and alerts, and the likeliest place, of each period of the stored nowcast."""
    record = NowcastRecord.load(store, city.name)
    places = Places(city)
    click.echo(f"\nNowcast from {datetime.fromisoformat(record.now).astimezone(city.zone):%Y-%m-%d %H:%M}:")
    for file in (NOWCAST_MINUTES, NOWCAST_HOURS):
        for horizon, rows in store.read_table(file, city.name).to_pandas().groupby("horizon", sort=False):
            top = rows.nlargest(1, "probability")
            [place] = places.names(top["row"].to_numpy(), top["column"].to_numpy())
            chance = top["probability"].item()
            click.echo(f"  {horizon:4s} {rows['expected'].sum():5.2f} expected  {chance:5.1%}  {place}")
