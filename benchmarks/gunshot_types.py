"""Types of alerts on real cities: `python benchmarks/gunshot_types.py --data FOLDER --cache FOLDER [--cities ...]`.

Four quarterly folds a city, every typed alert of the quarter forecast from the days before its own. Prints Markdown: log
loss per alert against the class mix of the last 90 days; gains have the 90% interval of a bootstrap of whole weeks.
"""

import pyarrow as pa
from benchmark_cities import HourlyFold, hourly_folds, parser

from shotspotter_assets.evaluation.forecasts_table import without_firework_days
from shotspotter_assets.evaluation.score_rows import TYPES, ScoreTable, type_rows
from shotspotter_assets.evaluation.type_forecasts import types_table
from shotspotter_assets.models.gunshot_types import (
    TRAILING_MIX,
    TYPE_REGRESSION,
    GunshotTypes,
    trailing_mix,
    typed_alerts,
)


def forecasts_of(fold: HourlyFold) -> pa.Table:
    """The type forecasts of one fold."""
    model = GunshotTypes.fit(fold.history, fold.train, fold.validation)
    alerts = typed_alerts(fold.history).within(fold.test)
    issues = fold.history.day_issues(alerts.hour)
    mixes = {
        TYPE_REGRESSION: model.predict(fold.history, issues, alerts.hour, alerts.cell),
        TRAILING_MIX: trailing_mix(fold.history, issues),
    }
    return types_table(fold.history, alerts, mixes)


def show(title: str, forecasts: pa.Table) -> None:
    """One line for each model."""
    scores = ScoreTable(type_rows([forecasts]))
    alerts = scores.value("alerts", facet=TYPES)
    for name in scores.models(TYPES):
        loss, gain = scores.value("log_loss", name, TYPES), scores.gain(TRAILING_MIX, name, TYPES).text()
        print(f"| {title} | {name} | {alerts:.0f} | {loss:.4f} | {gain} |", flush=True)


def main() -> None:
    """Fit and print."""
    chosen = parser(__doc__, cities=["washington_dc", "springfield"]).parse_args()
    print("| city and days | model | alerts | log loss | gain over the mix |")
    print("| --- " * 5 + "|")
    for city in chosen.cities:
        forecasts = pa.concat_tables([forecasts_of(fold) for fold in hourly_folds(city, chosen.data, chosen.cache)])
        show(f"{city}, all days", forecasts)
        show(f"{city}, without firework days", without_firework_days(forecasts))


if __name__ == "__main__":
    main()
