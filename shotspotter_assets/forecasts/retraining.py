"""Choice of the models that serve a city after a day: newly trained and accepted ones, or those of an earlier day."""

import logging
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from shotspotter_assets.alerts.days.days_in_words import long_day
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import ONE_DAY
from shotspotter_assets.cities.stored_settings import model_settings
from shotspotter_assets.forecasts.approval import Approvals, WaitingModels, serve_approved, stored_models
from shotspotter_assets.forecasts.issued_forecasts import CANDIDATE_COLUMN, is_over, issued_on_grid
from shotspotter_assets.forecasts.issued_scores import issued_level
from shotspotter_assets.forecasts.serving_record import BY_HAND, FIT, PLACE, WEEK, ServingRecord
from shotspotter_assets.forecasts.training import MIN_HISTORY_DAYS, live_windows, train_live, train_new_city
from shotspotter_assets.models.city_history import CityHistory, covered_mask
from shotspotter_assets.models.forecaster import FitContext
from shotspotter_assets.models.forecaster_registry import candidate_of
from shotspotter_assets.models.history import TooFewEventsError
from shotspotter_assets.models.next_day.daily_inputs import names_of_inputs
from shotspotter_assets.models.next_hours.incident_points import stored_incidents
from shotspotter_assets.models.trained_models import ModelFiles, earlier_models, write_models
from shotspotter_assets.storage.catalogue import LIVE_MODEL, SERVING_RECORD, WAITING_MODELS
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.wording import number_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LiveModels:
    """Live models after a day, those that wait for approval, or the reason for none."""

    record: ServingRecord | None
    files: ModelFiles = field(default_factory=dict)  # new files by stored name
    waiting: WaitingModels | None = None
    why_none: str = ""

    @property
    def data_version(self) -> str:
        """Version of what serves and of what waits."""
        waits = "" if self.waiting is None else self.waiting.models.version
        return f"{'no models' if self.record is None else self.record.data_version} {waits}".rstrip()

    def write(self, store: Store, city: str, issue_date: date, before: "DayRecords") -> str | None:
        """Write files and then records instead of those `before`; return the last one's address, "" for none.

        Only newly trained models replace other records than those `before`, which another run has stored meanwhile. Others
        return None, and must be chosen again.
        """
        records = {WAITING_MODELS: self.waiting, SERVING_RECORD: self.record}
        files = self.files
        is_trained = bool(files) and not (self.record and self.record.is_interim)
        path = ""
        with store.alone("chosen_models", city):
            if not is_trained and day_records(store, city, issue_date) != before:
                return None
            for record in filter(None, records.values()):
                path = write_models(store, LIVE_MODEL, record, files)
                files = {}  # new files are those of the first record
            for file in (file for file, record in records.items() if record is None):
                store.delete(file, city, issue_date)
        return path


DayRecords = tuple[ServingRecord | None, WaitingModels | None]


def day_records(store: Store, city: str, issue_date: date) -> DayRecords:
    """Return the sound records of a day: models that serve, and models that wait."""
    return ServingRecord.find_sound(store, city, issue_date), WaitingModels.find_sound(store, city, issue_date)


def known_history(store: Store, city: City, issue_date: date, now: datetime) -> CityHistory:
    """Return the days that models may use, as many as a fold uses; for a past forecast date, by the publication rule."""
    history = CityHistory.load(store, city, issue_date, city.folds.first_used_day(issue_date + ONE_DAY, city.start))
    return history.as_published() if is_over(issue_date + timedelta(days=1), city.zone, now) else history


def reusable_record(store: Store, stored: CityHistory, now: datetime, withheld: str = "") -> ServingRecord | None:
    """Return the date's stored record, waiting models first, if its forecast was issued or its inputs are unchanged.

    `withheld` is the reason for which the level withholds the candidate, if it does.
    """
    city = stored.city
    issue_date = stored.issue_date
    record = ServingRecord.find_sound(store, city.name, issue_date)
    if record is not None and issued_on_grid(store, city, issue_date, now) is not None:
        return record
    waiting = WaitingModels.find_sound(store, city.name, issue_date)
    newest = record if waiting is None else waiting.models
    if newest is None or newest.is_interim or newest.last_known != stored.last_known:
        return None
    is_approved = waiting is not None and newest.version in Approvals.read(store, city.name).approved
    if is_over(issue_date + ONE_DAY, city.zone, now) and not is_approved:
        return None
    if outdated(city, newest, withheld) or newest.lead != stored.lead or newest.last_trained != issue_date:
        return None
    if not newest.is_stored(store):
        return None
    data_sha256 = stored.daily(covered_mask(newest.covered, city.shape)).data_sha256()
    return newest if not newest.trained or newest.data_sha256 == data_sha256 else None


def choose_models(
    store: Store,
    stored: CityHistory,
    context: FitContext,
    *,
    reuse: ServingRecord | None = None,
    train: bool = True,
    retrain: bool = False,
    serve_from: date | None = None,
    withheld: str = "",
) -> LiveModels:
    """Return the live models after the issue date: trained if they are due, else those of an earlier day.

    `reuse` is the date's `reusable_record`, `retrain` trains in any case, `serve_from` rolls back to the live models after
    an earlier day (ValueError if they cannot serve). Without `train`, the latest models serve until a run trains them; if
    they cannot, simple methods do. `withheld` is the reason for which the level withholds the candidate. With `approval:
    person`, new models wait.
    """
    issue_date = stored.issue_date
    latest = ServingRecord.latest_before(store, stored.city.name, issue_date)
    if serve_from is not None:
        return LiveModels(rolled_back(store, stored, serve_from, withheld).after(latest))
    # Without training, models that were trained on the date itself from other rows stay live.
    last = issue_date - ONE_DAY if train else issue_date
    records = (record for record, _ in stored_models(store, stored.city.name, last))
    earlier = [record for record in records if record.is_stored(store) and not record.is_interim]
    # Where the lead alternates, as over weekends, models of the same lead stay live.
    before = next((record for record in earlier if record.lead == stored.lead), next(iter(earlier), None))
    reason = training_reason(stored.city, issue_date, before, by_hand=retrain, lead=stored.lead, withheld=withheld)
    if reuse is not None:
        proposed = LiveModels(reuse)
    elif before is not None and not reason:
        proposed = LiveModels(carried_over(before, stored))
    elif train or int(stored.is_known.sum()) < MIN_HISTORY_DAYS:
        proposed = _trained(store, stored, context, before, reason, withheld)
    else:
        proposed = _until_trained(store, stored, context, before, reason, withheld)
    if proposed.record is None:
        return proposed
    serves, waiting = serve_approved(store, stored, proposed.record)
    return LiveModels(serves and serves.after(latest), proposed.files, waiting, waiting.reason if waiting else "")


def _trained(
    store: Store,
    stored: CityHistory,
    context: FitContext,
    before: ServingRecord | None,
    reason: str,
    withheld: str,
) -> LiveModels:
    """Train the city's own models or, with too few days, adopt those of other cities; return the reason if neither can be.

    Networks start from the models of the record `before`.
    """
    city = stored.city
    if int(stored.is_known.sum()) < MIN_HISTORY_DAYS:
        if context.shared is not None:
            record, files = train_new_city(stored, context)
            return LiveModels(record, files)
        why = (
            f"City {city.name}: {number_of(len(stored.days), 'day')} of history, and live models need {MIN_HISTORY_DAYS}. "
            f"They are trained from {city.start + timedelta(days=MIN_HISTORY_DAYS - 1)} on, or earlier once "
            "models of other cities are trained. Give the city an earlier start if its source has earlier days."
        )
        return LiveModels(None, why_none=why)
    if before is not None and city.network:
        models = earlier_models(store, LIVE_MODEL, before, before.models_from, before.suffix)
        context = replace(context, earlier=models)
    windows = live_windows(stored.days)
    incidents = stored_incidents(store, stored, stored.last_known)
    try:
        record, files = train_live(stored, windows, reason, incidents=incidents, context=context, withheld=withheld)
    except TooFewEventsError as error:
        log.warning("%s %s cannot be trained: %s", city.name, stored.issue_date, error)
        return _until_trained(store, stored, context, before, reason, withheld)
    return LiveModels(record, files)


def _until_trained(
    store: Store, stored: CityHistory, context: FitContext, before: ServingRecord | None, reason: str, withheld: str
) -> LiveModels:
    """Return what serves until models are trained for a `reason`: those of the record `before`, else simple methods.

    Simple methods of an earlier run serve on.
    """
    latest = next((record for record, _ in stored_models(store, stored.city.name, stored.issue_date)), None)
    since = (latest and latest.due_since) or stored.issue_date
    for record in filter(None, (before, latest)):
        if record.is_stored(store) and may_serve_until_trained(record, stored, withheld):
            return LiveModels(carried_over(record, stored).with_training_due(reason, since))
    incidents = stored_incidents(store, stored, stored.last_known)
    windows = live_windows(stored.days)
    try:
        record, files = train_live(stored, windows, reason, incidents=incidents, context=context, is_interim=True)
    except TooFewEventsError as error:
        return LiveModels(None, why_none=str(error))
    return LiveModels(record.with_training_due(reason, since), files)


def may_serve_until_trained(before: ServingRecord, stored: CityHistory, withheld: str) -> bool:
    """Return True if models that are due for training may serve meanwhile.

    They forecast the same events in the same cells from the same inputs, were fitted for the lead or a longer one, and the
    gate and the level let their forecaster serve.
    """
    city = stored.city
    present = model_settings(city)
    keys = {*present, *before.settings} - {*FIT}
    is_same = all(before.settings.get(key) == present.get(key) for key in keys)
    is_let = before.served != before.candidate or (not withheld and (before.gate.passed or city.gate == "alarm"))
    return is_same and is_let and before.inputs == names_of_inputs(city) and before.lead >= stored.lead


def outdated(city: City, before: ServingRecord, withheld: str = "") -> str:
    """Return the reason why the models of a record cannot serve the city any more; "" if they can.

    `withheld` is the reason for which the level withholds the candidate, if it does.
    """
    present = model_settings(city)
    keys = dict.fromkeys([*present, *before.settings])
    if changed := [key for key in keys if before.settings.get(key) != present.get(key)]:
        return f"the city's file has another value of {', '.join(changed)}"
    if before.inputs != names_of_inputs(city):
        return "the inputs differ from those that the live models were fitted on"
    candidate = candidate_of(city)
    if before.candidate != candidate:
        return f"{candidate} is to serve instead of {before.candidate}"
    if bool(before.gate.withheld) != bool(withheld):
        return f"the level of {candidate} {'is off' if withheld else 'no longer withholds it'}"
    if withheld:
        return ""
    is_served = before.gate.passed or city.gate == "alarm"
    return "" if is_served == (before.served == candidate) else f"the city's file has gate: {city.gate}"


def withheld_reason(store: Store, stored: CityHistory) -> str:
    """Return why the level of the city's candidate withholds it after the issue date; "" if it may serve.

    It is judged by its own forecasts since it became the candidate, which are stored whether it serves or not.
    """
    city = stored.city
    latest = ServingRecord.latest_before(store, city.name, stored.issue_date) if city.level == "withhold" else None
    candidate = candidate_of(city)
    if latest is None or latest.candidate != candidate:
        return ""
    level = issued_level(store, stored, CANDIDATE_COLUMN, latest.candidate_since or date.min)
    judged = stored_models(store, city.name, stored.issue_date - ONE_DAY)  # those that wait were judged, too
    newest, _ = next(judged, (latest, None))
    if level is None or not level.withholds(bool(newest.gate.withheld)):
        return ""
    back = "It may serve again once the ratio itself is within that range (level: withhold in the city's file)."
    return f"{candidate} is withheld for its level. {level.sentence()} {back}"


def training_reason(
    city: City,
    issue_date: date,
    before: ServingRecord | None,
    *,
    by_hand: bool = False,
    lead: int = 1,
    withheld: str = "",
) -> str:
    """Return the reason for training on the issue date, given the record before it; "" if it is not due."""
    if before is None:
        return "trained because no earlier day has models"
    if lead > city.publication.longest_lead and not by_hand:
        return ""
    cause = outdated(city, before, withheld)
    due = {
        f"retrained because {cause}": bool(cause),
        f"retrained for a lead of {number_of(lead, 'day')} because the live models were fitted for {before.lead}": before.lead
        != lead,
        f"retrained {BY_HAND}": by_hand,
        "retrained daily": city.retraining == "daily" and before.last_trained < issue_date,
        f"retrained, a week after the models of {long_day(before.last_trained)}": issue_date - before.last_trained
        >= WEEK,
    }
    return next((reason for reason, is_due in due.items() if is_due), "")


def carried_over(before: ServingRecord, stored: CityHistory) -> ServingRecord:
    """Return the record of an issue date without training: earlier models stay live."""
    reason = f"Models of {long_day(before.models_from)}; retrains {'daily' if stored.city.retraining == 'daily' else 'weekly'}."
    if stored.is_too_late:
        reason = f"Not retrained because no forecast is issued. {stored.lateness}"
    return before.on(stored, reason)


def rolled_back(store: Store, stored: CityHistory, serve_from: date, withheld: str = "") -> ServingRecord:
    """Return the record with which an earlier day's models serve again; raise ValueError if they cannot.

    `withheld` is the reason for which the level withholds the candidate, if it does: the next run would undo the rollback.
    """
    issue_date = stored.issue_date
    key = f"{stored.city.name}|{issue_date}"
    if serve_from >= issue_date:
        raise ValueError(f"{key}: serve_from is {serve_from}; name a day before {issue_date}.")
    record = ServingRecord.load(store, stored.city.name, serve_from)
    if record.lead != stored.lead:
        raise ValueError(
            f"{key}: the live models after {serve_from} were fitted for a lead of "
            f"{number_of(record.lead, 'day')}, and the last known day is {stored.last_known}, a lead of {stored.lead}. "
            "Name a day with models of that lead, or train."
        )
    if withheld and record.served == candidate_of(stored.city):
        raise ValueError(f"{key}: serve_from: {withheld} Write level: alarm to serve it anyway.")
    present = model_settings(stored.city)
    if not record.is_stored(store) or any(record.settings.get(key) != present[key] for key in PLACE):
        cause = f"files of the live models after {serve_from} are lost, or the city's {', '.join(PLACE)} have changed"
        raise ValueError(f"{key}: {cause}. Name another day, or train with `retrain`.")
    again = record.on(stored, f"Rolled back {BY_HAND} to the live models after {serve_from}.")
    return again.model_copy(update={"last_trained": issue_date})
