"""Risk of the next day and of each shift by street, from the cells' forecast and past alerts of streets, and its files."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from shotspotter_assets.alerts.days.day_table import DayTable
from shotspotter_assets.cities.city import UNKNOWN_TYPE_CODE, City
from shotspotter_assets.evaluation.scores import ratio
from shotspotter_assets.forecasts.issued_forecasts import (
    ForecastRecord,
    NoForecast,
    content_version,
    is_of_grid,
    load_record,
    next_day_rows,
)
from shotspotter_assets.forecasts.patrol.shifts import shift_forecasts
from shotspotter_assets.forecasts.street_segments import Segments, StreetsFileError, parts_of, read_segments
from shotspotter_assets.forecasts.street_shares import (
    Alerts,
    CellRisk,
    SegmentRisk,
    StreetShares,
    nearest_parts,
    segment_risk,
)
from shotspotter_assets.grid.cells import (
    COARSE_STEP_METRES,
    DECIMALS,
    METRES_PER_DEGREE,
    Plane,
    cell_name,
    rounding_step,
)
from shotspotter_assets.grid.tensors import counted_alerts
from shotspotter_assets.models.alert_counts import ENDS
from shotspotter_assets.models.forecaster import log_losses
from shotspotter_assets.models.next_hours.incident_points import stored_alerts
from shotspotter_assets.storage.arrays import Array, Integers
from shotspotter_assets.storage.catalogue import (
    FORECAST,
    HOURLY,
    STREET_SCORES,
    STREETS,
    STREETS_MAP,
    STREETS_RECORD,
    TOP_STREETS,
)
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_record import StoredRecord

MAX_STREETS: Final = 50  # maximum streets ranked with reasons
MAX_REASONS: Final = 2  # maximum reasons of the cell, beside that of the street


class StreetRecord(StoredRecord):
    """Facts of the streets ranked on an issue date, or the reason for none."""

    stored_as = STREETS_RECORD

    issue_date: date = Field(description="Issue date of the forecast.")
    no_streets: str = Field("", description='Reason for no ranked streets, or "".')
    forecast_version: str = Field("", description="Version of the forecast.")
    is_wrong: bool = Field(False, description="True for an unusable file of streets.")
    segments: int = Field(0, description="Number of ranked segments.")
    expected_alerts: float = Field(0.0, description="Expected number of alerts on the segments on the forecast date.")
    expected_on_no_street: float = Field(0.0, description="Rest of the sum over the cells, on no street.")
    left_out: tuple[str, ...] = Field((), description="Lines of the file that are no segments, in words.")
    rounding: str = Field("", description="Sentence on points rounded to more than many streets' length, or none.")


@dataclass(frozen=True)
class StreetForecast:
    """Files of ranked streets: `catalogue.STREETS`, `TOP_STREETS`, `STREETS_MAP` and the record."""

    table: pa.Table
    top: pa.Table
    geojson: bytes
    record: StreetRecord

    @property
    def version(self) -> str:
        """Hash of the forecast, equal for equal days and streets."""
        return content_version([self.record.facts()], [self.table, self.top])


def past_alerts(store: Store, city: City, first: date, last: date) -> Alerts:
    """Read the stored alerts of forecast types within the city's box."""
    table = counted_alerts(stored_alerts(store, city, first, last), city)
    longitude, latitude = (table[name].to_numpy() for name in ("longitude", "latitude"))
    chosen = np.isin(table["gunshot_type"].fill_null(UNKNOWN_TYPE_CODE).to_numpy(), city.forecast_codes)
    chosen &= city.box.holds(longitude, latitude)
    return Alerts(table["date"].to_numpy().astype("datetime64[D]"), longitude, latitude).chosen(chosen)


def street_forecast(store: Store, city: City, issue_date: date) -> StreetForecast | StreetRecord:
    """Return the ranked streets of a stored forecast, or the reason for none."""

    def nothing(reason: str, is_wrong: bool = False) -> StreetRecord:
        return StreetRecord(city=city.name, issue_date=issue_date, no_streets=reason, is_wrong=is_wrong)

    if city.streets is None:
        return nothing(f"City {city.name} names no streets; give its file a section streets to have them ranked.")
    forecast = load_record(store, city.name, issue_date)
    if isinstance(forecast, NoForecast):
        return nothing(f"No street is ranked, because there is no forecast. {forecast.no_forecast}")
    issued = store.read_table(FORECAST, city.name, issue_date)
    if not is_of_grid(issued, city):
        remedy = f"Materialize risk_forecasts for {city.name} {issue_date}, and then street_risk."
        return nothing(f"The forecast is of another grid. {remedy}")
    hourly = store.read_table(HOURLY, city.name, issue_date)
    alerts = past_alerts(store, city, city.start, forecast.last_known)
    try:
        return rank_streets(city, forecast, next_day_rows(issued), hourly, alerts)
    except StreetsFileError as error:
        return nothing(str(error), is_wrong=True)


def rank_streets(
    city: City, forecast: ForecastRecord, next_day: pa.Table, hourly: pa.Table, alerts: Alerts
) -> StreetForecast:
    """Return the risk of segments in forecast cells, by day and shift; raise StreetsFileError for an unusable file."""
    segments = read_segments(city)
    parts = parts_of(city, segments)
    shares = StreetShares.fit(city, parts, alerts)
    cells = _cell_risk(city, next_day)
    day = segment_risk(shares, cells, ENDS)
    ranked = np.flatnonzero(day.expected > 0)
    # The main part of a segment has most of its expected alerts.
    of_parts = pd.Series(cells.expected[parts.cell] * shares.share[: len(parts)])
    main_parts = of_parts.groupby(parts.segment).idxmax().reindex(range(len(segments)), fill_value=-1).to_numpy()
    facts = _facts(city, segments, parts.cell[main_parts])
    tables = [_ranked_table(facts, ranked, day, None)]
    for shift, shift_cells in _by_shift(city, forecast, hourly, cells):
        tables.append(_ranked_table(facts, ranked, segment_risk(shares, shift_cells, ENDS), shift))
    best = np.argsort(-day.probability, kind="stable")[: min(MAX_STREETS, len(ranked))]
    why = _reasons(city, shares, cells, main_parts[best], forecast)
    top = pa.table({"rank": np.arange(1, len(best) + 1, dtype=np.int32), **_columns(facts, best, day), "why": why})
    return StreetForecast(
        table=pa.concat_tables(tables),
        top=top,
        geojson=_geojson(city, segments, top),
        record=StreetRecord(
            city=city.name,
            issue_date=forecast.issue_date,
            forecast_version=forecast.version,
            segments=len(ranked),
            expected_alerts=float(day.expected.sum()),
            expected_on_no_street=day.expected_on_no_street,
            left_out=segments.left_out,
            rounding=_rounding(city, alerts, segments.metres[ranked]),
        ),
    )


def write_streets(store: Store, forecast: StreetForecast | StreetRecord) -> str:
    """Write the files of ranked streets, or the reason for none; return the record's address."""
    if isinstance(forecast, StreetForecast):
        files = {TOP_STREETS: forecast.top, STREETS_MAP: forecast.geojson, STREETS: forecast.table}
        return forecast.record.write_after(store, files)
    with store.alone(STREETS.asset, forecast.city):
        for file in (STREETS, TOP_STREETS, STREETS_MAP):
            store.delete(file, forecast.city, forecast.issue_date)
        return forecast.write(store)


def top_street_lines(store: Store, city: City, forecast: ForecastRecord) -> list[dict[str, Any]]:
    """Return the most probable segments as GeoJSON features with reasons; none if no streets of this forecast are ranked."""
    ranked = StreetRecord.find(store, city.name, forecast.issue_date)
    if city.streets is None or ranked is None or ranked.no_streets or ranked.forecast_version != forecast.version:
        return []
    return list(json.loads(store.read_bytes(STREETS_MAP, city.name, forecast.issue_date))["features"])


def _cell_risk(city: City, next_day: pa.Table) -> CellRisk:
    """Return the risk of all cells of the grid from the rows of a forecast."""
    names = ("expected", "probability", "low", "high")
    values = np.zeros((len(names), *city.shape))
    row, column = (next_day[name].to_numpy() for name in ("row", "column"))
    values[:, row, column] = [next_day[name].to_numpy() for name in names]
    expected, probability, low, high = values.reshape(len(names), -1)
    return CellRisk(expected, probability, low, high)


def _ranked_table(facts: pd.DataFrame, segments: Integers, risk: SegmentRisk, shift: str | None) -> pa.Table:
    """Return the rows of ranked segments (`catalogue.STREETS`) on the whole day, or in a shift."""
    shifts = pa.array([shift] * len(segments), pa.string())
    return pa.table(_columns(facts, segments, risk) | {"shift": shifts}, schema=STREETS.schema)


def _facts(city: City, segments: Segments, cells: Integers) -> pd.DataFrame:
    """Return names, middle, length and main cell of each segment; the index is the segment's number."""
    row, column = np.divmod(cells, city.grid.columns)
    longitude, latitude = np.round(segments.middles(city), DECIMALS).T
    return pd.DataFrame(
        {
            "name": segments.names,
            "street": segments.streets,
            "longitude": longitude,
            "latitude": latitude,
            "metres": np.round(segments.metres, 1),
            "row": row.astype(np.int16),
            "column": column.astype(np.int16),
        }
    )


def _columns(facts: pd.DataFrame, segments: Integers, risk: SegmentRisk) -> dict[str, Any]:
    """Return the columns of a table of ranked segments."""
    return {
        "segment": segments.astype(np.int32),
        **{str(name): facts[name].to_numpy()[segments] for name in facts},
        **{name: getattr(risk, name)[segments] for name in ("probability", "low", "high", "expected")},
    }


def _by_shift(city: City, forecast: ForecastRecord, hourly: pa.Table, day: CellRisk) -> Iterator[tuple[str, CellRisk]]:
    """Yield the name of each shift of the city's patrol with the risk of the cells in it."""
    if city.patrol is None:
        return
    shifts = shift_forecasts(hourly, city, city.patrol.shifts, forecast.forecast_date)
    for shift, expected, probability in zip(city.patrol.shifts, shifts.expected, shifts.probability, strict=True):
        yield shift.name, _risk_in_shift(day, expected.ravel(), probability.ravel())


def _rounding(city: City, alerts: Alerts, metres: Array) -> str:
    """Return a sentence on the rounding of past alerts, given the lengths of the ranked segments; "" for exact points."""
    step = rounding_step(np.column_stack([alerts.longitude, alerts.latitude]))
    longest = step * METRES_PER_DEGREE
    if longest < COARSE_STEP_METRES or not len(metres):
        return ""
    return (
        f"Points are rounded to {Plane.of(city.box).step_text(step)}. {(metres < longest).mean():.0%} of the ranked segments "
        f"are shorter than {longest:.0f} m and cannot be told from their neighbours."
    )


def _risk_in_shift(day: CellRisk, expected: Array, probability: Array) -> CellRisk:
    """Return the risk of cells in a shift, with the day's relative interval of the hazard."""
    hazard = -np.log1p(-probability)
    day_hazard = -np.log1p(-day.probability)

    def end_in_shift(end: Array) -> Array:
        ratio = np.divide(-np.log1p(-end), day_hazard, out=np.ones_like(day_hazard), where=day_hazard > 0)
        return np.asarray(-np.expm1(-hazard * ratio))

    return CellRisk(expected, probability, end_in_shift(day.low), end_in_shift(day.high))


def _reasons(
    city: City, shares: StreetShares, cells: CellRisk, main_parts: Integers, forecast: ForecastRecord
) -> list[str]:
    """Return a sentence for each ranked segment, given its main part: its share of its cell, and why the cell is at risk."""
    drivers = forecast.cell_drivers()
    parts = shares.parts
    street_metres = np.bincount(parts.cell, parts.metres, minlength=parts.cells)
    why = []
    for part in main_parts.tolist():
        cell = int(parts.cell[part])
        row, column = divmod(cell, city.grid.columns)
        share = float(shares.share[part])
        by_length = float(parts.metres[part] / street_metres[cell])
        cell_reasons = "; ".join(drivers.get((row, column), ())[:MAX_REASONS])
        why.append(
            f"{share:.0%} of the {city.event}s of {cell_name(row, column)}, {share / by_length:.1f} times its share of the streets "
            f"there; the cell has an {city.event} with {cells.probability[cell]:.0%}{f': {cell_reasons}' if cell_reasons else ''}"
        )
    return why


def _geojson(city: City, segments: Segments, top: pa.Table) -> bytes:
    """Return the top segments as GeoJSON lines (RFC 7946), with their columns as properties."""
    import shapely

    plane = Plane.of(city.box)
    features = []
    for record in top.to_pylist():
        line = shapely.transform(segments.lines[record["segment"]], plane.degrees)
        geometry = json.loads(shapely.to_geojson(shapely.set_precision(line, 1e-6)))
        properties = {name: round(value, 6) if isinstance(value, float) else value for name, value in record.items()}
        features.append({"type": "Feature", "id": record["segment"], "geometry": geometry, "properties": properties})
    return json.dumps({"type": "FeatureCollection", "features": features}, ensure_ascii=False).encode()


class StreetScoreRecord(StoredRecord):
    """Scores of a city's day, or the reason for none."""

    stored_as = STREET_SCORES

    scored_date: date = Field(description="Local day for which the streets were ranked.")
    note: str = Field("", description='Reason for no score, or "".')
    observed: int = Field(0, description="Number of segments with an alert.")
    predicted: float = Field(0.0, description="Sum of the segments' probabilities.")
    log_loss: float | None = Field(None, description="Mean over the segments, nats.")
    gain_over_even: float | None = Field(None, description="Gain over an even spread, nats per segment with an alert.")


def score_streets(store: Store, city: City, scored_date: date) -> StreetScoreRecord:
    """Score a past local day from the streets ranked on the day before, or return the reason for no score."""
    issue_date = scored_date - timedelta(days=1)
    table = store.find_table(STREETS, city.name, issue_date)

    def without(note: str) -> StreetScoreRecord:
        return StreetScoreRecord(city=city.name, scored_date=scored_date, note=note)

    if table is None:
        return without(f"No streets were ranked on {issue_date}, so {scored_date} has no score.")
    if DayTable.read(store, city.name).state(scored_date) not in ("known", "silent"):
        return without(f"Alerts of {scored_date} are not known yet.")
    try:
        segments = read_segments(city)
    except StreetsFileError as error:
        return without(str(error))
    table = table.filter(pc.is_null(table["shift"]))
    segment, metres, probability = (table[name].to_numpy() for name in ("segment", "metres", "probability"))
    if segment.max() >= len(segments) or not np.array_equal(segments.metres[segment].round(1), metres):
        return without(f"The file of streets of {city.name} has changed since streets were ranked on {issue_date}.")
    parts = parts_of(city, segments)
    part = nearest_parts(city, parts, past_alerts(store, city, scored_date, scored_date))
    observed = np.isin(segment, parts.segment[part[part >= 0]])
    even = -np.expm1(np.log1p(-probability).sum() * metres / metres.sum())
    losses = log_losses(probability, observed)
    gained = log_losses(even, observed) - losses
    return StreetScoreRecord(
        city=city.name,
        scored_date=scored_date,
        observed=int(observed.sum()),
        predicted=float(probability.sum()),
        log_loss=float(losses.mean()),
        gain_over_even=ratio(gained.sum(), int(observed.sum())),
    )
