"""Time and quality of a day's patrol plan: 36 x 36 cells, 3 shifts of 20 units, a reach of 500 m.

    python benchmarks/patrol_plans.py [--days 10] [--units 20] [--radius 500]

The expected alerts are drawn: hot spots of random place and strength over a faint background, 0.5 to 15 alerts a shift
in all, as in a city such as Washington DC. Prints CPU seconds of whole plans (target below 2), and the shares of alerts covered
and within reach.
"""

import argparse
import time
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

from shotspotter_assets.alerts.sources.source_kinds import SimulatedSettings
from shotspotter_assets.cities.box import Box, Grid
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.patrol_rules import PatrolRules, Shift
from shotspotter_assets.city_files import CityFile
from shotspotter_assets.forecasts.patrol.plan import plan_day

ROWS = 36
COLUMNS = 36
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


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=10)
    parser.add_argument("--units", type=int, default=20)
    parser.add_argument("--radius", type=float, default=500.0)
    arguments = parser.parse_args()
    in_coverage = np.ones((ROWS, COLUMNS), dtype=bool)
    row, column = np.mgrid[:ROWS, :COLUMNS]
    districts = np.char.add("District ", (row // 12 * 3 + column // 12).astype(str))
    print(f"{'areas':<8} {'median CPU s':>13} {'worst s':>8} {'covered':>8} {'in reach':>9}")
    for areas in (None, districts):
        city = city_with(arguments.units, arguments.radius, rules=areas is not None)
        generator = np.random.default_rng(0)
        seconds = []
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
                covered.append(shift.covered / shift.expected_alerts)
                within.append(shift.within_reach / shift.expected_alerts)
        print(
            f"{'none' if areas is None else 'minima':<8} {np.median(seconds):>13.2f} {max(seconds):>8.2f} "
            f"{np.mean(covered):>8.1%} {np.mean(within):>9.1%}"
        )


if __name__ == "__main__":
    main()
