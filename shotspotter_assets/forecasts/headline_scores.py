"""Headline scores of a city: three numbers at the end of each month, about the 365 days to it, kept for years.

The gain of issued forecasts over the best simple method, the lead up to which the gain over each cell's mean is shown, and
the jumpiness of plans. Weather services keep few such scores, so that years can be compared (ECMWF's headline scores).
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.alerts.days.day_table import DayTable
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import ONE_DAY, ONE_YEAR, days_between
from shotspotter_assets.evaluation.estimates import MIN_WEEKS, weekly_gain, weekly_sums
from shotspotter_assets.evaluation.fold_report import LEADS
from shotspotter_assets.evaluation.forecasts_table import SERVED, cells_of
from shotspotter_assets.evaluation.gate import NEVER
from shotspotter_assets.evaluation.scores import FLAGGED_PERCENT, flagged_shares
from shotspotter_assets.evaluation.walk_forward_report import read_folds
from shotspotter_assets.forecasts.issued_scores import POSITIVES, ScoreRecord
from shotspotter_assets.forecasts.patrol.dispatch import unit_hours
from shotspotter_assets.grid.cells import cell_numbers
from shotspotter_assets.grid.dates import dates_of
from shotspotter_assets.storage.arrays import Array
from shotspotter_assets.storage.catalogue import FOLD_LEADS, HEADLINES, PLAN, SEQUENCE_DAYS
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.wording import number_of

MIN_DAYS: Final = 7 * MIN_WEEKS  # of each number; with fewer, it is unknown
DAYS_BY_NUMBER: Final = {
    "gain": ("issued_days", "gain ({} with an issued forecast and a known outcome)"),
    "lead": ("tested_days", "days ahead ({} tested by folds)"),
    "flip_flop": ("planned_days", "plans that move away and back ({} with a week of plans before)"),
}
"""Column with the number of days of each number, and words for these."""


def headline_scores(store: Store, city: City) -> pa.Table:
    """Return the headline scores of each full month from the first scored forecast or test day on (`catalogue.HEADLINES`).

    They are computed from the stored scores of days and losses of folds, all of which are read anew: 0.1 ms for each day.
    """
    last = DayTable.read(store, city.name).last_of_full_month or date.min
    records = [
        record
        for record in ScoreRecord.find_days(store, city.name, date.min, last)
        if record.scores is not None or record.flip_flop is not None
    ]
    folds = read_folds(store, city.name, FOLD_LEADS).values()
    leads = pa.concat_tables([FOLD_LEADS.schema.empty_table(), *folds]).filter(pc.field("date") <= last)
    days = [*dates_of(leads).tolist(), *(record.scored_date for record in records)]
    ends = (day for day in days_between(min(days, default=last + ONE_DAY), last) if (day + ONE_DAY).day == 1)
    return pa.Table.from_pylist([_row_of_year(records, leads, end, city.event) for end in ends], HEADLINES.schema)


def _row_of_year(records: Sequence[ScoreRecord], leads: pa.Table, last: date, event: str) -> dict[str, Any]:
    """Return the headline scores of the 365 days to `last`, a row of `catalogue.HEADLINES`; `event` is the word for one."""
    of_year = [record for record in records if last - ONE_YEAR < record.scored_date <= last]
    issued = {record.scored_date: record.scores.sums for record in of_year if record.scores and record.scores.sums}
    tested = leads.filter((pc.field("date") > last - ONE_YEAR) & (pc.field("date") <= last))
    tested_days = len(np.unique(dates_of(tested)))
    indexes = [record.flip_flop for record in of_year if record.flip_flop is not None]
    row = {
        "last": last,
        "issued_days": len(issued),
        **(_gain(issued) if len(issued) >= MIN_DAYS else {}),
        "tested_days": tested_days,
        "lead": last_shown_lead(tested) if tested_days >= MIN_DAYS else None,
        "planned_days": len(indexes),
        "flip_flop": float(np.mean(indexes)) if len(indexes) >= MIN_DAYS else None,
    }
    unknown = ", ".join(
        words.format(number_of(row[days], "day"))
        for name, (days, words) in DAYS_BY_NUMBER.items()
        if row.get(name) is None
    )
    needed = (
        f"Each number needs {MIN_DAYS} days. A gain also needs an {event} on one of them, and a simple method that forecast "
        "every one."
    )
    return row | {"unknown": f"Unknown: {unknown}. {needed}" if unknown else ""}


def _gain(issued: Mapping[date, Mapping[str, float]]) -> dict[str, Any]:
    """Return the best simple method, the baseline of all days with the least log loss, and the gain over it, of sums by day.

    Nothing if no method forecast all days, as when a city outgrows its first models and its mean becomes the candidate.
    """
    common = set.intersection(*({*sums} for sums in issued.values()))
    sums = {name: np.array([of_day[name] for of_day in issued.values()]) for name in sorted(common)}
    simple = sorted(common - {SERVED, POSITIVES, NEVER})
    if not simple:
        return {}
    weekly = weekly_sums(np.array([*issued], "datetime64[D]"), sums[POSITIVES], sums)
    best = weekly.best(simple)
    gain = weekly_gain(weekly, SERVED, best)
    return {"best": best, "gain": gain.value, "low": gain.low, "high": gain.high}


def last_shown_lead(losses: pa.Table) -> int | None:
    """Return the longest lead, up to which every gain over each cell's mean is shown, 0 for none; None without an alert.

    `losses` are days of `catalogue.FOLD_LEADS`.
    """
    last = 0
    for lead in LEADS:
        of_lead = losses.filter(pc.field("lead") == lead)
        sums = {name: of_lead[name].to_numpy() for name in ("loss", "loss_of_mean", POSITIVES)}
        gain = weekly_gain(weekly_sums(dates_of(of_lead), sums[POSITIVES], sums), "loss", "loss_of_mean")
        if not gain.is_shown:
            return None if gain.low is None else last
        last = lead
    return last


def flip_flop_index(plans: Array) -> float:
    """Return the flip-flop index of successive plans, shape (days, cells): 0 if steady, 1 if every change is undone.

    The index of one cell with the amounts x_1, ..., x_n is (sum |x_(i+1) - x_i| - (max x - min x)) / (n - 2): change beyond a
    steady one (Griffiths et al. 2019, Flip-Flop Index, Meteorological Applications 26, 30-35; Richardson, Cloke and
    Pappenberger 2020, Geophysical Research Letters 47, do so for whole distributions). There, n forecasts for one time
    follow each other; here, n plans are for n successive days. Cells are summed up, and divided by twice the mean amount of
    a day, as what moves changes two cells.
    """
    changes = np.abs(np.diff(plans, axis=0)).sum()
    steady = np.ptp(plans, axis=0).sum()
    return float((changes - steady) / (len(plans) - 2) / (2 * plans.sum() / len(plans)))


def jumpiness(store: Store, city: City, forecasts: Mapping[date, pa.Table], last: date) -> float | None:
    """Return the flip-flop index of the week of plans to a day.

    The plans are the unit hours of stored plans or, if the week has none, the flagged cells of `forecasts`, which are
    next-day rows by day. None if a day of the week lacks a plan, or a forecast on the present grid.
    """
    days = days_between(last - (SEQUENCE_DAYS - 1) * ONE_DAY, last)
    plans = [store.find_sound_table(PLAN, city.name, day - ONE_DAY) if day in forecasts else None for day in days]
    if any(plan is not None for plan in plans):
        return _index_of_tables(city, plans, unit_hours)
    return _index_of_tables(city, [forecasts.get(day) for day in days], _flagged)


def _index_of_tables(
    city: City, tables: Sequence[pa.Table | None], amounts: Callable[[pa.Table], Array]
) -> float | None:
    """Return the flip-flop index of amounts of the rows of each day's table, summed by cell; None if a day has no row."""
    plans = [
        np.bincount(cell_numbers(city, *cells_of(table)), amounts(table), city.shape[0] * city.shape[1])
        for table in tables
        if table
    ]
    return flip_flop_index(np.array(plans)) if len(plans) == len(tables) else None


def _flagged(next_day: pa.Table) -> Array:
    """Return the share in which each cell of next-day rows is flagged, shape (rows,)."""
    probability = next_day["probability"].to_numpy()
    return flagged_shares(probability, np.zeros(len(probability)))[FLAGGED_PERCENT]
