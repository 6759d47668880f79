"""A backup of database and store, as `docs/how-to/backup.md` makes it, restored: the same records, and the next day to the bit.

A database with the tables of an older Dagster, upgraded as it says: the same records, and the next day.
"""

import contextlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import dagster as dg
import pytest
import sqlalchemy as sa
import yaml
from dagster._core.storage.sql import run_alembic_downgrade
from dagster_postgres import run_storage
from dagster_postgres.utils import pg_alembic_config

from shotspotter_assets.cities.registry import load_cities
from shotspotter_assets.definitions import build_definitions
from shotspotter_assets.partitions import key_of, range_tags
from shotspotter_assets.settings import CHECKOUT, Settings
from shotspotter_assets_tests.defs.chain import DAILY
from shotspotter_assets_tests.deploy.stand_in_of_aws import FOLDER, REGION, stand_in
from shotspotter_assets_tests.deploy.stored import without_times
from shotspotter_assets_tests.postgres_server import PostgresServer

CITY = "east"
FIRST, DAYS = date(2023, 7, 1), 20
LAST = FIRST + timedelta(days=DAYS - 1)
NEXT = LAST + timedelta(days=1)
CITY_FILE = f"""
name: {CITY}
time_zone: America/New_York
start: {FIRST}
end: {NEXT}
box: {{west: -77.06, south: 38.88, east: -77.0, north: 38.93}}
grid: {{rows: 6, columns: 6}}
source: {{kind: simulated, seed: 3, alerts_per_day: 12}}
"""
FORECAST = ("live_models", "risk_forecasts")
OLD_TABLES = "1aca709bba64"
"""The revision of the tables that Dagster had in October 2024."""


class Deployment:
    """A database with the storages of `deploy/aws`, and a store."""

    def __init__(self, folder: Path, server: PostgresServer) -> None:
        self.url, self.store = server.new_database(), folder / "store"
        (folder / "cities").mkdir(parents=True)
        (folder / "cities" / f"{CITY}.yaml").write_text(CITY_FILE)
        settings = yaml.safe_load((FOLDER / "dagster.yaml").read_text())
        storages = ("event_log_storage", "run_storage", "schedule_storage")
        database = {"postgres_url": self.url.replace("postgresql://", "postgresql+psycopg2://")}
        (folder / "dagster.yaml").write_text(
            yaml.safe_dump({name: {**settings[name], "config": database} for name in storages})
        )
        cities = load_cities(folder / "cities")
        self.folder = folder
        self.job = build_definitions(
            Settings(cities, str(self.store), "landing")
        ).resolve_implicit_global_asset_job_def()

    @contextlib.contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        with dg.DagsterInstance.from_config(str(self.folder)) as instance:
            yield instance

    def make(self, instance: dg.DagsterInstance, first: date, last: date) -> None:
        """The days, and the forecast of the last one."""
        for assets, how in (
            (DAILY, {"tags": range_tags(CITY, first, last)}),
            (FORECAST, {"partition_key": key_of(CITY, last)}),
        ):
            subset = self.job.get_subset(asset_selection={dg.AssetKey(asset) for asset in assets})
            assert subset.execute_in_process(instance=instance, **how).success

    def files(self) -> dict[str, bytes]:
        paths = [path for path in self.store.rglob("*") if path.is_file()]
        return {str(path.relative_to(self.store)): path.read_bytes() for path in paths}


def said(instance: dg.DagsterInstance, last: date) -> dict[str, object]:
    """What the database says of the days to this one, and of the runs."""
    found: dict[str, object] = {run.run_id: (run.status, run.tags) for run in instance.get_runs()}
    for asset in (*DAILY, *FORECAST):
        records = instance.fetch_materializations(dg.AssetKey(asset), limit=1000).records
        for record in records:
            made = record.asset_materialization
            assert made is not None
            if made.partition <= key_of(CITY, last):
                found[f"{asset} {made.partition}"] = (record.timestamp, made.tags, made.metadata)
    return found


def pg(program: str, *arguments: str) -> None:
    command = shutil.which(program)
    assert command is not None
    done = subprocess.run([command, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_restored_deployment_says_the_same_and_makes_the_next_day(
    tmp_path: Path, postgres_server: PostgresServer
) -> None:
    original = Deployment(tmp_path / "original", postgres_server)
    with original.instance() as instance:
        original.make(instance, FIRST, LAST)
        before = said(instance, LAST)
    assert len(before) == 2 + len(DAILY) * DAYS + len(FORECAST)

    pg("pg_dump", "--format", "custom", "--file", str(tmp_path / "dagster.dump"), original.url)
    kept = shutil.copytree(original.store, tmp_path / "kept")
    with original.instance() as instance:
        original.make(instance, NEXT, NEXT)

    restored = Deployment(tmp_path / "restored", postgres_server)
    assert urlsplit(restored.url).path != urlsplit(original.url).path
    shutil.copytree(kept, restored.store)
    pg("pg_restore", "--no-owner", "--exit-on-error", "--dbname", restored.url, str(tmp_path / "dagster.dump"))
    with restored.instance() as instance:
        assert said(instance, NEXT) == before, "nothing is known of what came after the backup"
        restored.make(instance, NEXT, NEXT)
        after = said(instance, LAST)
        assert {name: after[name] for name in before} == before
        assert f"risk_forecasts {key_of(CITY, NEXT)}" in said(instance, NEXT)
    assert without_times(restored.files()) == without_times(original.files())


def documented_migration() -> tuple[str, list[str]]:
    """The task definition that `docs/how-to/backup.md` names for the migration on AWS, and the command."""
    text = (CHECKOUT / "docs" / "how-to" / "backup.md").read_text()
    found = re.search(r"--task-definition shotspotter-(\w+) .* --overrides '(.*)'", text)
    assert found
    [container] = json.loads(found[2])["containerOverrides"]
    assert container["name"] == found[1]
    return found[1], container["command"]


@pytest.mark.slow
def test_a_database_with_the_tables_of_an_older_dagster_is_migrated_and_goes_on(
    tmp_path: Path, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment = Deployment(tmp_path / "deployment", postgres_server)
    with deployment.instance() as instance:
        deployment.make(instance, FIRST, LAST)
        before = said(instance, LAST)
    url = deployment.url.replace("postgresql://", "postgresql+psycopg2://")
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        run_alembic_downgrade(pg_alembic_config(run_storage.__file__), connection, OLD_TABLES)
    assert "backfill_tags" not in sa.inspect(engine).get_table_names()

    task, command = documented_migration()
    database = urlsplit(deployment.url)
    local = {
        "DAGSTER_HOME": str(FOLDER), "DAGSTER_DATABASE_HOST": "127.0.0.1", "DAGSTER_DATABASE_PORT": str(database.port),
        "DAGSTER_DATABASE_NAME": database.path.removeprefix("/"), "DAGSTER_DATABASE_USER": "postgres", "PGSSLMODE": "disable",
        "AWS_DEFAULT_REGION": REGION, "HOME": str(tmp_path), "PYTHONPATH": str(CHECKOUT),
    }  # fmt: skip
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")  # moto's own calls need some
        local[name] = "test"
    with stand_in() as aws:
        done = subprocess.run(
            [str(Path(sys.executable).parent / command[0]), *command[1:]], cwd=tmp_path, capture_output=True, text=True,
            check=False, env=aws.container_environment(task) | {"AWS_ENDPOINT_URL": aws.endpoint} | local,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr

    assert "backfill_tags" in sa.inspect(engine).get_table_names()
    engine.dispose()
    with deployment.instance() as instance:
        assert said(instance, LAST) == before
        deployment.make(instance, NEXT, NEXT)
        assert f"risk_forecasts {key_of(CITY, NEXT)}" in said(instance, NEXT)
