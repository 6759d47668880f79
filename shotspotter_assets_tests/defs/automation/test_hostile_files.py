import os
import uuid
from collections.abc import Callable
from datetime import date
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq

from shotspotter_assets.sources.landing.received import read_received, unusable_files
from shotspotter_assets.storage.catalogue import RAW_ROWS
from shotspotter_assets_tests.defs.chain import CITIES, evaluate, requested_days, resources, run_days, with_city
from shotspotter_assets_tests.sources.landing.hostile_files import COLUMNS, GOOD_CSV, flipped_zip, workbook, zip_bomb

CITY = "landing_city"
ALERT = dict(zip(COLUMNS, ("2024-03-02T17:00:00Z", -76.5, 38.5, "Single_Gunshot", 1, "a"), strict=True))


def _parquet(path: Path, **columns: pa.Array) -> None:
    pq.write_table(pa.table({name: pa.array([value]) for name, value in ALERT.items()} | columns), path)


HOSTILE: dict[str, Callable[[Path], object]] = {
    "far.xlsx": lambda path: workbook(path, "XFD1048576"),
    "bomb.zip": lambda path: zip_bomb(path, megabytes=64),
    "flipped.zip": flipped_zip,
    "list.parquet": lambda path: _parquet(path, id=pa.array([["a"]])),
    "struct.parquet": lambda path: _parquet(path, lat=pa.array([{"a": 1}])),
    "zone.parquet": lambda path: _parquet(path, when=pa.array([0], pa.timestamp("us", "Mars/Olympus"))),
    "link.csv": lambda path: path.symlink_to("/etc/passwd"),
    "columns.csv": lambda path: path.write_text(",".join(f"column_{number}" for number in range(100_000))),
    "loop": lambda path: path.symlink_to(path.parent),
}
NOT_TEXT = b"caf\xe9.csv"


def test_hostile_files_fail_the_check_and_good_files_are_read(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    landing = tmp_path / "landing" / CITY
    landing.mkdir(parents=True)
    source = CITIES[CITY].source.model_copy(update={"ignore_zone": True, "naive_times": "local"})
    on = resources(str(tmp_path / "store"), str(tmp_path / "landing"), with_city(CITY, source=source))
    for name, make in HOSTILE.items():
        make(landing / name)
    Path(os.fsdecode(os.fsencode(landing) + b"/" + NOT_TEXT)).write_text(GOOD_CSV)
    (landing / "good.csv").write_text(GOOD_CSV)
    # A column type that is not read, and a file whose only row is dated beyond the calendar.
    _parquet(landing / "ids.parquet", id=pa.array([uuid.uuid4().bytes], pa.uuid()))
    _parquet(landing / "late.parquet", when=pa.array([2**50], pa.timestamp("ms", "UTC")))
    result = evaluate(f"{CITY}_automation", on, instance)
    [request] = result.run_requests or []
    [check] = [event for event in result.asset_events if event.check_name == "files_are_readable"]
    assert not check.passed
    unusable = unusable_files(read_received(on["store"].open(), CITY), CITIES[CITY])
    assert {Path(path).name for path in unusable} == {*HOSTILE, "caf\\xe9.csv", "ids.parquet", "late.parquet"}
    assert check.metadata["unreadable"].value == len(unusable)
    assert max(map(len, unusable.values())) < 2_500
    assert "root:" not in " ".join(unusable.values())

    assert run_days(CITY, *requested_days(request), on, instance).success
    first, last = map(date.fromisoformat, requested_days(request))
    stored = on["store"].open().read_window(RAW_ROWS, CITY, first, last)
    assert {Path(path).name for path in stored["received_from"].to_pylist()} == {"good.csv"}
