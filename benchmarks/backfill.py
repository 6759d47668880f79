"""Times a backfill of Washington DC 2014 to 2018 by the command line, and reading its window: `python benchmarks/backfill.py`.

Prints the part of the work itself, and the time with Dagster's stock event log on a fifth of the days.
"""

import os
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

ROOT = Path(__file__).parents[1]
CITY = "washington_dc"
FIRST, LAST, FIFTH = date(2014, 1, 1), date(2018, 12, 31), date(2014, 12, 31)


def main() -> None:
    """Measure on a store and instances of their own."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"SHOTSPOTTER_STORE": str(Path(folder, "store")), "DAGSTER_DISABLE_TELEMETRY": "1"}
        for name in ("SHOTSPOTTER_CITIES", "PYTHONDONTWRITEBYTECODE"):  # each command would compile all modules anew
            os.environ.pop(name, None)
        measure(Path(folder))


def measure(folder: Path) -> None:
    """Print each figure beside its target."""
    from shotspotter_assets.calendar.local_time import days_between

    batched, stock = (ROOT / ".dagster_home" / "dagster.yaml").read_text(), "telemetry: {enabled: false}\n"
    days = len(days_between(FIRST, LAST))
    one = run(folder / "one", batched, FIRST)
    whole = run(folder / "batched", batched, LAST)
    work = steps()
    print(f"`dg launch` over {days} days: {whole:.1f} s of CPU (target 20), over one day: {one:.1f} s")
    print(
        f"the same without Dagster and checks: {sum(work.values()):.1f} s of CPU: "
        + ", ".join(f"{name} {seconds:.1f}" for name, seconds in work.items())
    )
    few_batched, few_stock = run(folder / "few_batched", batched, FIFTH), run(folder / "few_stock", stock, FIFTH)
    print(f"over 365 days: {few_batched:.1f} s of CPU, with the stock event log {few_stock:.1f} s")
    print(f"{days} day window into a dense hourly array: {dense_hourly():.2f} s (target 2)")


def run(home: Path, settings: str, last: date) -> float:
    """CPU seconds of the command line for the days to `last`, on a new instance with these settings."""
    home.mkdir()
    (home / "dagster.yaml").write_text(settings)
    assets = ",".join(f"{CITY}/{name}" for name in ("raw_alerts", "cleaned_alerts", "grid_tensors"))
    command = [
        Path(sys.executable).with_name("dg"),
        "launch",
        "--assets",
        assets,
        "--partition-range",
        f"{FIRST}...{last}",
    ]
    before = os.times()
    subprocess.run(command, cwd=ROOT, env=os.environ | {"DAGSTER_HOME": str(home)}, check=True, capture_output=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def steps() -> dict[str, float]:
    """CPU seconds of the work that the three assets do, without Dagster."""
    from shotspotter_assets.calendar.dates import rows_of_days
    from shotspotter_assets.calendar.local_time import days_between
    from shotspotter_assets.city_files import load_cities
    from shotspotter_assets.cleaning.alerts import clean_alerts
    from shotspotter_assets.gridding.tensors import sparse_tensors
    from shotspotter_assets.sources.alert_source import Access
    from shotspotter_assets.sources.schema import read_sources
    from shotspotter_assets.storage.catalogue import CLEANED, RAW_ROWS, REJECTED, TENSORS
    from shotspotter_assets.storage.store import Store

    city, days = load_cities()[CITY], days_between(FIRST, LAST)
    store = Store(os.environ["SHOTSPOTTER_STORE"])
    marks = [time.process_time()]
    access = Access(store, "landing", {})
    raw = read_sources([source.open(city, access) for source in city.all_sources], FIRST, LAST)
    store.write_tables(RAW_ROWS, rows_of_days(raw, days), CITY)
    marks.append(time.process_time())
    cleaned = clean_alerts(store.read_window(RAW_ROWS, CITY, FIRST, LAST), days, city)
    store.write_tables(REJECTED, {day: part.rejected for day, part in cleaned.items()}, CITY)
    store.write_tables(CLEANED, {day: part.alerts for day, part in cleaned.items()}, CITY)
    marks.append(time.process_time())
    alerts = store.read_window(CLEANED, CITY, FIRST, LAST)
    store.write_tables(TENSORS, sparse_tensors(alerts, days, city), CITY)
    marks.append(time.process_time())
    names = ("raw_alerts", "cleaned_alerts", "grid_tensors")
    return {name: after - before for name, before, after in zip(names, marks, marks[1:], strict=False)}


def dense_hourly() -> float:
    """Seconds to read all days' grids into one dense hourly array of all cells."""
    import numpy as np

    from shotspotter_assets.calendar.local_time import days_between
    from shotspotter_assets.city_files import load_cities
    from shotspotter_assets.gridding.tensors import hourly_window
    from shotspotter_assets.storage.catalogue import TENSORS
    from shotspotter_assets.storage.store import Store

    started = time.monotonic()
    frames = Store(os.environ["SHOTSPOTTER_STORE"]).read_window(TENSORS, CITY, FIRST, LAST)
    city = load_cities()[CITY]
    dense = hourly_window(frames, days_between(FIRST, LAST), city, np.ones(city.shape, dtype=bool))
    seconds = time.monotonic() - started
    assert dense.sum() == frames["count"].to_numpy().sum()
    return seconds


if __name__ == "__main__":
    main()
