"""Files at stable addresses, for other systems: the newest forecast, and the state of the city, which the sensor renews."""

import json
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, Final

from pydantic import Field
from pydantic_core import to_json

from shotspotter_assets.alerts.days.city_now import CityNow, ShownForecast, made_text, stored_now
from shotspotter_assets.alerts.days.day_table import DayTable
from shotspotter_assets.cities.city import City
from shotspotter_assets.evaluation.estimates import Level
from shotspotter_assets.evaluation.gate import NOT_TESTED
from shotspotter_assets.forecasts.patrol.dispatch import dispatch_csv, dispatch_geojson
from shotspotter_assets.pages.rendering import plain
from shotspotter_assets.pages.shown import NewestForecast
from shotspotter_assets.storage import catalogue
from shotspotter_assets.storage.catalogue import INDEX, PAGE, STATUS, WAITING
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_file import StoredFile
from shotspotter_assets.storage.stored_record import StoredRecord

SCHEMA_VERSION: Final = 1
MAX_AGE: Final = timedelta(minutes=15)  # an unchanged state is written again after it: pages tell that ticks go on


class Status(StoredRecord):
    """State of the newest forecast; without one, its facts are null."""

    stored_as = catalogue.STATUS

    schema_version: int = Field(SCHEMA_VERSION, description="It rises when a field or column loses its meaning.")
    title: str = Field("", description="Name of the city for readers.")
    target: str = Field(description="Target of the forecast.")
    no_forecast: str = Field("", description='Reason for no forecast, or ""; then there are no other files.')
    files: tuple[str, ...] = Field((), description="Names of the other files, all of this forecast.")
    ends: datetime | None = Field(None, description="End of the last period in the files, which are out of date then.")
    forecast_date: date | None = None
    issue_date: date | None = Field(None, description="Last day whose data could be used.")
    last_known: date | None = Field(None, description="Last day whose data were used.")
    missing: tuple[date, ...] = Field(
        (), description="Days without known data when it was issued, to the last awaited one."
    )
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
    likeliest: str = Field("", description="Likeliest place of the whole day, with its chance.")
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
        days = {} if issue.nothing is None else issue.nothing.model_dump(include={"last_known", "missing"})
        status = status.model_copy(update={"no_forecast": issue.no_forecast, **days})
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
        is_outdated = table is catalogue.TOP_STREETS and not forecast.data["streets"]
        content = None if is_outdated else store.find_table(table, status.city, record.issue_date)
        if content is not None:
            files[file.file] = dispatch_csv(content)
    of_forecast = record.model_dump(include=Status.model_fields.keys() - {"city", "data"})
    likeliest = f"{forecast.top['place']} ({forecast.top['chance']})"
    of_page = {"ends": forecast.ends, "files": tuple(files), "likeliest": likeliest}
    status = status.model_copy(update=of_forecast | of_page)
    return files | {catalogue.STATUS.file: status.content()}


def _with(facts: dict[str, Any], geojson: bytes) -> bytes:
    return json.dumps(facts | json.loads(geojson), ensure_ascii=False).encode()


def read_now(store: Store, city: City) -> CityNow:
    """Return the kept state; of one that was kept before a run stored days, only its time and stage hold."""
    of_store = stored_now(city, DayTable.read(store, city.name))
    kept = store.read_index(WAITING, city.name, _kept) if city.is_automated else None
    if kept is None or kept.table == of_store.table:
        return kept or of_store
    return of_store.model_copy(update={"at": kept.at, "stage": kept.stage})


def data_script(name: str, data: object) -> bytes:
    """Return data as a script, because pages on the disk may load scripts but may not fetch."""
    return f'CityPages.data("{name}", {to_json(data).decode()});\n'.encode()


def folder_of(city: City, target: str) -> str:
    """Return the folder of a target's pages within the city's, with "/"; "" for the main target."""
    return "" if target == city.target else f"{target}/"


def show_now(store: Store, city: City, now: CityNow) -> None:
    """Keep the state of a city if it changed or is old, and renew it on the pages."""
    kept = store.read_index(WAITING, city.name, _kept)
    is_recent = kept is not None and kept.at is not None and now.at is not None and now.at - kept.at < MAX_AGE
    if kept is not None and is_recent and kept == now.model_copy(update={"at": kept.at}):
        return
    store.write_bytes(WAITING, to_json(now), city.name)
    if store.exists(INDEX, city.name):
        renew_waiting(store, city)


def renew_waiting(store: Store, city: City) -> None:
    """Write the kept state to the pages and the status of each target.

    Each write reads it anew, so the newest state stays if the sensor and a run write at once.
    """
    for _, view in city.by_target(store):
        folder = folder_of(city, view.target)
        status = PAGE.named(file=folder + STATUS.file)
        store.update(status, view.name, Status.model_validate_json, partial(_renewed, store, view))
        store.update(PAGE.named(file=f"{folder}waiting.js"), view.name, bytes, partial(_script, store, view, status))


def _kept(content: bytes) -> CityNow | None:
    """Return a kept state; None for the sentences that 1.0.0 kept instead."""
    return None if content.startswith(b"[") else CityNow.model_validate_json(content)


def _renewed(store: Store, city: City, status: Status | None) -> bytes | None:
    """Return the status of a target with the present state of its city."""
    if status is None:
        return None
    now = read_now(store, city)
    shown = ShownForecast.model_validate(status, from_attributes=True)
    made = made_text(now, DayTable.read(store, city.name), shown, city)
    present = {"as_of": now.at, "data": now.data, "waits": now.waits, "made": made}
    return status.model_copy(update=present).content()


def _script(store: Store, city: City, file: StoredFile, _: bytes | None) -> bytes | None:
    """Return the present state in the status of a target as a script for its pages and the overview, in plain words."""
    status = store.read_index(file, city.name, Status.model_validate_json)
    if status is None:
        return None
    shown = status.model_dump(mode="json", include={"as_of", "version", "made", "data"})
    return data_script("waiting", shown | {"waits": [plain(text) for text in status.waits]})
