"""Forecast of one day by the live models."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from shotspotter_assets.cities import local_time
from shotspotter_assets.cities.local_time import ONE_DAY
from shotspotter_assets.forecasts import risk_tables
from shotspotter_assets.forecasts.issued_forecasts import (
    DayTotal,
    Forecast,
    ForecastRecord,
    NoForecast,
    content_version,
    grid_version,
    is_over,
    with_facts,
)
from shotspotter_assets.forecasts.serving_record import ForecastWindow
from shotspotter_assets.models.alert_counts import CountDistribution, short_interval, year_reference
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.models.forecaster import OtherInputsError
from shotspotter_assets.models.forecaster_registry import NEW_CITY
from shotspotter_assets.models.next_hours.hourly_forecaster import predict_all
from shotspotter_assets.models.stack import LONG_LEAD_DAYS
from shotspotter_assets.storage.catalogue import FORECAST
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.wording import number_of

INTERVAL: Final = "80% interval of the probability: how far the level of whole weeks was off on the validation window."
ON_FIREWORK_DAYS: Final = " On firework days it is how far their level usually is off."
NEW_CITY_INTERVAL: Final = "80% interval of the probability: how far rates may lie from those of other cities."


@threadpool_limits.wrap(limits=1)  # one day is little work: more threads spend their time waiting
def forecast_day(window: ForecastWindow) -> Forecast:
    """Forecast the day of a window, and the hours from its midnight.

    At a lead of several days, the next hours are the day's forecast, divided by the profile of the week. Forecasts after
    their day are marked as replayed. Raises OtherInputsError with the remedy for models fitted on other inputs.
    """
    now = local_time.now()
    record = window.record
    stored = window.stored
    city = window.city
    try:
        next_day = risk_tables.next_day_table(window)
        reasons = window.models.next_day[record.candidate].drivers(window.history, window.history.next_day)
    except OtherInputsError as error:
        raise OtherInputsError(
            f"{window.key}, models of {record.models_from}: {error} Materialize live_models for {window.key} with `retrain` on."
        ) from error
    drivers = reasons and [tuple(reason.format(event=city.event) for reason in of_cell) for of_cell in reasons]
    factor_variance = window.models.counts.factor_variance(np.array([window.is_firework_day])).item()
    low, high = map(float, short_interval(CountDistribution.of_forecast(next_day).total(factor_variance)))
    total = DayTotal(low, high, factor_variance, *year_reference(window.history, window.index)[:, 0].tolist())
    replayed = is_over(window.date, city.zone, now)
    all_periods = pa.concat_tables([next_day, *_next_hours(window, next_day)], promote_options="default")
    table = with_facts(all_periods, city, stored.lead, total, replayed)
    top = risk_tables.top_locations(next_day, drivers, city)
    cells = [f"{row},{column}" for row, column in record.covered]
    return Forecast(
        table=table,
        hourly=risk_tables.hourly_table(next_day, window.models.profile, city.zone, window.date),
        top=top,
        geojson=risk_tables.risk_geojson(next_day, city),
        record=ForecastRecord(
            city=city.name,
            issue_date=stored.issue_date,
            forecast_date=window.date,
            served=record.served,
            models_from=record.models_from,
            why_served=record.reasons,
            expected_alerts=float(next_day["expected"].to_numpy().sum()),
            expected_alerts_low=total.total_low,
            expected_alerts_high=total.total_high,
            interval=_interval_in_words(window),
            hours=_hours_in_words(window),
            types=record.types_in_words,
            lead=stored.lead,
            last_known=stored.last_known,
            missing=stored.missing,
            data=stored.data_in_words,
            drivers=dict(zip(cells, drivers, strict=True)) if drivers else {},
            issued_at=now.isoformat(timespec="seconds"),
            replayed=replayed,
            grid=grid_version(city),
            made_by=record.made_by(city),
            version=content_version(record.reasons, [table, top]),
        ),
    )


def _next_hours(window: ForecastWindow, next_day: pa.Table) -> Iterator[pa.Table]:
    """Yield the forecast of the day's first hours where hours are forecast."""
    models = window.models
    if models.hours is None or window.hourly is None:
        return
    first_hour = window.first_hour(window.hourly)
    if window.stored.lead == 1:
        probability = predict_all(models.hours, window.hourly, first_hour)
    else:
        probability = risk_tables.first_hours(models, window.hourly, first_hour, next_day)
    yield risk_tables.next_hours_table(window.record, models, window.hourly, first_hour, probability, window.mixes)


def withheld(store: Store, stored: CityHistory, why: str = "") -> NoForecast:
    """Return the record of an issue date without a forecast; `why` is by default a last known day too long ago."""
    issued = store.days_present(FORECAST, stored.city.name, last=stored.issue_date - ONE_DAY)
    return NoForecast(
        city=stored.city.name,
        issue_date=stored.issue_date,
        forecast_date=stored.issue_date + ONE_DAY,
        lead=stored.lead,
        last_known=stored.last_known,
        missing=stored.missing,
        data=stored.data_in_words,
        no_forecast=f"No forecast is issued. {why or stored.lateness}",
        last_issued=max(issued, default=None),
    )


def _interval_in_words(window: ForecastWindow) -> str:
    """Return the meaning of the interval of probabilities, at the lead of the window."""
    lead = window.stored.lead
    text = INTERVAL + ON_FIREWORK_DAYS * window.city.is_of_gunfire
    if window.record.served == NEW_CITY:
        text = NEW_CITY_INTERVAL
    if lead > 1:
        text += f" The forecasts of the validation window had the same lead of {number_of(lead, 'day')}."
    if lead >= LONG_LEAD_DAYS:
        text += " At such a lead both sides have the width of the wider one."
    return text


def _hours_in_words(window: ForecastWindow) -> str:
    """Return how the day is divided into hours, at the lead of the window."""
    text = "by the city's hour-of-week profile" if window.models.hours else "flat: no hours are known"
    if window.stored.lead > 1:
        text += f", and so are the next hours, because the days after {window.stored.last_known} are not known"
    return text
