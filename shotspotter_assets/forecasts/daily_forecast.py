"""Forecast of one day by the live models."""

from datetime import date, timedelta
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from shotspotter_assets.cities import local_time
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import ONE_DAY, day_start
from shotspotter_assets.cities.stored_settings import model_settings
from shotspotter_assets.forecasts import risk_tables
from shotspotter_assets.forecasts.forecast_facts import DayTotal, with_facts
from shotspotter_assets.forecasts.issued_forecasts import (
    Forecast,
    ForecastRecord,
    NoForecast,
    content_version,
    grid_version,
    is_over,
)
from shotspotter_assets.forecasts.serving_record import ServingRecord
from shotspotter_assets.grid.dates import DAY_HOURS
from shotspotter_assets.models.alert_counts import CountDistribution, short_interval, year_reference
from shotspotter_assets.models.city_history import CityHistory, covered_mask
from shotspotter_assets.models.forecaster import OtherInputsError
from shotspotter_assets.models.forecaster_registry import NEW_CITY
from shotspotter_assets.models.history import firework_days
from shotspotter_assets.models.next_hours.hourly_forecaster import predict_all
from shotspotter_assets.models.stack import LONG_LEAD_DAYS
from shotspotter_assets.models.trained_models import TrainedModels
from shotspotter_assets.storage.catalogue import FORECAST
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.wording import number_of

INTERVAL: Final = "80% interval of the probability: how far the level of whole weeks was off on the validation window."
ON_FIREWORK_DAYS: Final = " On firework days it is how far their level usually is off."
NEW_CITY_INTERVAL: Final = "80% interval of the probability: how far rates may lie from those of other cities."


class _Risk(NamedTuple):
    """Risk of the next day and, where hours are forecast, of the next hours, with the reasons for the day's."""

    next_day: pa.Table
    next_hours: pa.Table | None
    drivers: list[tuple[str, ...]] | None  # phrases by covered cell; None for a model without reasons
    year: list[float]  # mean and size of `year_reference`


@threadpool_limits.wrap(limits=1)  # one day is little work: more threads spend their time waiting
def forecast_day(record: ServingRecord, models: TrainedModels, stored: CityHistory) -> Forecast:
    """Forecast the day after the issue date from the known days, and the hours from its midnight.

    At a lead of several days, the next hours are the day's forecast, divided by the profile of the week. Forecasts after
    their day are marked as replayed. Raises OtherInputsError for models fitted on other inputs, ValueError for a shorter lead.
    """
    now = local_time.now()
    stored = days_at_lead(record, stored)
    city = stored.city
    forecast_date = stored.issue_date + ONE_DAY
    risk = _risk(record, models, stored)
    total = _total(risk, models, city, forecast_date)
    replayed = is_over(forecast_date, city, now)
    tables = [table for table in (risk.next_day, risk.next_hours) if table is not None]
    all_periods = pa.concat_tables(tables, promote_options="default")
    table = with_facts(all_periods, city, stored.lead, total, replayed)
    top = risk_tables.top_locations(risk.next_day, risk.drivers, city)
    hourly = risk_tables.hourly_table(risk.next_day, models.profile, city, forecast_date)
    cells = [f"{row},{column}" for row, column in record.covered]
    return Forecast(
        table=table,
        hourly=hourly,
        top=top,
        geojson=risk_tables.risk_geojson(risk.next_day, city),
        record=ForecastRecord(
            city=city.name,
            issue_date=stored.issue_date,
            forecast_date=forecast_date,
            served=record.served,
            models_from=record.models_from,
            why_served=record.reasons,
            expected_alerts=float(risk.next_day["expected"].to_numpy().sum()),
            expected_alerts_low=total.total_low,
            expected_alerts_high=total.total_high,
            interval=_interval_in_words(record, stored),
            hours=_hours_in_words(models, stored),
            types=record.types_in_words,
            lead=stored.lead,
            last_known=stored.last_known,
            data=stored.data_in_words,
            drivers=dict(zip(cells, risk.drivers, strict=True)) if risk.drivers else {},
            issued_at=now.isoformat(timespec="seconds"),
            replayed=replayed,
            grid=grid_version(city),
            made_by=record.made_by(city),
            version=content_version(record.reasons, [table, top]),
        ),
    )


def _total(risk: _Risk, models: TrainedModels, city: City, forecast_date: date) -> DayTotal:
    """Return the facts of the number of alerts in all cells on the day."""
    fireworks = firework_days(city, np.array([forecast_date], "datetime64[D]"))
    factor_variance = models.counts.factor_variance(fireworks).item()
    low, high = map(float, short_interval(CountDistribution.of_forecast(risk.next_day).total(factor_variance)))
    return DayTotal(low, high, factor_variance, *risk.year)


def _risk(record: ServingRecord, models: TrainedModels, stored: CityHistory) -> _Risk:
    """Forecast the next day and its first hours; raise OtherInputsError with the remedy for models of other inputs."""
    city = stored.city
    in_coverage = covered_mask(record.covered, city.shape)
    history = stored.daily(in_coverage)
    hourly = None if city.time_precision == "day" else stored.hourly(in_coverage)
    mixes = None
    if hourly is not None:
        first_hour = hourly.hour_at(day_start(stored.issue_date + ONE_DAY, city.zone))
        mixes = risk_tables.shown_mixes(record, models, hourly, first_hour, DAY_HOURS)
    try:
        next_day = risk_tables.next_day_table(record, models, history, mixes)
        drivers = models.next_day[record.candidate].drivers(history, history.next_day)
    except OtherInputsError as error:
        key = f"{city.name}|{stored.issue_date}"
        raise OtherInputsError(
            f"{key}, models of {record.models_from}: {error} Materialize live_models for {key} with `retrain` on."
        ) from error
    worded = drivers and [tuple(reason.format(event=city.event) for reason in reasons) for reasons in drivers]
    next_hours = None
    if models.hours is not None and hourly is not None:
        probability = (
            predict_all(models.hours, hourly, first_hour)
            if stored.lead == 1
            else risk_tables.first_hours(models, hourly, first_hour, next_day)
        )
        next_hours = risk_tables.next_hours_table(record, models, hourly, first_hour, probability, mixes)
    tomorrow = range(history.next_day, history.next_day + 1)
    return _Risk(next_day, next_hours, worded, year_reference(history, tomorrow)[:, 0].tolist())


def days_at_lead(record: ServingRecord, stored: CityHistory) -> CityHistory:
    """Return the days at the lead of a record's models; raise ValueError for a shorter lead, or another box or grid."""
    key = f"{record.city}|{stored.issue_date}"
    if record.lead < stored.lead:
        raise ValueError(
            f"{key}: the last known day is {stored.last_known}, and the models of {record.models_from} were fitted for a lead "
            f"of {number_of(record.lead, 'day')}, not {stored.lead}. Materialize live_models for {key}."
        )
    place = {key: value for key, value in model_settings(stored.city).items() if key in ("box", "grid")}
    if not place.items() <= record.settings.items():
        raise ValueError(f"{key}: box or grid has changed since the training. Materialize live_models for {key}.")
    return stored.until(stored.issue_date - timedelta(days=record.lead - 1))


def withheld(store: Store, stored: CityHistory, why: str = "") -> NoForecast:
    """Return the record of an issue date without a forecast; `why` is by default a last known day too long ago."""
    issued = store.days_present(FORECAST, stored.city.name, last=stored.issue_date - ONE_DAY)
    return NoForecast(
        city=stored.city.name,
        issue_date=stored.issue_date,
        forecast_date=stored.issue_date + ONE_DAY,
        lead=stored.lead,
        last_known=stored.last_known,
        data=stored.data_in_words,
        no_forecast=f"No forecast is issued. {why or stored.lateness}",
        last_issued=max(issued, default=None),
    )


def _interval_in_words(record: ServingRecord, stored: CityHistory) -> str:
    """Return the meaning of the interval of probabilities, at the lead of the stored days."""
    text = INTERVAL + ON_FIREWORK_DAYS * stored.city.is_of_gunfire
    if record.served == NEW_CITY:
        text = NEW_CITY_INTERVAL
    if stored.lead > 1:
        text += f" The forecasts of the validation window had the same lead of {number_of(stored.lead, 'day')}."
    if stored.lead >= LONG_LEAD_DAYS:
        text += " At such a lead both sides have the width of the wider one."
    return text


def _hours_in_words(models: TrainedModels, stored: CityHistory) -> str:
    """Return how the day is divided into hours, at the lead of the stored days."""
    text = "by the city's hour-of-week profile" if models.hours else "flat: no hours are known"
    if stored.lead > 1:
        text += f", and so are the next hours, because the days after {stored.last_known} are not known"
    return text
