"""Five million alerts of ten years in one landed Parquet file, to the grid: `python benchmarks/large_file.py [alerts]`.

Each of `raw_alerts`, `cleaned_alerts` and `grid_tensors` is one run over the whole history, with its checks, in a process of
its own. The memory is that of this process and of those that it starts, all pages that they hold added up. The alerts are
those of the simulated city, one in 200 of them twice.
"""

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from clean_and_grid import FIRST, LANDED, LAST, ROW_GROUP, write_file

from shotspotter_assets.cities.registry import load_cities

ROOT = Path(__file__).parents[1]
CITY = "large_city"
ASSETS = ("raw_alerts", "cleaned_alerts", "grid_tensors")
ALERTS = 5_000_000
SECONDS = 180
"""To stay below, all assets together."""
MEMORY = 2.0
"""GB to stay below, at any time."""
GB = 2**30
SAMPLES_PER_SECOND = 20
LANDED_AT = datetime(2024, 1, 2, tzinfo=UTC)
"""A file that was just written waits, and its time is stored with its rows."""


@dataclass(frozen=True)
class Taken:
    """What one run took."""

    wall: float
    cpu: float
    """Seconds of all of its processes."""
    memory: float
    """GB at the peak."""
    steps: Sequence[tuple[str, float, float]]
    """Name, seconds, and GB at the peak, of the asset and of each of its checks."""


def main() -> None:
    """Make the file and run the chain, or one asset of it in the process that was started for it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("alerts", type=int, nargs="?", default=ALERTS)
    parser.add_argument("--shuffled", action="store_true", help="the rows of the file in no order")
    parser.add_argument("--again", action="store_true", help="make raw_alerts a second time, over what is stored")
    parser.add_argument("--folder", type=Path, help="an empty folder that is kept, in place of a temporary one")
    parser.add_argument("--asset", choices=ASSETS, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.asset is not None:
        materialise(chosen.asset)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.folder or Path(temporary)
        rows = prepare(folder, chosen.alerts, chosen.shuffled)
        print(
            f"{rows:,} alerts, {FIRST} to {LAST}, in one file{', in no order' if chosen.shuffled else ''}", flush=True
        )
        runs = [report(folder, asset) for asset in (*ASSETS, *(ASSETS[:1] if chosen.again else ()))]
        wall, cpu, memory = (
            sum(run.wall for run in runs),
            sum(run.cpu for run in runs),
            max(run.memory for run in runs),
        )
        print(f"all: {wall:.0f} s (target {SECONDS}), {cpu:.0f} CPU s, at most {memory:.2f} GB (target {MEMORY})")
        print(f"sha256 of what is stored: {digest(folder / 'store')}")


def prepare(folder: Path, alerts: int, shuffled: bool) -> int:
    """Rows of the landed file, which is written with the city's file."""
    landing = folder / "landing" / CITY
    landing.mkdir(parents=True)
    file = landing / "alerts.parquet"
    rows = write_file(file, alerts)
    if shuffled:
        order = pa.array(np.random.default_rng(1).permutation(rows))
        pq.write_table(pq.read_table(file).take(order), file, row_group_size=ROW_GROUP, compression="zstd")
    settled = LANDED_AT.timestamp()
    os.utime(file, (settled, settled))
    simulated = load_cities()["simulated_city"].model_dump(mode="json", include={"time_zone", "box", "grid"})
    columns = {"time" if ours == "time_utc" else ours: theirs for ours, theirs in LANDED.items()}
    city = {"name": CITY, "start": str(FIRST), **simulated, "source": {"kind": "landing", "columns": columns}}
    (folder / "cities").mkdir()
    (folder / "cities" / f"{CITY}.yaml").write_text(yaml.safe_dump(city))
    (folder / "home").mkdir()
    (folder / "home" / "dagster.yaml").write_text((ROOT / ".dagster_home" / "dagster.yaml").read_text())
    return rows


def report(folder: Path, asset: str) -> Taken:
    """Run an asset in a process of its own, and print what it took."""
    taken = measure(folder, asset)
    print(f"{asset}: {taken.wall:.0f} s, {taken.cpu:.0f} CPU s, {taken.memory:.2f} GB", flush=True)
    for name, seconds, memory in taken.steps:
        print(f"  {name}: {seconds:.1f} s, {memory:.2f} GB", flush=True)
    return taken


def measure(folder: Path, asset: str) -> Taken:
    """Run an asset in a process of its own."""
    environment = {
        **os.environ,
        "SHOTSPOTTER_CITIES": str(folder / "cities"),
        "SHOTSPOTTER_LANDING": str(folder / "landing"),
        "SHOTSPOTTER_STORE": str(folder / "store"),
        "DAGSTER_HOME": str(folder / "home"),
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.time()
    command = [sys.executable, "-W", "ignore", __file__, "--asset", asset]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        memory = Memory(process.pid)
        assert process.stdout is not None
        said = process.stdout.read()
        if process.wait():
            sys.exit(f"{asset} failed")
    wall, after = time.time() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    steps = json.loads(said.splitlines()[-1])
    return Taken(
        wall,
        after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        memory.peak(),
        [(name, end - start, memory.peak(start, end)) for name, start, end in steps],
    )


class Memory:
    """Resident memory of a process and of all that it starts, sampled until it ends."""

    def __init__(self, process: int) -> None:
        self._samples: list[tuple[float, float]] = []
        threading.Thread(target=self._sample, args=(process,), daemon=True).start()

    def peak(self, start: float = 0.0, end: float = float("inf")) -> float:
        """GB at the peak between two times."""
        return max((size for at, size in self._samples if start <= at <= end), default=float("nan"))

    def _sample(self, process: int) -> None:
        import psutil

        with suppress(psutil.NoSuchProcess):
            root = psutil.Process(process)
            while root.status() != psutil.STATUS_ZOMBIE:
                size = 0
                for each in (root, *root.children(recursive=True)):
                    with suppress(psutil.NoSuchProcess):
                        size += each.memory_info().rss
                self._samples.append((time.time(), size / GB))
                time.sleep(1 / SAMPLES_PER_SECOND)


def materialise(asset: str) -> None:
    """One run over the whole history; prints the time of each step."""
    import dagster as dg

    from shotspotter_assets.definitions import defs
    from shotspotter_assets.partitions import range_tags

    job = defs().resolve_implicit_global_asset_job_def().get_subset(asset_selection={dg.AssetKey(asset)})
    with dg.DagsterInstance.get() as instance:
        result = job.execute_in_process(
            instance=instance,
            tags=range_tags(CITY, FIRST, LAST),
            run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
        )
        steps = [
            (steps.step_key, steps.start_time, steps.end_time)
            for steps in instance.get_run_step_stats(result.run_id)
            if steps.start_time is not None
        ]
    print(json.dumps(sorted(steps, key=lambda step: step[1])))


def digest(store: Path) -> str:
    """Of all that is stored of the three assets, but for the folder in which the file has landed."""
    whole = hashlib.sha256()
    for file in sorted(path for asset in ASSETS for path in (store / asset).rglob("*.parquet")):
        table = pq.read_table(file, partitioning=None)
        table = table.select([name for name in table.column_names if name != "received_from"])
        whole.update(f"{file.relative_to(store)} {table.schema.metadata}".encode())
        for batch in table.combine_chunks().to_batches():
            whole.update(batch.serialize())
    return whole.hexdigest()[:16]


if __name__ == "__main__":
    main()
