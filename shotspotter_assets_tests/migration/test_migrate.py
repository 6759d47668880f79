"""A store is migrated in place; whenever a migration is killed, the next one ends with the same files."""

import errno
import json
import os
import resource
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner
from dagster._daemon.types import DaemonHeartbeat

from shotspotter_assets.__main__ import main
from shotspotter_assets.migration.conversion import Converted, Rebuilt
from shotspotter_assets.migration.migrate import CLAIM, Migration, MigrationError
from shotspotter_assets.storage.local_files import LocalFiles
from shotspotter_assets.storage.objects import Objects, objects_at
from shotspotter_assets.storage.s3_objects import S3Objects
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.store_format import (
    FORMAT_VERSION,
    MARKER,
    FormatError,
    StoreFormat,
    decoded_marker,
    present_format,
)
from shotspotter_assets_tests.conftest import TEST_CITIES
from shotspotter_assets_tests.s3_server import S3Server

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
LINEAGE = {"2024-01-01": ["old", "a"], "2024-01-02": ["old", "b"]}
FORECASTS = "risk_forecasts/city=town"
OLD = {
    f"{FORECASTS}/_lineage.json": json.dumps(LINEAGE).encode(),
    f"{FORECASTS}/date=2024-01-01/record.json": b"old record",
    f"{FORECASTS}/date=2024-01-01/forecast.parquet": b"kept",
    f"{FORECASTS}/date=2024-01-02/record.json": b"unusable",
    f"{FORECASTS}/date=2024-01-02/forecast.parquet": b"kept",
    "fold_models/city=town/_lineage.json": b"unusable",
    "fold_models/city=town/fold=2023-01-01/record.json": b"unusable",
    "raw_alerts/city=town/date=2024-01-01/alerts.parquet": b"damaged",
    "quality/city=town/city_state.json": b"old state",
}
NEW = {
    f"{FORECASTS}/_lineage.json": b'{"2024-01-01":["kept","a"]}',
    f"{FORECASTS}/target=gunfire/date=2024-01-01/record.json": b"new record",
    f"{FORECASTS}/target=gunfire/date=2024-01-01/more.json": b"more",
    f"{FORECASTS}/date=2024-01-01/forecast.parquet": b"kept",
    f"{FORECASTS}/date=2024-01-02/forecast.parquet": b"kept",
    "raw_alerts/city=town/date=2024-01-01/alerts.parquet": b"damaged",
    "quality/city=town/city_state.json": b"new state",
    MARKER: present_format().content(),
}
FOLDERS = {path.split("/")[0] for path in OLD}


def convert(path: str, content: bytes) -> Sequence[Converted] | Rebuilt:
    """Files of every kind: kept, in a new shape, moved, divided, unusable and damaged."""
    if content == b"damaged":
        raise ValueError("its end is missing")
    if content == b"unusable":
        return Rebuilt("no version can use it")
    if path.endswith("_lineage.json"):
        origins = {key: ["kept", version] for key, (_, version) in json.loads(content).items()}
        return [Converted(path, json.dumps(origins, separators=(",", ":")).encode())]
    if content == b"old record":
        folder = path.replace("/date", "/target=gunfire/date").removesuffix("record.json")
        return [Converted(f"{folder}record.json", b"new record"), Converted(f"{folder}more.json", b"more")]
    return [Converted(path, content.replace(b"old", b"new"))]


def migration_of(objects: Objects, **more: Any) -> Migration:
    return Migration(objects, **({"now": lambda: NOW, "conversions": {1: convert}} | more))


def fill(objects: Objects) -> None:
    for path, content in OLD.items():
        objects.write(path, content)


def contents(objects: Objects) -> dict[str, bytes]:
    paths = [f"{folder}/{path}" for folder in FOLDERS for path in objects.files_in(folder)]
    return {path: objects.read(path) for path in [*paths, *filter(objects.exists, [MARKER])]}


class KilledError(BaseException):
    """The end of a process, which no code outlives."""


class _Mortal:
    """Files that change `writes` times, and never again."""

    writes: float = float("inf")

    def write(self, path: str, data: bytes) -> None:
        self._live()
        super().write(path, data)  # type: ignore[misc]  # of the class it is mixed into

    def delete(self, path: str) -> None:
        self._live()
        super().delete(path)  # type: ignore[misc]  # of the class it is mixed into

    def _put_if(self, path: str, data: bytes, condition: dict[str, str]) -> bool:
        self._live()
        return bool(super()._put_if(path, data, condition))  # type: ignore[misc]  # of S3Objects

    def _live(self) -> None:
        self.writes -= 1
        if self.writes < 0:
            raise KilledError


class MortalFiles(_Mortal, LocalFiles):
    """A folder whose writer is killed."""


class MortalObjects(_Mortal, S3Objects):
    """A bucket whose writer is killed."""

    threads = 1  # a thread of a killed process would live on here


@pytest.fixture(params=["local", "s3"])
def places(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[float], _Mortal]:
    """A function that opens one store again, for a number of writes."""

    def opened(writes: float) -> _Mortal:
        if request.param == "local":
            objects: _Mortal = MortalFiles(tmp_path / "store")
        else:
            server: S3Server = request.getfixturevalue("s3_server")
            prefix = request.getfixturevalue("s3_store_root").rpartition("/")[2]
            objects = MortalObjects(server.bucket, prefix, server.client())
        objects.writes = writes
        return objects

    return opened


def test_files_are_kept_converted_moved_rebuilt_or_left_damaged(places: Callable[[float], Any]) -> None:
    objects = places(float("inf"))
    fill(objects)
    planned = [folder.text() for folder in migration_of(objects).planned()]
    assert contents(objects) == OLD, "a dry run changes nothing"
    assert [folder.text() for folder in migration_of(objects).run()] == planned
    assert contents(objects) == NEW
    text = "\n".join(planned)
    assert "risk_forecasts/city=town: 5 files: 2 kept, 2 converted, 1 rebuilt (no version can use it)" in text
    assert "alerts.parquet (its end is missing)" in text
    if isinstance(objects, LocalFiles):
        assert all(any(path.iterdir()) for path in objects.root.glob("[a-z]*/**/") if ".locks" not in path.parts)
    assert migration_of(objects).found() is None
    assert not list(migration_of(objects).run())


def test_a_migration_killed_at_any_write_is_finished_by_the_next(places: Callable[[float], Any]) -> None:
    objects = places(float("inf"))
    every = 1 if isinstance(objects, LocalFiles) else 4  # requests take time
    for writes in range(0, 100, every):
        for path in contents(objects):
            objects.delete(path)
        fill(objects)
        try:
            list(migration_of(places(writes), owner="killed").run())
        except KilledError:
            pass
        else:
            break
        finally:
            # Half migrated, also if no file is changed yet: only a migration may go on.
            if writes > 0 and contents(objects).get(MARKER) != NEW[MARKER]:
                with pytest.raises(FormatError, match="half migrated"):
                    Store(objects.name, getattr(objects, "_client", None)).checked()
                with pytest.raises(MigrationError, match="by killed, last seen at 12:00:00"):
                    list(migration_of(objects).run())
        list(migration_of(objects, now=lambda: NOW + CLAIM).run())
        assert contents(objects) == NEW, writes
    assert writes >= 8
    assert contents(objects) == NEW


def test_threads_migrate_a_store_on_s3(s3_server: S3Server, s3_store_root: str) -> None:
    objects = objects_at(s3_store_root, s3_server.client())
    assert objects.threads > 1
    fill(objects)
    list(migration_of(objects).run())
    assert contents(objects) == NEW


def test_a_migration_that_was_taken_over_stops(tmp_path: Path) -> None:
    objects = LocalFiles(tmp_path)
    fill(objects)
    slow = migration_of(objects, owner="slow").run()
    next(slow)
    list(migration_of(objects, owner="fast", now=lambda: NOW + CLAIM).run())
    with pytest.raises(MigrationError, match="taken over by another one"):
        list(slow)
    assert contents(objects) == NEW


def test_a_migration_that_comes_too_late_changes_nothing(tmp_path: Path) -> None:
    objects = LocalFiles(tmp_path)
    fill(objects)
    late = migration_of(objects)
    late.found = lambda: StoreFormat(format_version=1)  # type: ignore[method-assign]  # read before the other's end
    list(migration_of(objects, owner="first").run())
    other_program = present_format().model_copy(update={"program": "9.0"}).content()
    objects.write(MARKER, other_program)
    with pytest.raises(MigrationError, match="just been migrated"):
        list(late.run())
    assert contents(objects) == NEW | {MARKER: other_program}


@pytest.mark.parametrize("hours", [-5, 5])
def test_a_changed_clock_delays_no_migration(tmp_path: Path, hours: int) -> None:
    objects = LocalFiles(tmp_path)
    fill(objects)
    dead = StoreFormat(
        format_version=1, migrating_to=FORMAT_VERSION, owner="dead", seen_at=NOW + timedelta(hours=hours)
    )
    objects.write(MARKER, dead.content())
    list(migration_of(objects).run())
    assert contents(objects) == NEW


def test_folders_on_another_disk_are_migrated_and_foreign_ones_are_left(tmp_path: Path) -> None:
    objects = LocalFiles(tmp_path / "store")
    fill(objects)
    for folder in ("risk_forecasts", "raw_alerts/city=town"):
        disk = tmp_path / "disk" / folder.replace("/", " ")
        shutil.copytree(tmp_path / "store" / folder, disk)
        shutil.rmtree(tmp_path / "store" / folder)
        (tmp_path / "store" / folder).symlink_to(disk)
    foreign = tmp_path / "store" / "my copies" / "fold_models" / "city=town" / "record.json"
    foreign.parent.mkdir(parents=True)
    foreign.write_bytes(b"unusable")
    list(migration_of(objects).run())
    assert contents(objects) == NEW
    assert foreign.read_bytes() == b"unusable"


@pytest.mark.parametrize(("asset", "origin"), [("patrol_plans", "old"), ("risk_forecasts", "kept")])
def test_a_damaged_partition_stays_due_but_for_forecasts(tmp_path: Path, asset: str, origin: str) -> None:
    objects = LocalFiles(tmp_path)
    lineage = f"{asset}/city=town/_lineage.json"
    objects.write(lineage, json.dumps(LINEAGE).encode())
    objects.write(f"{asset}/city=town/date=2024-01-01/record.json", b"damaged")
    for _ in ("once", "again"):
        list(migration_of(objects).run())
        objects.delete(MARKER)
    assert json.loads(objects.read(lineage)) == {"2024-01-01": [origin, "a"], "2024-01-02": ["kept", "b"]}


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    objects = LocalFiles(tmp_path)
    for marker, words in {
        StoreFormat(format_version=0): "unknown format 0",
        StoreFormat(format_version=FORMAT_VERSION + 1): "newer",
        StoreFormat(format_version=1, migrating_to=FORMAT_VERSION + 1): "newer",
    }.items():
        fill(objects)
        objects.write(MARKER, marker.content())
        with pytest.raises((MigrationError, FormatError), match=words):
            list(migration_of(objects).run())
        assert contents(objects) == OLD | {MARKER: marker.content()}


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """A limit that stands in for a full disk: both end a write in the middle with an OSError."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_stops_the_migration_until_there_is_room(tmp_path: Path) -> None:
    objects = LocalFiles(tmp_path)
    large = b"old" * 1_000_000
    fill(objects)
    objects.write("raw_alerts/city=town/date=2024-01-02/alerts.parquet", large)
    with file_size_limit(1_000_000), pytest.raises(MigrationError, match=os.strerror(errno.EFBIG)) as caught:
        list(migration_of(objects).run())
    assert "nothing is lost" in str(caught.value)
    assert objects.read("raw_alerts/city=town/date=2024-01-02/alerts.parquet") == large
    assert decoded_marker(objects.read(MARKER), MARKER).owner == "", "the next migration begins at once"
    list(migration_of(objects, owner="next").run())
    large_now = {"raw_alerts/city=town/date=2024-01-02/alerts.parquet": large.replace(b"old", b"new")}
    assert contents(objects) == NEW | large_now


def command(store: Path, *arguments: str, home: Path | None = None) -> tuple[int, str]:
    environ = {"SHOTSPOTTER_STORE": str(store), "DAGSTER_HOME": str(home or store / "nowhere")}
    ran = CliRunner().invoke(main, ["migrate", *arguments], env=environ)
    return ran.exit_code, ran.output


def test_the_command_shows_what_it_would_do_before_it_is_told_to(tmp_path: Path) -> None:
    objects = LocalFiles(tmp_path)
    objects.write("city_pages/city=town/index.html", b"<html>")
    for arguments in ([], ["--dry-run"], ["--dry-run", "--yes"]):
        code, shown = command(tmp_path, *arguments)
        assert (code, "city_pages/city=town: 1 file: 1 rebuilt" in shown) == (0, True)
        assert ("--yes" in shown) == (not arguments)
        assert (tmp_path / "city_pages/city=town/index.html").exists()
    assert command(tmp_path / "other", "--store", str(tmp_path), "--yes")[0] == 0
    assert not (tmp_path / "city_pages/city=town/index.html").exists()
    assert Store(str(tmp_path)).checked()
    for store, state in {tmp_path: "has the present format", tmp_path / "other": "has no files"}.items():
        code, shown = command(store)
        assert (code, shown) == (0, f"Nothing to migrate: {store} {state}.\n")


def test_other_commands_refuse_an_older_store_in_one_line(tmp_path: Path) -> None:
    fill(LocalFiles(tmp_path))
    environ = {"SHOTSPOTTER_STORE": str(tmp_path), "SHOTSPOTTER_CITIES": str(TEST_CITIES), "DAGSTER_HOME": "/nowhere"}
    for arguments in (["status"], ["pages"], ["fold", "tiny_city", "2023-03-01"], ["quiet", "tiny_city", "2023-03-01"]):
        ran = CliRunner().invoke(main, arguments, env=environ)
        assert (ran.exit_code, ran.output.count("\n"), "shotspotter migrate" in ran.output) == (1, 1, True), arguments


@pytest.mark.parametrize("root", ["s3:bucket", "ftp://store"])
def test_a_wrong_root_is_refused_in_one_line(tmp_path: Path, root: str) -> None:
    code, shown = command(tmp_path, "--store", root)
    assert (code, shown.count("\n"), root in shown) == (1, 1, True)


def test_a_store_in_use_is_not_migrated(tmp_path: Path) -> None:
    objects = LocalFiles(tmp_path / "store")
    fill(objects)
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}")
    with dg.DagsterInstance.from_config(str(home)) as instance:
        instance.add_daemon_heartbeat(DaemonHeartbeat(time.time() - 5, "SENSOR", "1", None))
        (tmp_path / "link").symlink_to("store")
        for store in (tmp_path / "store", tmp_path / "link"):
            code, shown = command(tmp_path / "store", "--store", str(store), "--yes", home=home)
            assert (code, shown.count("\n"), "in use by a daemon" in shown) == (1, 1, True)
        instance.add_daemon_heartbeat(DaemonHeartbeat(time.time() - 600, "SENSOR", "1", None))
        run = instance.create_run_for_job(dg.GraphDefinition("idle").to_job(), status=dg.DagsterRunStatus.STARTED)
        code, shown = command(tmp_path / "store", "--yes", home=home)
        assert (code, shown.count("\n"), run.run_id in shown) == (1, 1, True)
        assert contents(objects) == OLD
        code, _ = command(tmp_path / "other", "--store", str(tmp_path / "store"), "--yes", home=home)
        assert code == 0, "the instance uses another store"
