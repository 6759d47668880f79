"""A landed file of many rows: what a run holds in memory does not grow with the days that it makes."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shotspotter_assets import partitions
from shotspotter_assets.partitions import DAYS_AT_ONCE
from shotspotter_assets_tests.defs.chain import CITIES, resources, run_days

FIRST = datetime(2024, 3, 1, tzinfo=UTC)
ROWS_PER_DAY = 15_000
DAYS_IN_A_PART, PARTS = 10, 4
"""Few days, as each costs time that is not of interest here."""

READINGS = r"""
import json, re, sys
from datetime import date, timedelta
from pathlib import Path
from pyarrow import fs
from shotspotter_assets.sources.landing.folder import LandingFolder
from shotspotter_assets_tests.defs.chain import CITIES

folder, parts, days = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
landing = LandingFolder(CITIES["landing_city"], fs.LocalFileSystem(), folder)
starts = [date(2024, 3, 1) + timedelta(days=part * days) for part in range(parts)]
bounds = [(start, start + timedelta(days=days - 1)) for start in starts]
found, peaks = [], []
def peak():
    # What getrusage gives has that of the process that started this one in it.
    peaks.append(int(re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[1]))
peak()
for rows in landing.read_parts(bounds):
    found.append(rows.num_rows)
    del rows
peak()
assert landing.read(bounds[0][0], bounds[-1][1]).num_rows == sum(found)
peak()
print(json.dumps([sum(found), *peaks]))
"""


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    """A file whose rows are in no order."""
    folder = tmp_path / "landing" / "landing_city"
    folder.mkdir(parents=True)
    random, rows = np.random.default_rng(1), PARTS * DAYS_IN_A_PART * ROWS_PER_DAY
    seconds = random.integers(0, PARTS * DAYS_IN_A_PART * 86_400, rows)
    box = CITIES["landing_city"].box
    alerts = {
        "when": pa.array(np.datetime64(FIRST.replace(tzinfo=None), "s") + seconds, pa.timestamp("s", "UTC")),
        "lon": random.uniform(box.west, box.east, rows),
        "lat": random.uniform(box.south, box.north, rows),
        "kind": pa.array(["SG", "MG"]).take(pa.array(random.integers(0, 2, rows))),
        "rounds": random.integers(1, 9, rows),
        "id": pa.array([f"alert-{number:07d}" for number in range(rows)]),
    }
    pq.write_table(pa.table(alerts), folder / "alerts.parquet", row_group_size=100_000)
    return folder.parent


def test_what_is_stored_does_not_depend_on_how_many_days_are_made_at_once(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "landing" / "landing_city"
    folder.mkdir(parents=True)
    rows = [
        "2024-03-09T12:00:00Z,-76.5,38.5,Single_Gunshot,1,g",
        "2024-03-03T04:58:00Z,-76.5,38.5,Single_Gunshot,1,b",  # an incident that goes on after midnight
        "2024-03-03T05:01:00Z,-76.5,38.5,MG,1,c",
        "2024-03-03T05:01:00Z,-76.5,38.5,MG,1,c",
        "2024-03-04T12:00:00Z,,38.5,Single_Gunshot,1,d",
        "no time,-76.5,38.5,Single_Gunshot,1,e",
    ]
    (folder / "a.csv").write_text("when,lon,lat,kind,rounds,id\n" + "\n".join(rows) + "\n")
    on = resources(str(tmp_path / "store"), str(folder.parent))
    stored: list[dict[Path, bytes]] = []
    for number in (DAYS_AT_ONCE, 2, 2):
        monkeypatch.setattr(partitions, "DAYS_AT_ONCE", number)
        assert run_days("landing_city", "2024-03-01", "2024-03-14", on, instance).success
        stored.append({file: file.read_bytes() for file in (tmp_path / "store").glob("*/city=*/date=*/*.parquet")})
    assert len(stored[0]) == 14 * 4
    assert stored[1] == stored[2] == stored[0]


@pytest.mark.skipif(sys.platform != "linux", reason="the other systems count memory in other units, or not at all")
def test_the_parts_of_a_file_are_not_in_memory_together(landing: Path) -> None:
    command = [sys.executable, "-c", READINGS, str(landing / "landing_city"), str(PARTS), str(DAYS_IN_A_PART)]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=280).stdout
    rows, before, after_parts, after_all = json.loads(said.splitlines()[-1])
    assert rows == PARTS * DAYS_IN_A_PART * ROWS_PER_DAY
    assert after_parts - before < (after_all - before) / 2
