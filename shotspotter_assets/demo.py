"""Runs the whole chain on the embedded simulated city and prints how the forecasts did: `make demo`."""

import json
import multiprocessing
import os
import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from typing import Any, Final

import dagster as dg

from shotspotter_assets.cities.registry import find_city
from shotspotter_assets.definitions import build_definitions
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.defs.run_processes import end_killed_runs, process_tag
from shotspotter_assets.defs.run_summary import failed_check
from shotspotter_assets.evaluation.fold_report import FoldReport
from shotspotter_assets.evaluation.gate import TRUTH
from shotspotter_assets.evaluation.report_files import fold_partition
from shotspotter_assets.models.registry import BASELINES
from shotspotter_assets.partitions import key_of, next_cutoff, range_tags
from shotspotter_assets.settings import Settings
from shotspotter_assets.storage.file_names import INDEX_FILE, REPORT_FILE, TOP_FILE
from shotspotter_assets.storage.store import Store

CITY: Final = "simulated_city"
FOLDS: Final = (date(2025, 1, 1), date(2025, 4, 1))
LAST_DAY: Final = next_cutoff(FOLDS[-1]) - timedelta(days=1)
DAILY_DAYS: Final = 5
"""The last days, of which the daily chain is run: enough for scores to be plotted day by day."""

Config = dict[str, Any]
"""A run's configuration, as its YAML is."""


def _config(asset: str, **values: Any) -> Config:
    return {"ops": {asset: {"config": values}}}


STACK: Final = _config("fold_models", models=["stack"])
STACK_AND_NETWORK: Final = _config(
    "fold_models",
    models=["stack", "conv_lstm"],
    settings={"conv_lstm": {"filters": 4, "days": 8, "epochs": 4, "patience": 3, "learning_rate": 3e-3}},
)
"""The reference network trains in half a minute with these; in its default size it takes hours."""

DAYS_ALONE: Final = _config("evaluation_reports", horizons=[], types=False)
"""The report of the last fold has forecasts of the next hours and of types too."""

DEMO_TAG: Final = {"shotspotter_assets/demo": "true"}

WORKERS: Final = 2
"""Runs at a time, as many as `dagster.yaml` allows."""
TOLD_EVERY_S: Final = 10.0

SHOWN_SCORES: Final = {
    "log_loss": "log loss",
    "gain_nats_per_positive": "gain [nats]",
    "brier_skill": "Brier skill",
    "average_precision": "AP",
    "predicted_over_observed": "pred/obs",
    "seconds_to_train": "train [s]",
}
LEGEND: Final = f"""\
log loss     how wrong the probabilities were; the lower, the better, and the table is sorted by it
gain         by how much better than historical_mean, the long-run mean of each cell; above 0 is better than that map
of possible  share of the gain of true_intensity, which nobody can beat and only a simulated city knows
Brier skill  the same question with squared errors; above 0 is better than historical_mean
AP           average precision: how far up the ranked list of cells and days the alerts were; 1 is perfect
pred/obs     cell-days with an alert that were forecast, for each one that came; 1 is right
train        seconds to train; - where nothing was trained, or it was trained as a part of stack
Baselines are {", ".join(BASELINES[:5])},
{", ".join(BASELINES[5:])}. stack combines others and is what serves;
conv_lstm is the reference network, small and hardly trained here."""


@dataclass(frozen=True)
class Launch:
    """One run, which is what `dg launch` would start.

    Attributes:
        seconds: about how long it takes, for the time that is left.
        after: titles of the runs that it needs.
    """

    title: str
    assets: tuple[str, ...]
    seconds: float
    first: date | None = None
    last: date | None = None
    config: Config = field(default_factory=dict)
    after: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """The command that starts such a run by hand."""
        first, last = self._keys
        which = f'--partition "{first}"' if first == last else f'--partition-range "{first}...{last}"'
        config = f" --config-json '{json.dumps(self.config)}'" if self.config else ""
        return f"dg launch --assets {','.join(self.assets)} {which}{config}"

    def run(self, definitions: dg.Definitions, instance: dg.DagsterInstance) -> list[dg.AssetCheckEvaluation]:
        """The results of its checks, after a run in this process."""
        job = definitions.resolve_implicit_global_asset_job_def()
        subset = job.get_subset(asset_selection={dg.AssetKey(asset) for asset in self.assets})
        first, last = self._keys
        if self.first is None or self.last is None or first == last:
            tags = {"dagster/partition": first}
        else:
            tags = range_tags(CITY, self.first, self.last)
        result = subset.execute_in_process(
            run_config=self.config | {"loggers": {"console": {"config": {"log_level": "WARNING"}}}},
            instance=instance,
            tags=DEMO_TAG | process_tag() | tags,
        )
        return list(result.get_asset_check_evaluations())

    @property
    def _keys(self) -> tuple[str, str]:
        if self.first is None or self.last is None:
            return CITY, CITY
        return key_of(CITY, self.first), key_of(CITY, self.last)


def main() -> None:
    """Materialise two and a half years of days, two folds and the last days' daily chain into the instance of DAGSTER_HOME.

    Then show the scores, the forecast of tomorrow, and where the pages are.
    """
    from shotspotter_assets.pages.site import pages_partition
    from shotspotter_assets.storage.file_names import ALL_CITIES

    started = time.monotonic()
    settings = Settings.from_environment(os.environ)
    with dg.DagsterInstance.get() as instance:
        end_killed_runs(instance, DEMO_TAG)
    warnings = run_all(launches(find_city(settings.cities, CITY).start))
    store = StoreResource(root=settings.store_root).open()
    pages = store.uri(pages_partition(ALL_CITIES), INDEX_FILE)
    for fold in FOLDS:
        _show_fold(store, fold)
    print(f"\n{LEGEND}")
    _show_tomorrow(store)
    if warnings:
        print("\nChecks that warn, as they would of a real city's data:", *warnings, sep="\n  ")
    _show_step(f"done in {time.monotonic() - started:.0f} s")
    print(f"The pages for analysts and shift commanders: {pages}")
    print("Open them with: make pages")
    print("The assets, with tables, maps and plots: make ui, then http://127.0.0.1:3000/assets")


def launches(first: date) -> list[Launch]:
    """The runs of the demo, of the days from `first` on; those that others wait for come first."""
    days = ("raw_alerts", "cleaned_alerts", "grid_tensors")
    before, after = FOLDS[0] - timedelta(days=1), FOLDS[0]
    to_first = Launch(f"alerts and grids to {before}", days, 12.0, first, before)
    to_last = Launch(f"alerts and grids to {LAST_DAY}", days, 6.0, after, LAST_DAY, after=(to_first.title,))
    chain = ("live_models", "risk_forecasts", "street_risk", "patrol_plans", "forecast_scores")
    daily: list[Launch] = []
    for at in range(DAILY_DAYS):
        day = LAST_DAY - timedelta(days=DAILY_DAYS - 1 - at)
        needed = daily[-1] if daily else to_last
        title = f"forecast, patrol plan and scores, as on the morning after {day}"
        daily.append(Launch(title, chain, 3.0 if daily else 28.0, day, day, after=(needed.title,)))
    folds: list[Launch] = []
    for fold, config, report, seconds, needed in (
        (FOLDS[1], STACK_AND_NETWORK, {}, 40.0, to_last),
        (FOLDS[0], STACK, DAYS_ALONE, 18.0, to_first),
    ):
        models, reports = f"models of fold {fold}", f"report of fold {fold}"
        folds += [
            Launch(models, ("fold_models",), seconds, fold, fold, config, (needed.title,)),
            Launch(reports, ("evaluation_reports",), 12.0, fold, fold, report, (models, to_last.title)),
        ]
    whole = Launch(
        "report of all folds, and the pages",
        ("walk_forward_reports", "city_pages"),
        8.0,
        after=(daily[-1].title, *(launch.title for launch in folds)),
    )
    return [to_first, to_last, *folds, *daily, whole]


def run_all(planned: Sequence[Launch]) -> list[str]:
    """Run all, two at a time, and tell how far it is: the checks that did not pass."""
    os.environ.setdefault("OMP_NUM_THREADS", str(max((os.cpu_count() or WORKERS) // WORKERS, 1)))
    progress = Progress(planned)
    warnings: list[str] = []
    running: dict[Future[list[str]], Launch] = {}
    # A fork would inherit the locks of this process's threads.
    with ProcessPoolExecutor(WORKERS, multiprocessing.get_context("spawn")) as pool:
        for _ in range(WORKERS):
            pool.submit(_import_models)
        try:
            while waiting := [launch for launch in planned if launch.title not in progress.started]:
                for launch in ready(waiting, progress.done, WORKERS - len(running)):
                    running[pool.submit(_run, launch)] = launch
                    progress.start(launch)
                warnings += _ended(running, progress)
            while running:
                warnings += _ended(running, progress)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return warnings


def ready(waiting: Sequence[Launch], done: Collection[str], places: int) -> list[Launch]:
    """The runs that can start now: of those that nothing holds back, those that the most work waits for."""
    free = [launch for launch in waiting if set(launch.after) <= {*done}]
    behind = {launch.title: _seconds_behind(launch, waiting) for launch in free}
    return sorted(free, key=lambda launch: -behind[launch.title])[:places]


def _seconds_behind(launch: Launch, waiting: Sequence[Launch]) -> float:
    """The longest chain of runs from this one on."""
    return launch.seconds + max(
        (_seconds_behind(one, waiting) for one in waiting if launch.title in one.after), default=0
    )


class Progress:
    """What has started and ended when, and how long the rest may take."""

    def __init__(self, planned: Sequence[Launch]) -> None:
        self._planned = planned
        self._began = time.monotonic()
        self.started: dict[str, float] = {}
        self.done: dict[str, float] = {}
        """Seconds that each run took."""

    def start(self, launch: Launch) -> None:
        """A run has started."""
        self.started[launch.title] = time.monotonic()
        self._tell(f"begins: {launch.title}\n{' ' * 32}{launch.command}")

    def end(self, launch: Launch) -> None:
        """A run has ended."""
        self.done[launch.title] = time.monotonic() - self.started[launch.title]
        self._tell(f"done:   {launch.title} ({self.done[launch.title]:.0f} s)")

    def wait(self) -> None:
        """Nothing has happened for a while."""
        self._tell(f"works:  {'; '.join(title for title in self.started if title not in self.done)}")

    def seconds_left(self) -> float:
        """Of the longest chain of runs, or of all runs side by side, whichever takes longer, at the speed seen so far."""
        expected = {launch.title: launch.seconds for launch in self._planned}
        # The plan's seconds count as one run that took what was expected, so that the first one does not decide alone.
        now = time.monotonic()
        took = self.done | {
            title: now - began
            for title, began in self.started.items()
            if title not in self.done and now - began > expected[title]
        }
        slowness = (10.0 + sum(took.values())) / (10.0 + sum(expected[title] for title in took))
        left = {
            title: max(seconds * slowness - (now - self.started.get(title, now)), 1.0)
            for title, seconds in expected.items()
            if title not in self.done
        }
        chains: dict[str, float] = {}
        for launch in self._planned:
            chains[launch.title] = left.get(launch.title, 0.0) + max((chains[one] for one in launch.after), default=0.0)
        return max([sum(left.values()) / WORKERS, *chains.values()])

    def _tell(self, what: str) -> None:
        print(f"{time.monotonic() - self._began:4.0f} s, about {self.seconds_left():3.0f} s left  {what}", flush=True)


def _ended(running: dict[Future[list[str]], Launch], progress: Progress) -> Iterator[str]:
    """The checks that did not pass in the runs that end next, unless none does for a while."""
    ended, _ = wait(running, timeout=TOLD_EVERY_S, return_when=FIRST_COMPLETED)
    if not ended:
        progress.wait()
    for future in ended:
        launch = running.pop(future)
        failed = future.result()
        progress.end(launch)
        yield from failed


def _import_models() -> None:
    """Import what most runs need, while the other process works."""
    import lightgbm  # noqa: F401  # imported to be there, not to be used
    import sklearn.linear_model  # noqa: F401  # the same


@cache
def _definitions() -> dg.Definitions:
    """In a process of the pool, once for all of its runs."""
    return build_definitions(Settings.from_environment(os.environ))


def _run(launch: Launch) -> list[str]:
    """Run it in a process of the pool: the checks that did not pass."""
    with dg.DagsterInstance.get() as instance:
        return [failed_check(check) for check in launch.run(_definitions(), instance) if not check.passed]


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


def _show_tomorrow(store: Store) -> None:
    """The forecast issued on the last day, its likeliest places, and the units of its plan."""
    from shotspotter_assets.patrol.stored_plans import read_plan
    from shotspotter_assets.serving.issued_forecasts import ForecastRecord, forecast_partition, load_record

    facts = load_record(store, CITY, LAST_DAY)
    assert isinstance(facts, ForecastRecord)
    places = store.read_table(forecast_partition(CITY, LAST_DAY), TOP_FILE).to_pylist()[:3]
    plan, _ = read_plan(store, CITY, LAST_DAY)
    units = dict.fromkeys(plan["shift"].to_pylist(), 0)
    for row in plan.to_pylist():
        units[row["shift"]] += row["units"]
    print(
        f"\nForecast of {facts.day} by {facts.served}: {facts.expected_alerts:.1f} alerts expected, "
        f"{facts.expected_alerts_low:.0f} to {facts.expected_alerts_high:.0f} on four of five such days"
    )
    for place in places:
        print(f"  {place['latitude']:.4f}, {place['longitude']:.4f}: {place['probability']:.0%}, as {place['why']}")
    print(f"  patrol units by shift: {', '.join(f'{shift} {number}' for shift, number in units.items())}")


def _show_step(text: str) -> None:
    print(f"\n=== {text}", flush=True)


if __name__ == "__main__":
    main()
