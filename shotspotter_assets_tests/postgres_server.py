"""A real PostgreSQL server on a free loopback port, one per test session; conftest imports the fixtures."""

import contextlib
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest

from shotspotter_assets.rehearsal.processes import free_port

SYSTEM_USER = "postgres"
"""Under which the server runs where the tests are run by root, as it refuses to."""


@dataclass(frozen=True)
class PostgresServer:
    """A running server."""

    port: int

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """The address of an empty database."""
        name = f"test_{uuid.uuid4().hex}"
        with contextlib.closing(psycopg2.connect(self.url())) as connection:
            connection.autocommit = True
            connection.cursor().execute(f'CREATE DATABASE "{name}"')
        return self.url(name)


def programs() -> Path | None:
    """Where the server's programs are: on the PATH, or where Debian has them."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return folders[-1] if folders else None


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The running server; skips where PostgreSQL is not installed."""
    if programs() is None:
        pytest.skip("needs PostgreSQL's server (Debian: apt-get install postgresql)")
    with running() as server:
        yield server


@contextlib.contextmanager
def running() -> Iterator[PostgresServer]:
    """A server of its own until the block ends, with its files in the temporary folder."""
    folder = programs()
    assert folder is not None, "needs PostgreSQL's server (Debian: apt-get install postgresql)"
    user = SYSTEM_USER if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="postgres_", ignore_cleanup_errors=True) as name:
        if user:
            shutil.chown(name, user, user)
        data, port = Path(name, "data"), free_port()

        def run(program: str, *arguments: str) -> None:
            command = [str(folder / program), *arguments]
            subprocess.run(command, check=True, capture_output=True, user=user, group=user, cwd=name, timeout=120)

        run("initdb", "--pgdata", str(data), "--username", "postgres", "--auth", "trust", "--no-sync")
        settings = f"-p {port} -k {name} -c listen_addresses=127.0.0.1 -c fsync=off"
        run("pg_ctl", "start", "--wait", "--pgdata", str(data), "--log", str(Path(name, "log")), "--options", settings)
        try:
            yield PostgresServer(port)
        finally:
            run("pg_ctl", "stop", "--mode", "immediate", "--pgdata", str(data))
