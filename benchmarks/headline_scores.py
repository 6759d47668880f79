"""Headline numbers of a stored fold: `python benchmarks/headline_scores.py [CITY] [--store FOLDER]`, after `make demo`.

Prints Markdown: the gain over each cell's mean by lead, with its 90% interval, and the flip-flop index of weeks of flagged cells
and, for a city with patrol rules, of weeks of plans, by the served forecast and by each cell's mean. A plan places the units
of each shift by the probabilities of the whole day. The last line is the processor time of forecasting the leads.
"""

import argparse
import os
import time
from datetime import date

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from benchmark_cities import print_head, print_row

from shotspotter_assets.arrays import Array
from shotspotter_assets.calendar.dates import dates_of
from shotspotter_assets.cities.city import City
from shotspotter_assets.evaluation.fold_report import LEADS, fold_forecasts, fold_leads
from shotspotter_assets.evaluation.fold_window import FoldWindow
from shotspotter_assets.evaluation.forecasts_table import cells_of
from shotspotter_assets.evaluation.gains import weekly_gain, weekly_sums
from shotspotter_assets.evaluation.model_card import FLAGGED_PERCENT
from shotspotter_assets.evaluation.scores import flagged_shares
from shotspotter_assets.geometry.cells import cell_numbers
from shotspotter_assets.gridding.districts import OUTSIDE, cell_districts, district_areas
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.models.forecaster_registry import HISTORICAL_MEAN
from shotspotter_assets.models.records import FoldRecord
from shotspotter_assets.models.trained_models import read_models
from shotspotter_assets.patrol.dispatch import unit_hours
from shotspotter_assets.patrol.shifts import ShiftForecasts
from shotspotter_assets.serving.headline_scores import flip_flop_index, last_shown_lead, mean_plan
from shotspotter_assets.settings import Settings
from shotspotter_assets.storage.catalogue import FOLD_FORECASTS, FOLD_MODEL, SEQUENCE_DAYS
from shotspotter_assets.storage.store import Store


def weekly_index(days: list[Array]) -> str:
    """Mean index of all sequences of a week among successive days of plans."""
    weeks = np.lib.stride_tricks.sliding_window_view(np.array(days), SEQUENCE_DAYS, axis=0)
    return f"{np.mean([flip_flop_index(week.T) for week in weeks]):.3f}"


def flagged(forecasts: pa.Table, model: str) -> list[Array]:
    """Flagged share of each cell on each day."""
    days, day = np.unique(dates_of(forecasts), return_inverse=True)
    shares = flagged_shares(forecasts[model].to_numpy(), day)[FLAGGED_PERCENT]
    return list(shares.reshape(len(days), -1))


def planned(city: City, forecasts: pa.Table, model: str) -> list[Array]:
    """Unit hours of each cell on each day, by the city's patrol rules."""
    areas = cell_districts(city, district_areas(city), OUTSIDE)
    plans = []
    for day in np.unique(dates_of(forecasts)).tolist():
        of_day = forecasts.filter(pc.field("date") == day)
        columns = {name: of_day[name] for name in ("row", "column")}
        next_day = pa.table(columns | {"horizon": ["day"] * len(of_day), f"model_{HISTORICAL_MEAN}": of_day[model]})
        in_coverage = np.zeros(city.shape, dtype=bool)
        in_coverage[cells_of(of_day)] = True
        nothing = np.zeros((len(city.patrol.shifts), *city.shape))
        shifts = ShiftForecasts(nothing, nothing, in_coverage)
        plan = mean_plan(city, day, {city.target: next_day}, shifts, areas=areas, history={})
        plans.append(np.bincount(cell_numbers(city, *cells_of(plan)), unit_hours(plan), in_coverage.size))
    return plans


def print_leads(store: Store, city: City, cutoff: date) -> None:
    """Forecast the fold's test days at longer leads, and print gains and processor time."""
    record = FoldRecord.load(store, city.name, cutoff)
    last = city.last_test_day(cutoff)
    stored = CityHistory.load(store, city, last, first=record.train[0]).complete()
    models = read_models(store, FOLD_MODEL, record, cutoff)
    window = FoldWindow.of_stored(record, stored, with_hours=False)
    forecasts = fold_forecasts(models, window, lambda _: None)
    began = time.process_time()
    losses = fold_leads(models, window, forecasts)
    seconds = time.process_time() - began
    print_head("lead (days)", "gain over each cell's mean")
    for lead in LEADS:
        of_lead = losses.filter(pc.field("lead") == lead)
        sums = {name: of_lead[name].to_numpy() for name in ("loss", "loss_of_mean")}
        weekly = weekly_sums(dates_of(of_lead), of_lead["positives"].to_numpy(), sums)
        print_row(lead, weekly_gain(weekly, "loss", "loss_of_mean").text("+.3f"))
    print(f"\nDays of lead: {last_shown_lead(losses)}. Processor time: {seconds:.1f} s.")


def main() -> None:
    """Print the numbers of the city's last fold."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("city", nargs="?", default="washington_dc_2018")
    arguments.add_argument("--store", help="by default that of the settings")
    chosen = arguments.parse_args()
    settings = Settings.from_environment(os.environ)
    city = settings.cities[chosen.city]
    store = Store(chosen.store or settings.store_root)
    cutoff = max(store.days_present(FOLD_FORECASTS, city.name))
    print_leads(store, city, cutoff)
    forecasts = store.read_table(FOLD_FORECASTS, city.name, cutoff)
    models = (FoldRecord.load(store, city.name, cutoff).served, HISTORICAL_MEAN)
    print()
    print_head("flip-flop index, weeks of the fold's test days", *models)
    print_row(f"flagged {FLAGGED_PERCENT}% of the area", *(weekly_index(flagged(forecasts, name)) for name in models))
    if city.patrol is not None:
        print_row("plan by the patrol rules", *(weekly_index(planned(city, forecasts, name)) for name in models))


if __name__ == "__main__":
    main()
