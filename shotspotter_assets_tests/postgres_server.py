"""A real PostgreSQL server on a free loopback port, one per test session; conftest imports the fixtures."""

import contextlib
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg2
import pytest

from shotspotter_assets_tests.ports import lasting_ports

ASKED_USER = "asked"  # the one user whose password counts
SYSTEM_USER = "postgres"  # under which the server runs where the tests are run by root, as it refuses to


@dataclass(frozen=True)
class PostgresServer:
    port: int
    control: Callable[..., None]  # gives pg_ctl a command for this server

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        name = f"test_{uuid.uuid4().hex}"
        with contextlib.closing(psycopg2.connect(self.url())) as connection:
            connection.autocommit = True
            connection.cursor().execute(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def new_database_with(self, password: str) -> str:
        url = self.new_database()
        with contextlib.closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(f"DROP ROLE IF EXISTS {ASKED_USER}")
            cursor.execute(f"CREATE ROLE {ASKED_USER} LOGIN SUPERUSER PASSWORD %s", (password,))
        return url.replace("postgres@", f"{ASKED_USER}:{quote(password, safe='')}@")


def programs() -> Path | None:
    """Where the server's programs are: on the PATH, or where Debian has them."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return folders[-1] if folders else None


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    if programs() is None:
        pytest.skip("needs PostgreSQL's server (Debian: apt-get install postgresql)")
    with running() as server:
        yield server


@contextlib.contextmanager
def running() -> Iterator[PostgresServer]:
    """Run a server with data of its own; it may be stopped and started on its port."""
    folder = programs()
    assert folder is not None, "needs PostgreSQL's server (Debian: apt-get install postgresql)"
    user = SYSTEM_USER if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="postgres_", ignore_cleanup_errors=True) as name:
        if user:
            shutil.chown(name, user, user)
        data = Path(name, "data")
        (port,) = lasting_ports(1)

        def run(program: str, *arguments: str) -> None:
            command = [str(folder / program), *arguments]
            subprocess.run(command, check=True, capture_output=True, user=user, group=user, cwd=name, timeout=900)

        run("initdb", "--pgdata", str(data), "--username", "postgres", "--auth", "trust", "--no-sync")
        rules = data / "pg_hba.conf"
        rules.write_text(f"host all {ASKED_USER} 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")
        settings = f"-p {port} -k {name} -c listen_addresses=127.0.0.1 -c fsync=off"

        def control(command: str, *arguments: str) -> None:
            how = ("--log", str(Path(name, "log")), "--options", settings) if command == "start" else ()
            run("pg_ctl", command, "--pgdata", str(data), *how, *arguments)

        control("start", "--wait")
        try:
            yield PostgresServer(port, control)
        finally:
            control("stop", "--mode", "immediate")
