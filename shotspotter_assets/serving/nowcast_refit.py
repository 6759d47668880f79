"""Models of hours and minutes that are refitted each hour beside the live models, for nowcasts."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from pydantic import Field

from shotspotter_assets.calendar.local_time import ONE_DAY
from shotspotter_assets.models.city_history import CityHistory, covered_mask
from shotspotter_assets.models.forecaster import FittedHourly
from shotspotter_assets.models.forecaster_registry import hourly_forecaster
from shotspotter_assets.models.hourly_history import HourlyHistoryError
from shotspotter_assets.models.next_minutes.incident_points import Incidents
from shotspotter_assets.models.next_minutes.lift_table import LiftTable, fit_on_hours
from shotspotter_assets.models.records import HOURLY_STACK, NEXT_MINUTES, files_sha256
from shotspotter_assets.serving.serving_record import ServingRecord
from shotspotter_assets.serving.stored_alerts import stored_incidents
from shotspotter_assets.storage.catalogue import NOWCAST_MODEL, NOWCAST_REFIT
from shotspotter_assets.storage.errors import MissingObjectError
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_record import StoredRecord


class RefitRecord(StoredRecord):
    """Facts of the last refit of a city's models of hours and minutes."""

    stored_as = NOWCAST_REFIT

    instant: datetime = Field(description="Instant of the refit, which used the alerts before it (ISO 8601).")
    version: str = Field(description="Version of the live models beside which the refit serves.")
    files: dict[str, dict[str, str]] = Field(description="SHA-256 of each file by model.")


@dataclass(frozen=True)
class Refit:
    """Models of hours and, if incidents suffice, of minutes, fitted on the alerts before an instant."""

    instant: datetime
    hours: FittedHourly
    minutes: LiftTable | None

    @classmethod
    def fit(cls, record: ServingRecord, store: Store, history: CityHistory, recent: Incidents, now: datetime) -> Self:
        """Fit on the whole hours of a history to now, and on its stored incidents and `recent` ones.

        Raises HourlyHistoryError if the hours are too few.
        """
        by_hour = history.hourly(covered_mask(record.covered, history.city.shape)).until(now)
        stop = len(by_hour) - 1  # the last hour is running
        validation_hours = (record.validation[1] - record.validation[0] + ONE_DAY) // timedelta(hours=1)
        first_validation = max(stop - validation_hours, 0)
        hours = hourly_forecaster(HOURLY_STACK).fit(by_hour, range(first_validation), range(first_validation, stop))
        incidents = stored_incidents(store, history, history.last_known).before(recent)
        try:
            minutes = fit_on_hours(incidents, by_hour, hours)
        except HourlyHistoryError:
            minutes = None
        return cls(now, hours, minutes)

    @classmethod
    def read(cls, store: Store, stored: RefitRecord) -> Self | None:
        """Return the models of a record; None while a newer refit replaces their files."""
        files: dict[str, dict[str, bytes]] = {}
        for model, hashes in stored.files.items():
            try:
                named = {name: NOWCAST_MODEL.named(model=model, file=name) for name in hashes}
                files[model] = {name: store.read_bytes(file, stored.city) for name, file in named.items()}
            except MissingObjectError:
                return None
            if files_sha256(files[model]) != hashes:
                return None
        minutes = LiftTable.load(files[NEXT_MINUTES]) if NEXT_MINUTES in files else None
        return cls(stored.instant, hourly_forecaster(HOURLY_STACK).load(files[HOURLY_STACK]), minutes)

    def write(self, store: Store, record: ServingRecord) -> None:
        """Write the models' files, and then their record, instead of those of the refit before."""
        files = {HOURLY_STACK: self.hours.files()}
        if self.minutes is not None:
            files[NEXT_MINUTES] = self.minutes.files()
        hashes = {model: files_sha256(contents) for model, contents in files.items()}
        RefitRecord(city=record.city, instant=self.instant, version=record.version, files=hashes).write_after(
            store,
            {
                NOWCAST_MODEL.named(model=model, file=name): content
                for model, contents in files.items()
                for name, content in contents.items()
            },
        )
