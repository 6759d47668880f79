"""Lineage of the partitions that a run writes: claimed together, recorded in batches, due where a run did not end."""

from collections.abc import Callable
from contextlib import suppress
from datetime import date, timedelta

import pytest

from shotspotter_assets.storage import lineage
from shotspotter_assets.storage.catalogue import Asset
from shotspotter_assets.storage.lineage import BEGUN, NOT_MADE, Key, Origin, read_lineage, write_partitions
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
