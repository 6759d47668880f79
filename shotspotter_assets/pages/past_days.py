"""The page of past days: each forecast with the observed alerts, in plain words."""

from collections.abc import Iterator
from datetime import date
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from scipy.spatial import KDTree

from shotspotter_assets.cities.city import UNKNOWN_TYPE_CODE, City
from shotspotter_assets.cities.local_time import ONE_DAY
from shotspotter_assets.evaluation.forecasts_table import cells_of
from shotspotter_assets.evaluation.scores import FLAGGED_PERCENT
from shotspotter_assets.forecasts.issued_forecasts import (
    MODEL_PREFIX,
    ForecastRecord,
    is_of_grid,
    load_record,
    next_day_rows,
)
from shotspotter_assets.grid.cells import Plane, cell_numbers, numbers_at
from shotspotter_assets.grid.dates import wall_clock
from shotspotter_assets.grid.tensors import ALERT_COLUMNS, counted_alerts
from shotspotter_assets.models.forecaster_registry import HISTORICAL_MEAN
from shotspotter_assets.pages.rendering import amount, chance, chance_classes, long_day, model
from shotspotter_assets.storage.arrays import Array, Integers
from shotspotter_assets.storage.catalogue import CLEANED, FORECAST, PLAN, TENSORS, Asset
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.lineage import read_lineage
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.wording import number_of

REACHED: Final = "within reach"
OUT_OF_REACH: Final = "out of reach"
NO_PLAN: Final = "no plan"


def has_plans(city: City) -> bool:
    """Return True if an alert of the city can be compared with plans: it has patrol rules, and alerts have hours."""
    return city.patrol is not None and city.time_precision != "day"


def stamps(store: Store, city: City, last_known: date) -> Iterator[tuple[date, str]]:
    """Yield the known days with forecast and alerts, each with a hash of the lineage of these and of plans, and of rules."""
    known = store.days_present(TENSORS, city.name, last=last_known) & store.days_present(CLEANED, city.name)
    forecasts = read_lineage(store, Asset.RISK_FORECASTS, city.name)
    grids = read_lineage(store, Asset.GRID_TENSORS, city.name)
    plans = read_lineage(store, Asset.PATROL_PLANS, city.name)
    rules = city.model_dump_json(include={"patrol", "targets"})
    for issue_date in sorted(store.days_present(FORECAST, city.name)):
        if (day := issue_date + ONE_DAY) in known:
            origins = [
                forecasts.get(str(issue_date)),
                grids.get(str(day)),
                *(plans.get(str(planned_on)) for planned_on in _plans_of(day)),
            ]
            yield day, sha256(rules, *map(str, origins))[:16]


def past_day(store: Store, city: City, day: date) -> dict[str, object] | None:
    """Compare a day's forecast with its alerts, for `past.js`; None for an older grid."""
    record = load_record(store, city.name, day - ONE_DAY)
    table = store.read_table(FORECAST, city.name, day - ONE_DAY)
    if not isinstance(record, ForecastRecord) or not is_of_grid(table, city):
        return None
    forecast = next_day_rows(table)
    cells = cell_numbers(city, *cells_of(forecast))
    probability = forecast["probability"].to_numpy()
    counts = _counts(store, city, day)[cells]
    alerts = alerts_of_types(store.read_table(CLEANED, city.name, day, ALERT_COLUMNS), city).sort_values("wall")
    alerts["cell"] = numbers_at(city, alerts["longitude"].to_numpy(), alerts["latitude"].to_numpy())
    alerts["unit"] = _reached(store, city, day, alerts)
    outside = len(alerts) - int(counts.sum())
    sentences = [
        _caught(record, forecast, counts, city.event),
        f"{outside} more came outside the covered cells." if outside > 0 else "",
        _of_plan(alerts["unit"][alerts["cell"].isin(cells) & (alerts["unit"] != NO_PLAN)], city, int(counts.sum())),
    ]
    replayed = "made after the day, from the days before it"
    when = replayed if record.replayed else f"{number_of(record.lead, 'day')} ahead"
    return {
        "title": long_day(day),
        "sentence": " ".join(filter(None, sentences)),
        "notes": f"Forecast by {model(record.served)}, {when}.",
        "cells": cells.tolist(),
        "classes": chance_classes(probability).tolist(),
        "chances": [chance(value) for value in probability.tolist()],
        "counts": counts.tolist(),
        "flagged": cells[_flagged(probability)].tolist(),
        "events": [
            {
                "at": [alert["latitude"], alert["longitude"]],
                "cell": alert["cell"],
                "lines": [
                    "" if city.time_precision == "day" else f"{alert['wall']:%H:%M}",
                    str(alert["type"]).replace("_", " "),
                ],
                "unit": [alert["unit"]] if has_plans(city) else [],
            }
            for alert in alerts.to_dict("records")
        ],
    }


def _counts(store: Store, city: City, day: date) -> Integers:
    """Return the alerts of a day by number of the cell, shape (cells,)."""
    grid = store.read_table(TENSORS, city.name, day)
    grid = grid.filter(pc.is_in(grid["gunshot_type"], pa.array(city.forecast_codes, pa.int8())))
    numbers = cell_numbers(city, *cells_of(grid))
    return np.bincount(numbers, grid["count"].to_numpy(), np.prod(city.shape)).astype(np.int64)


def _caught(record: ForecastRecord, forecast: pa.Table, counts: Integers, event: str) -> str:
    """Return a sentence on the events that came, were expected, and were caught by the flagged cells; counts by cell."""
    flagged = _flagged(forecast["probability"].to_numpy())
    sentence = (
        f"{number_of(int(counts.sum()), event)} came; about {amount(record.expected_alerts)} were expected "
        f"({record.expected_alerts_low:.0f} to {record.expected_alerts_high:.0f}). "
        f"The map caught {counts[flagged].sum()} of them with {FLAGGED_PERCENT}% of the area"
    )
    mean = f"{MODEL_PREFIX}{HISTORICAL_MEAN}"
    if mean in forecast.column_names:
        sentence += f"; a map of the long-run mean caught {counts[_flagged(forecast[mean].to_numpy())].sum()}"
    return f"{sentence}."


def _plans_of(day: date) -> tuple[date, date]:
    """Return the issue dates of the plans whose shifts begin on the day before, and may end on `day`, and on `day`."""
    return day - 2 * ONE_DAY, day - ONE_DAY


def _reached(store: Store, city: City, day: date, alerts: pd.DataFrame) -> "pd.Series[str]":
    """Return for each alert if a unit of its shift had it within reach, or `NO_PLAN` for an alert in no planned shift."""
    reached = pd.Series(NO_PLAN, alerts.index)
    plans = [store.find_table(PLAN, city.name, issue_date) for issue_date in _plans_of(day)]
    if city.patrol is None or not has_plans(city):
        return reached
    plane = Plane.of(city.box)
    points = plane.metres(alerts[["longitude", "latitude"]].to_numpy())
    for plan in filter(None, plans):
        for _, units in plan.to_pandas().groupby("shift"):
            begin, end = (pd.Timestamp(units[name].iloc[0]).tz_localize(None) for name in ("starts_at", "ends_at"))
            in_shift = (alerts["wall"] >= begin) & (alerts["wall"] < end)
            posts = KDTree(plane.metres(units[["longitude", "latitude"]].to_numpy()))
            is_near = posts.query(points)[0] <= city.patrol.radius_m
            reached[in_shift & is_near] = REACHED
            reached[in_shift & ~is_near & (reached == NO_PLAN)] = OUT_OF_REACH
    return reached


def _of_plan(planned: "pd.Series[str]", city: City, alerts: int) -> str:
    if city.patrol is None or not (has_plans(city) and alerts):
        return ""
    if planned.empty:
        return f"No plan was made for the hours of these {city.event}s."
    within = f"within {city.patrol.radius_m:.0f} m of a unit of the plan"
    others = f"; {alerts - len(planned)} came in hours without a plan" if alerts > len(planned) else ""
    return f"{(planned == REACHED).sum()} of {number_of(alerts, city.event)} came {within}{others}."


def _flagged(probability: Array) -> Integers:
    number = max(int(FLAGGED_PERCENT / 100 * len(probability) + 0.5), 1)
    return np.argsort(-probability, kind="stable")[:number]


def alerts_of_types(table: pa.Table, city: City) -> pd.DataFrame:
    """Return the counted alerts of the forecast types in `ALERT_COLUMNS`: `wall` clock, place and `type`."""
    table = counted_alerts(table, city)
    alerts = table.select(["longitude", "latitude"]).to_pandas()
    alerts["wall"] = wall_clock(table["time_utc"], city.zone)
    codes = table["gunshot_type"].fill_null(UNKNOWN_TYPE_CODE).to_pandas()
    return alerts.assign(type=codes.map(city.type_names))[codes.isin(city.forecast_codes)]
