"""The first page of a city: the newest forecast, by hours and types, with the likeliest places and why."""

import json
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from shotspotter_assets.calendar.local_time import wall_clock
from shotspotter_assets.calendar.weekdays import hours_of_day
from shotspotter_assets.cities.city import GUNSHOT_TYPES, City
from shotspotter_assets.gridding.cells import Plane
from shotspotter_assets.pages.chances import chance
from shotspotter_assets.pages.ground import STREET_METRES, Line, lines_of
from shotspotter_assets.pages.places import Places
from shotspotter_assets.pages.words import in_words
from shotspotter_assets.serving.issued_forecasts import (
    RISK_FORECASTS,
    ForecastRecord,
    IssueRecord,
    NoForecast,
    forecast_partition,
    load_record,
)
from shotspotter_assets.serving.risk_tables import TYPE_COLUMNS, is_of_grid, next_day_rows
from shotspotter_assets.serving.street_risk import streets_caution, top_street_lines
from shotspotter_assets.storage.file_names import FORECAST_FILE, HOURLY_FILE, RECORD_FILE
from shotspotter_assets.storage.store import Store

Array = npt.NDArray[np.float64]

TOP_PLACES: Final = 10
TOP_STREETS: Final = 20

BANDS: Final = {
    "Night, 0 to 6": (0, 6),
    "Morning, 6 to 12": (6, 12),
    "Afternoon, 12 to 18": (12, 18),
    "Evening, 18 to 24": (18, 24),
}
"""Local hours of the day, from and to."""
WHOLE_DAY: Final = "Whole day"

DIGITS: Final = 3
"""Significant digits of what the browser gets."""


class MappedStreet(BaseModel):
    """One of the likeliest streets of the whole day, as the map draws it."""

    model_config = ConfigDict(frozen=True)

    name: str
    probability: float
    low: float
    """Ends of the interval of the probability."""
    high: float
    expected: float
    """Alerts."""
    why: str
    lines: list[Line]


class TomorrowData(BaseModel):
    """What the browser draws: arrays by band or type, then by cell."""

    model_config = ConfigDict(frozen=True)

    cells: list[int]
    """row * columns + column of each forecast cell."""
    bands: list[str]
    probability: list[list[float]]
    """Of at least one alert, by band."""
    expected: list[list[float]]
    """Alerts, by band."""
    low: list[float]
    """Ends of the interval of the probability of the whole day."""
    high: list[float]
    types: list[str]
    """Empty where types are not forecast."""
    mix: list[list[float]]
    """Share of each type in a cell's alerts."""
    phrases: list[str]
    why: list[int]
    """Place of each cell's reasons in `phrases`."""
    top: int
    streets: list[MappedStreet]
    """The likeliest, ranked; empty where none is."""
    streets_shown: bool
    """Whether the map shows them unless asked not to: where points hardly tell streets, it does so when asked to."""


@dataclass(frozen=True)
class TopPlace:
    """One of the likeliest places of the whole day."""

    rank: int
    number: int
    name: str
    chance: str
    low: str
    high: str
    why: str


@dataclass(frozen=True)
class TopStreet:
    """One of the likeliest streets of the whole day."""

    rank: int
    name: str
    chance: str
    low: str
    high: str
    why: str


@dataclass(frozen=True)
class IssuedForecast:
    """The newest forecast as its page shows it."""

    record: ForecastRecord
    data: TomorrowData
    top: list[TopPlace]
    streets: list[TopStreet]
    """Empty where no street is ranked."""
    streets_caution: str
    """That points hardly tell streets; "" where they do."""
    half_of_alerts: int
    """Fewest cells that hold half of the expected alerts."""
    ends: datetime
    """Instant at which the day is over."""


def newest_issue(store: Store, city: str) -> IssueRecord | None:
    """What was issued last, or why nothing was; None where no forecast was ever made."""
    made = store.days_present(RISK_FORECASTS, city, RECORD_FILE)
    return load_record(store, city, max(made)) if made else None


def of_another_grid(record: ForecastRecord) -> NoForecast:
    """What is said in place of a forecast that was issued for another grid."""
    reason = (
        "The city's box, cells or what is counted have changed since the last forecast was issued: it cannot be drawn."
    )
    return NoForecast(
        city=record.city,
        issue_date=record.issue_date,
        day=record.day,
        lead=record.lead,
        last_known=record.last_known,
        no_forecast=reason,
        last_issued=record.issue_date,
    )


def issued_forecast(store: Store, city: City, record: ForecastRecord, places: Places) -> IssuedForecast | None:
    """A stored forecast, with what its page draws; None where it is of another grid than the city has now."""
    partition = forecast_partition(city.name, record.issue_date)
    table = store.read_table(partition, FORECAST_FILE)
    if not is_of_grid(table, city):
        return None
    day = next_day_rows(table)
    hourly = store.read_table(partition, HOURLY_FILE)
    row, column = (day[name].to_numpy().astype(np.int64) for name in ("row", "column"))
    probability, expected = (day[name].to_numpy() for name in ("probability", "expected"))
    bands, band_probability, band_expected = _bands(hourly, day, city, record.day)
    types, mix = _types(day)
    drivers = record.cell_drivers()
    reasons = [in_words(drivers.get(cell, ())) for cell in zip(row.tolist(), column.tolist(), strict=True)]
    phrases = list(dict.fromkeys(reasons))
    mapped = _mapped_streets(store, city, record)
    caution = streets_caution(store, city.name, record.issue_date)
    data = TomorrowData(
        cells=(row * city.grid.columns + column).tolist(),
        bands=bands,
        probability=[_rounded(values) for values in band_probability],
        expected=[_rounded(values) for values in band_expected],
        low=_rounded(day["low"].to_numpy()),
        high=_rounded(day["high"].to_numpy()),
        types=types,
        mix=[_rounded(values) for values in mix],
        phrases=phrases,
        why=[phrases.index(reason) for reason in reasons],
        top=min(TOP_PLACES, len(row)),
        streets=mapped,
        streets_shown=not caution,
    )
    best = np.argsort(-probability, kind="stable")[:TOP_PLACES]
    names = places.names(row[best], column[best])
    top = [
        TopPlace(
            rank=rank,
            number=data.cells[at],
            name=name,
            chance=chance(probability[at]),
            low=chance(data.low[at]),
            high=chance(data.high[at]),
            why=reasons[at],
        )
        for rank, (at, name) in enumerate(zip(best.tolist(), names, strict=True), start=1)
    ]
    rising = np.cumsum(np.sort(expected)[::-1])
    starts = day["starts_utc"][0].as_py()
    ends = starts + np.timedelta64(int(day["hours"][0].as_py()), "h").astype("timedelta64[s]").astype(object)
    return IssuedForecast(
        record, data, top, _top_streets(mapped), caution, int(np.searchsorted(rising, rising[-1] / 2)) + 1, ends
    )


def _mapped_streets(store: Store, city: City, record: ForecastRecord) -> list[MappedStreet]:
    """The ranked streets with reasons: `serving.street_risk.MAX_STREETS` of them at most."""
    import shapely

    plane = Plane.of(city)
    streets = []
    for feature in top_street_lines(store, city.name, record.issue_date):
        facts = feature["properties"]
        line = shapely.transform(shapely.from_geojson(json.dumps(feature["geometry"])), plane.metres)
        probability, low, high, expected = _rounded(
            np.array([facts[name] for name in ("probability", "low", "high", "expected")])
        )
        streets.append(
            MappedStreet(
                name=facts["name"],
                probability=probability,
                low=low,
                high=high,
                expected=expected,
                why=facts["why"],
                lines=lines_of(shapely.simplify(line, STREET_METRES)),
            )
        )
    return streets


def _top_streets(mapped: list[MappedStreet]) -> list[TopStreet]:
    return [
        TopStreet(rank, street.name, chance(street.probability), chance(street.low), chance(street.high), street.why)
        for rank, street in enumerate(mapped[:TOP_STREETS], start=1)
    ]


def _bands(hourly: pa.Table, day: pa.Table, city: City, of: date) -> tuple[list[str], list[Array], list[Array]]:
    """(names, probability, expected) of the whole day and of its bands; those of a city without hours are left out."""
    names, probability, expected = [WHOLE_DAY], [day["probability"].to_numpy()], [day["expected"].to_numpy()]
    if city.time_precision == "day":
        return names, probability, expected
    cells = len(day)
    wall = wall_clock(hourly["starts_utc"], city.zone)
    hour = hours_of_day(wall).reshape(-1, cells)[:, 0]
    is_of_day = (wall.astype("datetime64[D]") == np.datetime64(of)).reshape(-1, cells)[:, 0]
    by_hour = hourly["expected"].to_numpy().reshape(-1, cells)
    hazard = -np.log1p(-hourly["probability"].to_numpy().reshape(-1, cells))
    for name, (first, last) in BANDS.items():
        chosen = is_of_day & (hour >= first) & (hour < last)
        names.append(name)
        expected.append(by_hour[chosen].sum(axis=0))
        probability.append(-np.expm1(-hazard[chosen].sum(axis=0)))
    return names, probability, expected


def _types(day: pa.Table) -> tuple[list[str], list[Array]]:
    if day[TYPE_COLUMNS[0]].null_count:
        return [], []
    return list(GUNSHOT_TYPES.values()), [day[name].to_numpy() for name in TYPE_COLUMNS]


def _rounded(values: Array) -> list[float]:
    return [float(f"{value:.{DIGITS}g}") for value in values.tolist()]
