"""The risk of the next day and of each shift by street, made from the forecast of the cells and the past of the streets."""

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, TypeAdapter

from shotspotter_assets.calendar.local_time import days_between
from shotspotter_assets.cities.city import UNKNOWN_TYPE_CODE, City
from shotspotter_assets.evaluation.forecasts_table import cells_of
from shotspotter_assets.evaluation.street_scores import Network, historical_mean
from shotspotter_assets.gridding.cells import DECIMALS, Plane, cell_name
from shotspotter_assets.gridding.tensors import counted_alerts
from shotspotter_assets.models.city_history import covered_mask
from shotspotter_assets.patrol.shifts import shift_forecasts
from shotspotter_assets.serving.columns import STREET_COLUMNS
from shotspotter_assets.serving.intervals import ENDS
from shotspotter_assets.serving.issued_forecasts import ForecastRecord, NoForecast
from shotspotter_assets.sources.known_then import KnownThen
from shotspotter_assets.storage.arrow_schema import arrow_schema
from shotspotter_assets.storage.errors import MissingObjectError
from shotspotter_assets.storage.file_names import (
    ALERTS_FILE,
    RECORD_FILE,
    STREETS_FILE,
    STREETS_MAP_FILE,
    TOP_STREETS_FILE,
)
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.store import Partition, Store
from shotspotter_assets.streets.parts import parts_of
from shotspotter_assets.streets.segment_risk import CellRisk, SegmentRisk, segment_risk
from shotspotter_assets.streets.segments import Segments, read_segments
from shotspotter_assets.streets.shares import StreetShares
from shotspotter_assets.streets.spread import Alerts, Ambiguity, Inexactness

Array = npt.NDArray[np.float64]

STREET_RISK: Final = "street_risk"
STREET_SCHEMA: Final = arrow_schema(STREET_COLUMNS, required=set(STREET_COLUMNS) - {"shift", "historical_mean"})
MAX_STREETS: Final = 50
"""That are ranked with reasons."""
MAX_REASONS: Final = 2
"""Of the cell, beside the street's own."""
MANY_CANDIDATES: Final = 2.0
"""If an alert may belong to so many segments on average, a ranking of streets is one of places of some blocks."""


class StreetRecord(BaseModel):
    """What a forecast of streets states beside its tables; stored as `record.json`."""

    model_config = ConfigDict(frozen=True)

    city: str
    issue_date: date
    day: date
    segments: int
    kilometres: float
    expected_alerts: float
    """On the streets that are ranked."""
    expected_on_no_street: float
    """With `expected_alerts` as many as are forecast of the cells."""
    points: str
    """How exact the points of past alerts are."""
    prior_days: float
    """Days with alerts in a cell whose weight a street's length has."""
    left_out: tuple[str, ...]
    """Lines of the file that are no segments."""
    inexactness: Inexactness | None = None
    """The same as `points`; None of an earlier version."""
    ambiguity: Ambiguity | None = None
    """On which streets past alerts may have been; None without any, and of an earlier version."""

    @property
    def caution(self) -> str:
        """That the points hardly tell streets, in words; "" where they do."""
        if self.ambiguity is None or self.ambiguity.candidates < MANY_CANDIDATES:
            return ""
        return (
            f"Which street it is, is hardly known here: {self.points}, so that an alert may have been on any of "
            f"{self.ambiguity.candidates:.1f} streets on average. Read these as places of some blocks, not as streets."
        )


class NoStreetRisk(BaseModel):
    """Why no street is ranked on a day; stored as `record.json` in place of a `StreetRecord`."""

    model_config = ConfigDict(frozen=True)

    city: str
    issue_date: date
    no_streets: str
    """The reason, in a sentence."""
    is_wrong: bool = False
    """Whether the city's file of streets cannot be used."""


StreetsRecord = StreetRecord | NoStreetRisk

_RECORD: Final[TypeAdapter[StreetsRecord]] = TypeAdapter(StreetsRecord)


@dataclass(frozen=True)
class StreetForecast:
    """The ranked streets of one issue date.

    Attributes:
        table: of the day and of each shift, by segment (`STREET_SCHEMA`).
        top: the segments with the highest probability on the day, ranked, and why.
        geojson: their lines as a map.
        segments: all of the city.
        record: stated facts.
    """

    table: pa.Table
    top: pa.Table
    geojson: bytes
    segments: Segments
    record: StreetRecord

    @property
    def version(self) -> str:
        """A hash of what is forecast: made again from the same days and streets, nothing after it is stale."""
        columns = [column for table in (self.table, self.top) for column in table.combine_chunks().columns]
        return sha256(self.record.model_dump_json(), *(str(column.to_pylist()) for column in columns))[:16]

    def of_day(self) -> pa.Table:
        """The rows of the whole day."""
        return self.table.filter(pc.is_null(self.table["shift"]))


def counted_rows(
    store: Store, city: City, first: date, last: date, known_then: KnownThen | None = None
) -> pa.Table | None:
    """The stored alerts that the grid counts and that forecasts are of, within the city's box; None where no day is stored.

    Args:
        store: with the cleaned days.
        city: whose.
        first: the first day.
        last: the last day, which is known.
        known_then: for a replay: only what was known on the day after the last one.
    """
    columns = ["time_utc", "longitude", "latitude", "gunshot_type", "user_id", "incident_id"]
    table = store.read_present("cleaned_alerts", city.name, ALERTS_FILE, first, last, columns)
    if table is None:
        return None
    table = counted_alerts(table, city)
    longitude, latitude = (table[name].to_numpy() for name in ("longitude", "latitude"))
    box = city.box
    chosen = np.isin(table["gunshot_type"].fill_null(UNKNOWN_TYPE_CODE).to_numpy(), city.forecast_codes)
    chosen &= (longitude >= box.west) & (longitude <= box.east) & (latitude >= box.south) & (latitude <= box.north)
    if known_then is not None:
        days = table["date"].to_numpy().astype("datetime64[D]")
        present = np.unique(days)
        came = known_then.came([day.astype(object) for day in present], last)
        chosen &= np.isin(days, present[came])
    return table.filter(pa.array(chosen))


def alerts_of(rows: pa.Table | None) -> Alerts:
    """Days and places of `counted_rows`."""
    if rows is None:
        return Alerts(np.empty(0, "datetime64[D]"), np.empty(0), np.empty(0))
    longitude, latitude = (rows[name].to_numpy() for name in ("longitude", "latitude"))
    return Alerts(rows["date"].to_numpy().astype("datetime64[D]"), longitude, latitude)


def rank_streets(
    city: City, forecast: ForecastRecord, next_day: pa.Table, hourly: pa.Table, alerts: Alerts
) -> StreetForecast:
    """The risk of all segments in the cells that are forecast, on the next day and in each shift.

    Args:
        city: with `streets`.
        forecast: what was issued.
        next_day: its rows of the next day (`RISK_SCHEMA`).
        hourly: its alerts by hour.
        alerts: of the past, see `counted_rows`.

    Raises:
        StreetsFileError: the city's file of streets cannot be used.
    """
    segments = read_segments(city)
    parts = parts_of(city, segments)
    shares = StreetShares.fit(city, parts, alerts)
    day_cells = _of_cells(city, next_day)
    day = segment_risk(shares, day_cells, ENDS)
    shown = np.flatnonzero(day.expected > 0)
    periods: list[tuple[str | None, SegmentRisk]] = [(None, day)]
    if city.patrol is not None:
        shifts = shift_forecasts(hourly, city, forecast.day)
        for shift, expected, probability in zip(city.patrol.shifts, shifts.expected, shifts.probability, strict=True):
            cells = _of_shift(day_cells, expected.ravel(), probability.ravel())
            periods.append((shift.name, segment_risk(shares, cells, ENDS)))
    described = _Described.of(city, segments, shares, day_cells, shown)
    mean = np.zeros(len(segments))
    network = Network.of(parts, covered_mask(list(zip(*cells_of(next_day), strict=True)), city.shape))
    days = np.array(days_between(city.start, forecast.last_known), dtype="datetime64[D]")
    by_day = network.alert_days(city, parts, alerts, shares.inexactness, days)
    mean[network.shown] = historical_mean(by_day, network.metres)
    top = _top(described, day, shares, day_cells, forecast)
    return StreetForecast(
        table=pa.concat_tables(
            [described.table(shift, risk, mean if shift is None else None) for shift, risk in periods]
        ),
        top=top,
        geojson=_geojson(city, segments, top),
        segments=segments,
        record=StreetRecord(
            city=city.name,
            issue_date=forecast.issue_date,
            day=forecast.day,
            segments=len(shown),
            kilometres=float(segments.metres[shown].sum() / 1000),
            expected_alerts=float(day.expected.sum()),
            expected_on_no_street=day.expected_on_no_street,
            points=str(shares.inexactness),
            prior_days=shares.prior_days,
            left_out=segments.left_out,
            inexactness=shares.inexactness,
            ambiguity=shares.ambiguity,
        ),
    )


def _of_cells(city: City, table: pa.Table) -> CellRisk:
    """The rows of one period on the whole grid."""
    values = np.zeros((4, *city.shape))
    row, column = (table[name].to_numpy() for name in ("row", "column"))
    for at, name in enumerate(("expected", "probability", "low", "high")):
        values[at, row, column] = table[name].to_numpy()
    return CellRisk(*values.reshape(4, -1))


def _of_shift(day: CellRisk, expected: Array, probability: Array) -> CellRisk:
    """A shift's risk of cells, as unsure as that of the day in odds of hazards."""
    hazard, *ends = (-np.log1p(-values) for values in (probability, day.low, day.high))
    of_day = -np.log1p(-day.probability)
    low, high = (
        -np.expm1(-hazard * np.divide(end, of_day, out=np.ones_like(of_day), where=of_day > 0)) for end in ends
    )
    return CellRisk(expected, probability, low, high)


@dataclass(frozen=True)
class _Described:
    """The segments that are shown, and the cell of each with most of its expected alerts."""

    city: City
    segments: Segments
    shown: npt.NDArray[np.int64]
    main_part: npt.NDArray[np.int64]
    cell: npt.NDArray[np.int64]

    @classmethod
    def of(
        cls, city: City, segments: Segments, shares: StreetShares, cells: CellRisk, shown: npt.NDArray[np.int64]
    ) -> "_Described":
        parts = shares.parts
        expected = cells.expected[parts.cell] * shares.share[: len(parts)]
        order = np.lexsort((-expected, parts.segment))
        _, first = np.unique(parts.segment[order], return_index=True)
        main_part = np.full(len(segments), -1)
        main_part[parts.segment[order][first]] = order[first]
        return cls(city, segments, shown, main_part, parts.cell[main_part])

    def columns(self, at: npt.NDArray[np.int64]) -> dict[str, Any]:
        """What is the same in all periods, of chosen segments."""
        longitude, latitude = np.round(self.segments.middles(self.city)[at], DECIMALS).T
        row, column = np.divmod(self.cell[at], self.city.grid.columns)
        return {
            "segment": at.astype(np.int32),
            "name": [self.segments.names[segment] for segment in at],
            "street": [self.segments.streets[segment] for segment in at],
            "longitude": longitude,
            "latitude": latitude,
            "metres": np.round(self.segments.metres[at], 1),
            "row": row.astype(np.int16),
            "column": column.astype(np.int16),
        }

    def table(self, shift: str | None, risk: SegmentRisk, mean: Array | None) -> pa.Table:
        columns = self.columns(self.shown) | {
            name: getattr(risk, name)[self.shown] for name in ("probability", "low", "high", "expected")
        }
        columns["shift"] = pa.array([shift] * len(self.shown), pa.string())
        columns["historical_mean"] = pa.nulls(len(self.shown), pa.float64()) if mean is None else mean[self.shown]
        return pa.table([pa.array(columns[field.name]) for field in STREET_SCHEMA], schema=STREET_SCHEMA)


def _top(
    described: _Described, day: SegmentRisk, shares: StreetShares, cells: CellRisk, forecast: ForecastRecord
) -> pa.Table:
    """The segments with the highest probability, ranked, and why."""
    best = np.argsort(-day.probability, kind="stable")[: min(MAX_STREETS, len(described.shown))]
    columns = {"rank": np.arange(1, len(best) + 1, dtype=np.int32)} | described.columns(best)
    columns |= {name: getattr(day, name)[best] for name in ("probability", "low", "high", "expected")}
    drivers = forecast.cell_drivers()
    parts = shares.parts
    street_metres = np.bincount(parts.cell, parts.metres, minlength=parts.cells)
    why = []
    for segment in best.tolist():
        part, cell = int(described.main_part[segment]), int(described.cell[segment])
        row, column = divmod(cell, described.city.grid.columns)
        share = float(shares.share[part])
        by_length = float(parts.metres[part] / street_metres[cell])
        own = f"{share:.0%} of the alerts of {cell_name(row, column)}, {share / by_length:.1f} times its share of the streets there"
        of_cell = "; ".join(drivers.get((row, column), ())[:MAX_REASONS])
        why.append(
            f"{own}; the cell has an alert with {cells.probability[cell]:.0%}{f': {of_cell}' if of_cell else ''}"
        )
    return pa.table({name: pa.array(values) for name, values in columns.items()} | {"why": pa.array(why, pa.string())})


def _geojson(city: City, segments: Segments, top: pa.Table) -> bytes:
    """The ranked segments as GeoJSON lines (RFC 7946)."""
    import shapely

    plane = Plane.of(city)
    features = []
    for record in top.to_pylist():
        line = shapely.transform(segments.lines[record["segment"]], plane.degrees)
        geometry = json.loads(shapely.to_geojson(shapely.set_precision(line, 1e-6)))
        properties = {name: round(value, 6) if isinstance(value, float) else value for name, value in record.items()}
        features.append({"type": "Feature", "id": record["segment"], "geometry": geometry, "properties": properties})
    return json.dumps({"type": "FeatureCollection", "features": features}, ensure_ascii=False).encode()


def streets_partition(city: str, issue_date: date) -> Partition:
    """Where the streets are that were ranked from the forecast issued on a day."""
    return Partition(STREET_RISK, city, "date", issue_date)


def write_streets(store: Store, forecast: StreetForecast) -> str:
    """Write the files of ranked streets; returns where their table is."""
    partition = streets_partition(forecast.record.city, forecast.record.issue_date)
    with store.alone(partition.asset, partition.city):
        store.write_table(partition, TOP_STREETS_FILE, forecast.top)
        store.write_bytes(partition, STREETS_MAP_FILE, forecast.geojson)
        store.write_table(partition, STREETS_FILE, forecast.table)
        # Last, as its presence tells that the others are there.
        store.write_bytes(partition, RECORD_FILE, forecast.record.model_dump_json(indent=1).encode())
    return store.uri(partition, STREETS_FILE)


def write_no_streets(store: Store, record: NoStreetRisk) -> str:
    """Write why no street is ranked, in place of what may have been; returns where it is."""
    partition = streets_partition(record.city, record.issue_date)
    with store.alone(partition.asset, partition.city):
        store.write_bytes(partition, RECORD_FILE, record.model_dump_json(indent=1).encode())
        for file in (STREETS_FILE, TOP_STREETS_FILE, STREETS_MAP_FILE):
            store.delete(partition, file)
    return store.uri(partition, RECORD_FILE)


def load_streets_record(store: Store, city: str, issue_date: date) -> StreetsRecord:
    """What was ranked on a day, or why nothing was.

    Raises:
        MissingObjectError: the day was not made.
    """
    return _RECORD.validate_json(store.read_bytes(streets_partition(city, issue_date), RECORD_FILE))


def read_streets(store: Store, city: str, issue_date: date) -> pa.Table | None:
    """The risk of a day's streets (`STREET_SCHEMA`); None where none are ranked, or not yet."""
    with suppress(MissingObjectError):
        return store.read_table(streets_partition(city, issue_date), STREETS_FILE)
    return None


def top_street_lines(store: Store, city: str, issue_date: date) -> list[dict[str, Any]]:
    """The segments with the highest probability on a day, ranked, as GeoJSON features with reasons; none where none are ranked."""
    try:
        content = store.read_bytes(streets_partition(city, issue_date), STREETS_MAP_FILE)
    except MissingObjectError:
        return []
    features: list[dict[str, Any]] = json.loads(content)["features"]
    return features


def streets_caution(store: Store, city: str, issue_date: date) -> str:
    """`StreetRecord.caution` of the streets ranked on a day; "" where none are."""
    with suppress(MissingObjectError):
        record = load_streets_record(store, city, issue_date)
        return record.caution if isinstance(record, StreetRecord) else ""
    return ""


def why_none(city: City, issue_date: date, forecast: ForecastRecord | NoForecast | None) -> NoStreetRisk | None:
    """Why no street can be ranked, be the streets' file as it may; None where they can."""
    if city.streets is None:
        reason = f"City {city.name} names no streets; give its file a section streets to have them ranked."
    elif forecast is None or isinstance(forecast, NoForecast):
        reason = "No street is ranked, as there is no forecast." + (
            "" if forecast is None else f" {forecast.no_forecast}"
        )
    else:
        return None
    return NoStreetRisk(city=city.name, issue_date=issue_date, no_streets=reason)
