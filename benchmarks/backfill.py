"""CPU seconds of a backfill of Washington DC 2014 to 2018 by the command line: `python benchmarks/backfill.py`."""

import os
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

ROOT = Path(__file__).parents[1]
CITY = "washington_dc"
FIRST = date(2014, 1, 1)
LAST = date(2018, 12, 31)


def main() -> None:
    """Measure one day, then all days, on a store and an instance of their own."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {
            "DAGSTER_HOME": folder,
            "SHOTSPOTTER_STORE": str(Path(folder, "store")),
            "DAGSTER_DISABLE_TELEMETRY": "1",
        }
        for name in ("SHOTSPOTTER_CITIES", "PYTHONDONTWRITEBYTECODE"):  # each command would compile all modules anew
            os.environ.pop(name, None)
        Path(folder, "dagster.yaml").write_text((ROOT / ".dagster_home" / "dagster.yaml").read_text())
        one = cpu_seconds(FIRST)
        whole = cpu_seconds(LAST)
    print(f"`dg launch` from {FIRST} to {LAST}: {whole:.1f} s of CPU (target 20), over one day: {one:.1f} s")


def cpu_seconds(last: date) -> float:
    """CPU seconds of the command line for the days to `last`."""
    assets = ",".join(f"{CITY}/{name}" for name in ("raw_alerts", "cleaned_alerts", "grid_tensors"))
    command = [Path(sys.executable).with_name("dg"), "launch", "--assets", assets]
    before = os.times()
    subprocess.run([*command, "--partition-range", f"{FIRST}...{last}"], cwd=ROOT, check=True, capture_output=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


if __name__ == "__main__":
    main()
