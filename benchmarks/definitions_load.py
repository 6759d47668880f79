"""Times loading the definitions of ten cities against a bare project, in CPU seconds: `python benchmarks/definitions_load.py`."""

import os
import resource
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path
from statistics import median

from sensor_ticks import write_cities

BARE = "import dagster as dg\n@dg.asset\ndef one() -> None: ...\ndg.Definitions(assets=[one]).get_repository_def()"
OURS = "import shotspotter_assets.definitions as d\nd.defs().get_repository_def()"


def cpu_seconds(code: str) -> float:
    """CPU seconds of a Python process that runs the code."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print the median of five pairs after one warm-up."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # each process would compile all modules anew
    with tempfile.TemporaryDirectory() as folder:
        cities = Path(folder, "cities")
        write_cities(cities, 10, date(2020, 1, 1))
        os.environ["SHOTSPOTTER_CITIES"] = str(cities)
        pairs = [(cpu_seconds(OURS), cpu_seconds(BARE)) for _ in range(6)][1:]
    ours, bare = (median(column) for column in zip(*pairs, strict=True))
    ratio = median(our / other for our, other in pairs)
    print(
        f"loading the definitions: {ours:.2f} CPU s, a bare project: {bare:.2f} CPU s, ratio {ratio:.2f} (target 1.4)"
    )


if __name__ == "__main__":
    main()
