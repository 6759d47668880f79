"""One day's forecast from the models that serve: risk by horizon and cell with intervals, types, reasons, stated facts."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from scipy.special import expit, logit

from shotspotter_assets.calendar.firework_days import is_holiday_fireworks
from shotspotter_assets.calendar.local_time import day_starts, hours_of_days
from shotspotter_assets.calendar.weekdays import DAY_HOURS
from shotspotter_assets.cities.city import GUNSHOT_TYPES
from shotspotter_assets.models.alert_counts import AlertCounts
from shotspotter_assets.models.city_history import CityHistory, covered_mask
from shotspotter_assets.models.forecaster import HasDrivers, HasSpread
from shotspotter_assets.models.gunshot_types import GunshotTypes
from shotspotter_assets.models.history import History
from shotspotter_assets.models.hourly_history import HourlyHistory
from shotspotter_assets.models.next_day.regime_regression import OtherInputsError
from shotspotter_assets.serving.forecast_views import hourly_table, risk_geojson, top_locations
from shotspotter_assets.serving.intervals import ENDS, day_offset
from shotspotter_assets.serving.record import ServingModels, ServingRecord
from shotspotter_assets.storage.file_names import FORECAST_FILE, HOURLY_FILE, MAP_FILE, RECORD_FILE, TOP_FILE
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.store import Partition, Store

Array = npt.NDArray[np.float64]

RISK_FORECASTS: Final = "risk_forecasts"
NEXT_DAY_HORIZON: Final = "day"
CANDIDATE_COLUMN: Final = "candidate"
"""Column of the candidate's probability, whether it serves or not: a baseline in force must not keep it out for ever."""
BASELINE_PREFIX: Final = "baseline_"
INTERVAL: Final = (
    "80% interval of the probability: 10% and 90% quantiles of how far the weekly level was off on the validation window, "
    "on firework days also how far their level usually is off; for the next day widened by how far boosting moved from the "
    "regression that it starts at. What both miss is not in it."
)

LEAD_KEY: Final = b"lead"
"""Key of the schema's metadata of a forecast whose lead is more than a day."""

TYPE_COLUMNS: Final = tuple(f"type_{code}" for code in GUNSHOT_TYPES)

RISK_SCHEMA: Final = pa.schema(
    [
        pa.field("horizon", pa.string(), nullable=False),
        pa.field("starts_utc", pa.timestamp("us", "UTC"), nullable=False),
        pa.field("hours", pa.int16(), nullable=False),
        pa.field("row", pa.int16(), nullable=False),
        pa.field("column", pa.int16(), nullable=False),
        pa.field("probability", pa.float64(), nullable=False),
        pa.field("expected", pa.float64(), nullable=False),
        pa.field("low", pa.float64(), nullable=False),
        pa.field("high", pa.float64(), nullable=False),
        pa.field("count_low", pa.int32(), nullable=False),
        pa.field("count_high", pa.int32(), nullable=False),
        *(pa.field(name, pa.float64()) for name in TYPE_COLUMNS),
    ]
)
"""`horizon` is "day" or hours such as "4h". `probability` is of at least one alert, `expected` the number of alerts.

`low` to `high` is an 80% interval of the probability itself (`INTERVAL`); `count_low` to `count_high` are the 10% and 90%
quantiles of the number of alerts. `type_0` and so on are the probabilities of the types of an alert, given that
there is one; null where the source gives no types.
"""


class ForecastRecord(BaseModel):
    """What a forecast states beside its tables; stored as `record.json`."""

    model_config = ConfigDict(frozen=True)

    city: str
    issue_date: date
    day: date
    served: str
    models_from: date
    why_served: tuple[str, ...]
    expected_alerts: float
    expected_alerts_low: float
    expected_alerts_high: float
    interval: str
    hours: str
    """How the day is divided into hours."""
    lead: int = 1
    """Days from the last known day to `day`: nothing of those between was used."""
    last_known: date = Field(default_factory=lambda values: values["issue_date"])
    """The last day that was used; earlier versions took the issue date, known or not."""
    drivers: dict[str, tuple[str, ...]]
    """By "row,column": what lifts the candidate's odds there most over the average cell's; empty if it gives no reasons."""
    issued_at: str = ""

    def cell_drivers(self) -> dict[tuple[int, int], tuple[str, ...]]:
        """`drivers` by (row, column)."""
        return {
            (int(row), int(column)): reasons
            for key, reasons in self.drivers.items()
            for row, column in [key.split(",")]
        }


class NoForecast(BaseModel):
    """Why nothing is forecast on a day; stored as `record.json` in place of a `ForecastRecord`."""

    model_config = ConfigDict(frozen=True)

    city: str
    issue_date: date
    day: date
    lead: int
    last_known: date
    no_forecast: str
    """The reason, in a sentence."""
    last_issued: date | None
    """Issue date of the last forecast, which is out of date."""


IssueRecord = ForecastRecord | NoForecast
_ISSUE_RECORD: Final[TypeAdapter[IssueRecord]] = TypeAdapter(IssueRecord)


def load_record(store: Store, city: str, issue_date: date) -> IssueRecord:
    """What was issued on a day, or why nothing was.

    Raises:
        MissingObjectError: the day was not made.
    """
    return _ISSUE_RECORD.validate_json(store.read_bytes(forecast_partition(city, issue_date), RECORD_FILE))


class OtherLeadError(ValueError):
    """The models in force were fitted for fewer days ahead than the forecast is."""


@dataclass(frozen=True)
class Forecast:
    """One issued forecast.

    Attributes:
        next_day: the rows of the next day.
        table: those and the ones of the next hours, `RISK_SCHEMA` with a column for the candidate and each baseline.
        hourly: the day's alerts by hour, `forecast_views.HOURLY_SCHEMA`.
        top: the places with the highest risk and why.
        geojson: the next day's cells as a map.
        record: stated facts.
    """

    next_day: pa.Table
    table: pa.Table
    hourly: pa.Table
    top: pa.Table
    geojson: bytes
    record: ForecastRecord

    @property
    def version(self) -> str:
        """A hash of what is forecast and why: made again from the same days and models, nothing after it is stale."""
        facts = self.record.model_dump(mode="json", exclude={"issued_at"})
        columns = [column for table in (self.table, self.top) for column in table.combine_chunks().columns]
        return sha256(json.dumps(facts, sort_keys=True), *(str(column.to_pylist()) for column in columns))[:16]


def serve(record: ServingRecord, models: ServingModels, stored: CityHistory) -> Forecast:
    """The forecast for the day after the issue date, from the days that are known, and for the hours from its midnight.

    The hours and the types need the alerts of the issue date, so that they are not forecast at a lead of more than a day.

    Raises:
        OtherInputsError: the models were fitted on other inputs than this version makes.
        OtherLeadError: they were fitted for fewer days ahead.
    """
    city, issue_date = stored.city, stored.issue_date
    if record.lead < stored.lead:
        raise OtherLeadError(
            f"{city.name}|{issue_date}: the last known day is {stored.last_known}, and the models of {record.models_from} were "
            f"fitted for a lead of {record.lead} days, not {stored.lead}. Materialise live_models for {city.name}|{issue_date}."
        )
    # Days that became known since the models were fitted are left to models of their lead.
    stored = stored.until(issue_date - timedelta(days=record.lead - 1))
    in_coverage = covered_mask(record.covered, city.shape)
    history = stored.daily(in_coverage)
    hourly = None if city.time_precision == "day" or stored.lead > 1 else stored.hourly(in_coverage)
    mixes = None if hourly is None else type_mixes(models.types, hourly, len(hourly), DAY_HOURS)
    try:
        next_day = next_day_table(record, models, history, mixes)
        candidate = models.next_day[record.candidate]
        drivers = candidate.drivers(history, history.next_day) if isinstance(candidate, HasDrivers) else None
    except OtherInputsError as error:
        key = f"{city.name}|{issue_date}"
        raise OtherInputsError(
            f"{key}, models of {record.models_from}: {error} Materialise live_models for {key} with `retrain` on."
        ) from error
    tables = [next_day]
    if models.hours is not None and hourly is not None:
        first_hour = len(hourly)
        probability = models.hours.predict_all(hourly, first_hour)
        tables.append(next_hours_table(record, models, hourly, first_hour, probability, mixes))
    probability = next_day["probability"].to_numpy()
    day, cells = issue_date + timedelta(days=1), [f"{row},{column}" for row, column in record.covered]
    low, high = models.counts.total_interval(probability, is_holiday_fireworks(np.array([day], "datetime64[D]")))
    table, interval = pa.concat_tables(tables, promote_options="default"), INTERVAL
    hours = "by the city's hour-of-week profile" if models.hours else "flat: no hours are known"
    if stored.lead > 1:
        table = table.replace_schema_metadata({LEAD_KEY: str(stored.lead)})
        interval += f" The validation's forecasts were {stored.lead} days ahead of what they knew, as this one is."
        hours += f"; next hours and types are not forecast, as the days after {stored.last_known} are not known"
    return Forecast(
        next_day=next_day,
        table=table,
        hourly=hourly_table(next_day, models.profile, city, day),
        top=top_locations(next_day, drivers, city),
        geojson=risk_geojson(next_day, city),
        record=ForecastRecord(
            city=city.name,
            issue_date=issue_date,
            day=day,
            served=record.served,
            models_from=record.models_from,
            why_served=record.reasons,
            expected_alerts=float(next_day["expected"].to_numpy().sum()),
            expected_alerts_low=float(low),
            expected_alerts_high=float(high),
            interval=interval,
            hours=hours,
            lead=stored.lead,
            last_known=stored.last_known,
            drivers={} if drivers is None else dict(zip(cells, drivers, strict=True)),
            issued_at=datetime.now(UTC).isoformat(timespec="seconds"),
        ),
    )


def forecast_partition(city: str, issue_date: date) -> Partition:
    """Where the forecast issued on a day is."""
    return Partition(RISK_FORECASTS, city, "date", issue_date)


def write_forecast(store: Store, forecast: Forecast) -> str:
    """Write the files of a forecast; returns where its table is."""
    partition = forecast_partition(forecast.record.city, forecast.record.issue_date)
    store.write_table(partition, HOURLY_FILE, forecast.hourly)
    store.write_table(partition, TOP_FILE, forecast.top)
    store.write_bytes(partition, MAP_FILE, forecast.geojson)
    store.write_bytes(partition, RECORD_FILE, forecast.record.model_dump_json(indent=1).encode())
    # Last, as its presence tells that the forecast is whole.
    store.write_table(partition, FORECAST_FILE, forecast.table)
    return store.uri(partition, FORECAST_FILE)


def withheld(store: Store, stored: CityHistory) -> NoForecast:
    """What is stored of a day on which nothing is issued, as the last known day is too long ago."""
    city, issue_date = stored.city, stored.issue_date
    issued = [day for day in store.days_present(RISK_FORECASTS, city.name, FORECAST_FILE) if day < issue_date]
    return NoForecast(
        city=city.name,
        issue_date=issue_date,
        day=issue_date + timedelta(days=1),
        lead=stored.lead,
        last_known=stored.last_known,
        no_forecast=f"No forecast is issued. {stored.lateness}",
        last_issued=max(issued, default=None),
    )


def write_no_forecast(store: Store, record: NoForecast) -> str:
    """Write why nothing is issued, in place of what may have been issued; returns where it is."""
    partition = forecast_partition(record.city, record.issue_date)
    for file in (FORECAST_FILE, HOURLY_FILE, TOP_FILE, MAP_FILE):
        store.delete(partition, file)
    store.write_bytes(partition, RECORD_FILE, record.model_dump_json(indent=1).encode())
    return store.uri(partition, RECORD_FILE)


def lead_of(forecast: pa.Table) -> int:
    """Days from the last day that a stored forecast knew to the day that it is for."""
    return int((forecast.schema.metadata or {}).get(LEAD_KEY, 1))


def at_lead(forecasts: Mapping[date, pa.Table], lead: int) -> dict[date, pa.Table]:
    """Those that were issued at a lead."""
    return {day: table for day, table in forecasts.items() if lead_of(table) == lead}


def next_day_forecasts(store: Store, city: str, first: date, last: date) -> dict[date, pa.Table]:
    """The next-day rows of the issued forecasts for the days from `first` to `last`, by the day that they are for."""
    one = timedelta(days=1)
    issued = store.days_present(RISK_FORECASTS, city, FORECAST_FILE)
    tables = {
        issue_date: store.read_table(forecast_partition(city, issue_date), FORECAST_FILE)
        for issue_date in sorted(issued)
        if first - one <= issue_date <= last - one
    }
    return {
        issue_date + one: table.filter(pc.equal(table["horizon"], NEXT_DAY_HORIZON))
        for issue_date, table in tables.items()
    }


def next_day_table(record: ServingRecord, models: ServingModels, history: History, mixes: Array | None) -> pa.Table:
    """The day that is forecast from the history, `RISK_SCHEMA` with a column for the candidate and each baseline.

    Args:
        history: to the last known day, and no further.
        mixes: `type_mixes` of its first 24 hours; None where types are not forecast.
    """
    at = history.next_day
    day: date = history.days_to_forecast()[-1].astype(object)
    by_model = {name: model.predict(history, range(at, at + 1))[0] for name, model in models.next_day.items()}
    probability = by_model[record.served]
    below, above = _spread(record, models, history, at)
    fireworks = bool(is_holiday_fireworks(np.array([day], "datetime64[D]"))[0])
    low, high = day_offset(record.level, fireworks)
    mix = None if mixes is None else np.tensordot(profile_of_day(models.profile, day), mixes, axes=1)
    table = risk_table(
        NEXT_DAY_HORIZON,
        day_starts([day], history.city.zone)[0],
        int(hours_of_days([day], history.city.zone)[0]),
        history.in_coverage,
        probability,
        (logit(probability) + low + below, logit(probability) + high + above),
        models.counts,
        fireworks,
        mix,
    )
    for name, values in by_model.items():
        column = CANDIDATE_COLUMN if name == record.candidate else f"{BASELINE_PREFIX}{name}"
        table = table.append_column(column, pa.array(values))
    return table


def next_hours_table(
    record: ServingRecord,
    models: ServingModels,
    history: HourlyHistory,
    issue: int,
    probability: Array,
    mixes: Array | None,
) -> pa.Table:
    """The next hours from hour `issue` on, of all fitted horizons, `RISK_SCHEMA`.

    Args:
        history: hours before `issue`; it may hold later ones, which are not looked at.
        issue: index of the first hour that is forecast.
        probability: as `FittedNextHours.predict_all` gives it, shape (horizons, cells).
        mixes: `type_mixes` from `issue` on; None where types are not forecast.
    """
    if models.hours is None:
        raise ValueError(f"City {history.city.name} has no forecaster of the next hours.")
    low, high = record.level
    tables = []
    for horizon, horizon_probability in zip(models.hours.models, probability, strict=True):
        mix = None
        if mixes is not None:
            weights = models.hours.profile[history.clock.hour_of_week[issue : issue + horizon]]
            mix = np.tensordot(weights / weights.sum(), mixes[:horizon], axes=1)
        log_odds = logit(horizon_probability)
        tables.append(
            risk_table(
                f"{horizon}h",
                history.starts[issue],
                horizon,
                history.in_coverage,
                horizon_probability,
                (log_odds + low, log_odds + high),
                models.counts,
                bool(history.clock.fireworks[issue]),
                mix,
            )
        )
    return pa.concat_tables(tables)


def type_mixes(types: GunshotTypes | None, history: HourlyHistory, issue: int, hours: int) -> Array | None:
    """Type probabilities of an alert in each of the hours from `issue` on and each cell, shape (hours, cells, types).

    None without a forecaster. `issue` is at most `len(history)`; of it and later hours nothing is used.
    """
    if types is None:
        return None
    cells = history.alerts.shape[1]
    hour, cell = np.repeat(issue + np.arange(hours), cells), np.tile(np.arange(cells), hours)
    return types.predict(history, np.full(len(hour), issue), hour, cell).reshape(hours, cells, -1)


def risk_table(
    horizon: str,
    starts: np.datetime64,
    hours: int,
    in_coverage: npt.NDArray[np.bool_],
    probability: Array,
    interval: tuple[Array, Array],
    counts: AlertCounts,
    fireworks: bool,
    mix: Array | None,
) -> pa.Table:
    """One horizon as `RISK_SCHEMA`.

    Args:
        interval: log odds of low and high, each (cells,).
        mix: probabilities of the types, shape (cells, types).
    """
    row, column = np.nonzero(in_coverage)
    is_firework = np.full(len(row), fireworks)
    values: list[Any] = [
        pa.repeat(horizon, len(row)),
        pa.array(np.full(len(row), starts.astype("datetime64[us]")), pa.timestamp("us", "UTC")),
        np.full(len(row), hours, np.int16),
        row.astype(np.int16),
        column.astype(np.int16),
        probability,
        counts.expected(probability, is_firework),
        # Rounding must not leave the probability outside.
        np.minimum(expit(interval[0]), probability),
        np.maximum(expit(interval[1]), probability),
        *(counts.quantile(end, probability, is_firework).astype(np.int32) for end in ENDS),
    ]
    types = [pa.nulls(len(row), pa.float64()) if mix is None else pa.array(mix[:, code]) for code in GUNSHOT_TYPES]
    return pa.table([pa.array(value) for value in values] + types, schema=RISK_SCHEMA)


def profile_of_day(profile: Array, day: date) -> Array:
    """Share of each of 24 local hours in the alerts of the day, shape (24,), by an hour-of-week profile (168,)."""
    first = day.weekday() * DAY_HOURS
    hours = profile[first : first + DAY_HOURS]
    return hours / hours.sum()


def _spread(record: ServingRecord, models: ServingModels, history: History, at: int) -> tuple[Array, Array]:
    """See `HasSpread.spread`; zeros for a forecaster without one."""
    served = models.next_day[record.served]
    return served.spread(history, at) if isinstance(served, HasSpread) else (np.zeros(1), np.zeros(1))
