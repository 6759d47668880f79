"""The page of the track record: scores of the last year's issued forecasts."""

from collections.abc import Iterable
from dataclasses import asdict
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa

from shotspotter_assets.calendar.dates import dates_of
from shotspotter_assets.cities.city import City
from shotspotter_assets.evaluation.forecasts_table import observed_of
from shotspotter_assets.evaluation.gains import table_gain
from shotspotter_assets.evaluation.scores import AREAS, reliability, score_table
from shotspotter_assets.models.city_history import CityHistory, DaysNotKnownError
from shotspotter_assets.models.forecaster_registry import HISTORICAL_MEAN, NETWORK
from shotspotter_assets.serving.issued_forecasts import next_day_forecasts
from shotspotter_assets.serving.issued_scores import SERVED, known_forecasts, scored_days
from shotspotter_assets.storage.errors import MissingPartitionsError
from shotspotter_assets.storage.store import Store

TRACK_DAYS: Final = 365  # each season once


def issued_track(store: Store, city: City, last: date) -> dict[str, Any] | None:
    """Score the issued forecasts of the year to the last known day, with `charts` for `track.js`; None without any."""
    forecasts = next_day_forecasts(store, city, max(city.start, last - timedelta(days=TRACK_DAYS - 1)), last)
    if not forecasts:
        return None
    try:
        history = CityHistory.load(store, city, last, min(forecasts))
    except (DaysNotKnownError, MissingPartitionsError):
        return None
    table = scored_days(known_forecasts(forecasts, history), history, "candidate")
    if table is None:
        return None
    days, scores = dates_of(table), score_table(table)
    months = days.astype("datetime64[M]").astype(str)
    calibration = reliability(table[SERVED].to_numpy(), observed_of(table))
    hits = [
        {
            "name": title,
            "x": [0.0, *AREAS, 100.0],
            "y": [0.0, *_percent(scores[name][f"hit_rate_{area}"] or 0.0 for area in AREAS), 100.0],
        }
        for name, title in ((SERVED, "issued"), (HISTORICAL_MEAN, "long-run mean"), (NETWORK, "network"))
        if name in scores
    ]
    return {
        "first": days.min().astype(date),
        "last": days.max().astype(date),
        "has_network": NETWORK in scores,
        "whole": _row("All", table),
        "months": [_row(month, table.filter(pa.array(months == month))) for month in np.unique(months).tolist()],
        "hit_5": scores[SERVED]["hit_rate_5"],
        "mean_hit_5": scores[HISTORICAL_MEAN]["hit_rate_5"],
        "charts": {
            "reliability": {name: _percent(values) for name, values in asdict(calibration).items()},
            "hits": hits,
        },
    }


def _row(name: str, table: pa.Table) -> dict[str, Any]:
    """Return the cells with an alert of a period, expected and observed, and gains over the long-run mean."""
    return {
        "name": name,
        "days": len(np.unique(dates_of(table))),
        "expected": float(table[SERVED].to_numpy().sum()),
        "observed": int(observed_of(table).sum()),
        "gain": table_gain(table, SERVED, HISTORICAL_MEAN),
        "network": table_gain(table, NETWORK, HISTORICAL_MEAN) if NETWORK in table.column_names else None,
    }


def _percent(shares: Iterable[float]) -> list[float]:
    return [100 * share for share in shares]
