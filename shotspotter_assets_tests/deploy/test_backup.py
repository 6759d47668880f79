"""A backup of database and store, as `docs/how-to/backup.md` makes it, restored: the same records, and the next day to the bit."""

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import dagster as dg
import pytest
import yaml

from shotspotter_assets.cities.registry import load_cities
from shotspotter_assets.definitions import build_definitions
from shotspotter_assets.partitions import key_of, range_tags
from shotspotter_assets.settings import Settings
from shotspotter_assets_tests.defs.chain import DAILY
from shotspotter_assets_tests.deploy.stand_in_of_aws import FOLDER
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
