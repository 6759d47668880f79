"""Files of the newest forecast at stable addresses, for other systems."""

import json
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final

from pydantic import Field

from shotspotter_assets.cities.city import City
from shotspotter_assets.evaluation.gate import NOT_TESTED
from shotspotter_assets.patrol.dispatch import dispatch_csv, dispatch_geojson
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
    data: str = Field("", description="Known and missing days when the file was written, in words.")
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
    warnings: tuple[str, ...] = Field((), description="Open warnings of the data checks about the newest days.")
    waits: tuple[str, ...] = Field(
        (), description="Landed rows that are not built yet, with the run that they wait for."
    )


def published_files(store: Store, city: City, issue: dict[str, Any], standing: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the files of the `newest_forecast` by name, with the status last; only the status without a forecast.

    `standing` holds the fields of the status that do not depend on the forecast.
    """
    forecast = issue["forecast"]
    nothing = issue["nothing"]
    key = {"city": city.name, "target": city.target}
    if forecast is None:
        last_known = nothing and nothing.last_known
        facts = {"no_forecast": issue["no_forecast"], "last_known": last_known, "data": issue["known"]}
        status = Status(**key, **standing, **facts)
        return {catalogue.STATUS.file: status.content()}
    record = forecast["record"]
    day = city.name, record.issue_date
    facts = {"schema_version": SCHEMA_VERSION, "forecast_date": str(record.forecast_date)} | key
    files = {catalogue.FORECAST_MAP.file: _with(facts, store.read_bytes(catalogue.RISK_MAP, *day))}
    if (plan := forecast["table"]) is not None:
        files[catalogue.PLAN_CSV.file] = dispatch_csv(plan)
        files[catalogue.PLAN_MAP.file] = _with(facts, dispatch_geojson(plan))
    for table, file in catalogue.PUBLISHED.items():
        is_outdated = table is catalogue.TOP_STREETS and not forecast["data"]["streets"]
        if not is_outdated and (content := store.find_table(table, *day)) is not None:
            files[file.file] = dispatch_csv(content)
    own = record.model_dump(include={*Status.model_fields}) | key | {"data": issue["known"]}
    status = Status(**own, **standing, ends=forecast["ends"], files=tuple(files))
    return files | {catalogue.STATUS.file: status.content()}


def _with(facts: dict[str, Any], geojson: bytes) -> bytes:
    return json.dumps(facts | json.loads(geojson), ensure_ascii=False).encode()
