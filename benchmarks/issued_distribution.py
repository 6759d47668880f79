"""The issued distribution of numbers on real cities: `python benchmarks/issued_distribution.py --data FOLDER --cache FOLDER`.

Cities, folds and members of the stack are those of `next_day.py`, without the network, which takes most of the time. Prints
Markdown: by city, log score and ranked probability score of the city's number on the test days against a negative binomial on
the mean of the last 365 days, with 90% intervals of a weekly block bootstrap; coverage of central 50, 80 and 95% intervals;
and the slope of the PIT with its p value. `--validation` scores the validation windows instead, on which the distribution may
be tuned. Forecasts are kept in the cache, so that other scores need no fit.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from benchmark_cities import BENCHMARKS, GROUPS, Fold, folds, moved_apart, parser, print_head, print_row
from shared_model import start_of
from stack_members import MEMBERS, members_of, stack_of

from shotspotter_assets.calendar.dates import dates_of, is_holiday_fireworks
from shotspotter_assets.evaluation.count_scores import counts_table
from shotspotter_assets.evaluation.distribution_scores import (
    COUNTS,
    YEAR,
    city_losses,
    city_totals,
    distribution_rows,
    stored_distributions,
)
from shotspotter_assets.evaluation.forecasts_table import SERVED, without_firework_days
from shotspotter_assets.evaluation.score_rows import ALL, Score
from shotspotter_assets.models.alert_counts import AlertCounts, CountDistribution, short_interval
from shotspotter_assets.models.forecaster import SharedStart
from shotspotter_assets.models.forecaster_registry import NETWORK
from shotspotter_assets.models.history import firework_days
from shotspotter_assets.models.year_reference import year_reference

NAMES = tuple(name for name in MEMBERS if name != NETWORK)
TEST, VALIDATION = "test", "validation"


def tables_of(fold: Fold, cache: Path, start: SharedStart | None) -> dict[str, pa.Table]:
    """Numbers of the fold's validation and test days with their forecasts; from the cache where they are there."""
    kept = {window: cache / f"{fold.name}_{window}_counts.parquet" for window in (VALIDATION, TEST)}
    if not all(path.exists() for path in kept.values()):
        stack = stack_of(fold, members_of(fold, cache, NAMES, start))
        past = fold.history.through(fold.validation.stop)
        counts = AlertCounts.of_days(past, fold.train, fold.validation, stack.validation_probability)
        table = table_of(fold, fold.validation, counts, stack.validation_probability)
        pq.write_table(table, kept[VALIDATION])
        pq.write_table(table_of(fold, fold.test, counts, stack.predict(fold.history, fold.test)), kept[TEST])
    return {window: pq.read_table(path) for window, path in kept.items()}


def table_of(fold: Fold, window: range, counts: AlertCounts, probability: np.ndarray) -> pa.Table:
    """Numbers of a window's days with their forecasts (`catalogue.FOLD_COUNTS`)."""
    history, days = fold.history, fold.history.days()[window.start : window.stop]
    fireworks = firework_days(history.city, days)[:, None]
    served: CountDistribution = counts.distribution(probability, fireworks, counts.log_m(history, window))
    factor_variance = counts.factor_variance(fireworks)
    low, high = short_interval(served.total(factor_variance[:, 0]))
    year_mean, year_size = year_reference(history, window)
    row, column = np.nonzero(history.in_coverage)
    columns = {
        "date": days[:, None],
        "row": row,
        "column": column,
        "alerts": history.alerts[window.start : window.stop][:, history.in_coverage],
        "total_low": low[:, None],
        "total_high": high[:, None],
        "factor_variance": factor_variance,
        "year_mean": year_mean[:, None],
        "year_size": year_size[:, None],
    }
    return counts_table(served, columns)


def show(name: str, table: pa.Table) -> None:
    """One row of the Markdown table."""
    rows = {key[2:]: score for key, score in distribution_rows(table).items()}
    values = {name: score.value for name, score in rows.items()}
    gains = [_gain(rows[SERVED, f"{score}_city_gain_over_{YEAR}"]) for score in ("log_score", "rps")]
    scores = [f"{values[method, f'{score}_city']:.3f}" for score in ("log_score", "rps") for method in (SERVED, YEAR)]
    held = [f"{values[SERVED, f'coverage_{share}_city']:.1%}" for share in (50, 80, 95)]
    slope = f"{values[SERVED, 'pit_slope_city']:+.2f} (p = {values[SERVED, 'pit_p_city']:.3f})"
    days = len(np.unique(table["date"].to_numpy()))
    level = table[SERVED].to_numpy().sum() / table["alerts"].to_numpy().sum()
    print_row(name, days, *scores[:2], gains[0], *scores[2:], gains[1], *held, slope, f"{level:.2f}")


def _gain(score: Score) -> str:
    return f"{score.value:+.4f} ({score.low:+.4f}, {score.high:+.4f})"


def show_pit(table: pa.Table) -> None:
    """The pooled histogram of the PIT."""
    rows = distribution_rows(table)
    tenths = [rows[COUNTS, ALL, SERVED, f"pit_{tenth}_city"].value for tenth in range(1, 11)]
    print(f"\nPIT by tenth: {', '.join(f'{share:.1%}' for share in tenths)}")


def show_worst(city: str, table: pa.Table) -> None:
    """The day on which the RPS lost most against the reference."""
    totals = city_totals(*stored_distributions(table))
    scores = {name: city_losses(forecast, totals.number)["rps"] for name, forecast in totals.forecasts.items()}
    worst = int(np.argmax(scores[SERVED] - scores[YEAR]))
    expected = totals.forecasts[SERVED].mean()[worst]
    print(f"- {city}, {totals.days[worst]}: {expected:.0f} expected, {totals.number[worst]} observed")


def main() -> None:
    """Fit what is not in the cache, and print the tables."""
    arguments = parser(__doc__, cities=list(GROUPS), choices=[*GROUPS, *BENCHMARKS])
    arguments.add_argument("--validation", action="store_true", help="score the validation windows")
    arguments.add_argument("--alone", action="store_true", help="without other cities, and their data")
    arguments.add_argument("--folds", type=int, nargs="+", default=[1, 2, 3, 4], help="of each city, from 1 on")
    chosen = arguments.parse_args()
    window = VALIDATION if chosen.validation else TEST
    cities = [name for given in chosen.cities for name in GROUPS.get(given, (given,))]
    tables = {}
    for city in cities:
        parts = []
        of_city = folds(city, chosen.data, chosen.cache)
        for fold in [of_city[number - 1] for number in chosen.folds]:
            start = None if chosen.alone else start_of(city, fold.cutoff, chosen.data, chosen.cache)
            parts.append(tables_of(fold, chosen.cache, start)[window])
        # The validation window of a later fold holds test days of an earlier one.
        tables[city] = parts[0] if chosen.validation else pa.concat_tables(parts)
    everywhere = pa.concat_tables(moved_apart(list(tables.values())))
    # Firework days follow from the date, so they are split off before the cities are moved apart.
    ordinary = pa.concat_tables(moved_apart([without_firework_days(table) for table in tables.values()]))
    is_firework = [is_holiday_fireworks(dates_of(table)) for table in tables.values()]
    fireworks = everywhere.filter(pa.array(np.concatenate(is_firework)))
    methods = [f"{score}{of}" for score in ("log score", "RPS") for of in ("", " of the year", " gain")]
    print_head("city", "days", *methods, "50%", "80%", "95%", "PIT slope", "expected / observed")
    for city, table in tables.items():
        show(city, table)
    if len(cities) > 1:
        show("all", everywhere)
        show("all, without firework days", ordinary)
        show("all, firework days", fireworks)
    show_pit(everywhere)
    print("\nWorst day against the year, by RPS:\n")
    for city, table in tables.items():
        show_worst(city, table)


if __name__ == "__main__":
    main()
