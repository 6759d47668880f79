"""The batched event log against the stock one: the same events must leave the same databases."""

import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluation,
    AssetCheckEvaluationPlanned,
)
from dagster._core.definitions.partitions.subset import DefaultPartitionsSubset
from dagster._core.events import (
    AssetMaterializationPlannedData,
    AssetObservationData,
    DagsterEvent,
    DagsterEventBatchMetadata,
    StepMaterializationData,
)
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.utils import make_new_run_id

from shotspotter_assets.dagster_patches.sqlite_event_log import BatchedSqliteEventLogStorage

RUN_ID = "5cbb1d1c-0000-4000-8000-000000000001"
KEYS = [dg.AssetKey("raw_alerts"), dg.AssetKey("cleaned_alerts")]
PARTITIONS = [f"washington_dc|2018-05-{day:02}" for day in range(1, 9)]


def entry(kind: dg.DagsterEventType | None, data: Any = None, run_id: str = RUN_ID) -> dg.EventLogEntry:
    event = None
    if kind is not None:
        event = DagsterEvent(kind.value, job_name="job", step_key="step", event_specific_data=data)
    return dg.EventLogEntry(
        error_info=None, level=10, user_message="said", run_id=run_id, timestamp=next(clock), step_key="step",
        job_name="job", dagster_event=event,
    )  # fmt: skip


def ticks() -> Iterator[float]:
    now = 1_700_000_000.0
    while True:
        now += 0.25
        yield now


clock = ticks()


def planned(key: dg.AssetKey, partition: str | None) -> dg.EventLogEntry:
    return entry(dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED, AssetMaterializationPlannedData(key, partition))


def materialized(key: dg.AssetKey, partition: str | None, run_id: str = RUN_ID) -> dg.EventLogEntry:
    tags = {"dagster/data_version": f"v{partition}", "other": "x"}
    if partition:
        city, _, day = partition.partition("|")
        tags |= {"dagster/partition/city": city, "dagster/partition/date": day}
    asset = dg.AssetMaterialization(key, partition=partition, metadata={"rows": len(partition or "")}, tags=tags)
    return entry(dg.DagsterEventType.ASSET_MATERIALIZATION, StepMaterializationData(asset), run_id)


def observed(key: dg.AssetKey) -> dg.EventLogEntry:
    observation = dg.AssetObservation(key, tags={"dagster/data_version": "seen"})
    return entry(dg.DagsterEventType.ASSET_OBSERVATION, AssetObservationData(observation))


def check_planned(key: dg.AssetKey, partitions: Sequence[str] | None) -> dg.EventLogEntry:
    subset = DefaultPartitionsSubset(set(partitions)) if partitions else None
    data = AssetCheckEvaluationPlanned(asset_key=key, check_name="rows", partitions_subset=subset)
    return entry(dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED, data)


def checked(key: dg.AssetKey, partition: str | None, passed: bool) -> dg.EventLogEntry:
    data = AssetCheckEvaluation(asset_key=key, check_name="rows", passed=passed, metadata={}, partition=partition)
    return entry(dg.DagsterEventType.ASSET_CHECK_EVALUATION, data)


def events_of_a_run() -> list[dg.EventLogEntry]:
    """All kinds of events, those that Dagster sends in batches and those that it does not."""
    events = [entry(dg.DagsterEventType.RUN_START)]
    for key in KEYS:
        events += [planned(key, partition) for partition in PARTITIONS]
        events += [check_planned(key, [partition]) for partition in PARTITIONS]
    events += [check_planned(dg.AssetKey("whole"), None), planned(dg.AssetKey("whole"), None), entry(None)]
    events += [materialized(KEYS[0], partition) for partition in PARTITIONS]
    events += [checked(KEYS[0], partition, passed=partition != PARTITIONS[3]) for partition in PARTITIONS]
    events += [materialized(KEYS[1], partition) for partition in PARTITIONS[:5]]
    events += [materialized(KEYS[0], PARTITIONS[0]), observed(KEYS[0]), observed(dg.AssetKey("only_observed"))]
    events += [materialized(KEYS[0], None), checked(dg.AssetKey("whole"), None, passed=True)]
    return [*events, entry(dg.DagsterEventType.RUN_FAILURE)]


def dump(folder: Path) -> dict[str, dict[str, list[tuple[Any, ...]]]]:
    """All rows of all tables of all databases, without the columns that hold the time of writing."""
    content: dict[str, dict[str, list[tuple[Any, ...]]]] = {}
    for path in sorted(folder.glob("*.db")):
        with sqlite3.connect(path) as database:
            tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            rows = content.setdefault(path.name, {})
            for table in sorted(tables):
                columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
                kept = [
                    f'"{column}"' for column in columns if column not in ("create_timestamp", "migration_completed")
                ]
                rows[table] = list(database.execute(f"SELECT {', '.join(kept)} FROM {table}"))
        database.close()
    return content


@pytest.mark.parametrize("size", [1, 7, 500])
def test_batches_leave_the_same_databases_as_single_events(tmp_path: Path, size: int) -> None:
    stock, ours = SqliteEventLogStorage(str(tmp_path / "stock")), BatchedSqliteEventLogStorage(str(tmp_path / "ours"))
    events = events_of_a_run()
    for event in events:
        stock.store_event(event)
    for start in range(0, len(events), size):
        ours.store_event_batch(events[start : start + size])
    expected = dump(tmp_path / "stock")
    assert dump(tmp_path / "ours") == expected
    assert {name for name, rows in expected["index.db"].items() if rows} >= {
        "event_logs", "asset_keys", "asset_event_tags", "asset_check_executions"
    }  # fmt: skip
    assert len(expected[f"{RUN_ID}.db"]["event_logs"]) == len(events)


def test_a_batch_of_several_runs_goes_to_each_runs_database(tmp_path: Path) -> None:
    stock, ours = SqliteEventLogStorage(str(tmp_path / "stock")), BatchedSqliteEventLogStorage(str(tmp_path / "ours"))
    events = [materialized(KEYS[0], partition, run_id) for run_id in ("one", "two") for partition in PARTITIONS]
    for event in events:
        stock.store_event(event)
    ours.store_event_batch(events)
    ours.store_event_batch([])
    assert dump(tmp_path / "ours") == dump(tmp_path / "stock")


def test_the_database_is_asked_once_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    has_table = SqliteEventLogStorage.has_table

    def spy(self: SqliteEventLogStorage, name: str) -> bool:
        asked.append(name)
        return has_table(self, name)

    monkeypatch.setattr(SqliteEventLogStorage, "has_table", spy)
    storage = BatchedSqliteEventLogStorage(str(tmp_path))
    for _ in range(3):
        storage.store_event_batch([materialized(KEYS[0], partition) for partition in PARTITIONS])
    assert sorted(asked) == sorted(set(asked)) != []


class BrokenAfter(BatchedSqliteEventLogStorage):
    """Breaks once, when it is to store the event after the first few."""

    events_left = 10

    def store_event(self, event: dg.EventLogEntry) -> None:
        self.events_left -= 1
        if self.events_left == 0:
            raise OSError("disk full")
        super().store_event(event)


def test_a_batch_that_breaks_leaves_nothing_and_the_storage_goes_on(tmp_path: Path) -> None:
    storage = BrokenAfter(str(tmp_path))
    storage.store_event_batch([materialized(KEYS[0], None)])
    before = dump(tmp_path)
    events = [materialized(KEYS[1], partition) for partition in PARTITIONS * 2]
    storage.events_left = 10
    with pytest.raises(OSError, match="disk full"):
        storage.store_event_batch(events)
    assert dump(tmp_path) == before
    storage.store_event_batch(events)
    assert len(dump(tmp_path)[f"{RUN_ID}.db"]["event_logs"]) == 1 + len(events)


def test_dagsters_fallback_after_a_broken_batch_stores_no_event_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with instance_in(tmp_path, monkeypatch, batched=True) as instance:
        storage = instance.event_log_storage
        events = [materialized(KEYS[0], partition) for partition in PARTITIONS]
        left = iter([None, None, None, OSError("disk full")])
        store_event = storage.store_event

        def breaks_once(event: dg.EventLogEntry) -> None:
            error = next(left, None)
            if error:
                raise error
            store_event(event)

        monkeypatch.setattr(storage, "store_event", breaks_once)
        for event in events:
            instance.handle_new_event(event, batch_metadata=DagsterEventBatchMetadata("b", event is events[-1]))
        assert "disk full" in capsys.readouterr().err
        assert len(instance.all_logs(RUN_ID)) == len(PARTITIONS)
        assert instance.get_materialized_partitions(KEYS[0]) == set(PARTITIONS)


KILLED_WRITER = """
import os, signal, sys
from {storage.__module__} import {storage.__name__} as Storage
from shotspotter_assets_tests.dagster_patches.test_sqlite_event_log import KEYS, PARTITIONS, materialized

class Killed(Storage):
    events_left = 20

    def store_event(self, event):
        super().store_event(event)
        self.events_left -= 1
        if self.events_left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

storage = Killed(sys.argv[1])
while True:
    storage.store_event_batch([materialized(KEYS[0], partition) for partition in PARTITIONS])
"""
"""A process that stores batches in an event log, and is killed in the third one."""


def be_killed_in_a_batch(storage: type, place: str) -> None:
    """Let a process store batches in a folder or database until it is killed."""
    code = KILLED_WRITER.format(storage=storage)
    killed = subprocess.run([sys.executable, "-c", code, place], check=False, timeout=120)
    assert killed.returncode == -signal.SIGKILL


def test_a_writer_killed_in_a_batch_leaves_whole_batches(tmp_path: Path) -> None:
    be_killed_in_a_batch(BatchedSqliteEventLogStorage, str(tmp_path))
    whole = 2 * len(PARTITIONS)
    assert {name: len(rows["event_logs"]) for name, rows in dump(tmp_path).items()} == {
        f"{RUN_ID}.db": whole, "index.db": whole
    }  # fmt: skip
    for path in tmp_path.glob("*.db"):
        with sqlite3.connect(path) as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        database.close()
    storage = BatchedSqliteEventLogStorage(str(tmp_path))
    storage.store_event_batch([materialized(KEYS[0], partition) for partition in PARTITIONS])
    assert len(dump(tmp_path)["index.db"]["event_logs"]) == whole + len(PARTITIONS)


def test_runs_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    failures: list[BaseException] = []
    BatchedSqliteEventLogStorage(str(tmp_path))

    def write(run_id: str) -> None:
        try:
            storage = BatchedSqliteEventLogStorage(str(tmp_path))
            for _ in range(10):
                storage.store_event_batch([materialized(KEYS[0], partition, run_id) for partition in PARTITIONS])
                storage.store_event(materialized(KEYS[1], None, run_id))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(run_id,)) for run_id in ("one", "two", "three", "four")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert {name: len(rows["event_logs"]) for name, rows in dump(tmp_path).items()} == {
        "four.db": 90, "index.db": 360, "one.db": 90, "three.db": 90, "two.db": 90
    }  # fmt: skip


DATES = dg.DailyPartitionsDefinition("2018-01-01", end_date="2019-01-01")
CITY_DATES = dg.MultiPartitionsDefinition({"city": dg.StaticPartitionsDefinition(["oakland", "x"]), "date": DATES})
LAST_GOOD = "x|2018-01-20"


def chain() -> list[dg.AssetsDefinition]:
    """Three assets in a row; the last one fails where it is told to."""

    def define(name: str, deps: list[str], body: Callable[[dg.AssetExecutionContext], None]) -> dg.AssetsDefinition:
        return dg.asset(
            name=name, partitions_def=CITY_DATES, deps=deps, backfill_policy=dg.BackfillPolicy.single_run()
        )(body)  # fmt: skip

    def plain(context: dg.AssetExecutionContext) -> None:
        context.add_asset_metadata({"rows": 7}, partition_key=context.partition_keys[0])

    def fails(context: dg.AssetExecutionContext) -> None:
        if "fail" in context.run.tags:
            raise ValueError("told to fail")

    return [define("first", [], plain), define("second", ["first"], plain), define("third", ["second"], fails)]


@contextmanager
def instance_in(folder: Path, monkeypatch: pytest.MonkeyPatch, *, batched: bool) -> Iterator[dg.DagsterInstance]:
    config = "telemetry: {enabled: false}\n"
    if batched:
        module = BatchedSqliteEventLogStorage.__module__
        config += f"event_log_storage: {{module: {module}, class: BatchedSqliteEventLogStorage}}\n"
    folder.mkdir(exist_ok=True)
    (folder / "dagster.yaml").write_text(config)
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "500" if batched else "0")
    with dg.DagsterInstance.get() as instance:
        yield instance


def run_chain(instance: dg.DagsterInstance, first: str, last: str, *, fail: bool) -> str:
    tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    run_id = make_new_run_id()
    result = dg.materialize(
        chain(), instance=instance, tags={**tags, **({"fail": "yes"} if fail else {})}, raise_on_error=False,
    )  # fmt: skip
    assert result.success is not fail
    return result.run_id or run_id


def answers(instance: dg.DagsterInstance, runs: Sequence[str]) -> dict[str, Any]:
    """What the UI, sensors and staleness ask for, run ids replaced by their number."""
    storage = instance.event_log_storage
    number = {run_id: place for place, run_id in enumerate(runs)}
    found: dict[str, Any] = {
        "types": [[event.dagster_event_type for event in instance.all_logs(run_id) if event.is_dagster_event
                   and event.dagster_event_type not in SKIPPED] for run_id in runs],
        "run status": [instance.get_run_by_id(run_id).status for run_id in runs],  # type: ignore[union-attr]
    }  # fmt: skip
    for key in (dg.AssetKey("first"), dg.AssetKey("second"), dg.AssetKey("third")):
        latest = instance.get_latest_materialization_event(key)
        record = instance.get_asset_records([key])[0].asset_entry
        planned_not_done = storage.get_latest_asset_partition_materialization_attempts_without_materializations(key)
        records = instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=key, asset_partitions=["x|2018-01-03", LAST_GOOD]), limit=10
        ).records
        found[key.to_user_string()] = {
            "partitions": instance.get_materialized_partitions(key),
            "in a run": [storage.get_asset_partitions_for_run(run_id).get(key) for run_id in runs],
            "storage ids": storage.get_latest_storage_id_by_partition(
                key, dg.DagsterEventType.ASSET_MATERIALIZATION
            ),
            "tags": {
                partition: {name: value for name, value in tags.items() if name.startswith("dagster/partition")}
                for partition, tags in storage.get_latest_tags_by_partition(
                    key, dg.DagsterEventType.ASSET_MATERIALIZATION, ["dagster/data_version"]
                ).items()
            },
            "latest": latest and latest.asset_materialization and latest.asset_materialization.partition,
            "last run": number.get(record.last_run_id or ""),
            "not done": {partition: (number[run], event_id) for partition, (run, event_id) in planned_not_done.items()},
            "records": [(one.storage_id, one.partition_key, one.asset_materialization.metadata) for one in records
                        if one.asset_materialization],
        }  # fmt: skip
    return found


SKIPPED = {dg.DagsterEventType.ENGINE_EVENT, dg.DagsterEventType.LOGS_CAPTURED}


def test_real_runs_leave_the_same_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for batched in (False, True):
        with instance_in(tmp_path / str(batched), monkeypatch, batched=batched) as instance:
            sizes: list[int] = []
            storage = instance.event_log_storage
            assert type(storage) is (BatchedSqliteEventLogStorage if batched else SqliteEventLogStorage)
            store_event_batch = storage.store_event_batch

            def spy(
                events: Sequence[dg.EventLogEntry],
                sizes: list[int] = sizes,
                store: Callable[[Sequence[dg.EventLogEntry]], None] = store_event_batch,
            ) -> None:
                sizes.append(len(events))
                store(events)

            monkeypatch.setattr(storage, "store_event_batch", spy)
            runs = [
                run_chain(instance, "x|2018-01-01", LAST_GOOD, fail=False),
                run_chain(instance, "x|2018-01-15", "x|2018-01-22", fail=True),
            ]
            found.append(answers(instance, runs))
            if batched:  # first all that is planned in one batch, then a batch for each asset
                assert sizes == [60, 20, 20, 20, 24, 8, 8]
    assert found[1] == found[0]
    assert len(found[0]["first"]["partitions"]) == 22
    assert len(found[0]["third"]["partitions"]) == 20
    assert len(found[0]["third"]["not done"]) == 8
