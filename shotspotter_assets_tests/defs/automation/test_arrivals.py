"""The arrival sensors on real folders: which runs they request, and what crashes and bad files do."""

import os
import time
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from shotspotter_assets.sources.unreadable import read_unreadable

from shotspotter_assets.defs.alerts.raw_alerts import unreadable_evaluation
from shotspotter_assets.defs.automation import arrivals
from shotspotter_assets.storage.file_names import ALERTS_FILE
from shotspotter_assets_tests.defs.chain import DAILY, requested_days, resources, run_days, with_city

CITY = "landing_city"
HEADER = "when,lon,lat,kind,rounds,id\n"


def row(day: str, name: str = "a", kind: str = "Single_Gunshot") -> str:
    return f"{day}T17:00:00Z,-76.5,38.5,{kind},1,{name}\n"


class Watch:
    """The landing sensor of a city on a folder, with the cursor that Dagster would keep."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance, **changes: Any) -> None:
        self.landing = folder / "landing" / CITY
        self.landing.mkdir(parents=True, exist_ok=True)
        self.on = resources(str(folder / "store"), str(folder / "landing"), with_city(CITY, **changes))
        self.instance, self.cursor = instance, None
        self.requests: list[dg.RunRequest] = []
        self.message = ""

    def land(self, name: str, *rows: str) -> None:
        (self.landing / name).write_text(HEADER + "".join(rows))

    def tick(self, keep_cursor: bool = True) -> list[tuple[str, str]]:
        """One tick; the requested ranges of days."""
        context = dg.build_sensor_context(
            instance=self.instance, cursor=self.cursor, definitions=self.on.definitions, resources=dict(self.on)
        )
        result = self.on.definitions.resolve_sensor_def(f"{CITY}_landing")(context)
        assert isinstance(result, dg.SensorResult)
        self.message = (result.skip_reason.skip_message or "") if result.skip_reason else ""
        self.cursor = result.cursor if keep_cursor else self.cursor
        self.requests, self.events = list(result.run_requests or ()), list(result.asset_events)
        return [requested_days(request) for request in self.requests]

    def run(self, raise_on_error: bool = True) -> None:
        """Run the requests, their alert assets only, with their tags."""
        for request in self.requests:
            first, last = requested_days(request)
            tags = {key: value for key, value in request.tags.items() if key.startswith("shotspotter/")}
            run_days(CITY, first, last, self.on, self.instance, raise_on_error, tags=tags)


@pytest.fixture
def watch(tmp_path: Path, instance: dg.DagsterInstance) -> Watch:
    return Watch(tmp_path, instance)


def test_nothing_landed_requests_nothing(watch: Watch) -> None:
    assert watch.tick() == []
    assert watch.message == "Nothing new."


def test_a_manual_city_requests_nothing(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    watch = Watch(tmp_path, instance, automation="manual")
    watch.land("a.csv", row("2024-03-02"))
    assert watch.tick() == []
    assert "write `automation: recent`" in watch.message


def test_a_backlog_is_one_run_of_the_alert_assets_and_then_the_newest_day_is_forecast(watch: Watch) -> None:
    watch.land("a.csv", row("2024-03-02"), row("2024-03-05"))
    assert watch.tick() == [("2024-03-02", "2024-03-05")]
    [request] = watch.requests
    assert {key.path[-1] for key in request.asset_selection or ()} == set(DAILY)
    watch.run()
    assert watch.tick() == [("2024-03-05", "2024-03-05")]
    [request] = watch.requests
    assert request.partition_key == "2024-03-05"
    assert {"live_models", "risk_forecasts", "patrol_plans", "city_pages"} <= {
        key.path[-1] for key in request.asset_selection or ()
    }


def test_a_further_day_is_one_run_of_the_whole_chain_before_all_others(watch: Watch) -> None:
    watch.land("a.csv", row("2024-03-02"), row("2024-03-03"))
    watch.tick()
    watch.run()
    watch.land("b.csv", row("2024-03-04", "b"))
    watch.land("a.csv", row("2024-03-02", kind="Multiple_Gunshots"), row("2024-03-03"))
    assert watch.tick() == [("2024-03-04", "2024-03-04"), ("2024-03-02", "2024-03-02")]
    newest, corrected = watch.requests
    assert "patrol_plans" in {key.path[-1] for key in newest.asset_selection or ()}
    assert int(newest.tags["dagster/priority"]) > int(corrected.tags["dagster/priority"]) > 0


def days_only(watch: Watch) -> list[tuple[str, str]]:
    """A tick without the forecast of the newest day."""
    watch.tick()
    watch.requests = [
        one for one in watch.requests if "first" not in one.run_key and len(one.asset_selection or ()) == 3
    ]
    return [requested_days(request) for request in watch.requests]


def test_only_new_and_changed_days_are_requested(watch: Watch) -> None:
    watch.land("a.csv", row("2024-03-02"), row("2024-03-03"), row("2024-03-06"))
    assert days_only(watch) == [("2024-03-02", "2024-03-06")]
    watch.run()
    assert days_only(watch) == []
    watch.land("a.csv", row("2024-03-02"), row("2024-03-03", kind="Multiple_Gunshots"), row("2024-03-06"))
    assert days_only(watch) == [("2024-03-03", "2024-03-03")]
    watch.run()
    # Written again with the same rows in another order.
    watch.land("a.csv", row("2024-03-06"), row("2024-03-03", kind="Multiple_Gunshots"), row("2024-03-02"))
    assert days_only(watch) == []


def test_a_correction_that_is_taken_back_and_comes_again_runs_each_time(watch: Watch) -> None:
    first, second = [
        row("2024-03-02", kind=kind) + row("2024-03-04") for kind in ("Single_Gunshot", "Multiple_Gunshots")
    ]
    watch.land("a.csv", first)
    days_only(watch)
    watch.run()
    for content in (second, first, second):
        watch.land("a.csv", content)
        assert days_only(watch) == [("2024-03-02", "2024-03-02")]
        watch.run()
        assert days_only(watch) == []


def test_a_tick_that_died_requests_the_same_run(watch: Watch) -> None:
    watch.land("a.csv", row("2024-03-02"))
    watch.tick(keep_cursor=False)
    keys = [request.run_key for request in watch.requests]
    watch.tick()
    assert [request.run_key for request in watch.requests] == keys


def test_a_tick_waits_while_a_run_of_the_city_is_under_way(watch: Watch) -> None:
    watch.land("a.csv", row("2024-03-02"))
    run = watch.instance.add_run(
        dg.DagsterRun(
            job_name="__ASSET_JOB",
            status=dg.DagsterRunStatus.STARTED,
            asset_selection={dg.AssetKey([CITY, "grid_tensors"])},
        )
    )
    assert watch.tick() == []
    assert "Waits for a run" in watch.message
    watch.instance.delete_run(run.run_id)
    assert watch.tick() == [("2024-03-02", "2024-03-02")]


def test_a_failed_run_is_requested_again_after_a_wait(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    watch.land("a.csv", row("2024-03-02"))
    watch.tick()
    hidden = watch.landing.rename(watch.landing.with_name("elsewhere"))
    watch.run(raise_on_error=False)
    hidden.rename(watch.landing)
    assert watch.tick() == []
    monkeypatch.setattr(arrivals, "WAITS", (timedelta(0),) * 5)
    assert watch.tick() == [("2024-03-02", "2024-03-02")]
    watch.run()
    assert days_only(watch) == []


def test_a_bad_file_is_a_failed_check_and_the_others_are_requested(watch: Watch) -> None:
    (watch.landing / "bad.parquet").write_bytes(b"PAR1 nothing")
    watch.land("good.csv", row("2024-03-02"))
    assert watch.tick() == [("2024-03-02", "2024-03-02")]
    [failed] = [event for event in watch.events if event.check_name == "files_are_readable"]
    assert not failed.passed
    watch.run()
    assert days_only(watch) == []
    assert "bad.parquet is left out until replaced" in watch.message
    (watch.landing / "bad.parquet").unlink()
    watch.land("mended.csv", row("2024-03-03", "b"))
    watch.tick()
    [passed] = [event for event in watch.events if event.check_name == "files_are_readable"]
    assert passed.passed


def test_a_run_leaves_out_a_file_that_landed_broken_after_its_request(watch: Watch) -> None:
    watch.land("good.csv", row("2024-03-02"))
    watch.tick()
    (watch.landing / "bad.parquet").write_bytes(b"PAR1 nothing")
    watch.run()
    stored = watch.on["store"].open().read_window("raw_alerts", CITY, ALERTS_FILE, date(2024, 3, 2), date(2024, 3, 2))
    assert [Path(path).name for path in stored["received_from"].to_pylist()] == ["good.csv"]
    check = unreadable_evaluation(watch.on.settings.cities[CITY], read_unreadable(watch.on["store"].open(), CITY))
    assert not check.passed
    assert "bad.parquet cannot be read as a Parquet file" in (check.description or "")
    assert days_only(watch) == []


def test_a_file_in_transfer_is_left_alone(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    source = resources("store").settings.cities[CITY].source.model_copy(update={"settle_seconds": 60})
    watch = Watch(tmp_path, instance, source=source)
    watch.land("a.csv", row("2024-03-02"))
    (watch.landing / "b.csv.part").write_text(HEADER)
    assert watch.tick() == []
    assert "Left alone until transferred" in watch.message
    assert "a.csv" in watch.message
    assert "b.csv.part" in watch.message
    hour_ago = time.time() - 3600
    os.utime(watch.landing / "a.csv", (hour_ago, hour_ago))
    assert watch.tick() == [("2024-03-02", "2024-03-02")]


def test_days_that_are_not_over_wait(watch: Watch) -> None:
    today = datetime.now(watch.on.settings.cities[CITY].zone).date()
    yesterday = today - timedelta(days=1)
    watch.land("a.csv", row(str(yesterday)), row(str(today)))
    assert watch.tick() == [(str(yesterday), str(yesterday))]


def test_a_silent_city_fails_its_check_although_no_run_starts(watch: Watch) -> None:
    yesterday = datetime.now(watch.on.settings.cities[CITY].zone).date() - timedelta(days=1)
    days = [yesterday - timedelta(days=back) for back in range(40, 9, -1)]
    watch.land("a.csv", *(row(str(day), f"{day}{at}") for day in days for at in range(20)))
    days_only(watch)
    watch.run()
    watch.cursor = None
    watch.tick()
    [late] = [event for event in watch.events if event.check_name == "alerts_are_on_time"]
    assert not late.passed
    assert (late.asset_key.path, date.fromisoformat(str(days[-1]))) == ([CITY, "raw_alerts"], days[-1])
