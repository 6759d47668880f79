"""The test window of a fold, and its forecasts of hours, minutes and types as tables."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from typing import Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotspotter_assets.cities.local_time import day_start
from shotspotter_assets.evaluation.count_scores import MEAN_OF_COUNTS, counts_table
from shotspotter_assets.evaluation.forecasts_table import forecasts_table
from shotspotter_assets.models.alert_counts import AlertCounts, short_interval, year_reference
from shotspotter_assets.models.city_history import CityHistory, covered_mask
from shotspotter_assets.models.forecaster import HORIZONS, FittedDaily, FittedHourly, FittedHours, clip_probability
from shotspotter_assets.models.forecaster_registry import BASELINES
from shotspotter_assets.models.gunshot_types import TYPE_REGRESSION, GunshotTypes, TypedAlerts, type_mixes, typed_alerts
from shotspotter_assets.models.history import History, HourlyHistory, HourlyHistoryError, firework_days
from shotspotter_assets.models.next_hours.incident_points import Incidents, seconds_of
from shotspotter_assets.models.next_hours.lift_table import MINUTES, expected_by_hours, fit_on_hours
from shotspotter_assets.models.stack import FittedStack
from shotspotter_assets.models.trained_models import NEXT_MINUTES, FoldRecord, TrainedModels
from shotspotter_assets.storage.arrays import Array, Booleans, Days, Values
from shotspotter_assets.storage.catalogue import FOLD_HOURS, FOLD_MINUTES, FOLD_TYPES
from shotspotter_assets.storage.progress import steps
from shotspotter_assets.storage.stored_file import StoredFile

EVENLY: Final = "hour_spread_evenly"
"""Baseline of the next minutes: the hour's forecast without the lift of recent incidents."""


@dataclass(frozen=True)
class FoldWindow:
    """A fold's windows as indexes of its history's days, and the alerts of the known test days."""

    record: FoldRecord
    history: History  # from the first training day to the last test day
    hourly: HourlyHistory | None  # hours to the end of the last test day; None where no hours are forecast
    train: range
    validation: range
    test: range
    known: slice | Booleans  # selection of the known days among the test days
    days: Days  # known test days, shape (days,)
    alerts: Values  # alerts of the known test days, shape (days, rows, columns)
    observed: Booleans  # covered cells with an alert, shape (days, cells)

    @classmethod
    def of(cls, record: FoldRecord, history: History, hourly: HourlyHistory | None = None) -> Self:
        """Find the windows of a record in a history; raise ValueError if no test day is known."""
        train, validation, test = record.windows(history)
        known = history.known_in(test)
        return cls(
            record=record,
            history=history,
            hourly=hourly,
            train=train,
            validation=validation,
            test=test,
            known=known,
            days=history.days()[test.start :][known],
            alerts=history.alerts[test.start :][known],
            observed=history.observed[test.start :][known],
        )

    @classmethod
    def of_stored(cls, record: FoldRecord, stored: CityHistory, *, with_hours: bool) -> Self:
        """Make the window of a record from stored days, which end with the last test day, on the record's covered cells."""
        in_coverage = covered_mask(record.covered, stored.city.shape)
        hourly = stored.hourly(in_coverage) if with_hours else None
        return cls.of(record, stored.daily(in_coverage), hourly)

    @property
    def key(self) -> str:
        """City and cutoff, as messages name a fold."""
        return f"{self.record.city} {self.record.cutoff}"


def minute_forecasts(
    history: HourlyHistory, hours: FittedHourly, incidents: Incidents, cutoff: date, hours_apart: int
) -> pa.Table:
    """Return forecasts of `MINUTES` from full hours of the test window, fitted on the hours before the cutoff.

    `horizon` is in minutes. Forecasts start `hours_apart` hours apart, each day an hour later, so that each hour of the
    day has its share. Raises HourlyHistoryError if incidents or hours do not suffice.
    """
    begins = day_start(cutoff, history.city.zone)
    past = history.until(begins)
    issues = history.issues(range(history.hour_at(begins), len(history)), 1)
    turn = (history.clock.hour[issues] + history.clock.day[issues].astype(np.int64)) % hours_apart
    issues = issues[turn == 0]
    lifts = fit_on_hours(incidents.within(-np.inf, begins.timestamp()), past, hours)
    instants = seconds_of(history.starts)[issues]
    observed = _observed(history, incidents, instants)
    periods = np.array(MINUTES, np.float64)
    evenly = expected_by_hours(hours, history, issues)[:, None] * periods[:, None] / 60
    lift = np.stack([lifts.lift(incidents, history, instant, periods) for instant in instants.tolist()])
    # A longer period holds the shorter ones, though each has separate lifts.
    lifted = np.maximum.accumulate(evenly * lift, axis=1)
    probability = {NEXT_MINUTES: _probability(lifted), EVENLY: _probability(evenly)}
    tables = [
        forecasts_table(
            history.clock.day[issues],
            np.nonzero(history.in_coverage),
            observed[:, period],
            {name: values[:, period] for name, values in probability.items()},
            hours=history.clock.hour[issues],
            horizon=minutes,
        )
        for period, minutes in enumerate(MINUTES)
    ]
    return pa.concat_tables(tables)


def _probability(expected: Array) -> npt.NDArray[np.float32]:
    """Return the probability of at least one of a Poisson number of incidents, same shape."""
    return clip_probability(-np.expm1(-expected)).astype(np.float32)


def _observed(history: HourlyHistory, incidents: Incidents, instants: Array) -> Booleans:
    """Return True where an incident begins in a cell within each of `MINUTES`, shape (instants, periods, cells)."""
    observed = np.zeros((len(instants), len(MINUTES), int(history.in_coverage.sum())), dtype=bool)
    cell = incidents.covered_cells(history.in_coverage)
    issue = np.searchsorted(instants, incidents.seconds, "left") - 1  # the last one before each incident
    minutes_after = (incidents.seconds - instants[issue]) / 60
    for period, minutes in enumerate(MINUTES):
        is_within: npt.NDArray[np.bool_] = (issue >= 0) & (cell >= 0) & (minutes_after <= minutes)
        observed[issue[is_within], period, cell[is_within]] = True
    return observed


def fold_counts(counts: AlertCounts, window: FoldWindow, probability: Mapping[str, Array]) -> pa.Table:
    """Return numbers of alerts on the known test days (`catalogue.FOLD_COUNTS`), by the served forecaster and baselines.

    `probability` is that of `fold_report.fold_forecasts`, shape (test days, covered cells) by model.
    """
    history = window.history
    fireworks = firework_days(history.city, window.days)[:, None]
    earlier = history.alerts[: window.test.start][history.known[: window.test.start]]
    log_m = counts.log_m(history, window.test)[window.known]
    forecasts = {
        name: counts.distribution(probability[name][window.known], fireworks, log_m)
        for name in (window.record.served, *BASELINES)
    }
    served = forecasts[window.record.served]
    factor_variance = counts.factor_variance(fireworks)
    low, high = short_interval(served.total(factor_variance[:, 0]))
    year_mean, year_size = year_reference(history, window.test)
    row, column = np.nonzero(history.in_coverage)
    columns = {
        "date": window.days[:, None],
        "row": row,
        "column": column,
        "alerts": window.alerts[:, history.in_coverage],
        "total_low": low[:, None],
        "total_high": high[:, None],
        "factor_variance": factor_variance,
        "year_mean": year_mean[window.known][:, None],
        "year_size": year_size[window.known][:, None],
        MEAN_OF_COUNTS: earlier[:, history.in_coverage].mean(axis=0),
        **{name: forecasts[name].expected for name in BASELINES},
    }
    return counts_table(served, columns)


def hour_forecasts(
    history: HourlyHistory, hourly: Mapping[str, FittedHourly], test: range, horizons: Sequence[int], apart: int = 1
) -> pa.Table:
    """Return forecasts of hours in blocks of each horizon, members' too; raise ValueError for another horizon.

    Forecasts of a horizon start at least `apart` hours apart, each day one block later, so that each hour has its share.
    """
    if bad := set(horizons) - set(HORIZONS):
        raise ValueError(f"The next hours are forecast for horizons of {HORIZONS} hours, not {sorted(bad)}.")
    tables = []
    for horizon in steps("horizon", horizons, "forecasting hours"):
        fitted: dict[str, FittedHours] = {}
        for name, by_horizon in hourly.items():
            model = by_horizon.models[horizon]
            fitted |= {name: model} | (model.members if isinstance(model, FittedStack) else {})
        issues = history.issues(test, horizon)
        turns = max(apart // horizon, 1)
        turn = history.clock.day[issues].astype(np.int64) % turns
        issues = issues[history.clock.hour[issues] // horizon % turns == turn]
        tables.append(
            forecasts_table(
                history.clock.day[issues],
                np.nonzero(history.in_coverage),
                history.occupied_within(horizon)[issues],
                {name: model.predict(history, issues).astype(np.float32) for name, model in fitted.items()},
                hours=history.clock.hour[issues],
                horizon=horizon,
            )
        )
    return pa.concat_tables(tables, promote_options="default")


def type_forecasts(
    types: GunshotTypes,
    next_day: Mapping[str, FittedDaily],
    history: HourlyHistory,
    daily: History,
    hours: range,
    *,
    validation: bool = False,
) -> pa.Table:
    """Return forecasts of some hours' types, issued before their day; with `validation`, by the fit on training hours."""
    alerts = typed_alerts(history).within(hours)
    rows = alerts.forecast_rows(history)
    mixes = dict(type_mixes(types, next_day, history, daily, rows))
    if validation:
        mixes[TYPE_REGRESSION] = lambda: types.validation_mix
    return types_table(history, alerts, {name: mix() for name, mix in mixes.items()})


def types_table(history: HourlyHistory, alerts: TypedAlerts, mixes: Mapping[str, Array]) -> pa.Table:
    """Return type probabilities of alerts, each of shape (rows, types), as a table of `catalogue.FOLD_TYPES`."""
    row, column = np.nonzero(history.in_coverage)
    values = [
        history.clock.day[alerts.hour],
        history.clock.hour[alerts.hour],
        row[alerts.cell],
        column[alerts.cell],
        alerts.gunshot_type,
    ]
    fields = zip(FOLD_TYPES.schema, values, strict=True)
    table = pa.table({field.name: pa.array(value, field.type) for field, value in fields})
    for name, mix in mixes.items():
        for code in range(mix.shape[1]):
            table = table.append_column(f"{name}_{code}", pa.array(mix[:, code]))
    return table.take(pa.array(np.repeat(np.arange(len(table)), alerts.number)))


def fold_tables(
    window: FoldWindow,
    models: TrainedModels,
    horizons: Sequence[int],
    types: bool,
    apart: int = 1,
    incidents: Incidents | None = None,
) -> dict[StoredFile, pa.Table | bytes]:
    """Return a fold's tables of next hours, see `hour_forecasts`, of minutes and of types, by stored file.

    Absent models have no table, and none has one for a window without hours. With `incidents` of the window's days, the
    next minutes are forecast too where the city's data suffice.
    """
    tables: dict[StoredFile, pa.Table | bytes] = {}
    history = window.hourly
    if history is None:
        return tables
    test = range(history.hour_at(day_start(window.record.cutoff, history.city.zone)), len(history))
    if horizons and models.hourly:
        tables[FOLD_HOURS] = hour_forecasts(history, models.hourly, test, horizons, apart)
    if horizons and models.hours and incidents is not None:
        with suppress(HourlyHistoryError):
            tables[FOLD_MINUTES] = minute_forecasts(history, models.hours, incidents, window.record.cutoff, apart)
    if types and models.types:
        tables[FOLD_TYPES] = type_forecasts(models.types, models.next_day, history, window.history, test)
    return tables
