"""The automation conditions of the real assets, evaluated tick by tick on reported materializations."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from shotspotter_assets.defs.automation.conditions import CHAIN_TAGS, corrected_days

from shotspotter_assets.calendar.local_time import days_between
from shotspotter_assets.partitions import day_partitions
from shotspotter_assets_tests.defs.chain import CITIES, resources, with_city

CITY = "tiny_city"
NOW = datetime(2024, 4, 10, 9, tzinfo=ZoneInfo("America/New_York"))
NEWEST = date(2024, 4, 9)
GRIDS = ("raw_alerts", "cleaned_alerts", "grid_tensors")
FOLD_ASSETS = ("fold_models", "evaluation_reports", "walk_forward_reports")
LIVE = ("live_models", "risk_forecasts", "street_risk", "patrol_plans", "forecast_scores")


class Ticks:
    """A city's definitions and instance, ticked by hand."""

    def __init__(self, instance: dg.DagsterInstance, automation: str) -> None:
        self.instance = instance
        self.definitions = resources("store", cities=with_city(CITY, automation=automation)).definitions
        self._cursor: dg.AssetDaemonCursor | None = None

    def report(self, assets: Iterable[str], keys: Iterable[object], version: str = "1") -> None:
        """Materialize partitions with a data version, without a run."""
        for asset in assets:
            for key in keys:
                self.instance.report_runless_asset_event(
                    dg.AssetMaterialization(
                        [CITY, asset],
                        partition=None if key is None else str(key),
                        tags={"dagster/data_version": version},
                    )
                )

    def tick(self) -> dict[str, list[str | None]]:
        """Partitions that one evaluation requests, by asset; an asset without partitions requests None."""
        result = dg.evaluate_automation_conditions(
            self.definitions, self.instance, cursor=self._cursor, evaluation_time=NOW
        )
        self._cursor = result.cursor
        requested = {}
        for evaluation in result.results:
            keys = result.get_requested_partitions(evaluation.key)
            if keys:
                requested[evaluation.key.path[-1]] = sorted(keys, key=str)
        return requested

    def folds(self) -> dict[str, list[str | None]]:
        """The same for fold assets only."""
        return {asset: keys for asset, keys in self.tick().items() if asset in FOLD_ASSETS}


@pytest.fixture
def history(instance: dg.DagsterInstance) -> Ticks:
    return Ticks(instance, "history")


def test_folds_start_when_the_period_before_is_complete_and_reports_when_the_test_window_is(history: Ticks) -> None:
    assert history.folds() == {}
    history.report(["grid_tensors"], days_between(date(2023, 7, 1), date(2024, 3, 29)))
    assert history.folds() == {"fold_models": ["2023-10-01", "2024-01-01"]}
    assert history.folds() == {}
    history.report(["fold_models"], ["2023-10-01", "2024-01-01"])
    assert history.folds() == {"evaluation_reports": ["2023-10-01"]}
    history.report(["evaluation_reports"], ["2023-10-01"])
    assert history.folds() == {"walk_forward_reports": [None]}
    history.report(["grid_tensors"], [date(2024, 3, 30), date(2024, 3, 31)])
    assert history.folds() == {"fold_models": ["2024-04-01"], "evaluation_reports": ["2024-01-01"]}


def test_a_correction_in_the_period_before_a_cutoff_rebuilds_the_fold_and_its_report(history: Ticks) -> None:
    history.report(["grid_tensors"], days_between(date(2023, 7, 1), date(2024, 3, 31)))
    history.report(["fold_models"], ["2023-10-01", "2024-01-01", "2024-04-01"])
    history.report(["evaluation_reports"], ["2023-10-01", "2024-01-01"])
    history.folds()
    assert history.folds() == {}
    history.report(["grid_tensors"], [date(2023, 11, 5)], version="2")
    assert history.folds() == {"fold_models": ["2024-01-01"], "evaluation_reports": ["2023-10-01"]}
    assert history.folds() == {}
    history.report(["fold_models"], ["2024-01-01"], version="2")
    assert history.folds() == {"evaluation_reports": ["2024-01-01"]}


def test_recent_automation_starts_the_folds_of_one_year(instance: dg.DagsterInstance) -> None:
    ticks = Ticks(instance, "recent")
    ticks.definitions = resources(
        "store", cities=with_city(CITY, automation="recent", start=date(2021, 7, 1))
    ).definitions
    ticks.report(["grid_tensors"], days_between(date(2021, 7, 1), NEWEST))
    assert ticks.folds()["fold_models"] == ["2023-07-01", "2023-10-01", "2024-01-01", "2024-04-01"]


def test_a_corrected_day_is_rebuilt_downstream_and_only_the_newest_forecast_is_issued_again(history: Ticks) -> None:
    days = days_between(date(2024, 3, 20), NEWEST)
    history.report([*GRIDS, *LIVE], days)
    history.tick()
    assert history.tick() == {}
    history.report(["raw_alerts"], [date(2024, 4, 5)], version="2")
    requested = history.tick()
    assert requested["cleaned_alerts"] == requested["grid_tensors"] == ["2024-04-05"]
    assert requested["live_models"] == requested["risk_forecasts"] == ["2024-04-09"]
    assert requested["forecast_scores"] == [f"2024-04-0{day}" for day in range(5, 10)]
    assert history.tick() == {}


def test_a_correction_older_than_a_fortnight_rebuilds_no_day(history: Ticks) -> None:
    days = days_between(date(2024, 3, 20), NEWEST)
    history.report([*GRIDS, *LIVE], days)
    history.tick()
    history.report(["raw_alerts"], [date(2024, 3, 21)], version="2")
    assert history.tick() == {}


def test_a_manual_city_has_no_conditions(instance: dg.DagsterInstance) -> None:
    ticks = Ticks(instance, "manual")
    ticks.report(GRIDS, days_between(date(2023, 7, 1), NEWEST - timedelta(days=1)))
    assert ticks.tick() == {}


def test_pages_are_rebuilt_after_their_inputs(history: Ticks) -> None:
    history.report([*GRIDS, *LIVE], days_between(date(2024, 3, 20), NEWEST))
    history.tick()
    history.report(["patrol_plans"], [NEWEST], version="2")
    assert history.tick() == {"city_pages": [None]}


@pytest.mark.parametrize(("tags", "requested"), [({}, {dg.AssetKey("below")}), (CHAIN_TAGS, set())])
def test_a_run_of_the_daily_chain_starts_nothing_below_its_assets(
    stored_instance: dg.DagsterInstance, tags: dict[str, str], requested: set[dg.AssetKey]
) -> None:
    city = CITIES[CITY]
    days = day_partitions(city)

    @dg.asset(partitions_def=days)
    def above(context: dg.AssetExecutionContext) -> None:
        context.add_asset_metadata({"data_version": str(sorted(tags))}, partition_key=context.partition_key)

    @dg.asset(partitions_def=days, deps=[above], automation_condition=corrected_days(city))
    def below() -> None: ...

    definitions, today = dg.Definitions([above, below]), days.get_last_partition_key()
    for asset in ("above", "below"):
        for key in days.get_partition_keys()[-20:]:
            event = dg.AssetMaterialization(asset, partition=key, tags={"dagster/data_version": "1"})
            stored_instance.report_runless_asset_event(event)
    first = dg.evaluate_automation_conditions(definitions, stored_instance)
    dg.materialize([above], partition_key=today, tags=tags, instance=stored_instance)
    second = dg.evaluate_automation_conditions(definitions, stored_instance, cursor=first.cursor)
    assert {result.key for result in second.results if not result.true_subset.is_empty} == requested
