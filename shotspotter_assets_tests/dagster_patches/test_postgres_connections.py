"""Connections to PostgreSQL that the storages of a process share."""

import multiprocessing
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg2
import pytest

from shotspotter_assets.dagster_patches.postgres_connections import KEPT, MAX_ENGINES
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


def test_a_run_opens_no_connection_for_each_statement(
    tmp_path: Path, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres_server.new_database()
    with instance_on(tmp_path / "home", url, monkeypatch, batched=True) as instance:
        use(instance)
        before = set(asked(url, f"SELECT pid {OTHERS}"))
        assert 1 <= len(before) <= KEPT
        assert ones.execute_in_process(instance=instance).success
        use(instance)
        after = set(asked(url, f"SELECT pid {OTHERS}"))
        assert before & after
        assert len(after) <= KEPT
    with dg.DagsterInstance.get() as again:
        use(again)
        assert set(asked(url, f"SELECT pid {OTHERS}")) == after


def test_connections_from_before_a_restart_of_the_database_are_not_used(
    tmp_path: Path, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres_server.new_database()
    with instance_on(tmp_path / "home", url, monkeypatch, batched=True) as instance:
        use(instance)
        assert all(asked(url, f"SELECT pg_terminate_backend(pid) {OTHERS}"))
        assert ones.execute_in_process(instance=instance).success


def _pids_of_child(url: str, instance: dg.DagsterInstance, found: Any) -> None:
    use(instance)
    found.put(set(asked(url, f"SELECT pid {OTHERS}")))


def test_a_forked_process_has_connections_of_its_own(
    tmp_path: Path, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the workers of Celery are."""
    url = postgres_server.new_database()
    with instance_on(tmp_path / "home", url, monkeypatch, batched=True) as instance:
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
