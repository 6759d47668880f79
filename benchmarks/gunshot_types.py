"""Types of alerts on real cities: `python benchmarks/gunshot_types.py --data FOLDER --cache FOLDER [--cities ...]`.

Four quarterly folds a city, every typed alert of the quarter forecast from the days before its own. Prints Markdown: log
loss per alert against the class mix of the last 90 days; gains have the 90% interval of a bootstrap of whole weeks.
"""

from datetime import date
from pathlib import Path

import pyarrow as pa
from benchmark_cities import (
    BENCHMARKS,
    VALIDATION_SHARE,
    WINDOW,
    HourlyFold,
    history_of,
    hourly_folds,
    parser,
    print_head,
    print_row,
)
from shared_model import start_of

from shotspotter_assets.evaluation.forecasts_table import without_firework_days
from shotspotter_assets.evaluation.hourly_forecasts import types_table
from shotspotter_assets.evaluation.score_rows import TYPES, ScoreTable, type_rows
from shotspotter_assets.models.forecaster import FitContext
from shotspotter_assets.models.forecaster_registry import NETWORK, forecaster
from shotspotter_assets.models.gunshot_types import TRAILING_MIX, GunshotTypes, type_mixes, typed_alerts
from shotspotter_assets.models.training_windows import split_days


def forecasts_of(city: str, fold: HourlyFold, data: Path | None, cache: Path) -> pa.Table:
    """The type forecasts of one fold."""
    model = GunshotTypes.fit(fold.history, fold.train, fold.validation)
    alerts = typed_alerts(fold.history).within(fold.test)
    daily = history_of(city, data, cache).daily(fold.history.in_coverage)
    before, tested = ((day - daily.first_day).days for day in (fold.cutoff, next_cutoff(city, fold.cutoff)))
    windows = split_days(before, round(before * VALIDATION_SHARE), WINDOW)
    context = FitContext(start_of(city, fold.cutoff, data, cache))
    network = forecaster(NETWORK).fit(daily.through(before), *windows, context)
    rows = alerts.forecast_rows(fold.history)
    mixes = type_mixes(model, {NETWORK: network}, fold.history, daily.through(tested), rows)
    return types_table(fold.history, alerts, {name: mix() for name, mix in mixes.items()})


def next_cutoff(city: str, cutoff: date) -> date:
    """First cutoff of a city after another one."""
    return next(one for one in BENCHMARKS[city].cutoffs if one > cutoff)


def show(title: str, forecasts: pa.Table) -> None:
    """One line for each model."""
    scores = ScoreTable(type_rows([forecasts]))
    alerts = scores.value("alerts", facet=TYPES)
    for name in scores.models(TYPES):
        loss, gain = scores.value("log_loss", name, TYPES), scores.gain(TRAILING_MIX, name, TYPES).text()
        print_row(title, name, f"{alerts:.0f}", f"{loss:.4f}", gain)


def main() -> None:
    """Fit and print."""
    chosen = parser(__doc__, cities=["washington_dc", "springfield"]).parse_args()
    print_head("city and days", "model", "alerts", "log loss", "gain over the mix")
    for city in chosen.cities:
        city_folds = hourly_folds(city, chosen.data, chosen.cache)
        forecasts = pa.concat_tables([forecasts_of(city, fold, chosen.data, chosen.cache) for fold in city_folds])
        show(f"{city}, all days", forecasts)
        show(f"{city}, without firework days", without_firework_days(forecasts))


if __name__ == "__main__":
    main()
