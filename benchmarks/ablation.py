"""What each kind of input and each year of history adds: `python benchmarks/ablation.py --data FOLDER --cache FOLDER`.

`residual_boosting` is fitted without one kind of input at a time (its columns set to zero, so that neither the regression
nor the trees can use them), and with all inputs on the last years of history alone. Gains are over the full model, in nats
per positive with 90% intervals of a weekly block bootstrap: what is left out and helps has a negative one. Prints Markdown.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pyarrow as pa
from benchmark_cities import Fold, folds, parser

from shotspotter_assets.evaluation.forecasts_table import model_names, observed_of, without_firework_days
from shotspotter_assets.evaluation.gains import table_gain
from shotspotter_assets.models.next_day.features import Inputs, next_day_inputs
from shotspotter_assets.models.next_day.regime_regression import FitData, fit_regressions
from shotspotter_assets.models.next_day.residual_boosting import ResidualBoostingForecaster
from shotspotter_assets.models.next_day.settings import ResidualBoostingSettings
from shotspotter_assets.models.probability import log_losses

FULL = "all"
YEARS = (1, 2, 3)
SLOW, RECENT = ("120", "365", "inf"), ("2", "7", "14", "30", "60")


def _rate(*half_lives: str) -> Callable[[str], bool]:
    rates = ("log_occupied", "log_alerts", "log_shrunk_occupied", "log_shrunk_alerts")
    starts = tuple(f"{rate}_{half_life}_days" for rate in rates for half_life in half_lives)
    return lambda name: name.startswith(starts)


def _starts(*prefixes: str) -> Callable[[str], bool]:
    return lambda name: name.startswith(prefixes)


KINDS: dict[str, Callable[[str], bool]] = {
    "rates of 120 days and more": _rate(*SLOW),
    "rates of 60 days and less": _rate(*RECENT),
    "rates shrunk towards longer ones": _starts("log_shrunk"),
    "all smoothing over neighbours": lambda name: name.endswith(("_0.7_cells", "_1.5_cells", "_3_cells", "_around")),
    "yesterday": _starts("yesterday", "late_yesterday"),
    "days since the last alert": _starts("log_days_since"),
    "level of the city": _starts("log_city"),
    "weekday": lambda name: name == "log_same_kind_of_day" or (name.endswith("day") and not name.startswith("is_")),
    "season and holidays": _starts("season", "is_"),
}
"""Which inputs a kind holds, by their names."""


def _without(inputs: Inputs, kind: str) -> Inputs:
    dropped = [number for number, name in enumerate(inputs.names) if KINDS[kind](name)]
    if not dropped:
        raise ValueError(f"No input is of the kind {kind!r}; names have changed: {', '.join(inputs.names)}")
    values = inputs.values.copy()
    values[:, :, dropped] = 0.0
    return Inputs(values, inputs.names)


def _last_years(fold: Fold, years: int) -> Fold:
    """The fold with a history that starts so many years before its cutoff."""
    history, cut = fold.history, fold.test.start - round(years * 365.25)
    evening = None if history.evening is None else history.evening[cut:]
    first_day = history.first_day + timedelta(days=cut)
    shorter = replace(history, first_day=first_day, counts=history.counts[cut:], evening=evening)
    train, validation, test = (
        range(max(days.start - cut, 0), days.stop - cut) for days in (fold.train, fold.validation, fold.test)
    )
    return Fold(shorter, fold.cutoff, train, validation, test)


def _forecast(fold: Fold, without: str | None = None) -> np.ndarray:
    data = FitData.make(fold.history, fold.train, fold.validation)
    if without is not None:
        data = replace(data, inputs_of=lambda history, days: _without(next_day_inputs(history, days), without))
    boosting = ResidualBoostingForecaster(ResidualBoostingSettings())
    return boosting.fit_on_regressions(data, fit_regressions(data)).predict(fold.history, fold.test)


def _all_forecasts(fold: Fold, cache: Path) -> dict[str, np.ndarray]:
    """Test forecasts by what was changed, each kept in the cache as soon as it is there."""
    changes: dict[str, Callable[[], np.ndarray]] = {FULL: partial(_forecast, fold)}
    for kind in KINDS:
        changes[f"without {kind}"] = partial(_forecast, fold, kind)
    for years in (years for years in YEARS if fold.test.start > years * 366):
        changes[f"the last {years} years alone"] = partial(_forecast, _last_years(fold, years))
    forecasts = {}
    for name, forecast in changes.items():
        kept = cache / f"ablation_{fold.name}_{name.replace(' ', '_')}.npy"
        if not kept.exists():
            np.save(kept, forecast().astype(np.float32))
            print(f"{fold.cutoff} {name}", file=sys.stderr, flush=True)
        forecasts[name] = np.load(kept).astype(np.float64)
    return forecasts


def _show(title: str, forecasts: pa.Table) -> None:
    print(f"\n### {title}\n\n| model | log loss | gain over {FULL} |\n| --- | --- | --- |")
    observed = observed_of(forecasts)
    for name in model_names(forecasts):
        gain = table_gain(forecasts, name, FULL)
        shown = "" if name == FULL else gain.text()
        print(f"| {name} | {log_losses(forecasts[name].to_numpy(), observed).mean():.5f} | {shown} |")


def main() -> None:
    """Fit what is not in the cache, and print the tables."""
    arguments = parser(__doc__, cities=["washington_dc"])
    arguments.add_argument("--folds", type=int, default=4, help="take the first so many folds")
    chosen = arguments.parse_args()
    for city in chosen.cities:
        kept = folds(city, chosen.data, chosen.cache)[: chosen.folds]
        table = pa.concat_tables([fold.table(_all_forecasts(fold, chosen.cache)) for fold in kept])
        _show(city, table)
        _show(f"{city} without firework days", without_firework_days(table))
        print(f"Folds: {', '.join(str(fold.cutoff) for fold in kept)}.")


if __name__ == "__main__":
    main()
