"""How the issued forecast of the streets did on its day, and in the shifts that ended on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from shotspotter_assets.calendar.local_time import day_start
from shotspotter_assets.cities.city import City
from shotspotter_assets.evaluation.forecasts_table import cells_of
from shotspotter_assets.evaluation.street_scores import Network, StreetScores
from shotspotter_assets.gridding.cells import DECIMALS
from shotspotter_assets.models.city_history import CityHistory, DaysNotKnownError, covered_mask
from shotspotter_assets.patrol.shifts import shift_window
from shotspotter_assets.serving.issued_forecasts import ForecastRecord, forecast_partition, load_record
from shotspotter_assets.serving.risk_tables import is_of_grid, next_day_rows
from shotspotter_assets.serving.street_risk import (
    NoStreetRisk,
    alerts_of,
    counted_rows,
    load_streets_record,
    read_streets,
)
from shotspotter_assets.sources.known_then import KnownThen
from shotspotter_assets.storage.errors import MissingObjectError
from shotspotter_assets.storage.file_names import FORECAST_FILE, RECORD_FILE
from shotspotter_assets.storage.store import Partition, Store
from shotspotter_assets.streets.parts import Parts, parts_of
from shotspotter_assets.streets.segments import Segments, StreetsFileError, read_segments
from shotspotter_assets.streets.spread import Inexactness

STREET_SCORES: Final = "street_scores"
ONE_DAY: Final = timedelta(days=1)


class StreetScoreRecord(BaseModel):
    """The scores of a city's day; stored as `record.json`."""

    model_config = ConfigDict(frozen=True)

    city: str
    day: date
    note: str = ""
    """Why the day has no scores; empty where it has."""
    lead: int = 1
    """Days from the last known day to the one that was forecast."""
    replayed: bool = False
    """Whether the forecast was made in a replay, after its day."""
    caution: str = ""
    """That the alerts' points hardly tell streets; empty where they do."""
    scores: StreetScores | None = None
    shifts: dict[str, StreetScores] = {}
    """Of the shifts that ended on the day, those over midnight by the forecast of the day before; without a historical mean."""

    @classmethod
    def of_days(cls, store: Store, city: str, first: date, last: date) -> "list[StreetScoreRecord]":
        """The records of days, sorted, as far as there are any."""
        scored = store.days_present(STREET_SCORES, city, RECORD_FILE)
        return [cls.load(store, city, day) for day in sorted(scored) if first <= day <= last]

    @classmethod
    def load(cls, store: Store, city: str, day: date) -> "StreetScoreRecord":
        """The record of a day.

        Raises:
            MissingObjectError: the day was not scored.
        """
        return cls.model_validate_json(store.read_bytes(_partition(city, day), RECORD_FILE))


@dataclass(frozen=True)
class IssuedStreets:
    """An issued forecast of the streets.

    Attributes:
        record: of the forecast of the cells.
        caution: see `StreetRecord`.
        table: of the day and of each shift, see `street_risk.STREET_SCHEMA`.
        in_coverage: cells that were forecast, shape (rows, columns).
        inexactness: of the alerts' points, as it was then.
    """

    record: ForecastRecord
    caution: str
    table: pa.Table
    in_coverage: npt.NDArray[np.bool_]
    inexactness: Inexactness


class NotScoredError(Exception):
    """A day's streets cannot be scored; the message says why and is stored in place of scores."""


def issued_streets(store: Store, city: City, day: date) -> IssuedStreets:
    """The forecast of the streets for a day.

    Raises:
        NotScoredError: there is none, or it cannot be compared with what is counted.
    """
    if city.streets is None:
        raise NotScoredError(f"City {city.name} names no streets; give its file a section streets to have them ranked.")
    issue_date = day - ONE_DAY
    try:
        streets = load_streets_record(store, city.name, issue_date)
        forecast = load_record(store, city.name, issue_date)
    except MissingObjectError:
        raise NotScoredError(f"No streets were ranked on {issue_date}, so {day} has no score.") from None
    table = read_streets(store, city.name, issue_date)
    if isinstance(streets, NoStreetRisk):
        raise NotScoredError(f"No streets were ranked on {issue_date}, so {day} has no score. {streets.no_streets}")
    if table is None or not isinstance(forecast, ForecastRecord):
        raise NotScoredError(f"No forecast is stored of {issue_date} any more, so {day} has no score.")
    if streets.inexactness is None:
        raise NotScoredError(f"The streets ranked on {issue_date} are of a version that was not scored.")
    issued = store.read_table(forecast_partition(city.name, issue_date), FORECAST_FILE)
    if not is_of_grid(issued, city):
        raise NotScoredError(f"The forecast issued on {issue_date} is of another grid, so {day} has no score.")
    cells = list(zip(*cells_of(next_day_rows(issued)), strict=True))
    return IssuedStreets(forecast, streets.caution, table, covered_mask(cells, city.shape), streets.inexactness)


def score_streets(store: Store, city: City, day: date, known_then: KnownThen | None = None) -> StreetScoreRecord:
    """The scores of a day and of the shifts that ended on it, or why there are none.

    Args:
        store: with the forecasts issued on the two days before it, and the days.
        city: whose.
        day: a local day that is over.
        known_then: for a replay: only what was known on the day after it.
    """
    try:
        issued = issued_streets(store, city, day)
        _refuse_unknown(store, city, day, known_then)
        segments = read_segments(city)
        towns = _Town(city, segments, parts_of(city, segments))
        scores = towns.of_period(issued, None, _rows_within(store, city, day, day, known_then), day)
        shifts = {}
        for name, of_day, (begin, end) in shifts_ended_on(city, day):
            try:
                by = issued if of_day == day else issued_streets(store, city, of_day)
                rows = _rows_within(store, city, of_day, day, known_then, (begin, end))
                shifts[name] = towns.of_period(by, name, rows, day)
            except NotScoredError:
                continue  # the day's own scores stand without it
    except (NotScoredError, StreetsFileError) as error:
        return StreetScoreRecord(city=city.name, day=day, note=str(error))
    return StreetScoreRecord(
        city=city.name,
        day=day,
        lead=issued.record.lead,
        replayed=issued.record.replayed,
        caution=issued.caution,
        scores=scores,
        shifts=shifts,
    )


def shifts_ended_on(city: City, day: date) -> Sequence[tuple[str, date, tuple[datetime, datetime]]]:
    """(name, day on which it began, begin and end) of the shifts that ended on a local day; at its end counts as on it."""
    if city.patrol is None:
        return []
    first, last = (day_start(at, city.zone) for at in (day, day + ONE_DAY))
    windows = [
        (shift.name, began, shift_window(shift, began, city.zone))
        for shift in city.patrol.shifts
        for began in (day - ONE_DAY, day)
    ]
    return [window for window in windows if first < window[2][1] <= last]


@dataclass(frozen=True)
class _Town:
    """A city's streets as they are."""

    city: City
    segments: Segments
    parts: Parts

    def of_period(self, issued: IssuedStreets, shift: str | None, rows: pa.Table | None, day: date) -> StreetScores:
        """Scores of the day, or of a shift by name, against the rows of its alerts.

        Raises:
            NotScoredError: the streets are others than those that were ranked, or the shift was not forecast.
        """
        table = issued.table
        table = table.filter(pc.is_null(table["shift"]) if shift is None else pc.equal(table["shift"], shift))
        if not len(table):
            raise NotScoredError(f"Nothing was forecast for {issued.record.day}{f', {shift}' if shift else ''}.")
        network = self._network(issued, table["segment"].to_numpy())
        stored = np.column_stack([table[name].to_numpy() for name in ("longitude", "latitude")])
        middles = np.round(self.segments.middles(self.city)[network.shown], DECIMALS)
        if not np.allclose(middles, stored, rtol=0, atol=1.5 * 10.0**-DECIMALS):
            raise self._changed(issued)
        alerts = alerts_of(rows)
        label = np.datetime64(day, "D")
        # Of a shift over midnight, both days are one period.
        alerts = type(alerts)(np.full(len(alerts), label), alerts.longitude, alerts.latitude)
        observed = network.alert_days(self.city, self.parts, alerts, issued.inexactness, np.array([label])).toarray()[0]
        mean = None if shift is not None else table["historical_mean"].to_numpy()
        return StreetScores.of(table["probability"].to_numpy(), mean, observed, network.metres)

    def _network(self, issued: IssuedStreets, shown: npt.NDArray[np.integer]) -> Network:
        whole = Network.of(self.parts, issued.in_coverage)
        if not np.array_equal(whole.shown, shown):
            raise self._changed(issued)
        return whole

    def _changed(self, issued: IssuedStreets) -> NotScoredError:
        return NotScoredError(
            f"The streets of {self.city.name} are others than on {issued.record.issue_date}, when they were ranked for "
            f"{issued.record.day}: its file of streets has changed since."
        )


def _refuse_unknown(store: Store, city: City, day: date, known_then: KnownThen | None) -> None:
    try:
        known = CityHistory.load(store, city, day, max(city.start, day - ONE_DAY), known_then).last_known
    except DaysNotKnownError:
        known = None
    if known is None or known < day:
        raise NotScoredError(f"What happened on {day} is not known yet.")


def _rows_within(
    store: Store,
    city: City,
    first: date,
    last: date,
    known_then: KnownThen | None,
    window: tuple[datetime, datetime] | None = None,
) -> pa.Table | None:
    """The counted alerts of days, or of a window in them."""
    rows = counted_rows(store, city, first, last, known_then)
    if rows is None or window is None:
        return rows
    begin, end = (pa.scalar(at, rows["time_utc"].type) for at in window)
    return rows.filter(pc.and_(pc.greater_equal(rows["time_utc"], begin), pc.less(rows["time_utc"], end)))


def write_street_scores(store: Store, record: StreetScoreRecord) -> str:
    """Write the record; returns where it is."""
    partition = _partition(record.city, record.day)
    store.write_bytes(partition, RECORD_FILE, record.model_dump_json(indent=1).encode())
    return store.uri(partition, RECORD_FILE)


def _partition(city: str, day: date) -> Partition:
    return Partition(STREET_SCORES, city, "date", day)
