"""The batched PostgreSQL event log against the stock one: the same events must leave the same rows."""

import re
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg2
import pytest
import yaml
from dagster_postgres.event_log import PostgresEventLogStorage
from sqlalchemy.engine import make_url

from shotspotter_assets.dagster_patches.postgres_event_log import BatchedPostgresEventLogStorage, with_driver
from shotspotter_assets_tests.dagster_patches.test_sqlite_event_log import (
    KEYS,
    LAST_GOOD,
    PARTITIONS,
    answers,
    be_killed_in_a_batch,
    events_of_a_run,
    materialized,
    run_chain,
)
from shotspotter_assets_tests.postgres_server import PostgresServer

TIMES_OF_WRITING = {"create_timestamp", "migration_completed"}


def dump(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables by table, without the columns that hold the time of writing."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name FROM information_schema.columns "
            "WHERE table_schema = 'public' ORDER BY 1, ordinal_position"
        )
        columns: dict[str, list[str]] = {}
        for table, column in cursor.fetchall():
            columns.setdefault(table, [])
            if column not in TIMES_OF_WRITING:
                columns[table].append(f'"{column}"')
        found = {}
        for table, names in columns.items():
            cursor.execute(f'SELECT {", ".join(names)} FROM "{table}" ORDER BY {", ".join(names)}')  # our names
            found[table] = cursor.fetchall()
        return found


@pytest.mark.parametrize("size", [7, 500])
def test_batches_leave_the_same_rows_as_single_events(postgres_server: PostgresServer, size: int) -> None:
    urls = [postgres_server.new_database() for _ in range(2)]
    stock, ours = PostgresEventLogStorage(with_driver(urls[0])), BatchedPostgresEventLogStorage(urls[1])
    events = events_of_a_run()
    for event in events:
        stock.store_event(event)
    for start in range(0, len(events), size):
        ours.store_event_batch(events[start : start + size])
    ours.store_event_batch([])
    expected = dump(urls[0])
    assert dump(urls[1]) == expected
    assert len(expected["event_logs"]) == len(events)
    assert {name for name, rows in expected.items() if rows} >= {
        "asset_keys", "asset_event_tags", "asset_check_executions"
    }  # fmt: skip


class BrokenAfter(BatchedPostgresEventLogStorage):
    """Breaks once, when it is to store the event after the first few."""

    events_left = 10

    def store_event(self, event: dg.EventLogEntry) -> None:
        self.events_left -= 1
        if self.events_left == 0:
            raise OSError("no connection")
        super().store_event(event)


def test_a_batch_that_breaks_leaves_nothing_and_the_storage_goes_on(postgres_server: PostgresServer) -> None:
    url = postgres_server.new_database()
    storage = BrokenAfter(url)
    storage.store_event_batch([materialized(KEYS[0], None)])
    before = dump(url)
    events = [materialized(KEYS[1], partition) for partition in PARTITIONS * 2]
    storage.events_left = 10
    with pytest.raises(OSError, match="no connection"):
        storage.store_event_batch(events)
    assert dump(url) == before
    storage.store_event_batch(events)
    assert len(dump(url)["event_logs"]) == 1 + len(events)


def test_a_writer_killed_in_a_batch_leaves_whole_batches(postgres_server: PostgresServer) -> None:
    url = postgres_server.new_database()
    be_killed_in_a_batch(BatchedPostgresEventLogStorage, url)
    assert len(dump(url)["event_logs"]) == 2 * len(PARTITIONS)
    BatchedPostgresEventLogStorage(url).store_event_batch([materialized(KEYS[0], PARTITIONS[0])])
    assert len(dump(url)["event_logs"]) == 2 * len(PARTITIONS) + 1


def test_runs_at_the_same_time_lose_nothing_and_do_not_wait_for_each_other_for_good(
    postgres_server: PostgresServer,
) -> None:
    url = postgres_server.new_database()
    failures: list[BaseException] = []
    BatchedPostgresEventLogStorage(url)

    def write(number: int) -> None:
        try:
            storage, keys = BatchedPostgresEventLogStorage(url), KEYS if number % 2 else KEYS[::-1]
            for _ in range(10):
                events = [materialized(key, partition, f"run {number}") for key in keys for partition in PARTITIONS]
                storage.store_event_batch(events)
                storage.store_event(materialized(keys[1], None, f"run {number}"))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(dump(url)["event_logs"]) == 4 * 10 * (2 * len(PARTITIONS) + 1)


HOW_TO = Path(__file__).parents[2] / "docs" / "how-to" / "postgresql.md"


@contextmanager
def instance_on(
    folder: Path, url: str, monkeypatch: pytest.MonkeyPatch, *, batched: bool
) -> Iterator[dg.DagsterInstance]:
    """An instance all of whose storages are in the database, as the how-to has it."""
    [text] = re.findall(r"```yaml\n(.*?)```", HOW_TO.read_text(), re.DOTALL)
    settings, parts = yaml.safe_load(text), make_url(url)
    for storage in settings.values():
        storage["config"]["postgres_db"] |= {"db_name": parts.database, "port": parts.port}
    if not batched:
        settings["event_log_storage"] |= {"module": "dagster_postgres.event_log", "class": "PostgresEventLogStorage"}
    for name, value in {"HOST": parts.host, "USER": parts.username, "PASSWORD": "none"}.items():
        monkeypatch.setenv(f"DAGSTER_DATABASE_{name}", str(value))
    folder.mkdir()
    (folder / "dagster.yaml").write_text(yaml.safe_dump(settings | {"telemetry": {"enabled": False}}))
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "500" if batched else "0")
    with dg.DagsterInstance.get() as instance:
        assert type(instance.event_log_storage) is (
            BatchedPostgresEventLogStorage if batched else PostgresEventLogStorage
        )
        yield instance


def test_real_runs_leave_the_same_answers(
    tmp_path: Path, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for batched in (False, True):
        url = postgres_server.new_database()
        with instance_on(tmp_path / str(batched), url, monkeypatch, batched=batched) as instance:
            runs = [
                run_chain(instance, "x|2018-01-01", LAST_GOOD, fail=False),
                run_chain(instance, "x|2018-01-15", "x|2018-01-22", fail=True),
            ]
            found.append(answers(instance, runs))
    assert found[1] == found[0]
    assert len(found[0]["first"]["partitions"]) == 22
    assert len(found[0]["third"]["not done"]) == 8


def test_the_web_server_goes_on_after_a_restart_of_the_database(
    tmp_path: Path, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres_server.new_database()
    with instance_on(tmp_path / "home", url, monkeypatch, batched=True) as instance:
        instance.optimize_for_webserver(statement_timeout=5000, pool_recycle=3600, max_overflow=20)
        asked = (instance.get_runs, instance.event_log_storage.get_maximum_record_id, instance.all_instigator_state)
        for ask in asked:
            ask()
        with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            assert cursor.rowcount >= len(asked)  # with those from before it was the web server's
        for ask in asked:
            ask()


def test_the_driver_that_is_installed_is_named() -> None:
    assert with_driver("postgresql://u:p%40@h:5432/d") == "postgresql+psycopg2://u:p%40@h:5432/d"
    assert with_driver("postgresql+psycopg://u@h/d") == "postgresql+psycopg://u@h/d"
