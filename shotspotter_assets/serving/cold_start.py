"""Models of a city with too few days for its own, whose rates start at those of other cities."""

from datetime import timedelta
from typing import Final

import numpy as np

from shotspotter_assets.evaluation.gains import Gain
from shotspotter_assets.evaluation.gate import Verdict
from shotspotter_assets.models.alert_counts import AlertCounts
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.models.forecaster import FitContext
from shotspotter_assets.models.forecaster_registry import forecaster
from shotspotter_assets.models.next_day.baselines import HISTORICAL_MEAN
from shotspotter_assets.models.next_day.new_city import NewCityForecaster
from shotspotter_assets.serving.serving_record import COUNTS, NEXT_HOURS, NEXT_MINUTES, TYPES, ServingRecord
from shotspotter_assets.serving.training import MIN_HISTORY_DAYS, Fits, ModelFiles, serving_record

COUNTS_OF_OTHERS: Final = AlertCounts(intercept=(-1.9, 0.7), growth=0.5, size=(-1.0, 0.5), city_variance=0.07)
"""Middle of the fits in Oakland, Cincinnati, San Francisco and Fresno."""


def is_new(stored: CityHistory) -> bool:
    """Return True if a city has too few known days for its own models."""
    return int(stored.is_known.sum()) < MIN_HISTORY_DAYS


def cold_start(stored: CityHistory, context: FitContext) -> tuple[ServingRecord, ModelFiles]:
    """Return (record, files by stored name) of the models that serve until the city has enough days.

    Cells are those of the published coverage, else all of the box. Hours and types are not forecast.

    Raises:
        ValueError: there is no model of all cities.
    """
    city, days = stored.city, stored.days
    in_coverage = np.ones(city.shape, dtype=bool)
    if city.coverage is not None and (published := stored.coverage_on(stored.issue_date + timedelta(days=1))).any():
        in_coverage = published
    history, all_days = stored.daily(in_coverage), range(len(days))
    fits = Fits()
    new_city = fits.add(NewCityForecaster.name, lambda: NewCityForecaster().fit(history, all_days, all_days, context))
    fits.add(HISTORICAL_MEAN, lambda: forecaster(HISTORICAL_MEAN).fit(history, all_days, all_days))
    fits.add(COUNTS, lambda: COUNTS_OF_OTHERS)
    why = f"The city has {stored.is_known.sum()} known days, and models of its own need {MIN_HISTORY_DAYS}."
    where = "the published coverage" if city.coverage else "the whole box, as its coverage is not published"
    uncertain = (
        f"Until then rates start at those of other cities ({new_city.chosen['shared']}), for {where}. The rate of this city "
        f"may be up to {new_city.city_factor(history):.1f} times as high, or as low (80% interval)."
    )
    verdict = Verdict(
        served=NewCityForecaster.name,
        candidate=NewCityForecaster.name,
        best_baseline=HISTORICAL_MEAN,
        gain=Gain(gain=None, low=None, high=None, weeks=0),
        predicted_over_observed=None,
        positives=int(history.observed.sum()),
        reasons=(why,),
        outcome="not worse, not shown to be better",
    )
    fits.without.update(dict.fromkeys((NEXT_HOURS, NEXT_MINUTES, TYPES), why))
    record = serving_record(stored, history, verdict, (why, uncertain), fits, (days[0], days[-1]), (0.0, 0.0))
    return record, fits.stored_files()
