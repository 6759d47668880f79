"""Approval of live models by a person: models that wait, and approved ones that serve meanwhile."""

from collections.abc import Iterator
from datetime import date, datetime
from typing import Self

from pydantic import Field

from shotspotter_assets.alerts.days.days_in_words import long_day
from shotspotter_assets.cities.city import City
from shotspotter_assets.forecasts.serving_record import WEEK, ServingRecord
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.storage.catalogue import APPROVALS, SERVING_RECORD, WAITING_MODELS
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_record import StoredRecord
from shotspotter_assets.storage.wording import number_of


class Approvals(StoredRecord):
    """Approved models of a city."""

    stored_as = APPROVALS

    approved: dict[str, str] = Field(description="Instant of the approval (ISO 8601, UTC) by version of the models.")
    approvers: dict[str, str] = Field({}, description="Name of the person who approved, by version of the models.")

    @classmethod
    def read(cls, store: Store, city: str) -> Self:
        """Return the approvals; none if the file is missing or damaged: models that served count as approved."""
        return cls.find_sound(store, city) or cls(city=city, approved={})

    def text(self, version: str) -> str:
        """Return a sentence on who approved the models of a version, and when; empty if nobody did."""
        if version not in self.approved:
            return ""
        return f"Approved by {self.approvers.get(version, 'a person')} at {self.approved[version]}."


class WaitingModels(StoredRecord):
    """Models that wait for approval after a day."""

    stored_as = WAITING_MODELS

    issue_date: date = Field(description="Day after which the models would serve.")
    models: ServingRecord = Field(description="Record with which they would serve.")
    text: str = Field(description="Sentences: models, verdict and remedy.")
    why_none: str = Field(
        default="", description='Reason why no approved models served after that day; "" if some did.'
    )

    @property
    def reason(self) -> str:
        """Reason why a day without approved models has no forecast."""
        return f"{self.why_none} {self.text}".lstrip()


def stored_models(store: Store, city: str, last: date) -> Iterator[tuple[ServingRecord, WaitingModels | None]]:
    """Yield the models of the week to `last` and the latest before, newest first, those that wait with their record."""
    waiting, served = (store.days_present(file, city, last=last) for file in (WAITING_MODELS, SERVING_RECORD))
    latest = {max(days) for days in (waiting, served) if days}
    for day in sorted(latest | {day for day in waiting | served if day >= last - WEEK}, reverse=True):
        # Models that wait are newer than those that serve on their day.
        if day in waiting and (waits := WaitingModels.find_sound(store, city, day)) is not None:
            yield waits.models, waits
        if day in served and (record := ServingRecord.find_sound(store, city, day)) is not None:
            yield record, None


def waiting_models(store: Store, city: City, last: date) -> list[WaitingModels]:
    """Return the newest models of each target and lead that wait for approval."""
    if city.approval == "automatic":
        return []
    return [
        waits
        for of_target, _ in city.by_target(store)
        for version, waits in _newest_by_lead(of_target, city, last).items()
        if waits is not None and version not in Approvals.read(of_target, city.name).approved
    ]


def approve(store: Store, city: City, issue_date: date, version: str, approver: str, now: datetime) -> None:
    """Record who approved models; raise ValueError without a name, or if they are not the newest ones of a target and lead."""
    stores = [
        of_target for of_target, _ in city.by_target(store) if version in _newest_by_lead(of_target, city, issue_date)
    ]
    if not stores:
        newest = [waiting.models for waiting in waiting_models(store, city, issue_date)]
        allowed = ", ".join(f"{record.version} ({record.served})" for record in newest) or "none"
        raise ValueError(
            f"{city.name}|{issue_date}: approve: no models of version {version} wait (allowed: {allowed})."
        )
    if not approver.strip():
        raise ValueError(
            f"{city.name}|{issue_date}: approver: write the name of the person who approves models {version}."
        )

    def approved(found: Approvals | None) -> bytes:
        before = found or Approvals(city=city.name, approved={})
        instants = {version: now.isoformat(timespec="seconds")} | before.approved
        approvers = {version: approver.strip()} | before.approvers
        return Approvals(city=city.name, approved=instants, approvers=approvers).content()

    for of_target in stores:  # targets that count equal events have equal models
        of_target.update(APPROVALS, city.name, Approvals.model_validate_json, approved)


def serve_approved(
    store: Store, stored: CityHistory, proposed: ServingRecord
) -> tuple[ServingRecord | None, WaitingModels | None]:
    """Return the record that serves and the models that wait, given the record that would serve without approval.

    Models count as approved if a person approved them, if they served in the last week, or if they were the last to serve.
    Those with the same lead come first, then those with a longer one, or any if no forecast is issued.
    """
    city = stored.city
    approvals = Approvals.read(store, city.name)
    if city.approval == "automatic":
        return proposed, None
    models = stored_models(store, city.name, stored.issue_date)
    approved = [record for record, waits in models if waits is None or record.version in approvals.approved]
    if proposed.version in [record.version for record in approved]:
        reasons = *proposed.reasons, approvals.text(proposed.version)
        return proposed.model_copy(update={"reasons": tuple(filter(None, reasons))}), None
    fitting = [record for record in approved if record.place_and_inputs == proposed.place_and_inputs]
    serving = [record for record in fitting if record.lead == stored.lead]
    serving += [record for record in fitting if record.lead > stored.lead or stored.is_too_late]
    text = (
        f"New models of {city.target} wait for approval: {proposed.served} of {long_day(proposed.models_from)}, version "
        f"{proposed.version}. "
        f"{' '.join(proposed.gate.reasons)} To approve them, run: shotspotter approve {city.name} "
        f"{proposed.version} --by NAME"
    )
    if serving:
        keeps = f"The approved models of {long_day(serving[0].models_from)} keep serving."
        waiting = WaitingModels(city=city.name, issue_date=stored.issue_date, models=proposed, text=text)
        return serving[0].on(stored, keeps, text), waiting
    why = "No models have been approved yet."
    if approved:
        cause = (
            f"a lead of {number_of(approved[0].lead, 'day')}, not {stored.lead}"
            if fitting
            else "another grid, events or inputs"
        )
        why = f"The approved models of {long_day(approved[0].models_from)} cannot serve: they were fitted for {cause}."
    waiting = WaitingModels(city=city.name, issue_date=stored.issue_date, models=proposed, text=text, why_none=why)
    return None, waiting


def _newest_by_lead(store: Store, city: City, last: date) -> dict[str, WaitingModels | None]:
    """Return the newest models of each lead by version, with their record if they wait."""
    newest: dict[int, tuple[str, WaitingModels | None]] = {}
    for record, waits in stored_models(store, city.name, last):
        newest.setdefault(record.lead, (record.version, waits))
    return dict(newest.values())
