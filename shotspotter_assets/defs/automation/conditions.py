"""When assets inside the graph are made again: late and corrected days of the last fortnight included.

The conditions are evaluated where the definitions are loaded, as Dagster's daemon knows its own conditions alone.
"""

import warnings
from collections.abc import Collection, Iterable
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import dagster as dg
from dagster_shared.record import copy

from shotspotter_assets.cities.city import City
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.automation.automated_cities import NO_CITY, automated, sensor_status
from shotspotter_assets.defs.automation.runs import DAILY_ASSETS, newest_first
from shotspotter_assets.defs.automation.under_way import UnderWay
from shotspotter_assets.partitions import LOOK_BACK_DAYS, key_of, parse_key
from shotspotter_assets.settings import Settings


class DayOfCity(dg.AutomationCondition):
    """True of the days of these cities from their `start` on: those before it are never made."""

    def __init__(self, cities: Iterable[City]) -> None:
        self._starts = {city.name: city.start for city in cities}

    def evaluate(self, context: dg.AutomationContext) -> dg.AutomationResult:
        """See Dagster."""
        if not self._starts or context.candidate_subset.is_empty:
            return dg.AutomationResult(context, context.get_empty_subset())
        days = {key: parse_key(key) for key in context.candidate_subset.expensively_compute_partition_keys()}
        covered = {key for key, (city, day) in days.items() if day >= self._starts.get(city, date.max)}
        return dg.AutomationResult(context, context.candidate_subset.compute_intersection_with_partition_keys(covered))


class WithModels(dg.AutomationCondition):
    """True of the days of a city for which there can be models: from the day on by which it has as many as its own ones need.

    Of a newer city, whose models start at those of other cities, true of its newest day alone: to be forecast is what comes, and
    a dozen runs for its first days would hold up the other cities.
    """

    def __init__(self, cities: Iterable[City]) -> None:
        self._starts = {city.name: city.start for city in cities}

    async def evaluate(self, context: dg.AutomationContext) -> dg.AutomationResult:  # type: ignore[override]  # Dagster awaits it
        """See Dagster."""
        from shotspotter_assets.models.next_day.shared_regression import package_start
        from shotspotter_assets.serving.training import MIN_HISTORY_DAYS

        if context.candidate_subset.is_empty:
            return dg.AutomationResult(context, context.get_empty_subset())
        with_models: set[str] = set()
        new: set[str] = set()
        for key in context.candidate_subset.expensively_compute_partition_keys():
            city, day = parse_key(key)
            days = (day - self._starts[city]).days + 1 if city in self._starts else 0
            if days >= MIN_HISTORY_DAYS:
                with_models.add(key)
            elif days > 0 and package_start(city, day) is not None:
                new.add(key)
        if new:
            view = context.asset_graph_view
            grids = view.get_full_subset(key=GRID).compute_intersection_with_partition_keys(new)
            missing = await view.compute_missing_subset(key=GRID, from_subset=grids)
            newest = dict(sorted(parse_key(key) for key in new - missing.expensively_compute_partition_keys()))
            with_models |= {key_of(*city_day) for city_day in newest.items()}
        return dg.AutomationResult(
            context, context.candidate_subset.compute_intersection_with_partition_keys(with_models)
        )


class DayAheadIsNotOver(dg.AutomationCondition):
    """True of the days from which a day is forecast that is not over in its city: yesterday, and today."""

    def __init__(self, cities: Iterable[City]) -> None:
        self._zones = {city.name: city.zone for city in cities}

    def evaluate(self, context: dg.AutomationContext) -> dg.AutomationResult:
        """See Dagster."""
        if not self._zones or context.candidate_subset.is_empty:
            return dg.AutomationResult(context, context.get_empty_subset())
        days = {key: parse_key(key) for key in context.candidate_subset.expensively_compute_partition_keys()}
        now, day = context.evaluation_time, timedelta(days=1)
        keys = {
            key
            for key, (city, of_city) in days.items()
            if city in self._zones and of_city + day >= now.astimezone(self._zones[city]).date()
        }
        return dg.AutomationResult(context, context.candidate_subset.compute_intersection_with_partition_keys(keys))


class InRunUnderWay(dg.AutomationCondition):
    """True of the partitions that a run will make, makes, or has made and goes on with others.

    `AutomationCondition.in_progress` forgets a partition once it is made, though its run still makes what depends on it.
    """

    def evaluate(self, context: dg.AutomationContext) -> dg.AutomationResult:
        """See Dagster."""
        if context.candidate_subset.is_empty:
            return dg.AutomationResult(context, context.get_empty_subset())
        under_way = _under_way(context.asset_graph_view.instance, context.evaluation_time)
        keys = under_way.keys(context.key) & context.candidate_subset.expensively_compute_partition_keys()
        return dg.AutomationResult(context, context.candidate_subset.compute_intersection_with_partition_keys(keys))


@lru_cache(maxsize=1)
def _under_way(instance: dg.DagsterInstance, _tick: datetime) -> UnderWay:
    """One query for all assets of a tick."""
    return UnderWay.of(instance)


MODELS: Final = dg.AssetKey("live_models")
NOWCAST_SCORES: Final = dg.AssetKey("nowcast_scores")
STREET_SCORES: Final = dg.AssetKey("street_scores")
GRID: Final = DAILY_ASSETS[-1]

# The calendar's newest day, which is UTC's, may not be over in a city: it is one more.
RECENT: Final = dg.AutomationCondition.in_latest_time_window(timedelta(days=LOOK_BACK_DAYS + 1))

INPUTS_MISSING: Final = dg.AutomationCondition.any_deps_missing()
"""Where the cities are known, days before a city's start are left out of it."""

# What is remembered from tick to tick is of the window alone, or it would grow with every day of every city.
NEWLY_MISSING = (RECENT & dg.AutomationCondition.missing()).newly_true().with_label("newly missing")

# What is requested goes on in the same run: each further run costs the start of a process.
CHANGED = dg.AutomationCondition.any_deps_match(
    dg.AutomationCondition.data_version_changed() | NEWLY_MISSING | dg.AutomationCondition.will_be_requested()
).with_label("an input changed")

FIRST_LOOK: Final = RECENT & dg.AutomationCondition.initial_evaluation() & dg.AutomationCondition.missing()
"""A change is what has happened since the look before: without this, what came before the first one of a new installation or
release, which may take a minute, would never be forecast. Where the cities are known, of days whose forecast is of use."""

# Dagster tells the memories of an asset's `since` apart by the kinds of their two conditions: AND and AND is taken.
LEFT_OVER = FIRST_LOOK.since(
    (RECENT & dg.AutomationCondition.newly_requested()) | (RECENT & dg.AutomationCondition.newly_updated())
)

HANDLED = RECENT & (
    dg.AutomationCondition.newly_requested()
    | dg.AutomationCondition.newly_updated()
    | dg.AutomationCondition.initial_evaluation()
)

# Such a run may have read its inputs before: that it ends does not settle the change, only a further run does. For assets
# that take long and are not made in one run with their inputs, as it cannot be told which run an input is of: of several
# partitions that change between two looks, Dagster knows only the last one's.
CHANGED_WHILE_MADE = (
    (
        RECENT
        & (dg.AutomationCondition.in_progress() | dg.AutomationCondition.newly_updated())
        & dg.AutomationCondition.any_deps_match(dg.AutomationCondition.data_version_changed())
    )
    .since(RECENT & (dg.AutomationCondition.newly_requested() | dg.AutomationCondition.initial_evaluation()))
    .with_label("an input changed while a run was under way")
)


def when_settled(wanted: dg.AutomationCondition, label: str) -> dg.AutomationCondition:
    """`wanted`, of the last days whose inputs are there, once neither they nor the asset are being made."""
    return (
        RECENT
        # Looked up before what has changed: a run that ends in between would look as if its input were not yet used.
        & ~InRunUnderWay()
        & ~dg.AutomationCondition.backfill_in_progress()
        & ~dg.AutomationCondition.any_deps_in_progress()
        & ~INPUTS_MISSING
        & wanted
    ).with_label(label)


CATCH_UP = when_settled(
    (NEWLY_MISSING | (RECENT & CHANGED)).since(HANDLED) | LEFT_OVER,
    "an input of the last 14 days is new or has changed",
)
"""Not for the rows that a source gives again without a change: their data version stays the same."""

# Within the window, as what is missing of all days of all cities takes seconds to list.
_open = RECENT & (dg.AutomationCondition.missing() | dg.AutomationCondition.in_latest_time_window())

_wanted = (NEWLY_MISSING | (_open & CHANGED)).since(HANDLED)

_label = "missing, or the latest day and an input has changed"

ISSUE_ONCE: Final = when_settled(_open & (_wanted | LEFT_OVER), _label)
"""What was issued on a past day stays as it was: its outcome is known, and the scores must be of what was issued before."""

TRAIN_ONCE: Final = when_settled(_open & (_wanted | CHANGED_WHILE_MADE | LEFT_OVER), _label)
"""The same for what takes long to make: a correction may come meanwhile."""


class ConditionSensor(dg.AutomationConditionSensorDefinition):
    """Evaluates the conditions, and asks for the newest days first."""

    def evaluate_tick(self, context: dg.SensorEvaluationContext) -> Any:
        """See Dagster."""
        with warnings.catch_warnings():
            # Dagster's own tags of partitions of two dimensions.
            warnings.filterwarnings("ignore", "Non-compliant tag keys", DeprecationWarning)
            result = super().evaluate_tick(context)
            if result.run_requests:
                return copy(result, run_requests=newest_first(result.run_requests))
        return copy(result, skip_message=self.metadata["idle"].value)


def definitions(settings: Settings) -> dg.Definitions:
    """The sensor that evaluates the conditions of all assets."""
    is_automated = bool(automated(settings.cities.values()))
    catch_up = ConditionSensor(
        name="catch_up",
        target=dg.AssetSelection.all(),
        minimum_interval_seconds=5,
        default_status=sensor_status(settings.cities),
        # A backfill would wait for the daemon's next look at backfills, up to half a minute; a run per day is made anyway.
        emit_backfills=False,
        use_user_code_server=True,
        metadata={"idle": "No input of the last 14 days is new or has changed." if is_automated else NO_CITY},
        description="Makes the assets whose inputs of the last 14 days are new or have changed: late and corrected days too.",
    )
    return dg.Definitions(sensors=[catch_up])


def of_automated_cities(assets: dg.Definitions, cities: Collection[City]) -> dg.Definitions:
    """The assets, with conditions that are true of the automated cities alone; the page of `raw_alerts` lists these."""
    # The window comes first: a condition is asked about all days of all cities otherwise.
    is_wanted = RECENT & DayOfCity(automated(cities))
    limits = {
        MODELS: is_wanted & WithModels(cities),
        NOWCAST_SCORES: RECENT & DayOfCity(city for city in automated(cities) if city.nowcasts is not None),
        STREET_SCORES: RECENT & DayOfCity(city for city in automated(cities) if city.streets is not None),
    }
    # What is missing comes first: mostly nothing is, and keys of nothing need not be listed. Days before a start are no input.
    is_missing = dg.AutomationCondition.missing() & ~dg.AutomationCondition.will_be_requested() & DayOfCity(cities)
    inputs_missing = dg.AutomationCondition.any_deps_match(is_missing).with_label("an input is missing")

    first_look = (FIRST_LOOK & DayAheadIsNotOver(cities)).with_label("not made before the first look")

    shown = panel.table({"city": city.name, "automation": city.automation} for city in cities)

    def limited(spec: dg.AssetSpec) -> dg.AssetSpec:
        if spec.key == DAILY_ASSETS[0]:
            spec = spec.merge_attributes(metadata={"automation": shown})
        condition = spec.automation_condition
        if condition is None:
            return spec
        limit = limits.get(spec.key, is_wanted)
        condition = condition.replace(INPUTS_MISSING, inputs_missing).replace(FIRST_LOOK, first_look)
        return spec.replace_attributes(automation_condition=limit & condition)

    return assets.map_asset_specs(func=limited)
