"""Files of the newest forecast at stable addresses, for other systems."""

import json
from datetime import date, datetime
from typing import Any, Final

from pydantic import Field

from shotspotter_assets.evaluation.estimates import Level
from shotspotter_assets.evaluation.gate import NOT_TESTED
from shotspotter_assets.forecasts.patrol.dispatch import dispatch_csv, dispatch_geojson
from shotspotter_assets.pages.shown import NewestForecast
from shotspotter_assets.storage import catalogue
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_record import StoredRecord

SCHEMA_VERSION: Final = 1


class Status(StoredRecord):
    """State of the newest forecast; without one, its facts are null."""

    stored_as = catalogue.STATUS

    schema_version: int = Field(SCHEMA_VERSION, description="It rises when a field or column loses its meaning.")
    target: str = Field(description="Target of the forecast.")
    no_forecast: str = Field("", description='Reason for no forecast, or ""; then there are no other files.')
    files: tuple[str, ...] = Field((), description="Names of the other files, all of this forecast.")
    ends: datetime | None = Field(None, description="End of the last period in the files, which are out of date then.")
    forecast_date: date | None = None
    issue_date: date | None = Field(None, description="Last day whose data could be used.")
    last_known: date | None = Field(None, description="Last day whose data were used.")
    data: str = Field("", description="Known, missing and arrived days at `as_of`, in words.")
    as_of: datetime | None = Field(None, description="Instant of `data`, `made` and `waits`; the sensor renews them.")
    made: str = Field("", description="Days that have arrived and that the forecast lacks, in words.")
    lead: int | None = Field(None, description="Days from `last_known` to `forecast_date`.")
    issued_at: str | None = Field(None, description="Instant of the forecast (ISO 8601, UTC).")
    replayed: bool = Field(False, description="True for a forecast after its day.")
    served: str | None = Field(None, description="Forecaster.")
    version: str | None = Field(None, description="Hash of the forecast, equal for equal days and models.")
    expected_alerts: float | None = Field(None, description="Expected number of alerts in all cells.")
    expected_alerts_low: float | None = Field(None, description="Lower end of its 80% interval.")
    expected_alerts_high: float | None = Field(None, description="Upper end of that interval.")
    verdict: str = Field(
        NOT_TESTED, description="Verdict on the target's forecasts: the outcome of the gate on all folds."
    )
    verdict_reasons: tuple[str, ...] = Field((), description="Sentences of the verdict.")
    level: Level | None = Field(
        None, description="Expected / observed of the last 365 days; null before the first score."
    )
    headline_scores: dict[str, Any] | None = Field(
        None, description="Last row of `headline_scores.parquet`; null before the first full month."
    )
    warnings: tuple[str, ...] = Field((), description="Open warnings of the data checks about the newest days.")
    seal: str | None = Field(
        None, description="Number and hash of the last sealed forecast (`shotspotter verify`); null before the first."
    )
    waits: tuple[str, ...] = Field(
        (), description="Landed rows that are not built, failed runs, days held back and files set aside, in words."
    )


def published_files(store: Store, issue: NewestForecast, status: Status) -> dict[str, bytes]:
    """Return the files of the newest forecast by name, with the status last; only the status without a forecast.

    `status` holds the fields that do not depend on the forecast.
    """
    forecast = issue.forecast
    if forecast is None:
        last_known = issue.nothing and issue.nothing.last_known
        status = status.model_copy(update={"no_forecast": issue.no_forecast, "last_known": last_known})
        return {catalogue.STATUS.file: status.content()}
    record = forecast.record
    facts = {
        "schema_version": SCHEMA_VERSION,
        "forecast_date": str(record.forecast_date),
        "city": status.city,
        "target": status.target,
    }
    risk_map = store.read_bytes(catalogue.RISK_MAP, status.city, record.issue_date)
    files = {catalogue.FORECAST_MAP.file: _with(facts, risk_map)}
    if forecast.table is not None:
        files[catalogue.PLAN_CSV.file] = dispatch_csv(forecast.table)
        files[catalogue.PLAN_MAP.file] = _with(facts, dispatch_geojson(forecast.table))
    for table, file in catalogue.PUBLISHED.items():
        is_outdated = table is catalogue.TOP_STREETS and not forecast.data.streets
        content = None if is_outdated else store.find_table(table, status.city, record.issue_date)
        if content is not None:
            files[file.file] = dispatch_csv(content)
    of_forecast = record.model_dump(include=Status.model_fields.keys() - {"city", "data"})
    status = status.model_copy(update=of_forecast | {"ends": forecast.ends, "files": tuple(files)})
    return files | {catalogue.STATUS.file: status.content()}


def _with(facts: dict[str, Any], geojson: bytes) -> bytes:
    return json.dumps(facts | json.loads(geojson), ensure_ascii=False).encode()
