"""Forecast of one day by the live models."""

import json
from datetime import timedelta
from typing import Final

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from shotspotter_assets.calendar import local_time
from shotspotter_assets.calendar.dates import DAY_HOURS
from shotspotter_assets.calendar.local_time import day_start
from shotspotter_assets.cities.stored_settings import GRID, grid_settings, model_settings
from shotspotter_assets.models.alert_counts import CountDistribution
from shotspotter_assets.models.city_history import CityHistory, covered_mask
from shotspotter_assets.models.forecaster import OtherInputsError
from shotspotter_assets.models.forecaster_registry import NEW_CITY
from shotspotter_assets.models.history import firework_days
from shotspotter_assets.models.next_hours.hourly_forecaster import predict_all
from shotspotter_assets.models.stack import LONG_LEAD_DAYS
from shotspotter_assets.models.trained_models import TrainedModels
from shotspotter_assets.serving import risk_tables
from shotspotter_assets.serving.issued_forecasts import Forecast, ForecastRecord, grid_version, is_over
from shotspotter_assets.serving.serving_record import ServingRecord
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.wording import number_of

INTERVAL: Final = "80% interval of the probability: how far the level of whole weeks was off on the validation window."
ON_FIREWORK_DAYS: Final = " On firework days it is how far their level usually is off."
NEW_CITY_INTERVAL: Final = "80% interval of the probability: how far rates may lie from those of other cities."


@threadpool_limits.wrap(limits=1)  # one day is little work: more threads spend their time waiting
def forecast_day(record: ServingRecord, models: TrainedModels, stored: CityHistory) -> Forecast:
    """Forecast the day after the issue date from the known days, and the hours from its midnight.

    At a lead of several days, the next hours are the day's forecast, divided by the profile of the week. Forecasts after
    their day are marked as replayed. Raises OtherInputsError for models fitted on other inputs, ValueError for a shorter lead.
    """
    now, stored = local_time.now(), _days_at_lead(record, stored)
    city, issue_date = stored.city, stored.issue_date
    in_coverage = covered_mask(record.covered, city.shape)
    forecast_date, history = issue_date + timedelta(days=1), stored.daily(in_coverage)
    hourly = None if city.time_precision == "day" else stored.hourly(in_coverage)
    mixes = None
    if hourly is not None:
        first_hour = hourly.hour_at(day_start(forecast_date, city.zone))
        mixes = risk_tables.shown_mixes(record, models, hourly, history, first_hour, DAY_HOURS)
    try:
        next_day = risk_tables.next_day_table(record, models, history, mixes)
        drivers = models.next_day[record.candidate].drivers(history, history.next_day)
        drivers = drivers and [tuple(map(city.worded, reasons)) for reasons in drivers]
    except OtherInputsError as error:
        key = f"{city.name}|{issue_date}"
        remedy = f"Materialize live_models for {key} with `retrain` on."
        raise OtherInputsError(f"{key}, models of {record.models_from}: {error} {remedy}") from error
    tables = [next_day]
    if models.hours is not None and hourly is not None:
        probability = (
            predict_all(models.hours, hourly, first_hour)
            if stored.lead == 1
            else risk_tables.first_hours(models, hourly, first_hour, next_day)
        )
        tables.append(risk_tables.next_hours_table(record, models, hourly, first_hour, probability, mixes))
    fireworks = firework_days(city, np.array([forecast_date], "datetime64[D]"))
    low, high = models.counts.total_interval(CountDistribution.of_forecast(next_day), fireworks)
    replayed = is_over(forecast_date, city, now)
    total = json.dumps([float(low), float(high)])
    metadata = {GRID: grid_settings(city, of_target=True), risk_tables.LEAD: str(stored.lead), risk_tables.TOTAL: total}
    metadata |= {risk_tables.REPLAYED: "true"} if replayed else {}
    table = pa.concat_tables(tables, promote_options="default").replace_schema_metadata(metadata)
    top = risk_tables.top_locations(next_day, drivers, city)
    interval, hours = _meanings(record, models, stored)
    cells = [f"{row},{column}" for row, column in record.covered]
    columns = [str(column.to_pylist()) for one in (table, top) for column in one.columns]
    return Forecast(
        table=table,
        hourly=risk_tables.hourly_table(next_day, models.profile, city, forecast_date),
        top=top,
        geojson=risk_tables.risk_geojson(next_day, city),
        record=ForecastRecord(
            city=city.name,
            issue_date=issue_date,
            forecast_date=forecast_date,
            served=record.served,
            models_from=record.models_from,
            why_served=record.reasons,
            expected_alerts=float(next_day["expected"].to_numpy().sum()),
            expected_alerts_low=float(low),
            expected_alerts_high=float(high),
            interval=interval,
            hours=hours,
            types=record.types_in_words,
            lead=stored.lead,
            last_known=stored.last_known,
            data=stored.data_in_words,
            drivers=dict(zip(cells, drivers or (), strict=bool(drivers))),
            issued_at=now.isoformat(timespec="seconds"),
            replayed=replayed,
            grid=grid_version(city),
            version=sha256(*record.reasons, *columns)[:16],
        ),
    )


def _days_at_lead(record: ServingRecord, stored: CityHistory) -> CityHistory:
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


def _meanings(record: ServingRecord, models: TrainedModels, stored: CityHistory) -> tuple[str, str]:
    interval = INTERVAL + ON_FIREWORK_DAYS * stored.city.is_of_gunfire
    interval = NEW_CITY_INTERVAL if record.served == NEW_CITY else interval
    hours = "by the city's hour-of-week profile" if models.hours else "flat: no hours are known"
    if stored.lead > 1:
        interval += f" The forecasts of the validation window had the same lead of {number_of(stored.lead, 'day')}."
        interval += " At such a lead both sides have the width of the wider one." * (stored.lead >= LONG_LEAD_DAYS)
        hours += f", and so are the next hours, as the days after {stored.last_known} are not known"
    return interval, hours
