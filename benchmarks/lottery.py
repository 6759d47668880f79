"""Price and spread of plans that are drawn by lot, on the test days of a fold.

    python benchmarks/lottery.py [--city washington_dc_2018] [--store store] [--cutoff 2018-10-01] [--units 20]

Needs the store of `make demo`. Each test day has one shift of 0 to 24 with one unit in a cell, planned from the forecasts
of the fold's stack. Prints for the best places, for caps on repeats and for lotteries: the share of cells with an alert that
had a unit, and that a unit reached within 500 m; the number of cells that were ever visited, the most visits of one cell
in a week, and the drawn places whose chance was below 1. Lotteries are means over 4 seeds.
"""

import argparse
from datetime import date
from typing import NamedTuple

import numpy as np

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.patrol_rules import PatrolRules, Repeats, Shift
from shotspotter_assets.city_files import load_cities
from shotspotter_assets.evaluation.forecasts_table import cells_of
from shotspotter_assets.forecasts.patrol.cover import reach_matrix
from shotspotter_assets.forecasts.patrol.plan import plan_day
from shotspotter_assets.storage.arrays import Array, Booleans
from shotspotter_assets.storage.catalogue import FOLD_FORECASTS
from shotspotter_assets.storage.store import Store

SEEDS = 4
POWERS = (1.0, 1.5, 2.0, 3.0, 4.0)


class TestDays(NamedTuple):
    """Forecasts and alerts of days; arrays have shape (days, rows, columns)."""

    days: list[date]
    expected: Array
    observed: Booleans
    in_coverage: Booleans  # shape (rows, columns)


def test_days(store: Store, city: City, cutoff: date) -> TestDays:
    """Read the test days of a fold."""
    table = store.read_table(FOLD_FORECASTS, city.name, cutoff)
    days, day = np.unique(table["date"].to_numpy(), return_inverse=True)
    row, column = cells_of(table)
    expected, observed = np.zeros((2, len(days), *city.shape))
    expected[day, row, column] = -np.log1p(-table["stack"].to_numpy())
    observed[day, row, column] = table["observed"].to_numpy()
    return TestDays(days.tolist(), expected, observed > 0, expected.any(axis=0))


def measured(city: City, test: TestDays) -> list[float]:
    """Plan all days, and return the numbers of a row of the table."""
    reach = reach_matrix(city, 500.0)
    history: dict[date, Booleans] = {}
    drawn = 0
    caught = np.zeros(2)
    for number, day in enumerate(test.days):
        plan = plan_day(city, day, test.expected[number][None], test.in_coverage, history=history)
        (shift,) = plan.shifts
        visited = plan.units > 0
        history[day] = visited
        near = (reach @ visited.ravel().astype(float) > 0).reshape(city.shape)
        caught += [(test.observed[number] & visited).sum(), (test.observed[number] & near).sum()]
        if shift.lots is not None:
            drawn += int(((shift.lots.chance < 1).reshape(city.shape) & visited).sum())
    visits = np.array(list(history.values()))
    weeks = np.array([visits[first : first + 7].sum(axis=0).max() for first in range(len(visits) - 6)])
    return [*(caught / test.observed.sum()), float(visits.any(axis=0).sum()), float(weeks.max()), drawn / visits.sum()]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--city", default="washington_dc_2018")
    parser.add_argument("--store", default="store")
    parser.add_argument("--cutoff", type=date.fromisoformat, default=date(2018, 10, 1))
    parser.add_argument("--units", type=int, default=20)
    arguments = parser.parse_args()
    city = load_cities()[arguments.city]
    test = test_days(Store(arguments.store), city, arguments.cutoff)
    shift = Shift(name="day", start=0, end=24, units=arguments.units)
    rules = PatrolRules(shifts=(shift,), most_units_per_cell=1)
    plans = {"best places": rules}
    plans |= {
        f"best, {most} of 7 days": rules.model_copy(update={"repeats": Repeats(most=most, days=7)}) for most in (4, 2)
    }
    plans |= {f"lottery: {power:g}": rules.model_copy(update={"lottery": power}) for power in POWERS}
    heads = ("in the cell", "within 500 m", "cells visited", "most in a week", "chance below 1")
    print(f"{len(test.days)} days, {test.observed.sum()} cells with an alert, {test.in_coverage.sum()} covered cells")
    print(f"{'plan':<18}" + "".join(f"{head:>16}" for head in heads))
    for name, of_plan in plans.items():
        seeds = range(SEEDS if of_plan.lottery else 1)
        rows = [
            measured(city.model_copy(update={"patrol": of_plan, "name": f"{city.name} {seed}"}), test) for seed in seeds
        ]
        share, near, cells, most, chance = np.mean(rows, axis=0)
        print(f"{name:<18}{share:>16.1%}{near:>16.1%}{cells:>16.0f}{most:>16.1f}{chance:>16.0%}")


if __name__ == "__main__":
    main()
