"""Past days played as if each were today: from what was known then, once, and never over what was really issued."""

import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from shotspotter_assets.calendar.local_time import days_between
from shotspotter_assets.cities.publication import Publication
from shotspotter_assets.definitions import build_definitions
from shotspotter_assets.defs.replay import replay
from shotspotter_assets.defs.replay_runs import REPLAY_TAG
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.defs.run_processes import PROCESS_TAG
from shotspotter_assets.replay import main
from shotspotter_assets.serving.forecast_scores import ScoreRecord
from shotspotter_assets.serving.issued_forecasts import ForecastRecord, forecast_partition, load_record
from shotspotter_assets.serving.record import ServingRecord
from shotspotter_assets.serving.replay import ReplayError, ReplaySummary
from shotspotter_assets.settings import Settings
from shotspotter_assets.storage.processes import THIS_MACHINE
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.defs.chain import copy_days, with_city
from shotspotter_assets_tests.defs.daily.test_lead import LANDED

CITY = "tiny_city"
FIRST, LAST = date(2024, 1, 18), date(2024, 1, 20)
LIVE = ("live_models", "risk_forecasts", "street_risk", "patrol_plans", "forecast_scores", "street_scores")


class Place:
    """The tiny city with quick models, a store with its days, and replays in it."""

    def __init__(self, root: Path, instance: dg.DagsterInstance, **changes: object) -> None:
        cities = with_city(CITY, serves="ewma", time_precision="day", retraining="weekly", **changes)
        self.root, self.instance, self.city = root, instance, cities[CITY]
        self.settings = Settings(cities, store_root=str(root), landing_root=str(root))
        self.definitions = build_definitions(self.settings)
        self.store = Store(str(root))
        self.log: list[str] = []

    def replay(self, first: date = FIRST, last: date = LAST, overwrite_issued: bool = False) -> ReplaySummary:
        self.log.clear()
        return replay(
            self.definitions.resolve_implicit_global_asset_job_def(),
            self.instance,
            self.city,
            (first, last),
            store=StoreResource(root=str(self.root)),
            cities=self.settings.cities,
            overwrite_issued=overwrite_issued,
            log=self.log.append,
        )

    def run(self, day: date) -> None:
        """The day's own run, as on the day itself."""
        job = self.definitions.resolve_implicit_global_asset_job_def()
        subset = job.get_subset(asset_selection={dg.AssetKey(asset) for asset in LIVE})
        assert subset.execute_in_process(instance=self.instance, partition_key=f"{CITY}|{day}").success

    def record(self, day: date) -> ForecastRecord:
        record = load_record(self.store, CITY, day)
        assert isinstance(record, ForecastRecord)
        return record

    def change_record(self, day: date, **changes: object) -> None:
        record = self.record(day).model_copy(update=changes)
        self.store.write_bytes(forecast_partition(CITY, day), "record.json", record.model_dump_json().encode())

    def table(self, day: date) -> list[dict[str, object]]:
        return self.store.read_table(forecast_partition(CITY, day), "forecast.parquet").to_pylist()


@pytest.fixture
def place(tiny_city_days: Path, tmp_path: Path, instance: dg.DagsterInstance) -> Place:
    return Place(copy_days(tiny_city_days, tmp_path / "store", "2024-02-10"), instance)


def test_each_day_is_made_as_it_would_have_been_on_the_day_and_says_that_it_was_replayed(
    place: Place, tiny_city_days: Path, tmp_path: Path
) -> None:
    account = place.replay()
    assert list(account.outcomes.values()) == ["made"] * 3
    assert [line.split(": ")[1].split(", about")[0] for line in place.log] == [f"made, day {n} of 3" for n in (1, 2, 3)]
    assert "about" in place.log[0]
    assert (account.scored, account.replayed) == (2, 2)
    words = " ".join(account.lines())
    assert "3 days, 3 made" in words
    assert "Gain over the historical mean: " in words
    # A store that has one more day each morning, and a run of the day before.
    then = Place(copy_days(tiny_city_days, tmp_path / "then", str(FIRST - timedelta(days=1))), place.instance)
    for day in days_between(FIRST, LAST):
        shutil.copytree(tiny_city_days, then.root, dirs_exist_ok=True, ignore=_all_but(f"date={day}"))
        then.run(day)
        assert then.table(day) == place.table(day)
        assert (then.record(day).replayed, place.record(day).replayed) == (False, True)
    scores = ScoreRecord.load(place.store, CITY, LAST)
    assert scores.rolling is not None
    assert scores.rolling[28].replayed == scores.rolling[28].days == 2
    assert scores.rolling_gate is not None
    assert scores.rolling_gate.reasons[-1] == "2 of the 2 days' forecasts were made in a replay."


def _all_but(folder: str) -> Callable[[object, list[str]], set[str]]:
    return lambda _, names: {name for name in names if name.startswith("date=") and name != folder}


def test_a_replay_that_was_stopped_goes_on_where_it_was(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from shotspotter_assets.patrol import stored_plans

    with monkeypatch.context() as patch:
        patch.setattr(stored_plans, "write_plan", _fails_on(LAST - timedelta(days=1), stored_plans.write_plan))
        with pytest.raises(
            ReplayError, match=r"^tiny_city\|2024-01-19: OSError: The disk is full\. .* start the same replay again"
        ):
            place.replay()
    made = place.record(FIRST).issued_at
    account = place.replay()
    assert list(account.outcomes.values()) == ["done before", "made", "made"]
    assert place.record(FIRST).issued_at == made
    assert list(place.replay().outcomes.values()) == ["done before"] * 3
    # Another city file makes other forecasts.
    place.city = place.city.model_copy(update={"holidays": "CA"})
    assert list(place.replay().outcomes.values()) == ["made"] * 3


def _fails_on(day: date, write: Callable[..., object]) -> Callable[..., object]:
    def failing(store: Store, partition: object, *args: object) -> object:
        if getattr(partition, "day", None) == day:
            raise OSError("The disk is full.")
        return write(store, partition, *args)

    return failing


def test_a_city_that_publishes_late_is_replayed_at_its_lead_and_scored_once_its_days_are_known(place: Place) -> None:
    # When the rows came is not known, so that the rule of the city's file counts.
    shutil.rmtree(place.root / "raw_alerts")
    late = Place(place.root, place.instance, source=LANDED, publication=Publication(days_late=2))
    account = late.replay()
    assert [(late.record(day).lead, late.record(day).last_known) for day in account.outcomes] == [
        (3, day - timedelta(days=2)) for day in account.outcomes
    ]
    assert ServingRecord.load(late.store, CITY, LAST).validation_last <= LAST - timedelta(days=2)
    scores = ScoreRecord.load(late.store, CITY, LAST)
    assert scores.scores is not None
    assert (scores.lead, account.scored) == (3, 2)


def test_what_was_issued_on_the_day_itself_is_left_unless_asked_for(place: Place) -> None:
    for day in (FIRST, FIRST + timedelta(days=1)):
        place.run(day)
    # Made again by hand a month after.
    morning = datetime(2024, 1, 19, 12, tzinfo=UTC)
    place.change_record(FIRST, issued_at=morning.isoformat())
    place.change_record(FIRST + timedelta(days=1), issued_at=(morning + timedelta(days=31)).isoformat())
    account = place.replay()
    assert list(account.outcomes.values()) == ["left as issued", "made", "made"]
    assert (account.scored, account.replayed) == (2, 1)
    assert not place.record(FIRST).replayed
    assert list(place.replay(overwrite_issued=True).outcomes.values()) == ["made"] * 3
    assert place.record(FIRST).replayed


def test_days_that_are_not_on_the_grid_are_made_first(place: Place) -> None:
    for asset in ("raw_alerts", "cleaned_alerts", "grid_tensors"):
        shutil.rmtree(place.root / asset / f"city={CITY}" / f"date={LAST}")
    account = place.replay(LAST, LAST)
    assert place.log[0] == f"{CITY}: {LAST} to {LAST} are not on the grid yet: they are read and gridded first."
    assert account.outcomes == {LAST: "made"}
    assert ServingRecord.load(place.store, CITY, LAST).last_known == LAST


def test_days_that_cannot_be_replayed_are_refused_with_those_that_can(place: Place) -> None:
    with pytest.raises(ReplayError, match=r"Choose days from 2023-10-28 .*120 days.* to 20\d\d-"):
        place.replay(date(2023, 9, 1), LAST)
    with pytest.raises(ReplayError, match="the last day that is over"):
        place.replay(FIRST, date(2999, 1, 1))
    with pytest.raises(ReplayError, match="swap them"):
        place.replay(LAST, FIRST)


def test_runs_of_a_killed_replay_are_ended_and_of_a_running_one_waited_for(place: Place) -> None:
    def begin(process: str) -> dg.DagsterRun:
        run = place.instance.create_run_for_job(
            place.definitions.resolve_implicit_global_asset_job_def(), tags={REPLAY_TAG: CITY, PROCESS_TAG: process}
        )
        place.instance.report_dagster_event(_started(run), run.run_id)
        return run

    running = begin(f"{THIS_MACHINE}:1")
    with pytest.raises(ReplayError, match=f"process {THIS_MACHINE}:1 is replaying it"):
        place.replay(LAST, LAST)
    place.instance.delete_run(running.run_id)
    elsewhere = begin("another-machine:999999999")
    with pytest.raises(ReplayError, match=f"another-machine.*end its run {elsewhere.run_id}"):
        place.replay(LAST, LAST)
    place.instance.delete_run(elsewhere.run_id)
    killed = begin(f"{THIS_MACHINE}:999999999")
    place.replay(LAST, LAST)
    assert place.instance.get_run_by_id(killed.run_id).status == dg.DagsterRunStatus.FAILURE


def _started(run: dg.DagsterRun) -> dg.DagsterEvent:
    return dg.DagsterEvent(event_type_value=dg.DagsterEventType.RUN_START.value, job_name=run.job_name)


def test_the_job_in_the_ui_replays_and_shows_the_account(place: Place) -> None:
    result = place.definitions.resolve_job_def("replay").execute_in_process(
        run_config={"ops": {"replay_days": {"config": {"city": CITY, "first": str(LAST), "last": str(LAST)}}}},
        instance=place.instance,
    )
    [event] = [event for event in result.all_events if event.is_successful_output]
    account = event.step_output_data.metadata["account"].value
    assert f"{CITY}, {LAST} to {LAST}: 1 days, 1 made." in account
    assert f"http://127.0.0.1:3000/assets/forecast_scores?partition={CITY}%7C{LAST}" in account


def test_the_command_says_in_one_line_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dagster.yaml").touch()
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    for asked, message in {
        ("simulated_city", "01/01/2024"): "'01/01/2024' is no day: write it as YYYY-MM-DD, such as 2021-04-01.",
        ("nowhere", "2024-01-01"): "nowhere",
        ("simulated_city", "2023-01-01"): "Choose days from 2023-04-30 ",
    }.items():
        with pytest.raises(SystemExit, match=message):
            main(["--city", asked[0], "--from", asked[1], "--to", "2024-01-02"])
