"""The page of past days: each forecast with the observed alerts, in plain words."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.arrays import Array, Integers
from shotspotter_assets.calendar.dates import wall_clock
from shotspotter_assets.cities.city import UNKNOWN_TYPE_CODE, City
from shotspotter_assets.evaluation.forecasts_table import cells_of
from shotspotter_assets.evaluation.model_card import FLAGGED_PERCENT
from shotspotter_assets.gridding.tensors import counted_alerts
from shotspotter_assets.models.forecaster_registry import HISTORICAL_MEAN
from shotspotter_assets.pages.words import amount, chance, chance_classes, long_day
from shotspotter_assets.serving.issued_forecasts import ForecastRecord, load_record
from shotspotter_assets.serving.risk_tables import MODEL_PREFIX, is_of_grid, next_day_rows
from shotspotter_assets.storage.catalogue import CLEANED, FORECAST, FORECAST_RECORD, TENSORS
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.store import Store

if TYPE_CHECKING:
    import pandas as pd

ALERT_COLUMNS: Final = ("time_utc", "longitude", "latitude", "gunshot_type", "user_id", "incident_id")


def stamps(store: Store, city: str, last_known: date) -> Iterator[tuple[date, str]]:
    """Yield the known days that have a forecast, with a hash of forecast and alerts."""
    known = store.days_present(TENSORS, city, last=last_known)
    for issue_date in sorted(store.days_present(FORECAST, city)):
        if (day := issue_date + timedelta(days=1)) in known:
            record = store.read_bytes(FORECAST_RECORD, city, issue_date)
            yield day, sha256(record.decode(), store.read_bytes(TENSORS, city, day).hex())[:16]


def past_day(store: Store, city: City, day: date) -> dict[str, Any] | None:
    """Compare a day's forecast with its alerts, for `past.js`; None for an older grid."""
    issue_date = day - timedelta(days=1)
    record = load_record(store, city.name, issue_date)
    table = store.read_table(FORECAST, city.name, issue_date)
    if not isinstance(record, ForecastRecord) or not is_of_grid(table, city):
        return None
    table = next_day_rows(table)
    cells, probability = _numbers(table, city), table["probability"].to_numpy()
    grid = store.read_table(TENSORS, city.name, day)
    grid = grid.filter(pc.is_in(grid["gunshot_type"], pa.array(city.forecast_codes, pa.int8())))
    counts = np.bincount(_numbers(grid, city), grid["count"].to_numpy(), np.prod(city.shape)).astype(np.int64)[cells]
    flagged, mean = _flagged(probability), f"{MODEL_PREFIX}{HISTORICAL_MEAN}"
    sentence = (
        f"{counts.sum()} alerts came; about {amount(record.expected_alerts)} were expected "
        f"({record.expected_alerts_low:.0f} to {record.expected_alerts_high:.0f}). "
        f"The map caught {counts[flagged].sum()} of them with {FLAGGED_PERCENT}% of the area"
    )
    if mean in table.column_names:
        sentence += f"; a map of the long-run mean caught {counts[_flagged(table[mean].to_numpy())].sum()}"
    alerts = alerts_of_types(store.read_table(CLEANED, city.name, day, ALERT_COLUMNS), city).itertuples()
    has_hours = city.time_precision != "day"
    made = "made after the day, from what was known before it" if record.replayed else f"{record.lead} days ahead"
    return {
        "title": long_day(day),
        "sentence": f"{sentence}.",
        "notes": f"Forecast by {record.served.replace('_', ' ')}, {made}.",
        "cells": cells.tolist(),
        "classes": chance_classes(probability).tolist(),
        "chances": [chance(value) for value in probability.tolist()],
        "counts": counts.tolist(),
        "flagged": cells[flagged].tolist(),
        "alerts": [
            {"at": [one.latitude, one.longitude], "what": f"{one.wall:%H:%M}, {one.type}" if has_hours else one.type}
            for one in alerts
        ],
    }


def _flagged(probability: Array) -> Integers:
    number = max(int(FLAGGED_PERCENT / 100 * len(probability) + 0.5), 1)
    return np.argsort(-probability, kind="stable")[:number]


def _numbers(table: pa.Table, city: City) -> Integers:
    row, column = cells_of(table)
    return row * city.grid.columns + column


def alerts_of_types(table: pa.Table, city: City) -> "pd.DataFrame":
    """Return the counted alerts of the forecast types in `ALERT_COLUMNS`: `wall` clock, place and `type`."""
    table = counted_alerts(table, city)
    alerts = table.select(["longitude", "latitude"]).to_pandas()
    alerts["wall"] = wall_clock(table["time_utc"], city.zone)
    codes = table["gunshot_type"].fill_null(UNKNOWN_TYPE_CODE).to_pandas()
    return alerts.assign(type=codes.map(city.type_names))[codes.isin(city.forecast_codes)]
