"""Hostile and damaged files, on the real sensors: each is named and told of, and the good ones are made."""

import os
import uuid
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shotspotter_assets.defs.resources import NoticesResource
from shotspotter_assets.storage.file_names import ALERTS_FILE
from shotspotter_assets_tests.defs.automation.test_arrivals import Watch, row
from shotspotter_assets_tests.defs.chain import DEFINITIONS, SENSORS
from shotspotter_assets_tests.notifications.servers import webhook_server
from shotspotter_assets_tests.sources.landing.hostile_files import (
    COLUMNS,
    GOOD_CSV,
    equal_rows,
    flipped_zip,
    workbook,
    zip_bomb,
)

ALERT = dict(zip(COLUMNS, ("2024-03-02T17:00:00Z", -76.5, 38.5, "Single_Gunshot", 1, "a"), strict=True))


def _parquet(path: Path, **columns: pa.Array) -> None:
    pq.write_table(pa.table({name: pa.array([value]) for name, value in ALERT.items()} | columns), path)


HOSTILE: dict[str, Callable[[Path], object]] = {
    "far.xlsx": lambda path: workbook(path, "XFD1048576"),
    "equal.parquet": lambda path: equal_rows(path, 16_000_000),
    "bomb.zip": lambda path: zip_bomb(path, megabytes=64),
    "flipped.zip": flipped_zip,
    "list.parquet": lambda path: _parquet(path, id=pa.array([["a"]])),
    "struct.parquet": lambda path: _parquet(path, lat=pa.array([{"a": 1}])),
    "zone.parquet": lambda path: _parquet(path, when=pa.array([0], pa.timestamp("us", "Mars/Olympus"))),
    "link.csv": lambda path: path.symlink_to("/etc/passwd"),
    "loop": lambda path: path.symlink_to(path.parent),
}
NOT_TEXT = b"caf\xe9.csv"


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path / "instance")) as instance:
        yield Watch(tmp_path, instance)


def test_hostile_files_are_named_and_told_of_and_the_good_ones_are_made(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch.change_source(ignore_zone=True, naive_times="local")
    for name, make in HOSTILE.items():
        make(watch.landing / name)
    Path(os.fsdecode(os.fsencode(watch.landing) + b"/" + NOT_TEXT)).write_text(GOOD_CSV)
    watch.land("good.csv", row("2024-03-02"), row("2024-03-04"))
    # Two that are odd and good.
    _parquet(watch.landing / "ids.parquet", id=pa.array([uuid.uuid4().bytes], pa.uuid()))
    _parquet(watch.landing / "late.parquet", when=pa.array([2**50], pa.timestamp("ms", "UTC")))
    with webhook_server() as webhook:
        monkeypatch.setenv("SHOTSPOTTER_WEBHOOK_URL", webhook.url)
        assert watch.tick() == [("2024-03-01", "2024-03-04")]
        context = dg.build_sensor_context(
            instance=watch.instance,
            definitions=DEFINITIONS,
            resources=watch.resources | {"notices_to": NoticesResource(ui_url="http://dagster.city.gov")},
        )
        SENSORS["notices"](context)
        told = "\n".join(post["json"]["text"] for post in webhook.posts)
    for name in [*HOSTILE, "caf\\xe9.csv"]:
        assert f"landing_city, {name}*" in told
        assert f"City landing_city: {watch.landing}/{name}" in told
    assert told.count("cannot be used") == len(HOSTILE) + 1
    assert "root:" not in told
    watch.run_asked()
    stored = (
        watch.resources["store"]
        .open()
        .read_window("raw_alerts", "landing_city", ALERTS_FILE, date(2024, 3, 1), date(2024, 3, 4))
    )
    assert sorted(Path(path).name for path in stored["received_from"].to_pylist()) == [
        "good.csv", "good.csv", "ids.parquet", "late.parquet",
    ]  # fmt: skip
    assert watch.tick() == []
    assert f"{watch.landing}/far.xlsx" in watch.message
