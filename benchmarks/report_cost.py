"""Processor time of the scores of distributions in a report: `python benchmarks/report_cost.py --cache FOLDER`.

Trains the fold of the demonstration on the packaged alerts of Washington DC, without networks, makes its report as
`evaluation_reports` does, and prints the seconds of each part. The row of proper scores is part of the report's time: the
yearly reference, the scores of distributions, and CORP for each model and facet.
"""

import argparse
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from benchmark_cities import history_of, print_head, print_row

from shotspotter_assets.calendar.local_time import ONE_DAY
from shotspotter_assets.evaluation.count_scores import count_rows, fold_counts
from shotspotter_assets.evaluation.distribution_scores import distribution_rows
from shotspotter_assets.evaluation.fold_report import fold_forecasts, fold_leads, fold_pictures, fold_report
from shotspotter_assets.evaluation.fold_window import FoldWindow
from shotspotter_assets.evaluation.forecasts_table import model_names, observed_of, without_firework_days
from shotspotter_assets.evaluation.hourly_forecasts import fold_tables
from shotspotter_assets.evaluation.proper_scores import corp
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.models.forecaster import FitContext
from shotspotter_assets.models.trained_models import TrainedModels
from shotspotter_assets.models.training_windows import split_days
from shotspotter_assets.models.year_reference import year_reference
from shotspotter_assets.serving.training import train_fold

CUTOFF = date(2018, 10, 1)
HORIZONS, HOURS_APART = [1, 2, 4], 4


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--cache", type=Path, required=True, help="folder for counts")
    whole = history_of("washington_dc", None, arguments.parse_args().cache)
    city = whole.city.model_copy(update={"network": False})
    stored = CityHistory(city, whole.days, whole.frames)
    before = stored.until(CUTOFF - ONE_DAY)
    windows = split_days(len(before.days), round(len(before.days) * 0.15), 1)
    record, files = train_fold(before, CUTOFF, windows, ["stack"], context=FitContext(log=lambda _: None), config={})
    models = TrainedModels.load(files)
    seconds: dict[str, float] = {}

    def timed(part: str, function: Callable[..., Any], *values: Any) -> Any:
        started = time.process_time()
        result = function(*values)
        seconds[part] = seconds.get(part, 0) + time.process_time() - started
        return result

    window = timed("window", lambda: FoldWindow.of_stored(record, stored, with_hours=True))
    forecasts = timed("forecasts of the days", fold_forecasts, models, window, lambda _: None)
    _, _, table = timed("scores of the days", fold_report, window, forecasts)
    counts = timed("numbers", fold_counts, models.counts, window, forecasts)
    timed("scores of numbers", count_rows, counts)
    timed("longer leads", fold_leads, models, window, forecasts)
    timed("hours and types", fold_tables, window, models, HORIZONS, True, HOURS_APART)
    timed("pictures", fold_pictures, window, table)
    total = sum(seconds.values())
    proper = "of these: proper scores"
    timed(proper, year_reference, window.history, window.test)
    timed(proper, distribution_rows, counts)
    for facet in (table, without_firework_days(table)):
        for name in model_names(facet):
            timed(proper, corp, facet[name].to_numpy(), observed_of(facet))
    print_head("part", "CPU (s)", "share")
    for part, spent in seconds.items():
        print_row(part, f"{spent:.2f}", f"{spent / total:.1%}")
    print_row("all", f"{total:.2f}", "100%")


if __name__ == "__main__":
    main()
