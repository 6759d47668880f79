"""The effect of sending units on alerts, from a city's stored plans with lots, or the reason why it is not known yet.

The effect of a visit made stands beside it where the department states that its log of patrols is complete.
"""

from dataclasses import dataclass, replace
from datetime import date
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import csr_array
from scipy.spatial import KDTree

from shotspotter_assets.accountability.visit_trial import Change, Trial, changes
from shotspotter_assets.alerts.days.day_table import DayTable
from shotspotter_assets.cities.city import UNKNOWN_TYPE_CODE, City
from shotspotter_assets.cities.local_time import ONE_DAY
from shotspotter_assets.evaluation.estimates import CONFIDENCE
from shotspotter_assets.forecasts.issued_forecasts import is_of_grid
from shotspotter_assets.grid.cells import cell_numbers, numbers_at
from shotspotter_assets.grid.dates import local_dates
from shotspotter_assets.grid.tensors import ALERT_COLUMNS, counted_alerts
from shotspotter_assets.storage.arrays import Array, Booleans, Days, Integers
from shotspotter_assets.storage.catalogue import CLEANED, LOTS, PATROLS_MADE
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.wording import number_of

MIN_DRAWS: Final = 200  # places drawn with a chance below 1
MAX_HALF_WIDTH: Final = 0.5  # half of the interval, as a share of the expected alerts
NO_COMPLETE_LOG: Final = (
    "The effect of a visit made is unknown: nobody has stated that the log of patrols is complete (“patrols.log_is_complete” "
    "in the city's file)."
)
_PLACES: Final = {"cell": "In the cell", "around": "In the cells around it"}
_TIMES: Final = {"shift": "during the shift", "next days": "in the next three days"}


@dataclass(frozen=True)
class VisitEffects:
    """Effects in shifts whose places were drawn by lot, those of sending a unit first."""

    shifts: int = 0  # with lots and known alerts
    reported_shifts: int = 0  # of these, with reported visits; 0 without a log that is stated to be complete
    draws: int = 0  # places drawn with a chance below 1
    days: int = 0  # with lots and known alerts
    sending: tuple[Change, ...] = ()  # by sending a unit
    made: tuple[Change, ...] = ()  # by a visit made
    note: str = ""  # reason for no effects

    def sentences(self, event: str) -> list[str]:
        """Return the effects in words, with the basis first."""
        if not self.sending:
            return [self.note]
        reported = (
            f"Visits were reported in {self.reported_shifts} of these shifts, and count as drawn in the others; the department "
            "states that its log is complete."
        )
        return [
            f"{number_of(self.draws, 'place')} drawn by lot in {number_of(self.shifts, 'shift')}.",
            *(self._sentence(change, "sending a unit", event) for change in self.sending),
            reported if self.reported_shifts else NO_COMPLETE_LOG,
            *(self._sentence(change, "a visit made", event) for change in self.made),
        ]

    def _sentence(self, change: Change, cause: str, event: str) -> str:
        """Return a change in words, or the reason why it is not known yet."""
        place = f"{_PLACES[change.where]} {_TIMES[change.when]}"
        if too_wide := _too_wide(change, self.days):
            return f"{place}, by {cause}: {too_wide}"
        share = change.map(lambda alerts: alerts / change.expected)
        interval = f"{CONFIDENCE:.0%} interval {share.interval('+.0%')}"
        if change.nearest_to(0.0) == 0:
            return f"{place} no change by {cause} is shown ({share.value:+.0%}, {interval})."
        return f"{place} {cause} changes the number of {event}s by {share.value:+.0%} ({interval})."


class StoredLots(NamedTuple):
    """Lots of a city with the index of each row's shift and cell, and the cells' numbers."""

    rows: pa.Table
    shift: Integers
    cell: Integers
    cells: Integers

    def dense(self, values: Array) -> Array:
        """Return values of rows by shift and cell, 0 without a row; shape (shifts, cells)."""
        dense = np.zeros((int(self.shift.max()) + 1, len(self.cells)))
        dense[self.shift, self.cell] = values
        return dense


def visit_effects(store: Store, city: City, first: date, last: date) -> VisitEffects:
    """Estimate the effects of sending units in the shifts that begin on the days from `first` to `last`.

    Effects of visits made follow where the city's file states that the log of patrols is complete.
    """
    stored = read_lots(store, city, first, last)
    if stored is None:
        return VisitEffects(note="No plan was drawn by lot, so nothing shows what a visit changes.")
    visited, is_reported = _visits(store, city, stored)
    trial = trial_of(store, city, stored)
    draws = int((trial.drawn & trial.is_decided)[trial.is_known].sum())
    days = len(np.unique(trial.start[trial.is_known] // 24))
    basis = VisitEffects(int(trial.is_known.sum()), int((trial.is_known & is_reported).sum()), draws, days)
    if draws < MIN_DRAWS:
        return replace(
            basis,
            note=f"Not enough yet to know what a visit changes: {number_of(draws, 'place')} drawn by lot, of {MIN_DRAWS} needed.",
        )
    sending = changes(trial, trial.drawn.astype(np.float64))
    if not sending:
        return replace(
            basis,
            note="Not enough yet to know what a visit changes: the lots do not tell visits of a cell and around it apart.",
        )
    made = changes(trial, visited) if basis.reported_shifts else []
    return replace(basis, sending=tuple(sending), made=tuple(made))


def _too_wide(change: Change, days: int) -> str:
    """Return the reason why a change of so many days is not known yet; "" if it is."""
    half = change.half_width / change.expected if change.expected else np.inf
    if half <= MAX_HALF_WIDTH:
        return ""
    rule = f"not enough yet: the 90% interval is {half:.0%} of the expected number to either side, more than {MAX_HALF_WIDTH:.0%}"
    # Intervals shrink with the root of the number of days.
    more = f"; about {number_of(int(days * ((half / MAX_HALF_WIDTH) ** 2 - 1)) + 1, 'more day')} of lots would do"
    return rule + (more if np.isfinite(half) else "") + "."


def read_lots(store: Store, city: City, first: date, last: date) -> StoredLots | None:
    """Read the lots of the city's present grid for the days from `first` to `last`; None without any."""
    issue_dates = sorted(store.days_present(LOTS, city.name, first - ONE_DAY, last - ONE_DAY))
    tables = [table for day in issue_dates if is_of_grid(table := store.read_table(LOTS, city.name, day), city)]
    if not tables:
        return None
    rows = pa.concat_tables(tables).replace_schema_metadata(None)
    keys = rows.select(["starts_utc", "shift"]).to_pandas()
    cells, cell = np.unique(cell_numbers(city, rows["row"].to_numpy(), rows["column"].to_numpy()), return_inverse=True)
    return StoredLots(rows, keys.groupby(["starts_utc", "shift"]).ngroup().to_numpy(), cell, cells)


def trial_of(store: Store, city: City, stored: StoredLots) -> Trial:
    """Return the lots with the alerts of their shifts."""
    rows = stored.rows
    _, at = np.unique(stored.shift, return_index=True)
    starts, ends = (rows[name].to_numpy()[at].astype("datetime64[s]") for name in ("starts_utc", "ends_utc"))
    places = np.column_stack(np.unravel_index(stored.cells, city.shape))
    alerts, is_known = _alerts(store, city, stored.cells, starts, ends)
    area = np.full(len(stored.cells), -1)
    area[stored.cell] = np.unique(rows["area"].to_numpy(zero_copy_only=False).astype(str), return_inverse=True)[1]
    side_by_side = KDTree(places).query_pairs(1.5, output_type="ndarray")  # or corner to corner
    neighbours = np.concatenate([side_by_side, side_by_side[:, ::-1]])
    return Trial(
        start=starts.astype("datetime64[h]").astype(np.float64),
        is_known=is_known,
        expected_units=stored.dense(rows["expected_units"].to_numpy()),
        drawn=stored.dense(rows["units"].to_numpy()) > 0,
        alerts=alerts,
        expected=stored.dense(rows["expected"].to_numpy()),
        places=places,
        area=area,
        ring=csr_array((np.ones(len(neighbours)), neighbours.T), shape=(len(places), len(places))),
    )


def _visits(store: Store, city: City, stored: StoredLots) -> tuple[Array, Booleans]:
    """Return visits by shift and cell, as drawn in shifts without reports, and the shifts with reports.

    No shift has any unless the log is stated to be complete: with missing rows the effect of a visit would be overstated.
    """
    rows = stored.rows
    drawn = stored.dense(rows["units"].to_numpy() > 0)
    days = local_dates(rows["starts_utc"], city.zone)
    is_reported = np.zeros(len(drawn), dtype=bool)
    if city.patrols is None or not city.patrols.log_is_complete:
        return drawn, is_reported
    made = store.read_present(PATROLS_MADE, city.name, pc.min(days).as_py(), pc.max(days).as_py())
    if made is None:
        return drawn, is_reported
    keys = ["date", "shift", "row", "column"]
    frame = rows.select(keys[1:]).to_pandas().assign(date=days.to_pylist())
    known = frame.merge(made.select([*keys, "visited"]).to_pandas(), "left", keys, indicator="stored")
    is_stated = known["visited"].isin([True, False]).to_numpy()
    is_reported[stored.shift[is_stated]] = True
    # In a shift with reports a cell without planned or made hours was not visited.
    is_drawn = rows["units"].to_numpy() > 0
    as_reported = np.where(is_stated, known["visited"].isin([True]), is_drawn & (known["stored"] == "both"))
    visits = np.where(is_reported[:, None], stored.dense(as_reported), drawn)
    return visits, is_reported


def _alerts(store: Store, city: City, cells: Integers, starts: Days, ends: Days) -> tuple[Array, Booleans]:
    """Return the alerts of planned targets by shift and cell, shape (shifts, cells), and the shifts for which they are known."""
    days = [
        local_dates(pa.array(instants, pa.timestamp("s", "UTC")), city.zone).to_pylist()
        for instants in (starts, ends - np.timedelta64(1, "s"))
    ]
    first = min(days[0])
    last = max(days[1])
    table = DayTable.read(store, city.name)
    is_stored = [np.isin(column, sorted(store.days_present(CLEANED, city.name, first, last))) for column in days]
    is_known = np.logical_and.reduce([*is_stored, *map(table.is_counted, days)])
    rows = store.read_present(CLEANED, city.name, first, last, ALERT_COLUMNS)
    if rows is None:
        return np.zeros((len(starts), len(cells))), is_known
    return _counts(_planned_for(counted_alerts(rows, city), city), city, cells, np.stack([starts, ends])), is_known


def _counts(alerts: pa.Table, city: City, cells: Integers, bounds: Days) -> Array:
    """Count alerts in order of time by shift, given starts and ends (`bounds`), and cell; shape (shifts, cells)."""
    number = numbers_at(city, alerts["longitude"].to_numpy(), alerts["latitude"].to_numpy())
    in_cells = np.isin(number, cells)
    time = alerts["time_utc"].to_numpy().astype("datetime64[us]")[in_cells]
    cell = np.searchsorted(cells, number[in_cells])
    stretches = np.searchsorted(time, bounds.astype("datetime64[us]")).T
    return np.array([np.bincount(cell[begin:end], minlength=len(cells)) for begin, end in stretches], np.float64)


def _planned_for(alerts: pa.Table, city: City) -> pa.Table:
    """Return the alerts of the targets that plans cover, by time."""
    weights = {} if city.patrol is None else city.patrol.weights
    codes = {code for name in city.targets if weights.get(name, 1.0) for code in city.only(name).forecast_codes}
    types = alerts["gunshot_type"].fill_null(UNKNOWN_TYPE_CODE)
    return alerts.filter(pc.is_in(types, pa.array(sorted(codes), types.type))).sort_by("time_utc")
