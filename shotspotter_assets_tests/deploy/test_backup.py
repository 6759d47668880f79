"""Restore of a deployment from `pg_dump` and a copy of the store, as `docs/how-to/backup.md` describes it."""

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pytest
import yaml

from shotspotter_assets.cities.registry import load_cities
from shotspotter_assets_tests.defs.chain import DAILY, materialize, resources
from shotspotter_assets_tests.deploy.machines import DEPLOY, TOWN
from shotspotter_assets_tests.postgres_server import PostgresServer

CITY = "east"
FIRST = date(2023, 7, 1)
LAST = FIRST + timedelta(days=9)
NEXT = LAST + timedelta(days=1)


class Deployment:
    """A database with the storages of `deploy/own_machines`, and a store."""

    def __init__(self, folder: Path, server: PostgresServer) -> None:
        self.url, self.store, self.folder = server.new_database(), folder / "store", folder
        (folder / "cities").mkdir(parents=True)
        (folder / "cities" / f"{CITY}.yaml").write_text(TOWN.format(name=CITY, first=FIRST, last=NEXT, seed=3))
        settings = yaml.safe_load((DEPLOY / "dagster.yaml").read_text())
        storages = ("event_log_storage", "run_storage", "schedule_storage")
        database = {"postgres_url": self.url.replace("postgresql://", "postgresql+psycopg2://")}
        stored = {name: {**settings[name], "config": database} for name in storages}
        (folder / "dagster.yaml").write_text(yaml.safe_dump(stored))
        self.resources = resources(str(self.store), cities=load_cities(folder / "cities"))

    @contextlib.contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        with dg.DagsterInstance.from_config(str(self.folder)) as instance:
            yield instance

    def make(self, instance: dg.DagsterInstance, first: date, last: date) -> None:
        days = (first.isoformat(), last.isoformat())
        assert materialize(CITY, DAILY, self.resources, days=days, instance=instance).success

    def files(self) -> dict[str, bytes]:
        paths = [path for asset in DAILY for path in (self.store / asset).rglob("*") if path.is_file()]
        return {str(path.relative_to(self.store)): path.read_bytes() for path in paths}


def recorded(instance: dg.DagsterInstance, last: date) -> dict[str, object]:
    """Return what the database holds of the days to `last`."""
    found: dict[str, object] = {}
    for asset in DAILY:
        for record in instance.fetch_materializations(dg.AssetKey([CITY, asset]), limit=1000).records:
            made = record.asset_materialization
            assert made is not None
            if (made.partition or "") <= last.isoformat():
                found[f"{asset} {made.partition}"] = (record.run_id, record.timestamp, made.tags, made.metadata)
    return found


def pg(program: str, *arguments: str) -> None:
    command = shutil.which(program)
    assert command is not None
    done = subprocess.run([command, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_restored_deployment_has_the_same_records_and_makes_the_next_day(
    tmp_path: Path, postgres_server: PostgresServer
) -> None:
    original = Deployment(tmp_path / "original", postgres_server)
    with original.instance() as instance:
        original.make(instance, FIRST, LAST)
        before = recorded(instance, LAST)
    assert len(before) == len(DAILY) * 10

    pg("pg_dump", "--format", "custom", "--file", str(tmp_path / "dagster.dump"), original.url)
    copy = shutil.copytree(original.store, tmp_path / "copy")
    with original.instance() as instance:
        original.make(instance, NEXT, NEXT)

    restored = Deployment(tmp_path / "restored", postgres_server)
    shutil.copytree(copy, restored.store)
    pg("pg_restore", "--no-owner", "--exit-on-error", "--dbname", restored.url, str(tmp_path / "dagster.dump"))
    with restored.instance() as instance:
        assert recorded(instance, NEXT) == before
        restored.make(instance, NEXT, NEXT)
        assert recorded(instance, LAST) == before
        assert f"grid_tensors {NEXT}" in recorded(instance, NEXT)
    assert restored.files() == original.files()
