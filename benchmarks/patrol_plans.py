"""Time and quality of a day's patrol plan: 36 x 36 cells, 3 shifts of 20 units, a reach of 500 m.

    python benchmarks/patrol_plans.py [--days 10] [--units 20] [--radius 500] [--group 1]

The expected alerts are drawn: hot spots of random place and strength over a faint background, 0.5 to 15 alerts a
shift in all, as in a city such as Washington DC. Prints CPU seconds of whole plans (per shift the best plan, the best
one with one unit more and the choice among near-ties; target below 2), and how the greedy plans compare with the exact ones.
"""

import argparse
import time
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

from shotspotter_assets.cities.city import Box, City, Grid
from shotspotter_assets.cities.patrol_rules import PatrolRules, Repeats, Shift
from shotspotter_assets.cities.source_settings import SimulatedCitySource
from shotspotter_assets.patrol.audit import patrol_audit
from shotspotter_assets.patrol.plan import plan_day

ROWS, COLUMNS = 36, 36
HOURS = (("day", 6, 14), ("evening", 14, 22), ("night", 22, 6))


def city_with(units: int, radius_m: float, group: int, *, rules: bool) -> City:
    """A city the size of Washington DC, with or without area and repeat rules."""
    return City(
        name="benchmark",
        time_zone="America/New_York",
        start=date(2024, 1, 1),
        box=Box(west=-77.0485, south=38.81475, east=-76.9005, north=38.96875),
        grid=Grid(rows=ROWS, columns=COLUMNS),
        source=SimulatedCitySource(kind="simulated"),
        patrol=PatrolRules(
            shifts=tuple(Shift(name=name, start=start, end=end, units=units) for name, start, end in HOURS),
            radius_m=radius_m,
            group=group,
            least_share_per_area=0.05 if rules else 0.0,
            repeats=Repeats(most=3, days=7) if rules else None,
        ),
    )


def expected_alerts(generator: np.random.Generator) -> npt.NDArray[np.float64]:
    """Expected alerts of three shifts, shape (3, rows, columns)."""
    row, column = np.mgrid[:ROWS, :COLUMNS]
    risk = np.full((ROWS, COLUMNS), 0.02)
    for _ in range(25):
        at_row, at_column = generator.uniform(0, ROWS), generator.uniform(0, COLUMNS)
        width, strength = generator.uniform(0.7, 3.0), generator.gamma(1.0, 1.0)
        risk += strength * np.exp(-((row - at_row) ** 2 + (column - at_column) ** 2) / (2 * width**2))
    risk *= generator.gamma(2.0, 0.5, risk.shape)
    return risk / risk.sum() * np.array([0.5, 5.0, 15.0])[:, None, None]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=10)
    parser.add_argument("--units", type=int, default=20)
    parser.add_argument("--radius", type=float, default=500.0)
    parser.add_argument("--group", type=int, default=1)
    arguments = parser.parse_args()
    in_coverage = np.ones((ROWS, COLUMNS), dtype=bool)
    row, column = np.mgrid[:ROWS, :COLUMNS]
    areas = np.char.add("District ", (row // 12 * 3 + column // 12).astype(str))
    print(
        f"{'rules':<8} {'median CPU s':>13} {'worst s':>8} {'exact':>7} {'greedy/exact':>13} {'in_coverage':>8} {'over naive':>11}"
    )
    for rules in (False, True):
        city = city_with(arguments.units, arguments.radius, arguments.group, rules=rules)
        generator = np.random.default_rng(0)
        seconds, methods, ratios, shares, over_naive, history = [], [], [], [], [], {}
        for number in range(arguments.days):
            day, expected = date(2024, 1, 1) + timedelta(days=number), expected_alerts(generator)
            started = time.process_time()
            plan = plan_day(city, day, expected, in_coverage, areas=areas if rules else None, history=history)
            seconds.append(time.process_time() - started)
            over_naive += [shift.over_naive for shift in patrol_audit(plan, city, expected, in_coverage).shifts]
            history[day] = plan.patrolled
            methods += [shift.method == "exact" for shift in plan.shifts]
            ratios += [shift.greedy_ratio for shift in plan.shifts]
            shares += [shift.reached / shift.total for shift in plan.shifts]
        print(
            f"{'all' if rules else 'none':<8} {np.median(seconds):>13.2f} {max(seconds):>8.2f} "
            f"{sum(methods):>3}/{len(methods):<3} {min(ratios):>6.3f}-{max(ratios):.3f} {np.mean(shares):>8.1%} "
            f"{np.mean(over_naive):>11.2f}"
        )


if __name__ == "__main__":
    main()
