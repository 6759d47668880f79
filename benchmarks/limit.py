"""How far the forecast is from what could be known: `python benchmarks/limit.py --data FOLDER --cache FOLDER`.

A logistic regression on kernels of past alerts and the calendar, compared with regressions that also see alerts after
the day, or the day's true total. No forecaster can know more about slow changes of place and level than one that sees
both sides of the day. Regressions are fitted before each cutoff, on ordinary days alone, and firework days count for
none. The stack (without its network) and each cell's mean are those of the folds. Prints Markdown: gains over each
cell's mean, in nats per positive with 90% intervals of a weekly block bootstrap, on the same cells and ordinary days of
a year. Scales were chosen on Washington DC 2017.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from benchmark_cities import BENCHMARKS, Fold, folds, parser, print_head, print_row
from scipy.ndimage import gaussian_filter
from scipy.signal import lfilter
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from stack_members import MEMBERS, members_of, stack_of

from shotspotter_assets.evaluation.estimates import table_gain
from shotspotter_assets.evaluation.forecasts_table import observed_of, without_firework_days
from shotspotter_assets.grid.dates import is_holiday_fireworks
from shotspotter_assets.models.forecaster_registry import NETWORK
from shotspotter_assets.models.history import History

CITIES: Final = ("washington_dc", "oakland", "cincinnati")
HALF_LIVES_DAYS: Final = (7.0, 30.0, 120.0, 1000.0)
WIDTHS_CELLS: Final = (0.5, 1.0, 2.5)
WARM_UP_DAYS: Final = 200  # first days, on which kernels see too little
MEAN: Final = "historical_mean"
STACK: Final = "stack"

Singles = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Sight:
    """What a regression sees beside the calendar."""

    sees_future: bool = False
    gap_days: int = 1  # days from the nearest day that is seen to the day itself
    sees_total: bool = False


SIGHTS: Final = {
    "past only": Sight(),
    "past and future": Sight(sees_future=True),
    "past and future, not the days beside": Sight(sees_future=True, gap_days=2),
    "past, and the day's true total": Sight(sees_total=True),
    "past, future and the day's true total": Sight(sees_future=True, sees_total=True),
}


def decayed(values: Singles, half_life: float, gap: int) -> Singles:
    """Return sums over the days before each day, weighted by age; shape of `values`."""
    before = np.concatenate([np.zeros_like(values[:gap]), values])[: len(values)]
    return lfilter([1.0], [1.0, -(0.5 ** (1 / half_life))], before, axis=0).astype(np.float32)


def seen(values: Singles, half_life: float, sight: Sight) -> Singles:
    """Return weighted sums over all days that a regression sees; shape of `values`."""
    past = decayed(values, half_life, sight.gap_days)
    return past + decayed(values[::-1], half_life, sight.gap_days)[::-1] if sight.sees_future else past


def inputs(history: History, sight: Sight) -> Singles:
    """Return the inputs of all days and covered cells, shape (days, cells, inputs)."""
    days = history.days()
    is_ordinary = (~is_holiday_fireworks(days)).astype(np.float32)
    has_alert = (history.alerts > 0) * is_ordinary[:, None, None]
    weekday = (days.astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday
    angle = 2 * np.pi * (days - days.astype("datetime64[Y]")).astype(np.float64) / 365.25
    of_day = [
        *(weekday == number for number in range(6)),
        *(function(turns * angle) for turns in (1, 2) for function in (np.sin, np.cos)),
    ]
    if sight.sees_total:
        of_day.append(np.log((history.alerts > 0).sum(axis=(1, 2)) + 0.5))
    of_cell = []
    for half_life in HALF_LIVES_DAYS:
        weight = np.maximum(seen(is_ordinary, half_life, sight), 1e-6)
        rates = seen(has_alert, half_life, sight) / weight[:, None, None]
        for width in WIDTHS_CELLS:
            smooth = gaussian_filter(rates, (0, width, width), mode="constant")[:, history.in_coverage]
            # An empty kernel means less, the less it sees.
            of_cell.append(np.log(smooth + smooth.mean() / (half_life * width**2)))
    shape = of_cell[0].shape
    everywhere = [np.broadcast_to(np.asarray(column, dtype=np.float32)[:, None], shape) for column in of_day]
    return np.stack([*of_cell, *everywhere], axis=-1)


def regressions(city_folds: list[Fold], sight: Sight) -> list[npt.NDArray[np.float64]]:
    """Return the probabilities of the test days of each fold, shape (days, cells)."""
    whole = city_folds[-1].history  # the longest: kernels see the whole year from both sides
    is_ordinary = ~is_holiday_fireworks(whole.days())
    values = inputs(replace(whole, in_coverage=np.ones_like(whole.in_coverage)), sight)
    forecasts = []
    for fold in city_folds:
        cells = np.flatnonzero(fold.history.in_coverage)
        fitted_on = np.flatnonzero(is_ordinary[: fold.test.start])
        fitted_on = fitted_on[fitted_on >= WARM_UP_DAYS]
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
        known = values[np.ix_(fitted_on, cells)].reshape(-1, values.shape[-1])
        model.fit(known, fold.history.observed[fitted_on].ravel())
        tested = values[np.ix_(fold.test, cells)]
        probability = model.predict_proba(tested.reshape(-1, values.shape[-1]))[:, 1]
        forecasts.append(probability.reshape(tested.shape[:2]))
    return forecasts


def year_of(city: str, data: Path | None, cache: Path) -> pa.Table:
    """Return the forecasts of a city's ordinary test days by all regressions, the stack and each cell's mean."""
    city_folds = folds(city, data, cache)
    by_sight = {name: regressions(city_folds, sight) for name, sight in SIGHTS.items()}
    tables = []
    for number, fold in enumerate(city_folds):
        names = tuple(name for name in MEMBERS if name != NETWORK)
        members = members_of(fold, cache, (*names, MEAN))
        stack = stack_of(fold, {name: member for name, member in members.items() if name != MEAN})
        forecasts = {name: probabilities[number] for name, probabilities in by_sight.items()}
        known = {MEAN: members[MEAN].test, STACK: stack.predict(fold.history, fold.test)}
        tables.append(fold.table(known | forecasts))
    return without_firework_days(pa.concat_tables(tables))


def main() -> None:
    """Fit what is not in the cache, and print the table."""
    arguments = parser(__doc__, cities=CITIES, choices=[name for name in BENCHMARKS if BENCHMARKS[name].file])
    chosen = arguments.parse_args()
    compared = (STACK, *SIGHTS)
    print_head("city", "positives", *compared)
    for city in chosen.cities:
        table = year_of(city, chosen.data, chosen.cache)
        gains = [table_gain(table, name, MEAN).text("+.3f") for name in compared]
        print_row(city, f"{int(observed_of(table).sum()):,}", *gains)


if __name__ == "__main__":
    main()
