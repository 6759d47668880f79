"""The arrival sensors, tick by tick on real folders: which days they ask for, and what a crash or a bad file does."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dagster._core.events import DagsterEvent
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.test_utils import freeze_time

from shotspotter_assets.cities.city import City
from shotspotter_assets.defs.automation import arrivals, runs
from shotspotter_assets.partitions import LOOK_BACK_DAYS, parse_range_tags, range_tags
from shotspotter_assets.sources.polls import last_day_over
from shotspotter_assets_tests.defs.chain import (
    DAILY,
    DAILY_CHECKS,
    DEFINITIONS,
    SENSORS,
    materialize,
    resources,
)

DAYS = date(2024, 3, 2), date(2024, 3, 3)
HEADER = "when,lon,lat,kind,rounds,id\n"


def row(day: str, name: str = "a", kind: str = "Single_Gunshot") -> str:
    return f"{day}T17:00:00Z,-76.5,38.5,{kind},1,{name}\n"


def asked_days(asked: dg.RunRequest) -> tuple[str, str]:
    """First and last day that a run is asked for."""
    named = parse_range_tags(asked.tags)
    assert named is not None
    return str(named[1]), str(named[2])


class Watch:
    """The landing sensor on a folder, with the cursor that Dagster would keep."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.landing = folder / "landing" / "landing_city"
        self.landing.mkdir(parents=True)
        self.resources = resources(str(folder / "store"), str(folder / "landing"))
        self.instance = instance
        self.cursor: str | None = None
        self.message = ""

    @property
    def city(self) -> City:
        return self.resources["cities"]["landing_city"]

    def change_city(self, **changes: Any) -> None:
        """What the city's file would say."""
        changed = self.city.model_copy(update=changes)
        self.resources = self.resources | {"cities": {**self.resources["cities"], "landing_city": changed}}

    def change_source(self, **changes: Any) -> None:
        """What the city's file would say of its landing folder."""
        self.change_city(source=self.city.source.model_copy(update=changes))

    @property
    def last_day(self) -> date:
        """The city's last day that is over; between midnight here and there it is not that of UTC."""
        return last_day_over(self.city)

    def land(self, name: str, *rows: str) -> None:
        (self.landing / name).write_text(HEADER + "".join(rows))

    def tick(self, keep_cursor: bool = True) -> list[tuple[str, str]]:
        """One tick; the asked ranges of days."""
        context = dg.build_sensor_context(
            instance=self.instance, cursor=self.cursor, definitions=DEFINITIONS, resources=self.resources
        )
        result = SENSORS["landing_arrivals"](context)
        assert isinstance(result, dg.SensorResult)
        self.message = result.skip_reason.skip_message if result.skip_reason else ""
        if keep_cursor:
            self.cursor = result.cursor
        self.requests = list(result.run_requests)
        self.evaluations = list(result.asset_events)
        return [asked_days(asked) for asked in self.requests]

    def run_asked(self) -> None:
        for asked in self.requests:
            self.run(*asked_days(asked))

    def run(self, first: str, last: str) -> None:
        tags = range_tags("landing_city", date.fromisoformat(first), date.fromisoformat(last))
        assert materialize(DAILY, self.resources, checks=DAILY_CHECKS, instance=self.instance, tags=tags).success


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path / "instance")) as instance:
        yield Watch(tmp_path, instance)


def test_nothing_landed_asks_for_nothing(watch: Watch) -> None:
    assert watch.tick() == []
    assert "Nothing new" in watch.message


def test_nothing_is_started_for_a_manual_city(watch: Watch) -> None:
    watch.land("a.csv", row("2024-03-02"))
    watch.change_city(automation="manual")
    assert watch.tick() == []
    assert "of 0 cities" in watch.message
    watch.resources = watch.resources | {"cities": {"landing_city": watch.city}}
    assert watch.tick() == []
    assert watch.message == "No city is automated; write `automation: recent` in the file of the city."
    watch.change_city(automation="history")
    assert watch.tick() == [("2024-03-02", "2024-03-02")]


def test_only_new_and_changed_days_are_asked_for(watch: Watch) -> None:
    watch.land("a.csv", row("2024-03-02"), row("2024-03-03"))
    assert watch.tick() == [("2024-03-02", "2024-03-03")]
    watch.run_asked()
    assert watch.tick() == []
    # No file of its own will come for the day between.
    watch.land("b.csv", row("2024-03-05", "b"))
    assert watch.tick() == [("2024-03-04", "2024-03-05")]
    watch.run_asked()
    watch.land("a.csv", row("2024-03-02"), row("2024-03-03", kind="Multiple_Gunshots"))
    assert watch.tick() == [("2024-03-03", "2024-03-03")]
    watch.run_asked()
    # Written anew with the same rows: the days are the same.
    watch.land("a.csv", row("2024-03-03", kind="Multiple_Gunshots"), row("2024-03-02"))
    assert watch.tick() == []


def test_a_tick_that_died_is_done_over(watch: Watch) -> None:
    watch.land("a.csv", row("2024-03-02"))
    first = watch.tick(keep_cursor=False)
    keys = [asked.run_key for asked in watch.requests]
    assert watch.tick() == first == [("2024-03-02", "2024-03-02")]
    assert [asked.run_key for asked in watch.requests] == keys


def test_years_in_one_file_are_one_run(watch: Watch) -> None:
    watch.land(
        "all.csv",
        *(row(f"20{year}-{month:02}-{day:02}") for year in (24, 25) for month in range(3, 7) for day in (1, 15, 28)),
    )
    assert watch.tick() == [("2024-03-01", "2025-06-28")]


def test_a_bad_file_is_named_and_the_others_are_asked_for(watch: Watch) -> None:
    (watch.landing / "bad.parquet").write_bytes(b"PAR1 nothing")
    watch.land("good.csv", row("2024-03-02"))
    assert watch.tick() == [("2024-03-02", "2024-03-02")]
    watch.run_asked()
    assert watch.tick() == []
    assert "bad.parquet" in watch.message
    # Once it is replaced, it is read.
    (watch.landing / "bad.parquet").unlink()
    watch.land("bad.parquet", row("2024-03-04"))
    (watch.landing / "bad.parquet").rename(watch.landing / "mended.csv")
    assert watch.tick() == [("2024-03-03", "2024-03-04")]


def test_days_under_way_wait(watch: Watch) -> None:
    watch.land("a.csv", row("2024-03-02"))
    watch.tick()
    run = watch.instance.add_run(
        dg.DagsterRun(job_name="daily", status=dg.DagsterRunStatus.STARTED, tags=watch.requests[0].tags)
    )
    watch.land("a.csv", row("2024-03-02", "other"))
    assert watch.tick() == []
    watch.instance.delete_run(run.run_id)
    assert watch.tick() == [("2024-03-02", "2024-03-02")]


def test_days_that_a_run_by_hand_makes_wait_too(watch: Watch) -> None:
    watch.land("a.csv", row("2024-03-02"), row("2024-03-03"))
    by_hand = dg.DagsterRun(
        job_name="__ASSET_JOB",
        status=dg.DagsterRunStatus.NOT_STARTED,
        asset_selection={dg.AssetKey("grid_tensors")},
        tags={"dagster/partition": "landing_city|2024-03-02"},
    )
    run = watch.instance.add_run(by_hand)
    assert watch.tick() == [("2024-03-03", "2024-03-03")]
    assert watch.tick() == []
    watch.instance.delete_run(run.run_id)
    assert watch.tick() == [("2024-03-02", "2024-03-02")]


def test_a_newer_day_goes_before_older_ones(watch: Watch) -> None:
    days = [watch.last_day - timedelta(days=back) for back in (3, 1)]
    for day in days:
        watch.change_source(file_date="%Y-%m-%d")
        watch.land(f"{day}.csv", row(str(day)))
    watch.tick()
    newest, older = (int(asked.tags["dagster/priority"]) for asked in watch.requests)
    assert newest - older == 2


def test_old_days_are_left_out_of_a_recent_city_and_every_tick_says_so(watch: Watch) -> None:
    watch.change_city(automation="recent")
    old, older, recent = (watch.last_day - timedelta(days=back) for back in (18, 20, 3))
    watch.land("old.csv", row(str(older)), row(str(old)))
    watch.land("new.csv", row(str(recent)))
    first = watch.last_day - timedelta(days=LOOK_BACK_DAYS - 1)
    assert watch.tick() == [(str(first), str(recent))]
    left_out = (str(older), str(first - timedelta(days=1)))
    for _ in range(2):
        assert watch.tick() == []
        assert f"landing_city: 7 days from {left_out[0]} to {left_out[1]} are older than the last 14" in watch.message
        assert f"--partition-range 'landing_city|{left_out[0]}...landing_city|{left_out[1]}'" in watch.message
        assert f"forecast_scores of landing_city from {left_out[0]} to {left_out[1]}" in watch.message
    watch.run(*left_out)
    assert watch.tick() == []
    assert watch.message == "Nothing new at 1 of 1 cities."


def test_what_follows_the_days_that_are_made_is_made_up_for_but_no_history_of_years(watch: Watch) -> None:
    watch.change_city(automation="recent")
    made, newest = (watch.last_day - timedelta(days=back) for back in (20, 2))
    watch.land("a.csv", row(str(made)))
    watch.run(str(made), str(made))
    watch.land("b.csv", row(str(newest)))
    assert watch.tick() == [(str(made + timedelta(days=1)), str(newest))]
    assert watch.tick() == []
    assert "left out" not in watch.message


def test_the_history_is_made_once_it_is_asked_for(watch: Watch) -> None:
    watch.change_city(automation="recent")
    watch.land("old.csv", row("2024-03-02"), row("2024-03-05"))
    assert watch.tick() == []
    assert "4 days from 2024-03-02 to 2024-03-05 are older" in watch.message
    watch.change_city(automation="history")
    assert watch.tick() == [("2024-03-02", "2024-03-05")]
    watch.run_asked()
    assert watch.tick() == []
    assert "its newest landed day is 2024-03-05" in watch.message
    assert "forecast_scores of landing_city from 2024-03-01 to 2024-03-05" in watch.message


def test_days_made_by_hand_are_not_made_again_and_changed_ones_are(watch: Watch) -> None:
    days = [str(date(2024, 3, 2) + timedelta(days=at)) for at in range(6)]
    watch.land("a.csv", *(row(day) for day in days if day != "2024-03-05"))
    watch.run(days[0], days[-1])
    assert watch.tick() == []
    watch.cursor = None  # as after a reset in the UI
    watch.land(
        "a.csv", *(row(day) for day in days if day not in ("2024-03-05", "2024-03-06")), row("2024-03-03", "new")
    )
    assert watch.tick() == [("2024-03-06", "2024-03-06"), ("2024-03-03", "2024-03-03")]


def test_days_whose_runs_the_instance_does_not_know_are_made_again(watch: Watch, tmp_path: Path) -> None:
    watch.land("a.csv", row("2024-03-02"))
    watch.run("2024-03-02", "2024-03-02")
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path / "other")) as other:
        watch.instance = other
        assert watch.tick() == [("2024-03-02", "2024-03-02")]


def test_a_file_that_stays_half_written_is_named_at_every_tick(watch: Watch) -> None:
    whole = BytesIO()
    pq.write_table(pa.table({"when": ["2024-03-03T12:00:00Z"], "lon": [-76.5], "lat": [38.5]}), whole)
    (watch.landing / "cut.parquet").write_bytes(whole.getvalue()[:-20])
    (watch.landing / "upload.csv.part").write_text(HEADER)
    watch.land("good.csv", row("2024-03-02"))
    assert watch.tick() == [("2024-03-02", "2024-03-02")]
    watch.run_asked()
    for _ in range(2):
        assert watch.tick() == []
        assert "cut.parquet (" in watch.message
        assert "landing_city: left alone until their transfer is over: upload.csv.part." in watch.message
    (watch.landing / "upload.csv.part").write_text(HEADER + row("2024-03-04"))
    (watch.landing / "upload.csv.part").rename(watch.landing / "upload.csv")
    assert [last for _, last in watch.tick()] == ["2024-03-04"]
    watch.tick()
    assert "left alone" not in watch.message


def test_a_clock_that_is_set_back_and_forth_loses_no_day_and_asks_for_none_twice(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, ahead = time.time_ns, [0]
    monkeypatch.setattr(time, "time_ns", lambda: real() + ahead[0] * 10**9)
    watch.change_source(settle_seconds=30)
    watch.land("a.csv", row("2024-03-02"))
    assert watch.tick() == []
    assert "left alone until their transfer is over: a.csv." in watch.message
    asked = []
    # An hour back, as if the file came from the future; two years on; back again.
    for ahead[0] in (-3600, 2 * 365 * 86_400, 0, -86_400, 3600):
        asked += watch.tick()
        watch.run_asked()
    assert asked == [("2024-03-02", "2024-03-02")]


def test_a_bad_file_is_told_at_every_tick_and_is_a_failed_check(watch: Watch) -> None:
    (watch.landing / "bad.parquet").write_bytes(b"PAR1 nothing")
    watch.land("good.csv", row("2024-03-02"))
    watch.tick()
    [told] = watch.evaluations
    watch.instance.report_runless_asset_event(told)
    for _ in range(2):
        watch.tick()
        assert watch.evaluations == []
        assert "bad.parquet (" in watch.message
        assert "left out until they are replaced or removed" in watch.message
    key = dg.AssetCheckKey(dg.AssetKey("raw_alerts"), "unreadable_files")
    latest = watch.instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
    assert latest.status is AssetCheckExecutionRecordStatus.FAILED
    assert (told.passed, told.metadata["unreadable_landing_city"].value) == (False, 1)
    assert "landing_city: 1 landed files" in told.description
    # A run says the same.
    tags = range_tags("landing_city", date(2024, 3, 2), date(2024, 3, 2))
    run = materialize(["raw_alerts"], watch.resources, checks=["unreadable_files"], instance=watch.instance, tags=tags)
    [checked] = run.get_asset_check_evaluations()
    assert (checked.passed, checked.description) == (False, told.description)
    (watch.landing / "bad.parquet").unlink()
    watch.tick()
    assert [mended.passed for mended in watch.evaluations] == [True]


def test_days_that_a_run_made_while_their_file_was_spoiled_are_asked_for_again(watch: Watch) -> None:
    watch.land("a.csv", row("2024-03-02"), row("2024-03-03"))
    watch.land("b.csv", row("2024-03-04"))
    assert watch.tick() == [("2024-03-02", "2024-03-04")]
    run = watch.instance.add_run(
        dg.DagsterRun(job_name="daily", status=dg.DagsterRunStatus.STARTED, tags=watch.requests[0].tags)
    )
    (watch.landing / "a.csv").write_text("no columns\n")
    assert watch.tick() == []
    watch.instance.delete_run(run.run_id)
    assert watch.tick() == []
    watch.land("a.csv", row("2024-03-02"), row("2024-03-03"))
    assert watch.tick() == [("2024-03-02", "2024-03-03")]
    assert watch.tick() == []


def test_a_run_between_two_looks_that_had_to_leave_a_file_out_is_made_up_for(watch: Watch) -> None:
    watch.land("a.csv", row("2024-03-02"), row("2024-03-03"))
    assert watch.tick() == [("2024-03-02", "2024-03-03")]
    watch.run("2024-03-03", "2024-03-03")  # the process of the run was killed before it came to the other day
    (watch.landing / "a.csv").write_text("no columns\n")
    watch.land("b.csv", row("2024-03-02", "b"))
    # The files of the day that is asked for are not all there, and its run is over before the next look.
    assert watch.tick() == [("2024-03-02", "2024-03-02")]
    watch.run_asked()
    watch.land("a.csv", row("2024-03-02"), row("2024-03-03"))
    assert watch.tick() == [("2024-03-02", "2024-03-02")], "the other day is whole"
    watch.run_asked()
    assert watch.tick() == []
    stored = watch.resources["store"].open().read_window("raw_alerts", "landing_city", "alerts.parquet", *DAYS)
    assert stored["source_id"].to_pylist() == ["a", "b", "a"]


def test_a_city_goes_on_without_a_landing_folder_that_is_missing_beside_another(
    watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    watch.change_city(other_sources=(watch.city.source.model_copy(update={"folder": "police"}),))
    police = watch.landing.parent / "police"
    missing = f"City landing_city: the landing folder {police} is missing or empty; put the city's files there"
    watch.land("a.csv", row("2024-03-02"))

    def ids() -> list[str]:
        stored = (
            watch.resources["store"].open().read_window("raw_alerts", "landing_city", "alerts.parquet", *[DAYS[0]] * 2)
        )
        return sorted(stored["source_id"].to_pylist())

    assert watch.tick() == [("2024-03-02", "2024-03-02")]
    (told,) = watch.evaluations
    assert not told.passed
    assert missing in str(told.description)
    with caplog.at_level("WARNING", "shotspotter_assets"):
        watch.run_asked()
    assert missing in caplog.text
    assert ids() == ["a"]
    assert watch.tick() == []
    assert missing in watch.message
    assert watch.evaluations == []
    police.mkdir()
    (police / "b.csv").write_text(HEADER + row("2024-03-02", "b"))
    assert watch.tick() == [("2024-03-02", "2024-03-02")]
    assert [told.passed for told in watch.evaluations] == [True]
    watch.run_asked()
    assert ids() == ["a", "b"]
    # The files are tidied away, folder and all: their rows stay.
    (police / "b.csv").unlink()
    police.rmdir()
    watch.land("a.csv", row("2024-03-02"), row("2024-03-02", "c"))
    assert watch.tick() == [("2024-03-02", "2024-03-02")]
    watch.run_asked()
    assert ids() == ["a", "b", "c"]


def test_requests_name_the_assets_that_a_run_makes(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    watch.land("a.csv", row("2024-03-02"))
    asked = watch.tick()
    assert [set(one.asset_selection or []) for one in watch.requests] == [set(runs.DAILY_ASSETS)]
    (watch.landing / "a.csv").unlink()
    tags = watch.requests[0].tags
    failed = materialize(DAILY, watch.resources, instance=watch.instance, tags=tags, raise_on_error=False)
    assert not failed.success
    monkeypatch.setattr(runs, "WAITS", (timedelta(0),))
    assert watch.tick() == asked
    assert watch.requests[0].run_key == f"again {failed.run_id}|2024-03-02...2024-03-02"
    assert [set(one.asset_selection or []) for one in watch.requests] == [set(runs.DAILY_ASSETS)]


def test_a_run_that_failed_while_the_clock_was_ahead_is_tried_again_and_not_after_its_success(watch: Watch) -> None:
    watch.land("a.csv", row("2024-03-02"))
    asked, tags = watch.tick(), watch.requests[0].tags
    with freeze_time(datetime.now(UTC) + timedelta(hours=2)):
        failed = watch.instance.add_run(dg.DagsterRun(job_name="daily", tags=tags))
        watch.instance.report_run_failed(failed)
    assert watch.tick() == asked
    assert watch.requests[0].run_key == f"again {failed.run_id}|2024-03-02...2024-03-02"
    again = watch.instance.add_run(dg.DagsterRun(job_name="daily", tags=watch.requests[0].tags))
    watch.instance.report_dagster_event(DagsterEvent("PIPELINE_SUCCESS", "daily"), again.run_id)
    assert watch.tick() == []


def test_of_a_run_that_failed_only_the_days_that_still_lack_are_made_again(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "WAITS", (timedelta(0), timedelta(days=1)))
    whole = ("2024-03-02", "2024-03-05")
    file = watch.landing / "a.csv"
    watch.land("a.csv", row("2024-03-02"), row("2024-03-05"))
    assert watch.tick() == [whole]
    watch.run_asked()
    watch.land("a.csv", row("2024-03-02", "b"), row("2024-03-03", "b"), row("2024-03-04", "b"), row("2024-03-05", "b"))
    assert watch.tick() == [whole]
    kept = file.read_text()
    file.unlink()
    failed = materialize(
        DAILY, watch.resources, instance=watch.instance, tags=watch.requests[0].tags, raise_on_error=False
    )
    assert not failed.success
    file.write_text(kept)
    assert watch.tick() == [whole], "what was made before the run was asked for is of other rows"
    watch.run("2024-03-03", "2024-03-03")  # by hand
    apart = [("2024-03-02", "2024-03-02"), ("2024-03-04", "2024-03-05")]
    assert sorted(watch.tick()) == apart
    watch.run("2024-03-04", "2024-03-04")
    materialize(
        ["raw_alerts"], watch.resources, instance=watch.instance, tags=range_tags("landing_city", *[DAYS[0]] * 2)
    )
    apart = [("2024-03-02", "2024-03-02"), ("2024-03-05", "2024-03-05")]
    assert sorted(watch.tick()) == apart, "rows alone make no day"
    # One of the two is asked for and fails again: it has a longer time to wait, the other one does not.
    (second,) = [asked for asked in watch.requests if asked_days(asked)[0] == "2024-03-05"]
    watch.instance.report_run_failed(watch.instance.add_run(dg.DagsterRun(job_name="daily", tags=second.tags)))
    assert watch.tick() == [("2024-03-02", "2024-03-02")]
    watch.run("2024-03-02", "2024-03-05")
    assert watch.tick() == []
    told = watch.instance.get_run_by_id(failed.run_id)
    assert told is not None
    assert runs.MADE_SINCE_TAG in told.tags, "so that it is not looked up again"
    assert watch.tick() == []


def test_many_stretches_of_one_city_are_asked_for_tick_by_tick(watch: Watch) -> None:
    watch.change_source(file_date="%Y-%m-%d")
    days = [str(date(2024, 3, 2) + timedelta(days=2 * at)) for at in range(30)]
    for day in days:
        watch.land(f"{day}.csv", row(day))
    ranges = [(day, day) for day in reversed(days)]  # the newest first
    assert watch.tick() == ranges[: arrivals.MAX_RUNS_PER_TICK]
    for asked in watch.requests:
        watch.instance.add_run(dg.DagsterRun(job_name="daily", status=dg.DagsterRunStatus.STARTED, tags=asked.tags))
    # A crash forgets nothing, and days under way hold back no others.
    watch.tick(keep_cursor=False)
    assert watch.tick() == ranges[arrivals.MAX_RUNS_PER_TICK :]
    assert watch.tick() == []


def test_a_city_file_that_was_corrected_makes_its_files_be_looked_at_again(watch: Watch) -> None:
    (watch.landing / "a.csv").write_text(HEADER + row("2024-03-02").replace("Z,", ","))
    assert watch.tick() == []
    assert "a.csv" in watch.message
    watch.change_source(naive_times="local")
    assert watch.tick() == [("2024-03-02", "2024-03-02")]
    assert json.loads((watch.landing.parents[1] / "store/arrivals/city=landing_city/unreadable.json").read_text()) == {}
