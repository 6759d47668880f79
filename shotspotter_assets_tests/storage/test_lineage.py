from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import date, timedelta

import pytest

from shotspotter_assets.alerts.days.day_table import Day, DayTable
from shotspotter_assets.storage import lineage
from shotspotter_assets.storage.catalogue import Asset
from shotspotter_assets.storage.lineage import (
    BEGUN,
    NOT_MADE,
    Key,
    Origin,
    begin_lineage,
    read_lineage,
    record_lineage,
    write_partitions,
)
from shotspotter_assets.storage.store import Store

ASSET = Asset.RISK_FORECASTS
CITY = "town"
DAYS = [date(2026, 3, day) for day in range(1, 6)]


def write(store: Store, days: list[date], inputs: str, make: Callable[[Key], str] = lambda _: "version") -> None:
    write_partitions(store, ASSET, CITY, dict.fromkeys(days, inputs), make)


def failing_on(bad: date) -> Callable[[Key], str]:
    def make(day: Key) -> str:
        if day == bad:
            raise ValueError("no forecast")
        return "version"

    return make


def test_a_run_writes_its_lineage_as_often_for_many_partitions_as_for_few(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes = list[int]()
    update = Store.update
    monkeypatch.setattr(Store, "update", lambda *arguments: (writes.append(1), update(*arguments)))
    write(store, [DAYS[0] + timedelta(days=number) for number in range(500)], "1")
    assert len(read_lineage(store, ASSET, CITY)) == 500
    assert len(writes) == 2


def test_a_long_run_is_recorded_on_the_way(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lineage, "BATCH_SECONDS", -1.0)
    seen = list[int]()

    def make(_: Key) -> str:
        origins = read_lineage(store, ASSET, CITY).values()
        seen.append(sum(origin == Origin("1", "version") for origin in origins))
        return "version"

    write(store, DAYS, "1", make)
    assert seen == [0, 1, 2, 3, 4]


def test_all_partitions_of_a_run_that_has_not_ended_are_due(store: Store) -> None:
    write(store, DAYS, "1")

    def make(_: Key) -> str:
        origins = read_lineage(store, ASSET, CITY).values()
        assert {origin.made_from for origin in origins} == {f"{BEGUN}2"}
        assert {origin.version for origin in origins} == {"version"}
        return "version"

    write(store, DAYS, "2", make)


def test_an_error_leaves_its_partition_due_and_the_later_ones_as_they_were(store: Store) -> None:
    write(store, DAYS[:4], "1")
    with suppress(ValueError):
        write(store, DAYS, "2", failing_on(DAYS[2]))
    origins = list(read_lineage(store, ASSET, CITY).values())
    assert origins[:2] == [Origin("2", "version")] * 2
    assert origins[2].made_from.startswith(BEGUN)
    assert origins[3:] == [Origin("1", "version"), NOT_MADE]


def test_an_error_leaves_partitions_that_another_run_has_claimed(store: Store) -> None:
    def make(day: Key) -> str:
        lineage.begin_lineage(store, ASSET, CITY, dict.fromkeys(DAYS, "3"))
        return failing_on(DAYS[0])(day)

    with suppress(ValueError):
        write(store, DAYS, "2", make)
    assert {origin.made_from for origin in read_lineage(store, ASSET, CITY).values()} == {f"{BEGUN}3"}


DAY = date(2026, 3, 2)
RUNS = 6
DAYS_OF_RUN = 5


def day(version: str) -> Day:
    return Day("known", "It has rows.", 1, 0, "settings", None, {"a.csv": version})


def test_changes_of_many_runs_at_once_are_all_kept(store: Store) -> None:
    def run(number: int) -> None:
        for at in range(DAYS_OF_RUN):
            own = DAY + timedelta(days=number * DAYS_OF_RUN + at)
            DayTable.finish(store, CITY, {own: day("1")}, DayTable.claim(store, CITY, {own: day("1")}))
            begin_lineage(store, Asset.RISK_FORECASTS, CITY, {own: "1"})
            record_lineage(store, Asset.RISK_FORECASTS, CITY, {own: Origin("1")})

    with ThreadPoolExecutor(RUNS) as pool:
        list(pool.map(run, range(RUNS)))
    days = [DAY + timedelta(days=at) for at in range(RUNS * DAYS_OF_RUN)]
    assert list(DayTable.read(store, CITY).days) == days
    assert read_lineage(store, Asset.RISK_FORECASTS, CITY) == {str(one): Origin("1") for one in days}


@pytest.mark.parametrize("order", [("first", "second"), ("second", "first")])
def test_a_product_of_two_runs_with_different_inputs_stays_due(store: Store, order: tuple[str, str]) -> None:
    for inputs in ("first", "second"):
        begin_lineage(store, Asset.RISK_FORECASTS, CITY, {DAY: inputs})
    for inputs in order:
        record_lineage(store, Asset.RISK_FORECASTS, CITY, {DAY: Origin(inputs)})
    assert read_lineage(store, Asset.RISK_FORECASTS, CITY)[str(DAY)].made_from != "second"
    begin_lineage(store, Asset.RISK_FORECASTS, CITY, {DAY: "second"})
    record_lineage(store, Asset.RISK_FORECASTS, CITY, {DAY: Origin("second")})
    assert read_lineage(store, Asset.RISK_FORECASTS, CITY)[str(DAY)].made_from == "second"


def test_a_product_of_two_runs_with_equal_inputs_is_current(store: Store) -> None:
    for _ in range(2):
        begin_lineage(store, Asset.RISK_FORECASTS, CITY, {DAY: "same"})
    for _ in range(2):
        record_lineage(store, Asset.RISK_FORECASTS, CITY, {DAY: Origin("same")})
    assert read_lineage(store, Asset.RISK_FORECASTS, CITY)[str(DAY)] == Origin("same")


@pytest.mark.parametrize("is_stored", [True, False])
def test_rows_of_two_runs_with_different_files_stay_due(store: Store, *, is_stored: bool) -> None:
    if is_stored:
        DayTable.update(store, CITY, {DAY: day("0")})
    claims = [(version, DayTable.claim(store, CITY, {DAY: day(version)})) for version in ("1", "2")]
    for version, claimed in claims:
        DayTable.finish(store, CITY, {DAY: day(version)}, claimed)
    assert DayTable.read(store, CITY).days[DAY].sources not in ({"a.csv": "1"}, {"a.csv": "2"})
    DayTable.finish(store, CITY, {DAY: day("2")}, DayTable.claim(store, CITY, {DAY: day("2")}))
    assert DayTable.read(store, CITY).days[DAY] == day("2")
