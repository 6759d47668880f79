"""Connections to PostgreSQL that the storages of a process share."""

import multiprocessing
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg2
import pytest

from shotspotter_assets.dagster_patches import postgres_connections
from shotspotter_assets.dagster_patches.postgres_connections import MAX_ENGINES, POOL_SIZE
from shotspotter_assets_tests.dagster_patches.test_postgres_event_log import instance_on
from shotspotter_assets_tests.postgres_server import PostgresServer

OTHERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


def asked(url: str, question: str) -> Any:
    """The first column of the answer."""
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(question)
        return [row[0] for row in cursor.fetchall()]


def use(instance: dg.DagsterInstance) -> None:
    """Of each storage."""
    instance.get_runs()
    instance.event_log_storage.get_maximum_record_id()
    instance.all_instigator_state()


@dg.op
def one() -> None: ...


@dg.job
def ones() -> None:
    one()


COUNTED = """
import dagster as dg
from sqlalchemy import event
from sqlalchemy.pool import Pool

opened = []
event.listen(Pool, "connect", lambda *_: opened.append(1))

@dg.op
def one(): ...

@dg.job
def ones():
    one()

with dg.DagsterInstance.get() as instance:
    assert ones.execute_in_process(instance=instance).success
    instance.all_instigator_state()
print(len(opened))
"""


def test_the_process_of_a_run_opens_no_connection_for_each_statement(
    tmp_path: Path, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a process of its own, as what an earlier instance has patched counts for a later one."""
    home = tmp_path / "home"
    with instance_on(home, postgres_server.new_database(), monkeypatch, batched=True):
        pass  # the tables are made
    with (home / "dagster.yaml").open("a") as settings:
        settings.write(
            "instance_class: {module: shotspotter_assets.dagster_patches.instance, class: PatchedInstance}\n"
        )
    printed = subprocess.run([sys.executable, "-c", COUNTED], capture_output=True, text=True, check=True).stdout
    # Dagster's storage of runs looks for its tables before it can share.
    assert 1 <= int(printed.split()[-1]) <= POOL_SIZE + 2


def test_connections_are_kept_for_a_while_and_by_the_next_instance(
    tmp_path: Path, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres_server.new_database()
    with instance_on(tmp_path / "home", url, monkeypatch, batched=True) as instance:
        use(instance)
        kept = set(asked(url, f"SELECT pid {OTHERS}"))
        assert 1 <= len(kept) <= POOL_SIZE
        assert ones.execute_in_process(instance=instance).success
        assert set(asked(url, f"SELECT pid {OTHERS}")) & kept
    with dg.DagsterInstance.get() as again:
        use(again)
        assert set(asked(url, f"SELECT pid {OTHERS}")) & kept
    monkeypatch.setattr(postgres_connections, "MAX_CONNECTION_AGE_S", 0)
    url = postgres_server.new_database()
    with instance_on(tmp_path / "other", url, monkeypatch, batched=True) as instance:
        use(instance)
        first = set(asked(url, f"SELECT pid {OTHERS}"))
        use(instance)
        assert first
        assert not set(asked(url, f"SELECT pid {OTHERS}")) & first


def test_connections_from_before_a_restart_of_the_database_are_not_used(
    tmp_path: Path, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres_server.new_database()
    with instance_on(tmp_path / "home", url, monkeypatch, batched=True) as instance:
        use(instance)
        ended = asked(url, f"SELECT pg_terminate_backend(pid) {OTHERS}")
        assert ended
        assert all(ended)
        assert ones.execute_in_process(instance=instance).success


def _pids_of_child(url: str, instance: dg.DagsterInstance, found: Any) -> None:
    use(instance)
    found.put(set(asked(url, f"SELECT pid {OTHERS}")))


@pytest.mark.parametrize("others_came", [False, True])
def test_a_forked_process_has_connections_of_its_own(
    tmp_path: Path, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch, others_came: bool
) -> None:
    """As the workers of Celery are."""
    url = postgres_server.new_database()
    with instance_on(tmp_path / "home", url, monkeypatch, batched=True) as instance:
        # So many that a new instance would no longer share with this one.
        for number in range(MAX_ENGINES if others_came else 0):
            with instance_on(tmp_path / str(number), postgres_server.new_database(), monkeypatch, batched=True):
                pass
        use(instance)
        own = set(asked(url, f"SELECT pid {OTHERS}"))
        forking = multiprocessing.get_context("fork")
        found = forking.Queue()
        child = forking.Process(target=_pids_of_child, args=(url, instance, found))
        child.start()
        of_both = found.get(timeout=60)
        child.join(60)
        assert child.exitcode == 0
        assert own < of_both
        use(instance)
        assert own & set(asked(url, f"SELECT pid {OTHERS}"))


def test_few_databases_are_kept(
    tmp_path: Path, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = [postgres_server.new_database() for _ in range(MAX_ENGINES + 1)]
    for number, url in enumerate(urls):
        with instance_on(tmp_path / str(number), url, monkeypatch, batched=True) as instance:
            use(instance)
    assert asked(urls[0], f"SELECT pid {OTHERS}") == []
    assert all(asked(url, f"SELECT pid {OTHERS}") for url in urls[1:])
