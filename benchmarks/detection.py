"""How soon spoiled data are noticed: `python benchmarks/detection.py [DATA]`, with the real data (`../shared/data`).

Losses, swaps of types and a switch to UTC begin on some days of each real city, and the checks look at every fourth day after
it, for a month and, of the switch, until 300 alerts have come. The thresholds of the newest alerts (`quality/clock.py`,
`quality/recent_level.py`) were set with all years of these data sets in view. All faults begin in the second half of a data set.
Then all checks run every seventh day of the second half as it is: an alarm is a check that fires and did not a week before.
Prints Markdown.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from shotspotter_assets.calendar.local_time import local_dates  # noqa: E402
from shotspotter_assets.cities.city import City  # noqa: E402
from shotspotter_assets.quality.all_checks import ALL_CHECKS, check_of  # noqa: E402
from shotspotter_assets.quality.window import HISTORY_DAYS  # noqa: E402
from shotspotter_assets_tests.quality.real_cities import RealCity, cities, load, of_raw  # noqa: E402

DATA = ROOT.parent / "shared" / "data"
STARTS = 2
MONTH = 31
SWITCH_ALERTS = 300
STEP = 4
"""Days between two looks after a fault began."""

WATCHED = ("unusual_days", "silent_days", "recent_level", "swapped_types", "clock")
"""Checks that may see these faults."""

Fault = Callable[[pa.Table, City], pa.Table]


def keep(share: float) -> Fault:
    """A share of the rows, drawn at random."""
    return lambda rows, _: rows.filter(pa.array(np.random.default_rng(0).random(rows.num_rows) < share))


def every_third(rows: pa.Table, _: City) -> pa.Table:
    """Every third row alone."""
    return rows.take(pa.array(np.arange(0, rows.num_rows, 3)))


def without_every_third(rows: pa.Table, _: City) -> pa.Table:
    """All rows but every third."""
    return rows.filter(pa.array(np.arange(rows.num_rows) % 3 != 0))


def swapped(rows: pa.Table, _: City) -> pa.Table:
    """Single and multiple gunshots interchanged."""
    kind = rows["gunshot_type"].to_pandas()
    low = kind.str.lower().str
    single, multiple = low.contains("single|^sg$", na=False), low.contains("multiple|^mg$", na=False)
    names = [kind[chosen].iloc[0] if chosen.any() else None for chosen in (multiple, single)]
    kind = kind.mask(single, names[0]).mask(multiple, names[1])
    return rows.set_column(
        rows.schema.get_field_index("gunshot_type"), rows.schema.field("gunshot_type"), pa.array(kind, pa.string())
    )


def in_utc(rows: pa.Table, city: City) -> pa.Table:
    """UTC that is taken for the city's clock."""
    wall = rows["time_utc"].to_pandas().dt.tz_localize(None)
    times = wall.dt.tz_localize(city.zone, ambiguous=np.ones(len(wall), dtype=bool), nonexistent="shift_forward")
    moved = pa.chunked_array([pa.array(times.dt.tz_convert("UTC"), rows.schema.field("time_utc").type)])
    rows = rows.set_column(rows.schema.get_field_index("time_utc"), rows.schema.field("time_utc"), moved)
    return rows.set_column(0, rows.schema.field("date"), local_dates(moved, city.zone))


FAULTS: dict[str, Fault] = {
    "every third row alone is kept": every_third,
    "half of the rows are lost": keep(0.5),
    "every third row is lost": without_every_third,
    "single and multiple swapped": swapped,
    "local time becomes UTC": in_utc,
}


def spoiled(real: RealCity, fault: Fault, start: date, stop: date) -> RealCity:
    """The city with the rows from `start` to before `stop` spoiled, and a history of `HISTORY_DAYS`."""
    dates = pc.field("date")
    before = real.raw.filter(
        (dates >= pa.scalar(start - timedelta(days=HISTORY_DAYS + MONTH))) & (dates < pa.scalar(start))
    )
    during = fault(real.raw.filter((dates >= pa.scalar(start)) & (dates < pa.scalar(stop))), real.city)
    city = real.city.model_copy(update={"start": pc.min(before["date"]).as_py()})
    return of_raw(city, pa.concat_tables([before, during]).sort_by("time_utc"))


def found_after(real: RealCity, fault: Fault, start: date, stop: date) -> tuple[str, int] | None:
    """The check that notices the fault first, and the alerts that came by then."""
    city = spoiled(real, fault, start, stop)
    sound = {name for name in WATCHED if name in ALL_CHECKS and not check_of(name)(real.window([start])).passed}
    dates = city.alerts["date"].to_numpy()
    for day in city.days[city.days.index(start) + STEP :: STEP] if start in city.days else []:
        window = city.window([day])
        for name in WATCHED:
            if name in ALL_CHECKS and name not in sound and not check_of(name)(window).passed:
                return name, int(((dates >= np.datetime64(start)) & (dates <= np.datetime64(day))).sum())
    return None


def detections(loaded: dict[str, RealCity]) -> None:
    """A row for each city and a column for each fault: how many of the starts are noticed, after how many alerts."""
    print("| city | alerts a month | " + " | ".join(FAULTS) + " |\n| --- | ---: |" + " --- |" * len(FAULTS))
    for name, real in loaded.items():
        per_day = real.alerts.num_rows / len(real.days)
        last = len(real.days) - MONTH - 1
        starts = [real.days[at] for at in np.linspace(max(len(real.days) // 2, 200), last, STARTS, dtype=int)]
        cells = []
        for fault, function in FAULTS.items():
            if (fault.startswith("single") and pc.count_distinct(real.alerts["gunshot_type"]).as_py() < 2) or (
                function is in_utc and real.city.time_precision == "day"
            ):
                cells.append("-")
                continue
            days = max(MONTH, int(SWITCH_ALERTS / per_day) + 1) if function is in_utc else MONTH
            results = [found_after(real, function, start, start + timedelta(days=days)) for start in starts]
            noticed = [result for result in results if result is not None]
            alerts = f" after {int(np.median([alerts for _, alerts in noticed]))}" if noticed else ""
            cells.append(f"{len(noticed)} of {len(starts)}{alerts}")
        print(f"| {name} | {per_day * 30:.0f} | {' | '.join(cells)} |", flush=True)


def false_alarms(loaded: dict[str, RealCity]) -> None:
    """What fires in the data as they are, of all checks together."""
    print("\n| city | years | alarms | a year | of |\n| --- | ---: | ---: | ---: | --- |")
    for name, real in loaded.items():
        days = real.days[max(len(real.days) // 2, 200) :: 7]
        alarms: Counter[str] = Counter()
        firing: set[str] = set()
        for day in days:
            week = [day - timedelta(days=before) for before in range(6, -1, -1)]
            window = real.window(week)
            now = {check for check in ALL_CHECKS if not check_of(check)(window).passed}
            alarms.update(now - firing)
            firing = now
        years = len(days) * 7 / 365.25
        of = ", ".join(f"`{check}` {times}" for check, times in alarms.most_common()) or "-"
        print(f"| {name} | {years:.1f} | {alarms.total()} | {alarms.total() / years:.1f} | {of} |", flush=True)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="?", default=DATA, help="folder of the real data")
    parser.add_argument("--cities", nargs="+", default=list(cities()), choices=list(cities()))
    arguments = parser.parse_args()
    if not arguments.data.is_dir():
        print(f"skipped: needs the real data in {arguments.data}")
        return
    loaded = {name: load(cities()[name], arguments.data) for name in arguments.cities}
    detections(loaded)
    false_alarms(loaded)


if __name__ == "__main__":
    main()
