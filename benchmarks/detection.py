"""How soon spoiled data are noticed: `python benchmarks/detection.py [DATA]`, with the real data (`../shared/data`).

Losses and a switch to UTC begin on some days of each real city, and the checks look at every fourth day after
it, for a month and, of the switch, until 300 alerts have come. The thresholds of the newest alerts (`quality/clock.py`) were
set with all years of these data sets in view. All faults begin in the second half of a data set.
Then all checks run every seventh day of the second half, or of the first, as it is: an alarm is a check that fires and did not a
week before. It is false unless it is of one of `EVENTS`. Prints Markdown.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.calendar.local_time import local_dates
from shotspotter_assets.cities.city import City
from shotspotter_assets.quality.all_checks import ALL_CHECKS, check_of
from shotspotter_assets.quality.window import HISTORY_DAYS

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the tests are not installed

from shotspotter_assets_tests.quality.real_cities import RealCity, cities, load, of_raw  # noqa: E402

DATA = ROOT.parent / "shared" / "data"
STARTS = 2
MONTH = 31
SWITCH_ALERTS = 300
STEP = 4
"""Days between two looks after a fault began."""

WATCHED = ("unusual_days", "silent_days", "clock")
"""Checks that may see these faults."""

HISTORY_NEEDED = 200
"""Days of a data set before the first look."""


@dataclass(frozen=True)
class Event:
    """What did happen in a data set, and the looks that may say so."""

    checks: tuple[str, ...]
    first: date = date.min
    last: date = date.max


EVENTS: dict[str, list[Event]] = {
    "brockton_ma": [Event(("firework_days",))],
    # A new area from October 2015 on; the points of 2018 have two decimals.
    "camden_nj_dateonly": [
        Event(("new_area", "level_change"), date(2015, 10, 1), date(2016, 12, 31)),
        Event(("points",), date(2018, 1, 1)),
    ],
    # A night of unrest.
    "chicago_il_gun_battery_2018_2021": [Event(("unusual_days",), date(2020, 5, 31), date(2020, 6, 6))],
    # Sensors were added from the middle of 2019 to the middle of 2020.
    "cincinnati_oh": [Event(("new_area", "level_change"), date(2019, 7, 1), date(2021, 6, 30))],
    # A new area from November 2017 on.
    "fresno_ca": [Event(("firework_days",)), Event(("new_area",), date(2017, 11, 1))],
    # One point has 116 of 1,018 incidents.
    "goldsboro_nc": [Event(("points",))],
    # Months without an alert, as the description says, and 20 and 26 days in 2010; a larger area from April 2013 on.
    "oakland_ca": [
        Event(("silent_days",), date(2010, 4, 1), date(2011, 8, 31)),
        Event(("new_area",), date(2013, 4, 1)),
    ],
    # From November 2015 on a part of the times has lost its "pm". The data end in January 2025; one row is dated ten months
    # later.
    "philadelphia_pa_shootings": [
        Event(("clock",), date(2015, 11, 1), date(2016, 12, 31)),
        Event(("silent_days",), date(2025, 1, 27)),
    ],
    # Two thirds have no type.
    "san_francisco_ca": [Event(("firework_days", "share_untyped"))],
    # Points have three decimals. The level fell in 2011 and rose fourfold in 2012.
    "springfield_ma_hourly": [
        Event(("points", "firework_days")),
        Event(("level_change",), date(2011, 1, 1), date(2013, 12, 31)),
    ],
    "washington_dc": [Event(("firework_days",))],
    # The area grew to September 2008; 9 to 28% of each quarter have no type from July 2010 on, and all of them from July 2013.
    "washington_dc_2006_2013": [
        Event(("firework_days",)),
        Event(("new_area", "level_change"), date(2008, 1, 1), date(2009, 12, 31)),
        Event(("silent_days",), date(2006, 11, 21), date(2006, 12, 31)),
        Event(("share_untyped",), date(2010, 7, 1)),
    ],
}
"""What is known of the data sets from their descriptions or seen in their rows; fireworks are what `firework_days` is to name.
An odd day that nothing explains is not among them."""

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
        middle = max(len(real.days) // 2, HISTORY_NEEDED)
        starts = [real.days[at] for at in np.linspace(middle, last, STARTS, dtype=int)]
        cells = []
        for function in FAULTS.values():
            if function is in_utc and real.city.time_precision == "day":
                cells.append("-")
                continue
            days = max(MONTH, int(SWITCH_ALERTS / per_day) + 1) if function is in_utc else MONTH
            results = [found_after(real, function, start, start + timedelta(days=days)) for start in starts]
            noticed = [result for result in results if result is not None]
            alerts = f" after {int(np.median([alerts for _, alerts in noticed]))}" if noticed else ""
            cells.append(f"{len(noticed)} of {len(starts)}{alerts}")
        print(f"| {name} | {per_day * 30:.0f} | {' | '.join(cells)} |", flush=True)


def false_alarms(loaded: dict[str, RealCity], *, first_half: bool) -> None:
    """What fires in the data as they are, of all checks together."""
    print(
        "\n| city | years | alarms of true events | false alarms | a year | of |\n| --- | ---: | ---: | ---: | ---: | --- |"
    )
    total, all_years = 0, 0.0
    for name, real in loaded.items():
        middle = max(len(real.days) // 2, HISTORY_NEEDED)
        days = real.days[HISTORY_NEEDED:middle:7] if first_half else real.days[middle::7]
        alarms: Counter[str] = Counter()
        true = 0
        firing: set[str] = set()
        for day in days:
            week = [day - timedelta(days=before) for before in range(6, -1, -1)]
            window = real.window(week)
            now = {check for check in ALL_CHECKS if not check_of(check)(window).passed}
            explained = {
                check for event in EVENTS.get(name, []) if event.first <= day <= event.last for check in event.checks
            }
            true += len((now - firing) & explained)
            alarms.update(now - firing - explained)
            firing = now
        years = len(days) * 7 / 365.25
        total, all_years = total + alarms.total(), all_years + years
        of = ", ".join(f"`{check}` {times}" for check, times in alarms.most_common()) or "-"
        a_year = f"{alarms.total() / years:.1f}" if years else "-"
        print(f"| {name} | {years:.1f} | {true} | {alarms.total()} | {a_year} | {of} |", flush=True)
    print(f"\n{total} false alarms in {all_years:.1f} years, {total / all_years:.2f} a year.")


def main() -> None:
    """Print one table, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="?", default=DATA, help="folder of the real data")
    parser.add_argument("--cities", nargs="+", default=list(cities()), choices=list(cities()))
    parser.add_argument("--table", choices=["faults", "alarms"], help="one table")
    parser.add_argument("--first-half", action="store_true", help="alarms of the first half of each data set")
    arguments = parser.parse_args()
    if not arguments.data.is_dir():
        print(f"skipped: needs the real data in {arguments.data}")
        return
    loaded = {name: load(cities()[name], arguments.data) for name in arguments.cities}
    if arguments.table in {None, "faults"}:
        detections(loaded)
    if arguments.table in {None, "alarms"}:
        false_alarms(loaded, first_half=arguments.first_half)


if __name__ == "__main__":
    main()
