"""The notices sensor, tick by tick, on a real instance, a real store, and real webhook and mail servers."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.tags import WILL_RETRY_TAG

from shotspotter_assets.definitions import build_definitions
from shotspotter_assets.defs.alerts import raw_alerts
from shotspotter_assets.defs.resources import NoticesResource, StoreResource
from shotspotter_assets.partitions import range_tags
from shotspotter_assets.serving.forecast_scores import RollingVerdict
from shotspotter_assets.settings import Settings
from shotspotter_assets.storage.file_names import ARRIVALS, UNREADABLE_FILE
from shotspotter_assets.storage.store import Partition
from shotspotter_assets_tests.defs.chain import (
    CITIES,
    DEFINITIONS,
    SCHEDULES,
    SENSORS,
    SETTINGS,
    materialize,
    resources,
    run_days,
)
from shotspotter_assets_tests.notifications.servers import Webhook, smtp_server, webhook_server
from shotspotter_assets_tests.serving.town import rolling_verdict, score_record

UI = "http://dagster.city.gov"


class Watch:
    """The notices sensor of a store and an instance, with the cursor that Dagster would keep."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.resources = resources(str(folder / "store"), str(folder / "landing"))
        self.notices_to = {"notices_to": NoticesResource(ui_url=UI)}
        self.store: StoreResource = self.resources["store"]
        self.instance = instance
        self.cursor: str | None = None

    def tick(self) -> str:
        """One tick; what Dagster would show of it."""
        context = dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            resources=self.resources | self.notices_to,
            definitions=DEFINITIONS,
        )
        result = SENSORS["notices"](context)
        assert isinstance(result, dg.SensorResult)
        self.cursor = result.cursor or self.cursor
        assert result.skip_reason is not None
        return result.skip_reason.skip_message or ""

    def evaluate(
        self, asset: str, name: str, partition: str | None, passed: bool, metadata: dict[str, Any], text: str = ""
    ) -> str:
        """A run with one evaluation of a check, as a Dagster run leaves it in the event log."""
        partitions = dg.StaticPartitionsDefinition([partition]) if partition else None

        @dg.asset(name=asset, partitions_def=partitions)
        def made() -> None: ...

        @dg.asset_check(asset=made, name=name, partitions_def=partitions)
        def check() -> dg.AssetCheckResult:
            return dg.AssetCheckResult(passed=passed, metadata=metadata, description=text)

        return dg.materialize([made, check], instance=self.instance, partition_key=partition).run_id


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WEBHOOK_URL", "SMTP_URL", "MAIL_FROM", "MAIL_TO"):
        monkeypatch.delenv(f"SHOTSPOTTER_{name}", raising=False)


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path / "instance")) as instance:
        yield Watch(tmp_path, instance)


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    with webhook_server() as webhook:
        monkeypatch.setenv("SHOTSPOTTER_WEBHOOK_URL", webhook.url)
        yield webhook


def texts(webhook: Webhook) -> list[str]:
    return [post["json"]["text"] for post in webhook.posts]


def fail_a_run(watch: Watch) -> str:
    """A real run that fails, as its landing folder is missing."""
    result = run_days("landing_city", "2024-03-02", "2024-03-03", watch.resources, watch.instance, raise_on_error=False)
    assert not result.success
    return result.run_id


def test_without_settings_nothing_is_sent_and_the_tick_says_so(watch: Watch) -> None:
    fail_a_run(watch)
    assert watch.tick() == "Nobody is told of problems: set SHOTSPOTTER_WEBHOOK_URL or SHOTSPOTTER_SMTP_URL."
    assert watch.cursor is None


def test_settings_that_cannot_be_used_fail_the_tick_alone(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOTSPOTTER_WEBHOOK_URL", "ftp://secret")
    with pytest.raises(ValueError, match="SHOTSPOTTER_WEBHOOK_URL is not an http"):
        watch.tick()
    build_definitions(SETTINGS)


def test_nothing_wrong_sends_nothing(watch: Watch, webhook: Webhook) -> None:
    assert watch.tick() == "Nothing new to tell."
    assert webhook.posts == []


def test_a_failed_run_is_told_once_with_its_partition_step_error_and_link(watch: Watch, webhook: Webhook) -> None:
    run_id = fail_a_run(watch)
    assert "run failure" in watch.tick()
    (text,) = texts(webhook)
    assert "for landing_city|2024-03-02 to landing_city|2024-03-03*" in text
    assert "Step raw_alerts failed: " in text
    assert "landing folder" in text
    assert "missing or empty" in text
    assert f"<{UI}/runs/{run_id}|Open the run>" in text
    assert watch.tick() == "Nothing new to tell."
    assert len(webhook.posts) == 1


def test_a_run_that_dagster_starts_again_is_no_news(watch: Watch, webhook: Webhook) -> None:
    run_id = fail_a_run(watch)
    watch.instance.add_run_tags(run_id, {WILL_RETRY_TAG: "true"})
    assert watch.tick() == "Nothing new to tell."


def test_a_run_whose_process_was_killed_is_told_of(watch: Watch, webhook: Webhook) -> None:
    run = watch.instance.create_run_for_job(dg.JobDefinition(name="daily", graph_def=dg.GraphDefinition(name="daily")))
    watch.instance.report_run_failed(watch.instance.get_run_by_id(run.run_id), "Run worker process was killed.")
    watch.tick()
    assert "The run failed: Run worker process was killed." in texts(webhook)[0]


def test_what_a_webhook_did_not_take_is_sent_later(watch: Watch, webhook: Webhook) -> None:
    webhook.answers += [403]
    fail_a_run(watch)
    assert "not sent by webhook: answered 403" in watch.tick()
    assert "run failure" in watch.tick()
    assert len(webhook.posts) == 2
    assert watch.tick() == "Nothing new to tell."


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning")
def test_mail_goes_out_beside_a_webhook_that_is_down(
    watch: Watch, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhook.answers += [403]
    with smtp_server() as mailbox:
        monkeypatch.setenv("SHOTSPOTTER_SMTP_URL", f"smtp://{mailbox.host}:{mailbox.port}")
        monkeypatch.setenv("SHOTSPOTTER_MAIL_FROM", "risk@city.gov")
        monkeypatch.setenv("SHOTSPOTTER_MAIL_TO", "a@city.gov")
        run_id = fail_a_run(watch)
        watch.tick()
        watch.tick()
    assert [mail["Subject"].startswith("Run failure: ") for mail in mailbox.mails] == [True]
    assert f"Run: {UI}/runs/{run_id}" in mailbox.mails[0].get_content()
    assert len(webhook.posts) == 2


def test_late_cities_are_those_of_the_newest_evaluation(watch: Watch, webhook: Webhook) -> None:
    watch.evaluate("raw_alerts", "late_cities", None, False, {"days_late_tiny_city": 9, "days_late_landing_city": 4})
    run_id = watch.evaluate("raw_alerts", "late_cities", None, False, {"days_late_landing_city": 5})
    watch.tick()
    (text,) = texts(webhook)
    assert text.startswith("*Late city: landing_city*")
    assert f"/runs/{run_id}" in text
    assert "tiny_city" not in text
    assert watch.tick() == "Nothing new to tell."


def test_a_city_that_is_no_longer_late_is_no_news(watch: Watch, webhook: Webhook) -> None:
    watch.evaluate("raw_alerts", "late_cities", None, False, {"days_late_landing_city": 5})
    watch.evaluate("raw_alerts", "late_cities", None, True, {})
    assert watch.tick() == "Nothing new to tell."


def test_a_city_of_which_nothing_comes_any_more_is_late_by_the_clock(watch: Watch, webhook: Webhook) -> None:
    city = CITIES["landing_city"]
    days = [datetime.now(city.zone).date() - timedelta(days=back) for back in range(40, 9, -1)]
    folder = Path(watch.resources["sources"].landing_root) / city.name
    folder.mkdir(parents=True)
    rows = (f"{day}T17:{minute:02}:00Z,-76.5,38.5,,1,{day}-{minute}\n" for day in days for minute in range(20))
    (folder / "a.csv").write_text("when,lon,lat,kind,rounds,id\n" + "".join(rows))
    tags = range_tags(city.name, days[0], days[-1])
    assert materialize(["raw_alerts"], watch.resources, checks=(), instance=watch.instance, tags=tags).success
    assert watch.tick() == "Nothing new to tell."

    def clock() -> None:
        at = dg.build_schedule_context(
            instance=watch.instance, scheduled_execution_time=datetime.now(UTC), resources=watch.resources
        )
        (asked,) = SCHEDULES["late_cities_clock"].evaluate_tick(at).run_requests or []
        assert materialize(
            (), watch.resources, checks=["late_cities"], instance=watch.instance, tags=asked.tags
        ).success

    clock()
    assert watch.tick().startswith("Told webhook: late city|landing_city")
    clock()
    assert watch.tick() == "Nothing new to tell."
    (text,) = texts(webhook)
    due = datetime.combine(days[-1] + timedelta(days=2), datetime.min.time(), city.zone)
    assert text.startswith(
        f"*Late city: landing_city*\nThe last day that arrived is {days[-1]}; the next one was due by {due:%Y-%m-%d 00:00 %Z}."
    )


def test_a_city_is_late_by_its_own_clock(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    city, first = CITIES["landing_city"], date(2024, 3, 1)
    days = [first + timedelta(days=at) for at in range(31)]
    folder = Path(watch.resources["sources"].landing_root) / city.name
    folder.mkdir(parents=True)
    rows = (f"{day}T17:{minute:02}:00Z,-76.5,38.5,,1,{day}-{minute}\n" for day in days for minute in range(20))
    (folder / "a.csv").write_text("when,lon,lat,kind,rounds,id\n" + "".join(rows))
    tags = range_tags(city.name, first, days[-1])
    assert materialize(["raw_alerts"], watch.resources, checks=(), instance=watch.instance, tags=tags).success

    def first_late(zone: str) -> date:
        """The UTC day on which the city is found late at 12:30 UTC, when a day has just begun in Auckland."""
        cities = {city.name: city.model_copy(update={"time_zone": zone})}
        last = datetime.combine(days[-1], datetime.min.time(), UTC)
        for at in (last + timedelta(days=silent, hours=12.5) for silent in range(10)):

            class Now(datetime):
                @classmethod
                def now(cls, tz: tzinfo | None = None, at: datetime = at) -> datetime:
                    return at.astimezone(tz)

            monkeypatch.setattr(raw_alerts, "datetime", Now)
            found = raw_alerts.late_cities(dg.build_asset_check_context(), cities, watch.store)
            assert isinstance(found, dg.AssetCheckResult)
            if not found.passed:
                return at.date()
        raise AssertionError("never late")

    assert first_late("America/Los_Angeles") - first_late("Pacific/Auckland") == timedelta(days=1)


def test_a_report_whose_gate_failed_is_told(watch: Watch, webhook: Webhook) -> None:
    served = {"served": "kernel_density"}
    watch.evaluate("walk_forward_reports", "forecast_beats_best_baseline", "landing_city", False, served, "Too few.")
    watch.evaluate("walk_forward_reports", "forecast_beats_best_baseline", "tiny_city", True, served, "Enough.")
    watch.tick()
    (text,) = texts(webhook)
    assert text.startswith("*Failed gate: landing_city, 20")
    assert "Too few. Serving now: kernel_density." in text
    assert "tiny_city" not in text


def score(
    watch: Watch, day: str, gate: RollingVerdict | None = None, *drift_reasons: str, level_is_off: bool = False
) -> str:
    """The record of a day's scores in the store, and its check."""
    record = score_record(drift_reasons, gate, level_is_off, city="tiny_city", day=date.fromisoformat(day))
    record.write(watch.store.open())
    passed = not record.warnings() and not level_is_off
    return watch.evaluate("forecast_scores", "rolling_gate", f"tiny_city|{day}", passed, {})


def test_a_failed_rolling_gate_is_told_by_city_and_day(watch: Watch, webhook: Webhook) -> None:
    run_id = score(watch, "2024-05-01", rolling_verdict(False, "kernel_density", "Lost.", "Twice."))
    score(watch, "2024-05-02", rolling_verdict(True, "kernel_density", "Lost.", "Twice."))
    watch.tick()
    (text,) = texts(webhook)
    assert text == (
        f"*Failed gate: tiny_city, 2024-05-01*\n2024-05-01: Lost. Twice.\n<{UI}/runs/{run_id}|Open the run>"
    )


def test_drift_is_told_once_for_a_city(watch: Watch, webhook: Webhook) -> None:
    score(watch, "2024-05-01", None, "31.50 alerts a day.", level_is_off=True)
    watch.tick()
    score(watch, "2024-05-02", None, "32.50 alerts a day.")
    watch.tick()
    (text,) = texts(webhook)
    assert text.startswith("*Drift: tiny_city, 2024-05-01*\n2024-05-01: 31.50 alerts a day. Forecast and observed")


def test_a_gate_that_was_mended_since_is_no_news(watch: Watch, webhook: Webhook) -> None:
    score(watch, "2024-05-01", rolling_verdict(False, "kernel_density", "Lost."))
    score(watch, "2024-05-01", rolling_verdict())
    assert watch.tick() == "Nothing new to tell."


def test_a_corrupt_file_is_named_until_it_is_mended_and_so_is_a_missing_folder(watch: Watch, webhook: Webhook) -> None:
    folder = Path(watch.resources["sources"].landing_root) / "landing_city"
    folder.mkdir(parents=True)
    (folder / "bad.parquet").write_bytes(b"PAR1 nothing")
    cursor = None

    def look() -> None:
        nonlocal cursor
        context = dg.build_sensor_context(
            instance=watch.instance, cursor=cursor, definitions=DEFINITIONS, resources=watch.resources
        )
        cursor = SENSORS["landing_arrivals"](context).cursor

    look()
    watch.tick()
    (text,) = texts(webhook)
    assert text.startswith("*Corrupt file: landing_city, bad.parquet*\nbad.parquet cannot be used: City landing_city: ")
    (folder / "bad.parquet").unlink()
    (folder / "bad.csv").write_text("when,lon,lat,kind,rounds,id\n2024-03-02T17:00:00Z,-76.5,38.5,,1,a\n")
    look()
    watch.tick()
    assert len(webhook.posts) == 1
    city = watch.resources["cities"]["landing_city"]
    with_police = city.model_copy(update={"other_sources": (city.source.model_copy(update={"folder": "police"}),)})
    watch.resources = watch.resources | {"cities": {**watch.resources["cities"], "landing_city": with_police}}
    look()
    watch.tick()
    text = texts(webhook)[-1]
    assert text.startswith("*Missing folder: landing_city, police*\nCity landing_city: the landing folder ")
    assert "is missing or empty" in text


def test_the_cursor_keeps_no_secret(watch: Watch, webhook: Webhook) -> None:
    fail_a_run(watch)
    watch.tick()
    assert webhook.url not in (watch.cursor or "")
    assert set(json.loads(watch.cursor or "")) == {"sent", "since"}


def test_a_tick_over_many_failures_is_short(watch: Watch, webhook: Webhook) -> None:
    reasons = {f"/landing/file_{number}.csv": {"version": "1:1", "error": "not CSV"} for number in range(2_000)}
    watch.store.open().write_bytes(Partition(ARRIVALS, "landing_city"), UNREADABLE_FILE, json.dumps(reasons).encode())
    started = time.monotonic()
    watch.tick()
    assert time.monotonic() - started < 10
    assert len(webhook.posts) == 1
    assert "And " in texts(webhook)[0]


@pytest.mark.parametrize(("automated", "running"), [
    (set(), set()),
    ({"landing_city"}, {"landing_arrivals", "polled_arrivals", "catch_up", "notices", "new_pages", "late_cities_clock",
                        "weekly_shared_models"}),
    ({"live_city"}, {"landing_arrivals", "polled_arrivals", "catch_up", "notices", "new_pages", "late_cities_clock",
                     "daily_america_chicago", "weekly_shared_models"}),
])  # fmt: skip
def test_the_files_of_the_cities_switch_automation_on(automated: set[str], running: set[str]) -> None:
    cities = {
        name: city.model_copy(update={"automation": "recent" if name in automated else "manual"})
        for name, city in CITIES.items()
    }
    built = build_definitions(Settings(cities, store_root="store", landing_root="landing"))
    started = [*(built.sensors or []), *(built.schedules or [])]
    assert {one.name for one in started if one.default_status.value == "RUNNING"} == running
    assert {one.name for one in started} == {
        "landing_arrivals", "polled_arrivals", "catch_up", "notices", "new_pages",
        "daily_america_chicago", "daily_america_new_york", "late_cities_clock", "live_nowcasts", "weekly_shared_models",
    }  # fmt: skip
