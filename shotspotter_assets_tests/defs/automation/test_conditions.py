"""The conditions of the assets on the real definitions, tick by tick, with runs that are under way when inputs change."""

import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent, DagsterEventType, StepMaterializationData
from dagster._serdes import serialize_value
from shotspotter_assets.defs.automation.runs import city_tags, newest_first

from shotspotter_assets.cities.streets import Streets
from shotspotter_assets.definitions import build_definitions
from shotspotter_assets.serving.training import MIN_HISTORY_DAYS
from shotspotter_assets.settings import Settings
from shotspotter_assets_tests.defs.chain import CITIES, DEFINITIONS, SENSORS, with_city

CITY, OTHER = "tiny_city", "landing_city"
DAY = date(2024, 1, 20)
NOW = datetime(2024, 1, 21, 12, tzinfo=UTC)
CHAIN = (
    "raw_alerts", "cleaned_alerts", "grid_tensors", "live_models", "risk_forecasts", "street_risk", "patrol_plans",
    "forecast_scores",
)  # fmt: skip


DAILY = CHAIN[:3]


class Automation:
    """Evaluates the conditions as the daemon does; what is asked for is not run unless a test says so."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance, self.cursor, self.ticks = instance, None, 0
        self.asked_of_others: set[tuple[str, str]] = set()
        self.job: Any = DEFINITIONS.resolve_implicit_global_asset_job_def()

    def start(self, *assets: str, day: date = DAY, city: str = CITY) -> str:
        """A run of one day of the assets that is under way."""
        run = self.instance.create_run_for_job(
            self.job.get_subset(asset_selection={dg.AssetKey(asset) for asset in assets}),
            tags={"dagster/partition": f"{city}|{day}"},
            asset_selection=frozenset(dg.AssetKey(asset) for asset in assets),
            status=dg.DagsterRunStatus.STARTED,
        )
        return run.run_id

    def make(self, run: str, asset: str, version: str, day: date = DAY, city: str = CITY) -> None:
        """The run has made a day of an asset."""
        tags = {"dagster/data_version": version}
        made = StepMaterializationData(dg.AssetMaterialization(asset, partition=f"{city}|{day}", tags=tags))
        event = DagsterEvent(DagsterEventType.ASSET_MATERIALIZATION.value, self.job.name, event_specific_data=made)
        self.instance.report_dagster_event(event, run)

    def end(self, run: str) -> None:
        """The run ends well."""
        event = DagsterEvent(DagsterEventType.PIPELINE_SUCCESS.value, self.job.name)
        self.instance.report_dagster_event(event, run)

    def run(self, version: str, *assets: str, day: date = DAY) -> None:
        """A whole run of one day of the assets."""
        run = self.start(*assets, day=day)
        for asset in assets:
            self.make(run, asset, version, day)
        self.end(run)

    def tick(self) -> set[str]:
        """Assets that are asked for on `DAY`, and others with their day."""
        self.ticks += 1
        result = dg.evaluate_automation_conditions(
            DEFINITIONS, self.instance, cursor=self.cursor, evaluation_time=NOW + timedelta(seconds=5 * self.ticks)
        )
        self.cursor = result.cursor
        self.asked_of_others = {
            (asset.key.to_user_string(), key)
            for asset in result.results
            for key in result.get_requested_partitions(asset.key)
            if key is not None and not key.startswith(f"{CITY}|")
        }
        return {
            asset.key.to_user_string() if key.endswith(str(DAY)) else f"{asset.key.to_user_string()} {key}"
            for asset in result.results
            for key in result.get_requested_partitions(asset.key)
            if key is not None and key.startswith(f"{CITY}|")
        }


@pytest.fixture
def automation(tmp_path: Path) -> Iterator[Automation]:
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance:
        automation = Automation(instance)
        tags = {"dagster/data_version": "first"}
        for asset in CHAIN:
            for back in range(15):
                key = f"{CITY}|{DAY - timedelta(days=back)}"
                instance.report_runless_asset_event(dg.AssetMaterialization(asset, partition=key, tags=tags))
        automation.tick()
        assert automation.tick() == set()
        yield automation


def test_a_run_of_the_daily_chain_is_not_made_again(automation: Automation) -> None:
    chain = ("raw_alerts", "cleaned_alerts", "grid_tensors")
    run = automation.start(*chain)
    for asset in chain:
        automation.make(run, asset, "corrected")
        asked = automation.tick()
        assert not asked & set(chain)
    assert "live_models" in asked
    automation.end(run)
    assert not automation.tick() & set(chain)


FORECAST = {"live_models", "risk_forecasts", "street_risk", "patrol_plans"}


@pytest.mark.parametrize("days_over", [0, 1])
def test_what_came_before_the_first_look_is_forecast_if_that_is_of_use(tmp_path: Path, days_over: int) -> None:
    """As with a new installation or release, whose first look may take a minute."""
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance:
        automation = Automation(instance)
        for back in range(days_over, 15):
            automation.run("first", *DAILY, day=DAY - timedelta(days=back))
        assert automation.tick() == (set() if days_over else FORECAST)
        assert automation.tick() == set()


def test_no_two_memories_of_an_asset_are_taken_for_one() -> None:
    """Dagster tells them apart by the kinds of their two conditions alone."""

    def memories(condition: dg.AutomationCondition) -> Iterator[tuple[str, ...]]:
        if condition.name == "SINCE":
            yield tuple(child.name for child in condition.children)
        for child in condition.children:
            yield from memories(child)

    for spec in DEFINITIONS.resolve_all_asset_specs():
        if spec.automation_condition is not None:
            kinds = list(memories(spec.automation_condition))
            assert len(kinds) == len(set(kinds)), spec.key
            assert kinds


def test_a_day_that_is_made_during_the_first_look_is_forecast_after_it(tmp_path: Path) -> None:
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance:
        automation = Automation(instance)
        for back in range(1, 15):
            automation.run("first", *DAILY, day=DAY - timedelta(days=back))
        run = automation.start(*DAILY)
        for asset in DAILY[:2]:
            automation.make(run, asset, "first")
        assert automation.tick() == set()
        automation.make(run, DAILY[2], "first")
        automation.end(run)
        assert automation.tick() == FORECAST
        assert automation.tick() == set()


def test_days_of_two_cities_that_are_made_between_two_looks_are_not_made_again(automation: Automation) -> None:
    runs = {city: automation.start(*DAILY, city=city) for city in (CITY, OTHER)}
    assert automation.tick() == set()
    for asset in DAILY[:2]:
        for city, run in runs.items():
            automation.make(run, asset, "corrected", city=city)
    assert not automation.tick() & set(DAILY)
    for city, run in runs.items():
        automation.make(run, DAILY[2], "corrected", city=city)
        automation.end(run)
    assert "live_models" in automation.tick()
    assert not automation.asked_of_others
    assert automation.tick() == set()


def test_a_day_that_is_corrected_while_its_models_train_is_trained_again(automation: Automation) -> None:
    run = automation.start("live_models", "risk_forecasts", "street_risk", "patrol_plans")
    automation.run("corrected", "raw_alerts", "cleaned_alerts", "grid_tensors")
    assert not automation.tick() & {"live_models", "risk_forecasts"}
    for asset in ("live_models", "risk_forecasts", "street_risk", "patrol_plans"):
        automation.make(run, asset, "second")
    automation.end(run)
    assert "live_models" in automation.tick()
    automation.run("third", "live_models")
    assert {"risk_forecasts", "street_risk", "patrol_plans"} <= automation.tick()
    automation.run("third", "risk_forecasts", "street_risk", "patrol_plans")
    assert not automation.tick() & {"live_models", "risk_forecasts"}


def test_a_partition_is_not_asked_for_while_a_run_of_it_is_under_way(automation: Automation) -> None:
    run = automation.start("live_models", "risk_forecasts", "street_risk", "patrol_plans")
    automation.make(run, "live_models", "second")
    assert automation.tick() == set()
    automation.run("corrected", *DAILY, day=DAY - timedelta(days=3))
    # The models are made, but their run goes on to the forecast.
    assert "live_models" not in automation.tick()
    automation.make(run, "risk_forecasts", "second")
    automation.make(run, "patrol_plans", "second")
    assert "live_models" not in automation.tick()
    automation.end(run)
    assert "live_models" in automation.tick()


def test_nothing_is_made_for_a_manual_city(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cities = with_city(OTHER, automation="manual")
    definitions = build_definitions(Settings(cities, store_root="store", landing_root="landing"))
    monkeypatch.setattr(sys.modules[__name__], "DEFINITIONS", definitions)
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance:
        automation = Automation(instance)
        automation.tick()
        tags = {"dagster/data_version": "first"}
        for city in (CITY, OTHER):
            for back in range(15):
                key = f"{city}|{DAY - timedelta(days=back)}"
                instance.report_runless_asset_event(dg.AssetMaterialization("grid_tensors", partition=key, tags=tags))
        assert "live_models" in automation.tick()
        assert automation.asked_of_others == set()


def asked_for_models(start: date, tmp_path: Path) -> set[str]:
    """The days that models are asked for once all days of a city to `DAY` were made."""
    cities = with_city(OTHER, start=start)
    definitions = build_definitions(Settings(cities, store_root="store", landing_root="landing"))
    wanted = dg.AssetSelection.assets("live_models")
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance:
        cursor = dg.evaluate_automation_conditions(definitions, instance, wanted, evaluation_time=NOW).cursor
        for back in range((DAY - start).days + 1):
            key = f"{OTHER}|{DAY - timedelta(days=back)}"
            instance.report_runless_asset_event(dg.AssetMaterialization("grid_tensors", partition=key))
        result = dg.evaluate_automation_conditions(
            definitions, instance, wanted, evaluation_time=NOW + timedelta(seconds=5), cursor=cursor
        )
    asked = result.get_requested_partitions(dg.AssetKey("live_models")) or set()
    return {key.removeprefix(f"{OTHER}|") for key in asked if isinstance(key, str)}


@pytest.mark.parametrize("days", [1, 3, 60])
def test_models_are_asked_for_from_the_first_day_of_a_city_for_what_comes(days: int, tmp_path: Path) -> None:
    assert asked_for_models(DAY - timedelta(days=days - 1), tmp_path) == {str(DAY)}


def test_where_there_is_no_model_of_other_cities_they_wait_for_the_days_that_own_ones_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shotspotter_assets.models.next_day.shared_regression.package_start", lambda city, by: None)
    start = DAY - timedelta(days=MIN_HISTORY_DAYS)
    assert asked_for_models(start, tmp_path) == {str(DAY), str(DAY - timedelta(days=1))}


def test_the_page_of_the_raw_alerts_says_which_cities_run_by_themselves() -> None:
    metadata = DEFINITIONS.resolve_asset_graph().get(dg.AssetKey("raw_alerts")).metadata
    shown = {record.data["city"]: record.data["automation"] for record in metadata["automation"].records}
    assert shown == {
        "landing_city": "history", "live_city": "history", "tiny_city": "history", "washington_dc": "manual",
    }  # fmt: skip


def test_the_newest_days_are_asked_for_first_and_go_first(tmp_path: Path) -> None:
    sensor = SENSORS["catch_up"]
    newest = datetime.now(UTC).date() - timedelta(days=1)
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance:

        def tick(cursor: str | None) -> Any:
            context = dg.build_sensor_context(
                instance=instance,
                cursor=cursor,
                repository_def=DEFINITIONS.get_repository_def(),
                sensor_name="catch_up",
            )
            return sensor.evaluate_tick(context)

        idle = tick(None)
        assert idle.skip_message == "No input of the last 14 days is new or has changed."
        for back in range(20):
            key = f"{CITY}|{newest - timedelta(days=back)}"
            tags = {"dagster/data_version": "first"}
            instance.report_runless_asset_event(dg.AssetMaterialization("grid_tensors", partition=key, tags=tags))
        asked = tick(idle.cursor).run_requests
    keys = [one.partition_key for one in asked]
    assert keys == sorted(keys, reverse=True)
    assert keys[0] == f"{CITY}|{newest}"
    priorities = [int(one.tags["dagster/priority"]) for one in asked]
    assert priorities == sorted(priorities, reverse=True)
    assert priorities[:2] == [2, 1]


def test_no_plan_waits_for_scores_or_alerts_of_the_same_day() -> None:
    def priority(*assets: str) -> int:
        request = dg.RunRequest(partition_key=f"{CITY}|{DAY}", asset_selection=[dg.AssetKey(name) for name in assets])
        (asked,) = newest_first([request])
        return int(asked.tags["dagster/priority"])

    alerts = int(city_tags(CITY, DAY, DAY)["dagster/priority"])
    assert priority("live_models", "risk_forecasts", "patrol_plans") == alerts + 1
    assert priority("forecast_scores") == alerts


def test_streets_are_scored_in_cities_that_name_them_alone(tmp_path: Path) -> None:
    streets = Streets(path=tmp_path / "streets.parquet", name="name")
    for cities, is_asked in ((CITIES, False), (with_city(CITY, streets=streets), True)):
        definitions = build_definitions(Settings(cities, str(tmp_path), str(tmp_path)))
        with dg.DagsterInstance.ephemeral() as instance:
            cursor = dg.evaluate_automation_conditions(definitions, instance, evaluation_time=NOW).cursor
            for asset in ("cleaned_alerts", "grid_tensors", "street_risk"):
                for back in range(3):
                    key = f"{CITY}|{DAY - timedelta(days=back)}"
                    instance.report_runless_asset_event(dg.AssetMaterialization(asset, partition=key))
            result = dg.evaluate_automation_conditions(
                definitions, instance, cursor=cursor, evaluation_time=NOW + timedelta(seconds=5)
            )
        asked = result.get_requested_partitions(dg.AssetKey("street_scores"))
        assert (f"{CITY}|{DAY}" in asked) == is_asked


def test_what_is_remembered_does_not_grow_with_the_days(automation: Automation) -> None:
    """The test cities have thousands of days, and the daemon stores the cursor at every tick."""
    assert len(serialize_value(automation.cursor)) < 400_000


@pytest.mark.parametrize("looked_at_while_under_way", [False, True])
def test_the_first_day_of_a_new_city_is_forecast(tmp_path: Path, looked_at_while_under_way: bool) -> None:
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance:
        automation = Automation(instance)
        assert automation.tick() == set()
        tags = {"dagster/data_version": "first"}
        for asset in DAILY:
            for back in range(1, 30):
                key = f"{CITY}|{DAY - timedelta(days=back)}"
                instance.report_runless_asset_event(dg.AssetMaterialization(asset, partition=key, tags=tags))
        automation.tick()
        run = automation.start(*DAILY)
        for asset in DAILY:
            if looked_at_while_under_way:
                assert automation.tick() == set()
            automation.make(run, asset, "first")
        automation.end(run)
        assert {"live_models", "risk_forecasts", "street_risk", "patrol_plans"} <= automation.tick()
