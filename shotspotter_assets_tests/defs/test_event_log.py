"""Contract of the event logs: the stock class and ours get the same calls and give the same answers."""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import dagster as dg
import pytest
import sqlalchemy
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.event_api import AssetRecordsFilter
from dagster._core.events import DagsterEvent, DagsterEventBatchMetadata, StepMaterializationData
from dagster._core.loader import LoadingContextForTest
from dagster._core.storage.event_log import SqlEventLogStorage

from shotspotter_assets.defs import event_log
from shotspotter_assets.defs.event_log.batched import EVENTS_PER_BATCH
from shotspotter_assets.defs.event_log.private_parts import EVENT_LOG, POSTGRES, SQLITE, Part, missing_parts
from shotspotter_assets_tests.defs.chain import DAILY, metadata_of, resources, run_days, with_city
from shotspotter_assets_tests.postgres_server import PostgresServer

DAYS: Final = dg.DailyPartitionsDefinition("2018-01-01", end_date="2019-07-01")
NAMES: Final = ("first", "second", "third")
CHECK: Final = dg.AssetCheckKey(dg.AssetKey("first"), "rows")
UNCOUNTED: Final = {dg.DagsterEventType.ENGINE_EVENT, dg.DagsterEventType.LOGS_CAPTURED}


@dataclass(frozen=True)
class Backend:
    """One kind of database: its stock class, our class, and an empty database at each call of `new_config`."""

    stock: tuple[str, str]
    ours: tuple[str, str]
    new_config: Callable[[], dict[str, Any]]

    @contextmanager
    def instance(self, *, batched: bool, config: dict[str, Any] | None = None) -> Iterator[dg.DagsterInstance]:
        module, name = self.ours if batched else self.stock
        log = {"module": module, "class": name, "config": config or self.new_config()}
        with pytest.MonkeyPatch.context() as patch, dg.instance_for_test({"event_log_storage": log}) as instance:
            patch.setenv("DAGSTER_EVENT_BATCH_SIZE", str(EVENTS_PER_BATCH) if batched else "0")
            yield instance


def require_parts(parts: Sequence[Part]) -> None:
    if missing := missing_parts([*EVENT_LOG, *parts]):
        pytest.skip(event_log.stock_in_words(missing))


@pytest.fixture(params=["sqlite", "postgres"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    """Each kind of database; a test is skipped where Dagster or a server lacks a part."""
    module = event_log.__name__
    require_parts(SQLITE if request.param == "sqlite" else POSTGRES)
    if request.param == "sqlite":
        folders = (tmp_path / f"events_{number}" for number in range(9))
        return Backend(
            ("dagster._core.storage.event_log", "SqliteEventLogStorage"),
            (module, "BatchedSqliteEventLogStorage"),
            lambda: {"base_dir": str(next(folders))},
        )
    pytest.importorskip("dagster_postgres", reason="needs the extra `postgres` (pip install -e '.[postgres]')")
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return Backend(
        ("dagster_postgres.event_log", "PostgresEventLogStorage"),
        (module, "BatchedPostgresEventLogStorage"),
        lambda: {"postgres_url": server.new_database().replace("postgresql:", "postgresql+psycopg2:")},
    )


def chain(versions: Mapping[str, str] | None = None, *, fails: str = "") -> list[dg.AssetsDefinition]:
    """Three assets in a row, the first with a check; `versions` holds the data versions of its days, `fails` an asset."""

    def define(name: str, upstream: list[str], body: Callable[[dg.AssetExecutionContext], Any]) -> dg.AssetsDefinition:
        check_specs = [] if upstream else [dg.AssetCheckSpec(CHECK.name, asset=name, partitions_def=DAYS)]
        return dg.asset(
            name=name, code_version="1", partitions_def=DAYS, deps=upstream, check_specs=check_specs,
            backfill_policy=dg.BackfillPolicy.single_run(),
        )(body)  # fmt: skip

    def first(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        if fails == "first":
            raise ValueError("no file")
        for day in context.partition_keys:
            version = {"data_version": versions.get(day, "unchanged")} if versions is not None else {}
            context.add_asset_metadata({"rows": 7, **version}, partition_key=day)
        return dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=True, check_name=CHECK.name)])

    def plain(context: dg.AssetExecutionContext) -> None:
        context.add_asset_metadata({"rows": 7}, partition_key=context.partition_keys[0])

    def third(context: dg.AssetExecutionContext) -> None:
        if fails == "third":
            raise ValueError("disk full")

    return [define("first", [], first), define("second", ["first"], plain), define("third", ["second"], third)]


def run(instance: dg.DagsterInstance, assets: Sequence[dg.AssetsDefinition], first: str, last: str) -> str:
    tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    return dg.materialize(assets, instance=instance, tags=tags, raise_on_error=False).run_id


def data_versions(instance: dg.DagsterInstance, asset: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for record in instance.fetch_materializations(AssetRecordsFilter(dg.AssetKey(asset)), limit=1000).records:
        found.setdefault(record.partition_key, (record.asset_materialization.tags or {})["dagster/data_version"])
    return found


def stale_days(instance: dg.DagsterInstance, asset: str, days: Sequence[str]) -> set[str]:
    """Return the days that the UI shows as stale."""
    graph = dg.Definitions(chain({})).resolve_asset_graph()
    resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
    return {day for day in days if resolver.get_status(dg.AssetKey(asset), day) == StaleStatus.STALE}


def answers(instance: dg.DagsterInstance, run_ids: Sequence[str]) -> dict[str, Any]:
    """Return the events that UI, sensors and staleness read, with run ids replaced by their number."""
    storage = instance.event_log_storage
    number = {run_id: place for place, run_id in enumerate(run_ids)}
    [check] = storage.get_latest_asset_check_execution_by_key([CHECK]).values()
    logs = [[entry.dagster_event_type for entry in instance.all_logs(run_id)] for run_id in run_ids]
    found: dict[str, Any] = {
        "events": [[kind for kind in kinds if kind and kind not in UNCOUNTED] for kinds in logs],
        "statuses": [run.status for run_id in run_ids if (run := instance.get_run_by_id(run_id))],
        "check": (check.status, number[check.run_id], check.partition),
    }
    for name in NAMES:
        key = dg.AssetKey(name)
        entry = instance.get_asset_records([key])[0].asset_entry
        records = instance.fetch_materializations(AssetRecordsFilter(key), limit=1000).records
        failed = storage.get_latest_asset_partition_materialization_attempts_without_materializations(key)
        found[name] = {
            "partitions": instance.get_materialized_partitions(key),
            "status": instance.get_status_by_partition(key, DAYS.get_partition_keys()[:30], DAYS),
            "runs": [storage.get_asset_partitions_for_run(run_id).get(key) for run_id in run_ids],
            "last run": number[entry.last_run_id or ""],
            "not materialized": {day: number[run_id] for day, (run_id, _) in failed.items()},
            "records": [(one.storage_id, one.partition_key, one.event_log_entry.asset_materialization) for one in records],
            "data versions": data_versions(instance, name),
        }  # fmt: skip
    return found


def test_runs_over_ranges_leave_the_answers_of_the_stock_log(backend: Backend) -> None:
    found = []
    for batched in (False, True):
        with backend.instance(batched=batched) as instance:
            first = run(instance, chain(), "2018-01-01", "2018-01-08")
            second = run(instance, chain(fails="third"), "2018-01-06", "2018-01-10")
            found.append(answers(instance, [first, second]))
    assert found[1] == found[0]
    assert len(found[1]["first"]["partitions"]) == 10
    assert len(found[1]["third"]["partitions"]) == 8
    assert len(found[1]["third"]["not materialized"]) == 5


def test_every_partition_of_a_run_has_its_own_data_version(backend: Backend) -> None:
    days = DAYS.get_partition_keys()[:10]
    with backend.instance(batched=True) as instance:
        run(instance, chain({}), days[0], days[-1])
        assert stale_days(instance, "second", days) == set()
        run(instance, chain({days[2]: "corrected"})[:1], days[0], days[-1])
        assert data_versions(instance, "first") == dict.fromkeys(days, "unchanged") | {days[2]: "corrected"}
        assert stale_days(instance, "second", days) == {days[2]}


def test_check_over_many_days_is_planned_once(backend: Backend) -> None:
    rows = []
    for batched in (False, True):
        with backend.instance(batched=batched) as instance:
            run(instance, chain(), "2018-01-01", "2018-01-10")
            history = instance.event_log_storage.get_asset_check_execution_history(CHECK, limit=100)
            rows.append([(record.partition, record.status.value) for record in history])
    assert len(rows[0]) == 11
    assert rows[1] == [(None, "SUCCEEDED")]


def check_statuses(instance: dg.DagsterInstance) -> dict[str, set[str]]:
    state = instance.event_log_storage.get_asset_check_state([(CHECK, DAYS)])[CHECK]
    subsets = {status.value: set(subset.subset_value.get_partition_keys()) for status, subset in state.subsets.items()}
    return {status: days for status, days in subsets.items() if days}


def test_check_of_a_failed_run_ends_with_its_deletion_or_a_rerun_over_days(backend: Backend) -> None:
    day, next_day = DAYS.get_partition_keys()[:2]
    with backend.instance(batched=True) as instance:
        deleted = run(instance, chain(fails="first"), day, day)
        assert check_statuses(instance) == {"EXECUTION_FAILED": {day}}
        instance.delete_run(deleted)
        assert check_statuses(instance) == {}
        failed = run(instance, chain(fails="first"), day, day)
        rerun = run(instance, chain(), day, next_day)
        assert check_statuses(instance) == {}
        history = instance.event_log_storage.get_asset_check_execution_history(CHECK, limit=100)
        assert [(one.run_id, one.status.value) for one in history] == [(rerun, "SUCCEEDED"), (failed, "PLANNED")]


def test_step_is_one_batch(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    days = DAYS.get_partition_keys()
    with backend.instance(batched=True) as instance:
        store = instance.event_log_storage.store_event_batch
        monkeypatch.setattr(
            instance.event_log_storage, "store_event_batch", lambda events: (sizes.append(len(events)), store(events))
        )
        run(instance, chain()[:1], days[0], days[-1])
    assert sizes == [len(days) + 1, len(days)]  # the plans with that of the check, then the materializations


def materialized(run_id: str, names: Sequence[str] = NAMES) -> list[dg.EventLogEntry]:
    def entry(name: str, day: str) -> dg.EventLogEntry:
        data = StepMaterializationData(dg.AssetMaterialization(name, partition=day))
        event = DagsterEvent("ASSET_MATERIALIZATION", job_name="job", step_key=name, event_specific_data=data)
        return dg.EventLogEntry(None, 10, "", run_id, 1.7e9, name, "job", event)

    return [entry(name, day) for name in names for day in DAYS.get_partition_keys()[:10]]


def stored_days(instance: dg.DagsterInstance) -> list[int]:
    filters = [AssetRecordsFilter(dg.AssetKey(name)) for name in NAMES]
    return [len(instance.fetch_materializations(one, limit=1000).records) for one in filters]


def test_batch_holds_events_of_several_runs(backend: Backend) -> None:
    line = dg.EventLogEntry(None, 10, "a line", "b", 1.7e9)
    with backend.instance(batched=True) as instance:
        instance.event_log_storage.store_event_batch([line, *materialized("a"), line, *materialized("b")])
        assert stored_days(instance) == [20, 20, 20]
        assert [len(instance.all_logs(run_id)) for run_id in "ab"] == [30, 32]


@contextmanager
def within_a_batch(do: Callable[[], object]) -> Iterator[None]:
    """Do something when a batch has stored its events and begins with the table of assets."""

    def look(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith(("INSERT", "UPDATE")) and "asset_keys" in statement:
            do()

    sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", look)
    try:
        yield
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "before_cursor_execute", look)


def test_broken_batch_stores_nothing(backend: Backend) -> None:
    with backend.instance(batched=True) as instance:
        storage = instance.event_log_storage
        with within_a_batch(lambda: 1 / 0), pytest.raises(ZeroDivisionError):
            storage.store_event_batch(materialized("a"))
        assert (stored_days(instance), instance.all_logs("a")) == ([0, 0, 0], [])
        storage.store_event_batch(materialized("a"))
        assert (stored_days(instance), len(instance.all_logs("a"))) == ([10, 10, 10], 30)


@pytest.mark.parametrize(("backend", "commit"), [("sqlite", 1), ("sqlite", 2), ("postgres", 1)], indirect=["backend"])
def test_full_disk_at_a_commit_stores_no_event_twice(backend: Backend, commit: int) -> None:
    commits = 0

    def fail_once(_: sqlalchemy.Connection) -> None:
        nonlocal commits
        commits += 1
        if commits == commit:
            raise sqlite3.OperationalError("database or disk is full")

    def send(instance: dg.DagsterInstance) -> None:
        events = materialized("a")
        for event in events:
            instance.handle_new_event(event, batch_metadata=DagsterEventBatchMetadata("batch", event is events[-1]))

    with backend.instance(batched=True) as instance:
        instance.event_log_storage.store_event(dg.EventLogEntry(None, 10, "creates the database", "a", 1.7e9))
        sqlalchemy.event.listen(sqlalchemy.Engine, "commit", fail_once)
        try:
            with pytest.raises(sqlite3.OperationalError):
                send(instance)
        finally:
            sqlalchemy.event.remove(sqlalchemy.Engine, "commit", fail_once)
        assert (stored_days(instance), len(instance.all_logs("a"))) == ([0, 0, 0], 1)
        send(instance)
        assert (stored_days(instance), len(instance.all_logs("a"))) == ([10, 10, 10], 31)


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_full_disk_fails_the_run_and_a_rerun_is_whole(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    free = iter([1e12])  # for the plans; none for the materializations
    days = DAYS.get_partition_keys()[:10]
    with backend.instance(batched=True) as instance:
        with monkeypatch.context() as patch:
            patch.setattr(
                "shotspotter_assets.defs.event_log.sqlite.disk_usage", lambda _: SimpleNamespace(free=next(free, 0))
            )
            failed = instance.get_run_by_id(run(instance, chain(), days[0], days[-1]))
        assert failed
        assert (failed.status, stored_days(instance)) == (dg.DagsterRunStatus.FAILURE, [0, 0, 0])
        run(instance, chain(), days[0], days[-1])
        assert stored_days(instance) == [10, 10, 10]


def test_runs_at_the_same_time_lose_nothing(backend: Backend) -> None:
    config = backend.new_config()
    failures = []

    def write(run_id: str, names: Sequence[str]) -> None:
        storage = getattr(event_log, backend.ours[1]).from_config_value(None, config)
        try:
            for _ in range(5):
                storage.store_event_batch(materialized(run_id, names=names))
        except Exception as error:
            failures.append(error)

    with backend.instance(batched=True, config=config) as instance:
        threads = [threading.Thread(target=write, args=(str(i), NAMES[:: 1 - 2 * (i % 2)])) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (failures, stored_days(instance)) == ([], [200, 200, 200])


@pytest.fixture
def fresh_storages() -> Iterator[None]:
    event_log._storage_class.cache_clear()
    yield
    event_log._storage_class.cache_clear()


def days_of_tiny_city(root: Path) -> tuple[Mapping[str, bytes], Mapping[tuple[str, str | None], Any], set[Any]]:
    """Run days with the event log of `dagster.yaml`; return the stored files, the panels and the checks."""
    log = {"module": event_log.__name__, "class": "BatchedSqliteEventLogStorage"}
    home = {
        "temp_dir": str(root / "home"),
        "overrides": {"event_log_storage": log | {"config": {"base_dir": str(root)}}},
    }
    (root / "home").mkdir(parents=True)
    on = resources(str(root / "store"), cities=with_city("tiny_city"))
    with dg.instance_for_test(**home) as instance:
        result = run_days("tiny_city", "2023-07-01", "2023-07-04", on, instance)
        keys = [dg.AssetKey(["tiny_city", name]) for name in DAILY]
        assert {len(instance.get_materialized_partitions(key)) for key in keys} == {4}
        checks = {(check.check_name, check.passed) for check in result.get_asset_check_evaluations()}
    files = {str(file.relative_to(root)): file.read_bytes() for file in (root / "store").rglob("*.parquet")}
    panels = {
        key: {name: str(entry).replace(str(root), "") for name, entry in panel.items()}
        for key, panel in metadata_of(result).items()
    }
    return files, panels, checks


@pytest.mark.usefixtures("fresh_storages")
def test_missing_part_falls_back_to_the_stock_log_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_parts(SQLITE)
    batched = days_of_tiny_city(tmp_path / "batched")
    assert not caplog.messages
    event_log._storage_class.cache_clear()
    stock_method = SqlEventLogStorage._event_to_row
    monkeypatch.setattr(SqlEventLogStorage, "_event_to_row", lambda self, event, shard=None: stock_method(self, event))
    assert days_of_tiny_city(tmp_path / "stock") == batched
    assert not hasattr(event_log.BatchedSqliteEventLogStorage, "open_batch")
    [warning] = [record.getMessage() for record in caplog.records if record.name == event_log.__name__]
    assert "SqlEventLogStorage._event_to_row" in warning


@pytest.mark.parametrize(
    "part",
    [
        Part("dagster.no_such_module", "anything"),
        Part("dagster._core.storage.event_log.schema", "AssetCheckExecutionsTable.c.no_such_column"),
        Part("dagster._core.storage.event_log", "SqlEventLogStorage.store_event", ("event", "shard")),
        Part("dagster._core.storage.event_log", "SqlEventLogStorage.store_event", ("event",), reads="_no_such_lock"),
    ],
)
def test_part_that_dagster_lacks_is_missing(part: Part) -> None:
    assert missing_parts([part]) == [part]
