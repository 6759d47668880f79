import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from shotspotter_assets.calendar.local_time import days_between
from shotspotter_assets.storage.catalogue import CLEANED, REJECTED, TENSORS
from shotspotter_assets.storage.store import Store

CITY = "landing_city"
DAYS = days_between(date(2024, 3, 2), date(2024, 3, 5))
RUNS = """
import sys, time
from pathlib import Path
import dagster as dg
from shotspotter_assets.storage.local_files import LocalFiles
from shotspotter_assets_tests.defs.chain import resources, run_days

store, landing = sys.argv[1:]
write = LocalFiles.write
def slowly(self, path, data):
    write(self, path, data)
    time.sleep(0.01)
LocalFiles.write = slowly
Path(landing, "ready").touch()
while len(list(Path(landing).parent.glob("*/ready"))) < 2:
    time.sleep(0.001)
for _ in range(6):
    with dg.DagsterInstance.ephemeral() as instance:
        run_days("landing_city", "2024-03-02", "2024-03-05", resources(store, landing), instance, False)
"""


@pytest.mark.slow
def test_a_day_that_two_runs_make_at_once_is_whole(tmp_path: Path) -> None:
    for name in "ab":
        folder = tmp_path / name / CITY
        folder.mkdir(parents=True)
        rows = [f"{day}T12:00:00Z,{lon},38.5,Single_Gunshot,1,{name}{day}{lon}" for day in DAYS for lon in (-76.5, -10)]
        (folder / "alerts.csv").write_text("\n".join(["when,lon,lat,kind,rounds,id", *rows]) + "\n")
    runs = [
        subprocess.Popen([sys.executable, "-c", RUNS, str(tmp_path / "store"), str(tmp_path / name)]) for name in "ab"
    ]
    try:
        assert [run.wait(timeout=300) for run in runs] == [0, 0]
    finally:
        for run in runs:
            run.kill()
    store = Store(str(tmp_path / "store"))
    for day in DAYS:
        (kept,) = store.read_table(CLEANED, CITY, day)["source_id"].to_pylist()
        (refused,) = store.read_table(REJECTED, CITY, day)["source_id"].to_pylist()
        assert kept[0] == refused[0]
        assert store.read_table(TENSORS, CITY, day)["count"].to_pylist() == [1]
    assert not list((tmp_path / "store").rglob("*.partial"))
