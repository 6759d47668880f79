"""The runs that are due, on hand-made tables of days and lineage."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from shotspotter_assets.alerts.days.day_table import Day, DayTable
from shotspotter_assets.alerts.days.known_days import SourceReport
from shotspotter_assets.alerts.sources.schema import SIMULATED
from shotspotter_assets.alerts.sources.side_settings import table_folder
from shotspotter_assets.alerts.sources.side_tables import TableState
from shotspotter_assets.alerts.sources.snapshot import Polled, Snapshot
from shotspotter_assets.alerts.sources.source_kinds import PatrolsOfAnySource
from shotspotter_assets.automation.due import due
from shotspotter_assets.automation.stored import Stored
from shotspotter_assets.automation.under_way import NEWEST_DAY, DueRun, RunUnderWay
from shotspotter_assets.cities.folds import Folds
from shotspotter_assets.cities.local_time import days_between
from shotspotter_assets.cities.stored_settings import settings_hash
from shotspotter_assets.storage.catalogue import ALERTS, PRODUCTS, SERVING_RECORD, TABLE_STATE, TENSORS, TRAINING, Asset
from shotspotter_assets.storage.lineage import Origin, record_lineage
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.defs.chain import CITIES

CITY = "tiny_city"
FIRST = date(2023, 7, 1)
LAST = date(2024, 3, 29)


class Town:
    """A simulated city, whose days and products are recorded without runs."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.store = Store(str(folder))
        self.city = CITIES[CITY].model_copy(update={"automation": "history"} | changes)
        self.waits: list[str] = []
        self.waiting: list[DueRun] = []
        self.polled: dict[str, Polled] = {}

    def add(self, first: date, last: date, version: str = "1", settings: str = "") -> None:
        settings = settings or settings_hash(self.city, Asset.GRID_TENSORS)
        day = Day("known", "It has rows.", 1, 0, settings, None, {SIMULATED: version})
        days = days_between(first, last)
        table = DayTable.update(self.store, CITY, dict.fromkeys(days, day))
        for at in days:
            self.store.write_bytes(TENSORS, b"", CITY, at)
        record_lineage(self.store, "grid_tensors", CITY, {at: Origin(table.made_from(at)) for at in table.days})

    def make(self, assets: Iterable[str], *keys: date | None, version: str = "1") -> None:
        """Record partitions as made from what their inputs are now."""
        for asset in assets:
            Stored.read(self.store, self.city).write(Asset(asset), keys, lambda _: version)

    def due(self, today: date, *under_way: RunUnderWay, at: time = time(17)) -> list[DueRun]:
        now = datetime.combine(today, at, UTC)
        live = dict.fromkeys(self.polled, FIRST)
        reports = [SourceReport(is_complete=True)]
        snapshot = Snapshot(self.city.site, live=live, polled=self.polled, reports=reports)
        found = due(self.city, snapshot, Stored.read(self.store, self.city), under_way, now)
        self.waits = list(found.waits)
        self.waiting = list(found.waiting)
        return [*found.runs, *found.training[:1]]

    def training(self, today: date, *under_way: RunUnderWay) -> list[tuple[str, str]]:
        runs = [run for run in self.due(today, *under_way) if run.days and run.assets[0] in TRAINING]
        return [(run.assets[0], str(run.days[0])) for run in runs]


TODAY = LAST + timedelta(days=1)


@pytest.fixture
def town(tmp_path: Path) -> Town:
    town = Town(tmp_path)
    town.add(FIRST, LAST)
    return town


@pytest.fixture
def current(town: Town) -> Town:
    town.make([*PRODUCTS, "forecast_scores"], LAST)
    town.make(PRODUCTS, TODAY)
    town.make(["fold_models"], date(2023, 10, 1), date(2024, 1, 1))
    town.make(["evaluation_reports"], date(2023, 10, 1))
    town.make(["walk_forward_reports", "burden_audits"], None)
    town.make(["annual_reports"], date(2023, 1, 1))
    town.make(["city_pages"], None)
    return town


def test_nothing_is_due_of_a_city_that_is_current(current: Town) -> None:
    assert current.due(TODAY) == []
    assert current.waits == []


def test_folds_are_trained_in_order_and_reports_first(town: Town) -> None:
    for cutoff in ("2023-10-01", "2024-01-01"):
        assert town.training(TODAY) == [("fold_models", cutoff)]
        town.make(["fold_models"], date.fromisoformat(cutoff))
        if cutoff == "2023-10-01":
            assert town.training(TODAY) == [("evaluation_reports", cutoff)]
            town.make(["evaluation_reports"], date.fromisoformat(cutoff))
    assert town.training(TODAY) == [], "the test window is not over"
    town.add(LAST + timedelta(days=1), date(2024, 3, 31))
    assert town.training(date(2024, 4, 1)) == [("evaluation_reports", "2024-01-01")]
    town.make(["evaluation_reports"], date(2024, 1, 1))
    assert town.training(date(2024, 4, 1)) == [("fold_models", "2024-04-01")]


def test_folds_wait_for_their_days_and_for_one_another(town: Town) -> None:
    town.add(date(2023, 9, 30), date(2023, 9, 30), settings="other")
    assert town.training(TODAY) == []
    assert any("2023-10-01" in text and "2023-09-30" in text for text in town.waits)
    town.add(date(2023, 9, 30), date(2023, 9, 30))
    fold = (date(2023, 7, 1),) * 2
    days = (FIRST, LAST)
    assert town.training(TODAY, RunUnderWay(frozenset({"fold_models"}), fold)) == []
    assert [(run.assets, run.waits_for) for run in town.waiting] == [
        (("fold_models",), "the run of fold_models of 2023-07-01")
    ]
    assert town.training(TODAY, RunUnderWay(frozenset(ALERTS), days)) == [("fold_models", "2023-10-01")], "beside days"


def test_a_corrected_day_rebuilds_later_folds_and_their_reports(current: Town) -> None:
    current.add(date(2023, 11, 5), date(2023, 11, 5), version="2")
    assert current.training(TODAY) == [("evaluation_reports", "2023-10-01")]
    current.make(["evaluation_reports"], date(2023, 10, 1))
    assert current.training(TODAY) == [("fold_models", "2024-01-01")]


def test_recent_automation_trains_the_folds_of_one_year(tmp_path: Path) -> None:
    town = Town(tmp_path, automation="recent", start=date(2022, 7, 1))
    town.add(date(2022, 7, 1), LAST)
    assert town.training(TODAY) == [("fold_models", "2023-04-01")]
    town.city = town.city.model_copy(update={"automation": "history"})
    assert town.training(TODAY) == [("fold_models", "2022-10-01")]


def test_reports_wait_for_a_test_window_of_a_year(tmp_path: Path) -> None:
    town = Town(tmp_path, automation="recent", start=date(2022, 7, 1), folds=Folds(test="1y"))
    town.add(date(2022, 7, 1), LAST)
    assert town.training(TODAY) == [("fold_models", "2022-10-01")]
    town.make(["fold_models"], date(2022, 10, 1), date(2023, 1, 1), date(2023, 4, 1))
    assert town.training(TODAY) == [("evaluation_reports", "2022-10-01")]
    town.make(["evaluation_reports"], date(2022, 10, 1), date(2023, 1, 1))
    assert town.training(TODAY) == [("fold_models", "2023-07-01")], "that of 2023-04-01 is tested to the end of March"


def test_scores_of_issued_days_take_corrections(current: Town) -> None:
    eve = LAST - timedelta(days=1)
    current.make(PRODUCTS[:2], eve)
    current.make(PRODUCTS, LAST, TODAY)
    [run] = [run for run in current.due(TODAY) if run.assets[0] == "forecast_scores"]
    assert run.days == (LAST, LAST)


def test_days_of_other_settings_are_rebuilt_however_old(current: Town) -> None:
    current.add(date(2023, 8, 1), date(2023, 8, 2), settings="other")
    [run] = [run for run in current.due(TODAY) if run.assets == ALERTS]
    assert run.days == (date(2023, 8, 1), date(2023, 8, 2))
    assert "stored with other settings" in run.why


def test_a_city_without_forecasts_has_its_pages_made(tmp_path: Path) -> None:
    town = Town(tmp_path, first_forecast=LAST + timedelta(days=30))
    town.add(FIRST, LAST)
    assert ("city_pages",) in [run.assets for run in town.due(TODAY)]
    town.make(["city_pages"], None)
    assert ("city_pages",) not in [run.assets for run in town.due(TODAY)]


def test_pages_are_rebuilt_after_their_inputs(current: Town) -> None:
    current.make(["patrol_plans"], LAST, version="2")
    assert [run.assets for run in current.due(TODAY)] == [("city_pages",)]


def test_a_report_overtakes_the_folds_of_other_cities(town: Town) -> None:
    [fold] = [run for run in town.due(TODAY) if run.assets == ("fold_models",)]
    town.make(["fold_models"], date(2023, 10, 1))
    [report] = [run for run in town.due(TODAY) if run.assets == ("evaluation_reports",)]
    assert report.priority > fold.priority


def test_a_new_report_renews_the_walk_forward_report_and_pages(current: Town) -> None:
    current.make(["evaluation_reports"], date(2023, 10, 1), version="2")
    assert [run.assets for run in current.due(TODAY)] == [("walk_forward_reports", "burden_audits", "city_pages")]


def test_reports_by_month_are_due_once_a_month_is_over_and_stored(current: Town) -> None:
    def audits(today: date) -> list[tuple[str, ...]]:
        return [run.assets for run in current.due(today) if "burden_audits" in run.assets]

    current.add(TODAY, TODAY)
    current.make([*PRODUCTS, "forecast_scores"], TODAY)
    assert audits(TODAY) == [], "the month is not over"
    end = date(2024, 3, 31)
    current.add(end, end)
    current.make([*PRODUCTS, "forecast_scores"], end)
    current.make(PRODUCTS, date(2024, 4, 1))
    assert audits(date(2024, 4, 1)) == [("walk_forward_reports", "burden_audits", "city_pages")]
    current.make(["walk_forward_reports", "burden_audits", "city_pages"], None)
    assert audits(date(2024, 4, 1)) == []
    current.add(date(2024, 2, 3), date(2024, 2, 3), version="2")
    stored = Stored.read(current.store, current.city)
    assert not stored.is_current(Asset.BURDEN_AUDITS), "a day of an earlier month was corrected"


@pytest.mark.parametrize(("hour", "last"), [(15, LAST), (16, TODAY)])
def test_the_next_day_is_due_from_noon_on(town: Town, hour: int, last: date) -> None:
    [run] = [run for run in town.due(TODAY, at=time(hour)) if run.assets[0] in PRODUCTS]
    assert run.days == (LAST, last)
    assert run.assets == (*PRODUCTS, "city_pages")


def test_products_are_due_while_a_day_is_not_stored(current: Town) -> None:
    tomorrow = TODAY + timedelta(days=1)
    newest, products = [run for run in current.due(tomorrow) if run.assets[0] not in TRAINING]
    assert (newest.assets[0], newest.days) == ("raw_alerts", (TODAY, TODAY))
    assert (products.assets, products.days, products.is_stopgap) == ((*PRODUCTS, "city_pages"), (tomorrow,) * 2, True)
    building = RunUnderWay(frozenset(ALERTS), (TODAY, TODAY), newest.version)
    assert not [run for run in current.due(tomorrow, building) if run.assets[0] not in TRAINING], "its day comes first"
    current.add(FIRST, FIRST, settings="other")
    assert not [run for run in current.due(tomorrow) if run.assets[0] in PRODUCTS], "days of two grids"


@pytest.mark.parametrize(
    ("assets", "first", "version", "waits"),
    [
        ((*PRODUCTS, "city_pages"), LAST, "automatic", False),
        (("forecast_scores",), FIRST, "", False),
        (("grid_tensors",), FIRST, "", True),
        (("grid_tensors",), TODAY, "", True),
        ((*ALERTS, "city_pages"), TODAY, "outdated", False),
        ((*ALERTS, "city_pages"), TODAY, "same", True),
    ],
)
def test_the_newest_day_waits_only_for_a_run_that_builds_its_rows(
    current: Town, assets: tuple[str, ...], first: date, version: str, waits: bool
) -> None:
    tomorrow = TODAY + timedelta(days=1)
    morning = time(12)
    [newest] = [run for run in current.due(tomorrow, at=morning) if run.assets[0] == "raw_alerts"]
    assert {*PRODUCTS, "forecast_scores", "city_pages"} < set(newest.assets)
    before = RunUnderWay(frozenset(assets), (first, TODAY), newest.version if version == "same" else version)
    requested = [run.days for run in current.due(tomorrow, before, at=morning) if run.assets[0] == "raw_alerts"]
    assert (requested, [run.days for run in current.waiting]) == (([], [newest.days]) if waits else ([newest.days], []))


def test_the_newest_day_is_left_to_a_run_of_it_in_the_queue(current: Town) -> None:
    tomorrow = TODAY + timedelta(days=1)
    before = RunUnderWay(frozenset(ALERTS), (TODAY, TODAY), "other rows", has_started=False)
    assert not [run for run in current.due(tomorrow, before, at=time(12)) if run.assets[0] == "raw_alerts"]
    assert [run.days for run in current.waiting] == [(TODAY, TODAY)]


def test_live_models_are_trained_alone_if_their_record_says_so(current: Town) -> None:
    [(store, city)] = current.city.by_target(current.store)
    store.write_bytes(SERVING_RECORD, b'{"training_due": "retrained daily"}', city.name, TODAY)
    [run] = current.due(TODAY)
    assert (run.assets, run.days, run.is_training, run.is_long) == (("live_models",), (TODAY, TODAY), True, True)
    assert run.why == f"Live models of {TODAY} are to be retrained daily."
    assert run.priority < NEWEST_DAY
    training = RunUnderWay(frozenset(run.assets), run.days, run.version)
    assert current.due(TODAY, training) == []
    products = RunUnderWay(frozenset(PRODUCTS), (LAST, TODAY))
    assert current.due(TODAY, products) == [run], "runs of days and trainings go on beside each other"
    current.make(["live_models"], TODAY, version="2")
    assert [run.assets for run in current.due(TODAY, training)] == [(*PRODUCTS, "city_pages")]


def test_no_fold_starts_beside_a_training_and_a_fold_delays_none(current: Town) -> None:
    [(store, city)] = current.city.by_target(current.store)
    current.add(date(2023, 11, 5), date(2023, 11, 5), version="2")
    current.make(["evaluation_reports"], date(2023, 10, 1))
    training = RunUnderWay(frozenset({"live_models"}), (TODAY, TODAY))
    assert current.training(TODAY, training) == []
    assert "fold_models" in {run.assets[0] for run in current.waiting}
    current.make([*PRODUCTS, "forecast_scores"], LAST)
    current.make(PRODUCTS, TODAY)
    store.write_bytes(SERVING_RECORD, b'{"training_due": "retrained daily"}', city.name, TODAY)
    fold = RunUnderWay(frozenset({"fold_models"}), (date(2024, 1, 1),) * 2)
    assert ("live_models",) in [run.assets for run in current.due(TODAY, fold)]


def test_the_days_of_an_ended_service_have_no_next_day(town: Town) -> None:
    town.city = town.city.model_copy(update={"end": LAST})
    for today in (TODAY, TODAY + timedelta(days=40)):
        [run] = [run for run in town.due(today) if run.assets[0] in PRODUCTS]
        assert run.days == (LAST, LAST)


def test_forecasts_are_due_while_a_source_does_not_answer(town: Town) -> None:
    asked = datetime.combine(TODAY, time(4), UTC)
    town.polled = {"api": Polled(asked_at=asked, first=TODAY, last=LAST, error="The service is away.")}
    tomorrow = TODAY + timedelta(days=1)
    [run] = [run for run in town.due(tomorrow) if run.assets[0] in (*PRODUCTS, *ALERTS)]
    assert run.days == (TODAY, tomorrow)
    assert f"Days from {FIRST} are built once the source answers again." in town.waits
    town.add(FIRST, FIRST, settings="other")
    assert not [run for run in town.due(tomorrow) if run.assets[0] in PRODUCTS], "days of two grids"


def test_an_annual_report_follows_a_correction_of_its_year(current: Town) -> None:
    year = date(2023, 1, 1)

    def reports() -> list[tuple[date, date]]:
        return [run.days for run in current.due(TODAY) if run.assets == ("annual_reports",) and run.days]

    assert reports() == [], "that of 2023 is made, 2024 is under way"
    current.add(date(2023, 11, 5), date(2023, 11, 5), version="2")
    current.make([*PRODUCTS, "forecast_scores"], LAST)
    current.make(PRODUCTS, TODAY)
    current.make(["walk_forward_reports", "burden_audits"], None)
    assert reports() == [(year, year)]
    current.make(["annual_reports"], year)
    assert reports() == []


def test_changed_rows_of_patrols_rebuild_only_the_days_concerned(tmp_path: Path) -> None:
    source = {"kind": "landing", "columns": {"time": "from"}}
    patrols = PatrolsOfAnySource.model_validate({"source": source, "columns": {"until": "to"}})
    town = Town(tmp_path, patrols=patrols)
    town.add(FIRST, LAST)
    issued = days_between(LAST - timedelta(days=9), LAST - timedelta(days=1))
    town.make(["risk_forecasts", "patrol_plans"], *issued)
    days = [day + timedelta(days=1) for day in issued]

    def due_days() -> list[tuple[date, date]]:
        return [run.days for run in town.due(TODAY) if run.assets == ("patrols_made",)]

    assert due_days() == [(days[0], days[-1])]
    town.make(["patrols_made"], *days)
    assert due_days() == []
    state = TableState(versions={days[4]: "late"})
    town.store.write_bytes(TABLE_STATE, state.model_dump_json().encode(), table_folder(CITY, "patrols"))
    assert due_days() == [(days[3], days[5])], "patrols over midnight are filed under the day around it"
    town.make(["patrols_made"], *days)
    town.make(["patrol_plans"], issued[2], version="2")
    assert due_days() == [(days[2], days[2])]
