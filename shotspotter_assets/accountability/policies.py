"""Past days that an audit looks at, policies that flag cells by their probabilities, and sums of their flags by week."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import ONE_DAY
from shotspotter_assets.cities.patrol_rules import Repeats
from shotspotter_assets.evaluation.estimates import MIN_WEEKS_FOR_INTERVAL, draws_of_weeks
from shotspotter_assets.evaluation.forecasts_table import SERVED, cells_of
from shotspotter_assets.evaluation.scores import FLAGGED_PERCENT, flagged_cells, ranks_within_days
from shotspotter_assets.evaluation.walk_forward_report import tested_days
from shotspotter_assets.forecasts.issued_forecasts import MODEL_PREFIX, next_day_forecasts
from shotspotter_assets.forecasts.patrol.dispatch import unit_hours
from shotspotter_assets.forecasts.patrol.lottery import capped_shares
from shotspotter_assets.grid.cells import cell_numbers
from shotspotter_assets.grid.dates import YEAR_DAYS, dates_of, weeks
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.models.forecaster_registry import HISTORICAL_MEAN
from shotspotter_assets.storage.arrays import Array, Booleans, Days, Integers
from shotspotter_assets.storage.catalogue import PLAN
from shotspotter_assets.storage.store import Store

CELL_MEAN: Final = "cell mean"  # share of days with an alert in the cell's training window
LAST_YEAR: Final = "last year's map"  # share of days with an alert in the year before the day
YEAR: Final = 365
OBSERVED: Final = "observed"  # days with an alert, as if these cells had been flagged
PLANS: Final = "plans"  # cells to which plans sent units
DRAWS: Final = 400
Sums = dict[str, Array]
"""Sums of one policy by cell, in each week or draw of weeks, shape (weeks, cells) or (1 + draws, cells): days covered, with
flags, with alerts, summed probabilities (expected), and hours of units. Draws follow the sums of all weeks."""
RATES: Final = {
    "flagged_days": ("flags", "covered", YEAR_DAYS),
    "unit_hours": ("hours", "covered", YEAR_DAYS),
    "calibration": ("expected", "alerts", 1.0),
}
"""Measures that are a factor times the ratio of two weighted sums."""


@dataclass(frozen=True)
class AuditedDays:
    """Known days with a forecast, in order; the forecasts and outcomes of cells that were covered on any of them."""

    days: Days  # shape (days,)
    cells: Integers  # numbers of the cells, shape (cells,)
    probability: Mapping[str, Array]  # by forecast, SERVED first; NaN in cells that were not covered; (days, cells)
    alerts: Integers  # shape (days, cells)
    unit_hours: Array | None = None  # hours of units by the day's plan, NaN on days without one; (days, cells)

    @classmethod
    def of(cls, forecasts: pa.Table, history: CityHistory) -> "AuditedDays | None":
        """Return the known days of a table of `forecasts_of`; None without any. `history` begins up to a year earlier."""
        known = np.array(history.days, "datetime64[D]")[history.is_known]
        forecasts = forecasts.filter(pa.array(np.isin(dates_of(forecasts), known)))
        if not forecasts.num_rows:
            return None
        days, day = np.unique(dates_of(forecasts), return_inverse=True)
        cells, cell = np.unique(cell_numbers(history.city, *cells_of(forecasts)), return_inverse=True)
        probability = {}
        for name in (SERVED, CELL_MEAN):
            probability[name] = np.full((len(days), len(cells)), np.nan)
            probability[name][day, cell] = forecasts[name].to_numpy()
        alerts = history.alerts.reshape(len(history.days), -1)[:, cells]
        index = (days - np.datetime64(history.days[0], "D")).astype(np.int64)
        last_year = _share_of_last_year(alerts > 0, history.is_known, index)
        # Cells without an alert in that year are ranked by their longer history.
        ranked = last_year + 1e-6 * np.nan_to_num(probability[CELL_MEAN])
        probability[LAST_YEAR] = np.where(np.isfinite(probability[SERVED]), ranked, np.nan)
        return cls(days, cells, probability, alerts[index].astype(np.int64))


def _share_of_last_year(has_alert: Booleans, is_known: Booleans, index: Integers) -> Array:
    """Return the share of known days with an alert in the year before some days; shape (len(index), cells)."""
    sums = np.vstack([np.zeros((1, has_alert.shape[1])), np.cumsum(has_alert & is_known[:, None], axis=0)])
    known = np.concatenate([[0], np.cumsum(is_known)])
    first = np.maximum(index - YEAR, 0)
    days = np.maximum(known[index] - known[first], 1)
    return np.asarray((sums[index] - sums[first]) / days[:, None])


def read_audited_days(store: Store, city: City, last: date) -> AuditedDays | None:
    """Read the forecasts of folds and, on other days, the issued ones, with alerts and plans, to `last`; None without any.

    A fold forecasts days to the next cutoff, by the forecaster that its gate had chosen on earlier days.
    """
    mean = MODEL_PREFIX + HISTORICAL_MEAN
    tables = [
        _columns(table["date"], table, record.served, HISTORICAL_MEAN)
        for record, table in tested_days(store, city.name, date.min, last)
    ]
    tested = {day for table in tables for day in np.unique(dates_of(table)).tolist()}
    first = city.first_issue_date + ONE_DAY
    issued = {day: table for day, table in next_day_forecasts(store, city, first, last).items() if day not in tested}
    tables += [
        _columns(pa.repeat(pa.scalar(day, pa.date32()), len(table)), table, "probability", mean)
        for day, table in issued.items()
        if mean in table.column_names
    ]
    if not tables:
        return None
    forecasts = pa.concat_tables(tables)
    first_audited: date = dates_of(forecasts).min().astype(date)
    history = CityHistory.find(store, city, last, max(city.start, first_audited - YEAR * ONE_DAY))
    audited = None if history is None else AuditedDays.of(forecasts, history)
    if audited is None:
        return None
    hours = _unit_hours(store, city, audited)
    return replace(audited, unit_hours=hours)


def _unit_hours(store: Store, city: City, audited: AuditedDays) -> Array | None:
    """Return the hours of units by the plan of each audited day, NaN without a plan, (days, cells); None without plans."""
    first, last = (day.astype(object) - ONE_DAY for day in (audited.days[0], audited.days[-1]))
    columns = ["forecast_date", "starts_at", "ends_at", "units", "row", "column"]
    plans = store.read_present(PLAN, city.name, first, last, columns)
    if plans is None or not plans.num_rows:
        return None
    planned = plans["forecast_date"].to_numpy().astype("datetime64[D]")
    number = cell_numbers(city, plans["row"].to_numpy(), plans["column"].to_numpy())
    is_audited = np.isin(planned, audited.days) & np.isin(number, audited.cells)
    day = np.searchsorted(audited.days, planned[is_audited])
    cell = np.searchsorted(audited.cells, number[is_audited])
    sums = np.zeros(audited.alerts.shape)
    np.add.at(sums, (day, cell), unit_hours(plans)[is_audited])
    return np.where(np.isin(audited.days, planned)[:, None], sums, np.nan)


def _columns(days: pa.Array, table: pa.Table, served: str, cell_mean: str) -> pa.Table:
    """Return `date`, `row`, `column`, SERVED and CELL_MEAN of a table of forecasts."""
    columns = {"date": days, "row": table["row"], "column": table["column"]}
    return pa.table(columns | {SERVED: table[served], CELL_MEAN: table[cell_mean]})


class Policy(NamedTuple):
    """Flags of one policy, or the chances of them, shape (days, cells), with what they were chosen by."""

    flags: Array  # NaN where it could not flag
    probability: Array | None = None
    hours: Array | None = None  # of units

    @property
    def days(self) -> int:
        """Number of days on which it could flag."""
        return int(np.isfinite(self.flags).any(axis=1).sum())


def policies_of(audited: AuditedDays, occupied: Array) -> dict[str, Policy]:
    """Return the policies of an audit by name: the top of each forecast, plans, and days with an alert (`occupied`)."""
    policies = {}
    for name, probability in audited.probability.items():
        flags = top_flags(probability, flags_per_day(probability))
        policies[name] = Policy(np.where(np.isfinite(probability), flags, np.nan), probability)
    is_covered = np.isfinite(audited.probability[SERVED])
    if audited.unit_hours is not None:
        is_planned = is_covered & np.isfinite(audited.unit_hours)
        policies[PLANS] = Policy(np.where(is_planned, audited.unit_hours > 0, np.nan), hours=audited.unit_hours)
    policies[OBSERVED] = Policy(np.where(is_covered, occupied, np.nan))
    return policies


def flags_per_day(probability: Array) -> Integers:
    """Return the number of flagged cells of each day, 0 without a forecast; probabilities are (days, cells)."""
    covered = np.isfinite(probability).sum(axis=1)
    return np.minimum(flagged_cells(covered, FLAGGED_PERCENT), covered).astype(np.int64)


def top_flags(probability: Array, number: Integers) -> Array:
    """Flag the likeliest cells of each day, `number` of them, shape (days, cells); tied cells share places, NaN has none."""
    is_covered = np.isfinite(probability)
    day = np.nonzero(is_covered)[0]
    flags = np.zeros(probability.shape)
    flags[is_covered] = ranks_within_days(probability[is_covered], day).top(number[day])
    return flags


def capped_flags(probability: Array, number: Integers, repeats: Repeats) -> Array:
    """Flag the likeliest cells, none more often than on `most` of `days` audited days."""
    flags = np.zeros(probability.shape)
    for day in range(len(probability)):
        recent = flags[max(day - repeats.days + 1, 0) : day].sum(axis=0)
        rested = np.where(recent <= repeats.most - 1, probability[day], np.nan)
        flags[day] = top_flags(rested[None], number[day : day + 1])[0]
    return flags


def lot_chances(probability: Array, number: Integers, power: float) -> Array:
    """Return the chance of each cell to be drawn, proportional to its probability to a power and at most 1.

    Chances of a day sum to `number`, so that means over draws are known exactly, without drawing. Shape (days, cells).
    """
    weights = np.nan_to_num(probability) ** power
    room = np.isfinite(probability).astype(np.int64)
    return np.array([capped_shares(weights[day], room[day], int(number[day])) for day in range(len(weights))])


def _sums_by_week(days: Days, policy: Policy, occupied: Array) -> Sums:
    """Return the sums of each calendar week, Monday to Sunday; `occupied` is 1 on days with an alert, (days, cells)."""
    is_covered = np.isfinite(policy.flags)
    flags = np.nan_to_num(policy.flags)
    layers = {
        "covered": np.ones(flags.shape),
        "flags": flags,
        "alerts": occupied,
        "expected": 0 * flags if policy.probability is None else policy.probability,
        "hours": 0 * flags if policy.hours is None else policy.hours,
    }
    starts = _starts_of_weeks(days)
    return {name: np.add.reduceat(np.where(is_covered, layer, 0.0), starts, axis=0) for name, layer in layers.items()}


def sums_of_draws(days: Days, policies: Mapping[str, Policy], occupied: Array) -> dict[str, Sums]:
    """Return the sums of each policy in all weeks and, unless there are too few, in draws of weeks, alike for all policies."""
    weeks = len(_starts_of_weeks(days))
    draws = draws_of_weeks(weeks, DRAWS if weeks >= MIN_WEEKS_FOR_INTERVAL else 0)
    times = np.vstack([np.ones((1, weeks)), draws])
    return {
        name: {layer: times @ weekly for layer, weekly in _sums_by_week(days, policy, occupied).items()}
        for name, policy in policies.items()
    }


def rate(sums: Sums, measure: str, weights: Array) -> Array:
    """Return one of `RATES` in all weeks and each draw, shape (1 + draws,); `weights` are (1 + draws, cells) or (1, cells)."""
    part, whole, factor = RATES[measure]
    return factor * ratio((weights * sums[part]).sum(axis=1), (weights * sums[whole]).sum(axis=1))


def ratio(part: Array, whole: Array) -> Array:
    """Return part over whole, NaN where the whole is not above zero; same shape."""
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)


def gini(values: Array) -> float:
    """Return the Gini coefficient of values that are not below zero, shape (n,); NaN if all are zero."""
    number = len(values)
    ranks = 2 * np.arange(1, number + 1) - number - 1
    return float(ranks @ np.sort(values) / (number * values.sum())) if values.sum() > 0 else float("nan")


def _starts_of_weeks(days: Days) -> Integers:
    """Return the indexes of the first day of each calendar week among sorted days."""
    number = weeks(days)
    return np.flatnonzero(np.diff(number, prepend=number[0] - 1))
