"""Takes every real data set through raw, cleaned, grid and all checks: `python benchmarks/reports/data_quality.py`.

Prints the Markdown tables of docs/data.md: what became of the rows and which checks fire; then how often each check
fires in runs of one day, drawn at random, with the year before as history. Needs the real data (`../shared/data`).
"""

import argparse
import sys
import time
from collections import Counter
from datetime import date
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from shotspotter_assets.alerts.checks.all_checks import ALL_CHECKS, all_findings  # noqa: E402
from shotspotter_assets.alerts.checks.window import CONTEXT_DAYS  # noqa: E402
from shotspotter_assets_tests.alerts.checks.real_cities import RealCity, cities, load  # noqa: E402

DATA = ROOT.parent / "shared" / "data"
DRAWN_DAYS = 40


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="?", default=DATA, help="folder of the real data")
    data = parser.parse_args().data
    if not data.is_dir():
        print(f"skipped: needs the real data in {data}")
        return
    head = (
        "data set", "rows in", "cleaned", "rejected", "untyped", "alerts per incident", "days", "silent days",
        "checks that fire",
    )  # fmt: skip
    print("| " + " | ".join(head) + " |\n|" + " --- |" * len(head))
    loaded: dict[str, RealCity] = {}
    started = time.monotonic()
    for name, city in cities().items():
        loaded[name] = real = load(city, data / f"{name}.parquet")
        print(row(name, real))
    print(f"\nAll of it took {time.monotonic() - started:.1f} s.\n")
    daily(loaded)


def row(name: str, real: RealCity) -> str:
    """One data set's line of the table."""
    account = real.account()
    findings = all_findings(real.window())
    assert real.gridded() == account["cleaned"]
    rejected = ", ".join(f"{reason} {rows:,}" for reason, rows in account["rejected"].items()) or "0"
    silent = f"{findings['silent_days'].numbers['days_without_alerts']:,}"
    firing = "; ".join(f"`{check}`" for check, finding in findings.items() if not finding.passed) or "none"
    cells = (
        name, f"{account['received']:,}", f"{account['cleaned']:,}", rejected, f"{account['untyped']:,}",
        f"{account['cleaned'] / account['incidents']:.2f}", f"{len(real.days):,}", silent, firing,
    )  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def daily(loaded: dict[str, RealCity]) -> None:
    """How often each check fires in runs of one day."""
    random = np.random.default_rng(0)
    fired: dict[str, Counter[str]] = {check: Counter() for check in ALL_CHECKS}
    runs = 0
    started = time.monotonic()
    for name, real in loaded.items():
        later = real.days[min(CONTEXT_DAYS, len(real.days) // 2) :]
        for day in random.choice(np.array(later, dtype="datetime64[D]"), min(DRAWN_DAYS, len(later)), replace=False):
            runs += 1
            one: list[date] = [day.astype(object)]
            for check, finding in all_findings(real.window(one)).items():
                fired[check][name] += not finding.passed
    seconds = (time.monotonic() - started) / runs
    print(
        f"{runs} runs of one day, {seconds:.2f} s each:\n\n| check | runs in which it fires | where |\n| --- | --- | --- |"
    )
    for check, cities_fired in fired.items():
        where = ", ".join(f"{name} {times}" for name, times in cities_fired.items() if times) or "-"
        print(f"| `{check}` | {cities_fired.total()} | {where} |")


if __name__ == "__main__":
    main()
