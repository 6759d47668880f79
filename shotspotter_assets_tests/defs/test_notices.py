import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from shotspotter_assets.automation import notifications as send
from shotspotter_assets.definitions import build_definitions
from shotspotter_assets.defs.resources import NoticesResource
from shotspotter_assets.forecasts.approval import WaitingModels
from shotspotter_assets.forecasts.issued_forecasts import NoForecast, write_forecast
from shotspotter_assets.forecasts.seals import seal_days
from shotspotter_assets.settings import Settings
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.automation.servers import Webhook, webhook_server
from shotspotter_assets_tests.defs.chain import CITIES, evaluate, resources, run_days, skip_message, tick, with_city
from shotspotter_assets_tests.forecasts.town import serving_record

UI = "http://dagster.city.gov"
CITY = "landing_city"


class Watch:
    def __init__(self, folder: Path, instance: dg.DagsterInstance, **changes: Any) -> None:
        self.landing = folder / "landing" / CITY
        self.resources = resources(str(folder / "store"), str(folder / "landing"), with_city(CITY, **changes))
        self.resources["notices_to"] = NoticesResource(ui_url=UI)
        self.instance = instance
        self.cursor: str | None = None

    def tick(self) -> str:
        result = evaluate("notices", self.resources, self.instance, self.cursor)
        self.cursor = result.cursor or self.cursor
        return skip_message(result)

    def evaluate(self, asset: str, name: str, passed: bool, text: str) -> str:
        """A run that evaluates a check of an asset of the city; returns its id."""
        days = dg.DailyPartitionsDefinition("2024-05-01")

        @dg.asset(key=[CITY, asset], partitions_def=days)
        def made() -> None: ...

        @dg.asset_check(asset=made, name=name, partitions_def=days)
        def check() -> dg.AssetCheckResult:
            return dg.AssetCheckResult(passed=passed, description=text)

        definitions = dg.Definitions([made], asset_checks=[check])
        job = definitions.resolve_implicit_global_asset_job_def().get_subset(asset_selection={made.key})
        return job.execute_in_process(instance=self.instance, partition_key="2024-05-01").run_id

    def fail_a_run(self) -> str:
        result = run_days(CITY, "2024-03-02", "2024-03-03", self.resources, self.instance, raise_on_error=False)
        assert not result.success
        return result.run_id

    def land(self, days: list[str], longitude: float = -76.5) -> None:
        self.landing.mkdir(parents=True)
        rows = [f"{day}T17:{at:02}:00Z,{longitude},38.5,,1,{day}-{at}\n" for day in days for at in range(20)]
        (self.landing / "a.csv").write_text("when,lon,lat,kind,rounds,id\n" + "".join(rows))
        run_days(CITY, days[0], days[-1], self.resources, self.instance, assets=["raw_alerts"])


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHOTSPOTTER_NOTIFY_URLS", raising=False)


@pytest.fixture
def watch(tmp_path: Path, instance: dg.DagsterInstance) -> Watch:
    return Watch(tmp_path, instance)


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    with webhook_server() as webhook:
        monkeypatch.setenv("SHOTSPOTTER_NOTIFY_URLS", webhook.url)
        yield webhook


def texts(webhook: Webhook) -> list[str]:
    return [post["json"]["message"] for post in webhook.posts]


def test_without_a_receiver_nothing_is_sent_and_the_tick_says_so(watch: Watch) -> None:
    watch.fail_a_run()
    assert watch.tick().startswith("No receiver: set SHOTSPOTTER_NOTIFY_URLS")
    assert watch.cursor is None


def test_a_failed_run_is_sent_once_with_its_partitions_step_error_and_link(watch: Watch, webhook: Webhook) -> None:
    run_id = watch.fail_a_run()
    assert "run failure" in watch.tick()
    (text,) = texts(webhook)
    assert "for 2024-03-02 to 2024-03-03\n" in text
    assert "Step landing_city__raw_alerts failed: " in text
    assert "missing or empty" in text
    assert f"Run: {UI}/runs/{run_id}" in text
    assert watch.tick() == "No new problem."
    assert webhook.url not in (watch.cursor or "")
    assert set(json.loads(watch.cursor or "")) == {"sent", "since"}


def test_further_problems_follow_later(watch: Watch, webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(send, "MAX_MESSAGES", 1)
    watch.fail_a_run()
    watch.evaluate("forecast_scores", "rolling_gate", False, "Behind historical_mean.")
    sinces = []
    for problem in ("run failure", "failed check"):
        assert problem in watch.tick()
        sinces.append(datetime.fromisoformat(json.loads(watch.cursor or "")["since"]))
    assert len(webhook.posts) == 2
    # Until all are sent, runs are looked for since the first poll.
    assert sinces[1] - sinces[0] > timedelta(hours=12)


def test_a_run_that_dagster_retries_is_not_sent(watch: Watch, webhook: Webhook) -> None:
    watch.instance.add_run_tags(watch.fail_a_run(), {"dagster/will_retry": "true"})
    assert watch.tick() == "No new problem."
    assert webhook.posts == []


def test_a_run_whose_process_was_killed_is_sent(watch: Watch, webhook: Webhook) -> None:
    run = watch.instance.create_run_for_job(dg.JobDefinition(name="daily", graph_def=dg.GraphDefinition(name="daily")))
    watch.instance.report_run_failed(watch.instance.get_run_by_id(run.run_id), "Run worker process was killed.")
    watch.tick()
    assert "The run failed: Run worker process was killed." in texts(webhook)[0]


def test_each_notice_shows_the_heads_of_the_seals(watch: Watch, webhook: Webhook) -> None:
    city = CITIES[CITY]
    store = Store(watch.resources["store"].root).of(city.target)
    day = city.start
    nothing = NoForecast(
        city=CITY, issue_date=day, forecast_date=day + timedelta(days=1), lead=1, last_known=day,
        no_forecast="Nothing is known.", last_issued=None,
    )  # fmt: skip
    write_forecast(store, nothing)
    head = seal_days(store, city, datetime.now(UTC))
    watch.fail_a_run()
    watch.tick()
    assert texts(webhook)[0].endswith(f"\n\n{CITY}: seal {head}")


def test_refused_notice_is_repeated(watch: Watch, webhook: Webhook) -> None:
    webhook.answers += [403]
    watch.fail_a_run()
    assert "not sent by JSON 1: Failed to send" in watch.tick()
    assert "run failure" in watch.tick()


def test_a_late_city_is_sent_although_no_run_failed(watch: Watch, webhook: Webhook) -> None:
    yesterday = datetime.now(CITIES[CITY].zone).date() - timedelta(days=1)
    watch.land([str(yesterday - timedelta(days=back)) for back in range(40, 9, -1)])
    assert watch.tick() == f"Sent JSON 1: late city|{CITY}."
    assert watch.tick() == "No new problem."
    (text,) = texts(webhook)
    assert text.startswith(f"Late city: {CITY}")
    newest = yesterday - timedelta(days=10)
    assert f"lerts up to {newest.day} {newest:%B %Y}" in text


def test_models_that_wait_for_approval_are_sent(tmp_path: Path, instance: dg.DagsterInstance, webhook: Webhook) -> None:
    models = serving_record(city=CITY, version="0f3a9c12")
    waiting = WaitingModels(city=CITY, issue_date=models.issue_date, models=models, text="New models wait.")
    waiting.write(Store(str(tmp_path / "store")))
    assert Watch(tmp_path, instance).tick() == "No new problem."
    watch = Watch(tmp_path, instance, approval="person")
    assert watch.tick() == f"Sent JSON 1: models wait for approval|{CITY}, 0f3a9c12."
    assert "New models wait." in texts(webhook)[0]


GATES = [
    ("walk_forward_reports", "forecast_beats_best_baseline"),
    ("forecast_scores", "rolling_gate"),
    ("forecast_scores", "level"),
]


@pytest.mark.parametrize(("asset", "check"), GATES)
def test_failed_gate_has_reasons(watch: Watch, webhook: Webhook, asset: str, check: str) -> None:
    watch.evaluate(asset, check, True, "Calibrated.")
    run_id = watch.evaluate(asset, check, False, "Forecasts are off.")
    watch.tick()
    (text,) = texts(webhook)
    assert text.startswith("Failed check: landing_city, 2024-05-01")
    assert f"{check}\nForecasts are off." in text
    assert f"/runs/{run_id}" in text
    assert watch.tick() == "No new problem."


def test_days_held_back_are_sent_with_the_reason(watch: Watch, webhook: Webhook) -> None:
    watch.land(["2024-03-02"], longitude=-60.5)
    assert "days held back" in watch.tick()
    assert "20 outside_box" in " ".join(texts(webhook))


def test_a_corrupt_file_is_sent_until_it_is_replaced(watch: Watch, webhook: Webhook) -> None:
    watch.landing.mkdir(parents=True)
    (watch.landing / "bad.parquet").write_bytes(b"PAR1 nothing")
    tick(f"{CITY}_automation", watch.resources, watch.instance)
    watch.tick()
    (text,) = texts(webhook)
    assert text.startswith(f"Unusable file: {CITY}, bad.parquet\n")
    (watch.landing / "bad.parquet").unlink()
    tick(f"{CITY}_automation", watch.resources, watch.instance)
    assert watch.tick() == "No new problem."


FOR_ALL = {"notices", "weekly_shared_models"}


@pytest.mark.parametrize("automated", ["", "landing_city", "live_city"])
def test_city_files_switch_automation_on(automated: str) -> None:
    how = {name: "recent" if name == automated else "manual" for name in CITIES}
    cities = {name: city.model_copy(update={"automation": how[name]}) for name, city in CITIES.items()}
    built = build_definitions(Settings(cities, store_root="store", landing_root="landing"))
    started = [*(built.sensors or []), *(built.schedules or [])]
    running = {one.name for one in started if one.default_status.value == "RUNNING"}
    assert running == ({f"{automated}_automation", *FOR_ALL} if automated else set())
