"""Replay: past days of a city played one by one as if each were today, from the UI or by `make replay`."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import quote

import dagster as dg
from pydantic import Field

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.registry import Cities, find_city
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.replay_runs import AS_OF_TAG, REPLAY_TAG
from shotspotter_assets.defs.resources import NoticesResource, StoreResource
from shotspotter_assets.defs.run_processes import PROCESS_TAG, end_killed_runs, process_tag
from shotspotter_assets.defs.run_summary import failure_cause
from shotspotter_assets.partitions import contiguous, key_of, range_tags

if TYPE_CHECKING:
    from shotspotter_assets.serving.replay import Outcome, ReplaySummary

ALERTS: Final = ("raw_alerts", "cleaned_alerts", "grid_tensors")
SCORES: Final = ("forecast_scores", "street_scores")
DAY: Final = ("live_models", "risk_forecasts", "street_risk", "patrol_plans", *SCORES)

Retraining = Literal["weekly", "daily", "on_drift"]

QUIET: Final = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""Each run's log is in the UI; the replay's own has one line for each day."""


class ReplayConfig(dg.Config):
    """Which days of which city are played again."""

    city: str = Field(description="Name of the city, as its file is called.")
    first: str = Field(description="First issue date, YYYY-MM-DD: its forecast is for the day after.")
    last: str = Field(description="Last issue date, YYYY-MM-DD.")
    retraining: Retraining = Field(
        "weekly",
        description="When models are trained anew. `daily` takes several times as long as `weekly`, and gains little.",
    )
    overwrite_issued: bool = Field(
        False,
        description="Also replace forecasts that were issued on the day itself. They cannot be had back, and scores are then no "
        "longer of what was issued.",
    )


def definitions(assets: dg.Definitions) -> dg.Definitions:
    """The job, which runs the assets of other definitions."""

    @dg.op(
        description="Plays the days one by one, each in a run of its own, and ends with an account of the forecasts."
    )
    def replay_days(
        context: dg.OpExecutionContext,
        config: ReplayConfig,
        cities: dg.ResourceParam[Cities],
        store: StoreResource,
        notices_to: NoticesResource,
    ) -> None:
        from shotspotter_assets.serving.replay import parse_day

        account = replay(
            assets.resolve_implicit_global_asset_job_def(),
            context.instance,
            find_city(cities, config.city),
            (parse_day(config.first), parse_day(config.last)),
            store=store,
            cities=cities,
            retraining=config.retraining,
            overwrite_issued=config.overwrite_issued,
            log=context.log.info,
        )
        lines = [*account.lines(), where_to_look(account, notices_to.ui_url)]
        context.add_output_metadata({"account": panel.bullets(lines)})

    @dg.job(
        name="replay",
        description="Plays past days of a city as if each were today: models, forecast, plan and score of each day, made only from "
        "what was known on it. A year takes about an hour. Stopped or killed, it goes on where it was when it is launched "
        "again with the same days.",
    )
    def replay_job() -> None:
        replay_days()

    return dg.Definitions(jobs=[replay_job])


def where_to_look(account: "ReplaySummary", ui_url: str) -> str:
    """Where the UI shows what a replay has made."""
    page = f"{ui_url.rstrip('/')}/assets/forecast_scores?partition={quote(key_of(account.city, account.last))}"
    return f"See the scores of the days at {page} and the runs by their tag {REPLAY_TAG}={account.city}."


def replay(
    job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    city: City,
    days: tuple[date, date],
    *,
    store: StoreResource,
    cities: Cities,
    retraining: Retraining = "weekly",
    overwrite_issued: bool = False,
    log: Callable[[str], object],
) -> "ReplaySummary":
    """Play the days from the first to the last as if each were today, and account for the forecasts.

    Days that are not on the grid yet are made first, in one run of each stretch. Days that a replay has made from the same
    inputs are not made again. A day on which a forecast was really issued keeps it, and its models and plan.

    Args:
        job: of all assets.
        instance: where the runs are recorded.
        city: whose days.
        days: first and last issue date.
        store: with the days.
        cities: all of them.
        retraining: when models are trained anew.
        overwrite_issued: whether forecasts that were issued on the day itself are replaced.
        log: is told of each day.

    Raises:
        ReplayError: the days cannot be replayed, another process is replaying the city, or a day's run failed.
    """
    from shotspotter_assets.calendar.local_time import days_between
    from shotspotter_assets.serving.replay import (
        ReplayInputs,
        check_days,
        is_issued,
        is_scored,
        missing_days,
        summary,
        unscored_days,
    )

    first, last = days
    check_days(city, first, last)
    _end_killed_runs(instance, city)
    # Today, the city's own cadence holds; a year of daily training takes hours.
    city = city.model_copy(update={"retraining": retraining})
    opened = store.remembering()
    runs = _Runs(job, instance, city, {"store": opened, "cities": {**cities, city.name: city}})
    for stretch in contiguous(missing_days(store.open(), city, last)):
        log(f"{city.name}: {stretch[0]} to {stretch[-1]} are not on the grid yet: they are read and gridded first.")
        runs.run(ALERTS, range_tags(city.name, stretch[0], stretch[-1]), {})
    inputs = ReplayInputs.load(opened.open(), city, last)
    outcomes: dict[date, Outcome] = {}
    progress = _Progress((last - first).days + 1)
    for day in days_between(first, last):
        made_from = inputs.of_day(day)
        if not overwrite_issued and is_issued(store.open(), city, day):
            outcomes[day] = "left as issued"
            if not is_scored(store.open(), city, day):
                runs.run_day(day, SCORES)
        elif inputs.is_done(day, made_from) and is_scored(store.open(), city, day):
            outcomes[day] = "done before"
        else:
            outcomes[day] = "made"
            runs.run_day(day, DAY)
            inputs.keep_done(day, made_from)
        log(f"{key_of(city.name, day)}: {progress.after(outcomes[day])}")
    # As automation would have done when the days became known.
    for day in unscored_days(store.open(), city, outcomes):
        runs.run(SCORES, {"dagster/partition": key_of(city.name, day)})
    return summary(store.open(), city, outcomes)


@dataclass(frozen=True)
class _Runs:
    """Runs of assets in this process, recorded like all others."""

    job: dg.JobDefinition
    instance: dg.DagsterInstance
    city: City
    resources: Mapping[str, Any]

    def run_day(self, day: date, assets: Sequence[str]) -> None:
        """Make assets of a day from what was known on it."""
        tags = {"dagster/partition": key_of(self.city.name, day), AS_OF_TAG: str(day)}
        self.run(assets, tags, self.resources)

    def run(self, assets: Sequence[str], tags: Mapping[str, str], resources: Mapping[str, Any] | None = None) -> None:
        """Make assets and their checks.

        Raises:
            ReplayError: the run failed.
        """
        from shotspotter_assets.serving.replay import ReplayError

        result = self.job.get_subset(asset_selection={dg.AssetKey(asset) for asset in assets}).execute_in_process(
            run_config=QUIET,
            instance=self.instance,
            tags={**tags, REPLAY_TAG: self.city.name, **process_tag()},
            resources=self.resources if resources is None else resources,
            raise_on_error=False,
        )
        if not result.success:
            causes = [failure_cause(event) for event in result.all_events if event.is_step_failure]
            raise ReplayError(
                f"{tags.get('dagster/partition', self.city.name)}: {next(iter(causes), 'the run failed.')} What was replayed "
                f"before is kept; once this is seen to, start the same replay again. The run is {result.run_id}."
            )


@dataclass
class _Progress:
    """Says how far a replay is, and how long it is to take."""

    days: int
    started: float = field(default_factory=time.monotonic)
    passed: int = 0
    seconds_to_make: list[float] = field(default_factory=list)

    def after(self, outcome: str) -> str:
        """In words, after a further day."""
        now = time.monotonic()
        seconds, self.started, self.passed = now - self.started, now, self.passed + 1
        if outcome == "made":
            self.seconds_to_make.append(seconds)
        words = f"{outcome}, day {self.passed} of {self.days}"
        left = self.days - self.passed
        if not self.seconds_to_make or not left:
            return words
        # Of the last weeks alone, as each has one day of training.
        recent = self.seconds_to_make[-28:]
        return f"{words}, about {timedelta(seconds=round(left * sum(recent) / len(recent)))} left"


def _end_killed_runs(instance: dg.DagsterInstance, city: City) -> None:
    """End the runs of killed replays of the city.

    Raises:
        ReplayError: another process is replaying the city, as far as is known.
    """
    from shotspotter_assets.serving.replay import ReplayError

    for run in end_killed_runs(instance, {REPLAY_TAG: city.name}):
        raise ReplayError(
            f"City {city.name}: process {run.tags.get(PROCESS_TAG)} is replaying it: wait until it is over, or stop it. "
            f"If it was killed on another machine, end its run {run.run_id} in the UI (force termination)."
        )
