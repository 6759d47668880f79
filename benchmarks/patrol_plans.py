"""Time and quality of a day's patrol plan: 36 x 36 cells, 3 shifts of 20 units, a reach of 500 m.

    python benchmarks/patrol_plans.py [--days 10] [--units 20] [--radius 500] [--data FOLDER --cache FOLDER]

The expected alerts are drawn: hot spots of random place and strength over a faint background, 0.5 to 15 alerts a shift
in all, as in a city such as Washington DC. Prints CPU seconds of whole plans (target below 2), the value of the greedy
plans as a share of the best possible value (target at least 0.98), and the shares of alerts covered and within reach.

With `--data`, prints Markdown for real cities instead: how far greedy plans lie below the best possible ones on days of each
city's last fold, one shift of the whole day by the forecasts of `gradient_boosting`, which are kept in the cache.
"""

import argparse
import time
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
from benchmark_cities import TESTED, UNSEEN, folds, print_head, print_row
from stack_members import members_of

from shotspotter_assets.alerts.sources.source_kinds import SimulatedSettings
from shotspotter_assets.cities.box import Box, Grid
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.patrol_rules import PatrolRules, Shift
from shotspotter_assets.city_files import CityFile
from shotspotter_assets.forecasts.patrol.cover import MAX_SECONDS, optimum
from shotspotter_assets.forecasts.patrol.plan import plan_day
from shotspotter_assets.storage.arrays import Array, Booleans

ROWS = 36
COLUMNS = 36
MEMBER = "gradient_boosting"
PATIENT_SECONDS = 60.0
"""Limit for a day of a real city that `MAX_SECONDS` do not suffice for."""
HOURS = (("day", 6, 14), ("evening", 14, 22), ("night", 22, 6))


def city_with(units: int, radius_m: float, *, rules: bool) -> City:
    """A city the size of Washington DC, with or without a minimum of units per area."""
    return CityFile(
        name="benchmark",
        time_zone="America/New_York",
        start=date(2024, 1, 1),
        box=Box(west=-77.0485, south=38.81475, east=-76.9005, north=38.96875),
        grid=Grid(rows=ROWS, columns=COLUMNS),
        source=SimulatedSettings(kind="simulated"),
        patrol=PatrolRules(
            shifts=tuple(Shift(name=name, start=start, end=end, units=units) for name, start, end in HOURS),
            radius_m=radius_m,
            least_share_per_area=0.05 if rules else 0.0,
        ),
    )


def expected_alerts(generator: np.random.Generator) -> npt.NDArray[np.float64]:
    """Expected alerts of three shifts, shape (3, rows, columns)."""
    row, column = np.mgrid[:ROWS, :COLUMNS]
    risk = np.full((ROWS, COLUMNS), 0.02)
    for _ in range(25):
        at_row = generator.uniform(0, ROWS)
        at_column = generator.uniform(0, COLUMNS)
        width = generator.uniform(0.7, 3.0)
        strength = generator.gamma(1.0, 1.0)
        risk += strength * np.exp(-((row - at_row) ** 2 + (column - at_column) ** 2) / (2 * width**2))
    risk *= generator.gamma(2.0, 0.5, risk.shape)
    return risk / risk.sum() * np.array([0.5, 5.0, 15.0])[:, None, None]


def gap_on_day(
    city: City, expected: Array, in_coverage: Booleans, units: int, radius_m: float
) -> tuple[float, bool, bool]:
    """Return (gap of the greedy plan or its upper bound, proved in `MAX_SECONDS`, proved in `PATIENT_SECONDS`)."""
    rules = PatrolRules(shifts=(Shift(name="day", start=0, end=24, units=units),), radius_m=radius_m)
    of_city = city.model_copy(update={"patrol": rules})
    (shift,) = plan_day(of_city, city.start, expected[None], in_coverage).shifts
    best = optimum(shift.problem, units)
    in_time = best.is_proved
    if not in_time:
        best = optimum(shift.problem, units, PATIENT_SECONDS)
    return best.gap(shift.totals.covered), in_time, best.is_proved


def show_cities(names: list[str], data: Path, cache: Path, days: int) -> None:
    """Print a row of Markdown for each city and rule."""
    print_head(
        "city", "covered cells", "units", "reach", "gap, mean", "gap, largest", f"solved in {MAX_SECONDS:g} s", "solved"
    )
    for name in names:
        fold = folds(name, data, cache)[-1]
        in_coverage = fold.history.in_coverage
        probability = members_of(fold, cache, (MEMBER,))[MEMBER].test
        chosen = np.linspace(0, len(probability) - 1, days).round().astype(int)
        for units, radius_m in ((6, 500.0), (20, 500.0), (20, 1_000.0)):
            gaps = []
            in_time = []
            proved = []
            for expected in -np.log1p(-probability[chosen].astype(np.float64)):
                on_grid = np.zeros(in_coverage.shape)
                on_grid[in_coverage] = expected
                gap, is_in_time, is_proved = gap_on_day(fold.history.city, on_grid, in_coverage, units, radius_m)
                gaps.append(gap)
                in_time.append(is_in_time)
                proved.append(is_proved)
            solved = (f"{sum(flags)} of {days} days" for flags in (in_time, proved))
            cells = int(in_coverage.sum())
            print_row(name, cells, units, f"{radius_m:,.0f} m", f"{np.mean(gaps):.2%}", f"{max(gaps):.2%}", *solved)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=10)
    parser.add_argument("--units", type=int, default=20)
    parser.add_argument("--radius", type=float, default=500.0)
    parser.add_argument("--data", type=Path, help="folder with the cities' Parquet files")
    parser.add_argument("--cache", type=Path, help="folder for counts and forecasts, needed with --data")
    parser.add_argument("--cities", nargs="+", choices=(*TESTED, *UNSEEN), default=[*TESTED, *UNSEEN])
    arguments = parser.parse_args()
    if arguments.data:
        if arguments.cache is None:
            parser.error("--data needs --cache FOLDER")
        show_cities(arguments.cities, arguments.data, arguments.cache, arguments.days)
        return
    in_coverage = np.ones((ROWS, COLUMNS), dtype=bool)
    row, column = np.mgrid[:ROWS, :COLUMNS]
    districts = np.char.add("District ", (row // 12 * 3 + column // 12).astype(str))
    print(f"{'areas':<8} {'median CPU s':>13} {'worst s':>8} {'greedy/best':>13} {'covered':>8} {'in reach':>9}")
    for areas in (None, districts):
        city = city_with(arguments.units, arguments.radius, rules=areas is not None)
        generator = np.random.default_rng(0)
        seconds = []
        ratios = []
        covered = []
        within = []
        for number in range(arguments.days):
            day = date(2024, 1, 1) + timedelta(days=number)
            expected = expected_alerts(generator)
            started = time.process_time()
            plan = plan_day(city, day, expected, in_coverage, areas=areas)
            seconds.append(time.process_time() - started)
            for shift_plan in plan.shifts:
                shift = shift_plan.totals
                best = optimum(shift_plan.problem, arguments.units, PATIENT_SECONDS)
                ratios.append(shift.covered / best.bound)
                covered.append(shift.covered / shift.expected_alerts)
                within.append(shift.within_reach / shift.expected_alerts)
        print(
            f"{'none' if areas is None else 'minima':<8} {np.median(seconds):>13.2f} {max(seconds):>8.2f} "
            f"{min(ratios):>6.3f}-{max(ratios):.3f} {np.mean(covered):>8.1%} {np.mean(within):>9.1%}"
        )


if __name__ == "__main__":
    main()
