"""A replay's plan and its account: which days are made, from what, which are left as they are, and how the forecasts did."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final, Literal

from shotspotter_assets.calendar.local_time import days_between, today
from shotspotter_assets.cities.city import City
from shotspotter_assets.evaluation.forecasts_table import days_of, observed_of
from shotspotter_assets.evaluation.gains import Gain, table_gain
from shotspotter_assets.evaluation.scores import score_cell_days
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.models.records import installed_versions
from shotspotter_assets.models.registry import BASELINES
from shotspotter_assets.serving.forecast_scores import REFERENCE, SERVED, ScoreRecord, scored_days, scores_partition
from shotspotter_assets.serving.issued_forecasts import (
    ForecastRecord,
    forecast_partition,
    load_record,
    next_day_forecasts,
)
from shotspotter_assets.serving.record import ServingRecord
from shotspotter_assets.serving.risk_tables import is_replayed
from shotspotter_assets.serving.training import MIN_HISTORY_DAYS
from shotspotter_assets.sources.known_then import KnownThen
from shotspotter_assets.storage.errors import MissingObjectError
from shotspotter_assets.storage.file_names import FORECAST_FILE, GRID_FILE, RECORD_FILE, REPLAY_FILE
from shotspotter_assets.storage.fingerprints import day_fingerprints, sha256
from shotspotter_assets.storage.store import Store

Outcome = Literal["made", "done before", "left as issued"]

_CANDIDATE: Final = "candidate"


class ReplayError(Exception):
    """A stretch of days cannot be replayed; the message says why and what to do."""


def parse_day(text: str) -> date:
    """The day that a text names.

    Raises:
        ReplayError: it names none.
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ReplayError(f"{text!r} is no day: write it as YYYY-MM-DD, such as 2021-04-01.") from None


def check_days(city: City, first: date, last: date) -> None:
    """Refuse days that cannot be replayed.

    Raises:
        ReplayError: see there.
    """
    earliest, latest = city.start + timedelta(days=MIN_HISTORY_DAYS - 1), today(city.zone) - timedelta(days=1)
    if city.end is not None:
        latest = min(latest, city.end)
    if first > last:
        raise ReplayError(f"City {city.name}: the first day, {first}, is after the last one, {last}: swap them.")
    if first < earliest or last > latest:
        raise ReplayError(
            f"City {city.name}: {first} to {last} cannot be replayed. Choose days from {earliest} (live models need "
            f"{MIN_HISTORY_DAYS} days of history, and the city's file has start: {city.start}) to {latest} (the last day that "
            "is over)."
        )


def missing_days(store: Store, city: City, last: date) -> list[date]:
    """Days from the city's start that are not on the grid yet."""
    stored = store.days_present("grid_tensors", city.name, GRID_FILE)
    return [day for day in days_between(city.start, last) if day not in stored]


def is_issued(store: Store, city: City, issue_date: date) -> bool:
    """Whether a forecast was issued on the day itself, before the outcome was known, and not in a replay or later by hand."""
    try:
        record = load_record(store, city.name, issue_date)
    except MissingObjectError:
        return False
    if not isinstance(record, ForecastRecord) or record.replayed or not record.issued_at:
        return False
    return datetime.fromisoformat(record.issued_at).astimezone(city.zone).date() <= record.day


@dataclass(frozen=True)
class ReplayInputs:
    """From what each day of a replay is made, so that days that were made from the same are not made again."""

    store: Store
    city: City
    known_then: KnownThen
    fingerprints: Mapping[date, str]
    """Of the counts of each day from the city's start on."""

    @classmethod
    def load(cls, store: Store, city: City, last: date) -> "ReplayInputs":
        """Of the days to the last one."""
        stored = CityHistory.load_stored(store, city, last)
        return cls(store, city, KnownThen.load(store, city), day_fingerprints(stored.frames, stored.days))

    def of_day(self, day: date) -> str:
        """A hash of the city's file, the versions, the days that were known, and what served before."""
        days = days_between(self.city.start, day)
        came = self.known_then.came(days, day)
        known = [f"{each} {self.fingerprints[each]}" for each, has_come in zip(days, came, strict=True) if has_come]
        before = ServingRecord.latest_before(self.store, self.city.name, day)
        return sha256(
            self.city.model_dump_json(exclude={"automation"}, exclude_defaults=True),
            json.dumps(installed_versions(), sort_keys=True),
            "\n".join(known),
            "" if before is None else before.model_dump_json(),
        )[:16]

    def is_done(self, day: date, inputs: str) -> bool:
        """Whether a replay has made all of the day from these inputs."""
        try:
            made_from = json.loads(self.store.read_bytes(forecast_partition(self.city.name, day), REPLAY_FILE))
            return made_from["inputs"] == inputs and load_record(self.store, self.city.name, day).replayed
        except MissingObjectError:
            return False

    def keep_done(self, day: date, inputs: str) -> None:
        """Note that all of the day is made."""
        content = json.dumps({"inputs": inputs}).encode()
        self.store.write_bytes(forecast_partition(self.city.name, day), REPLAY_FILE, content)


def unscored_days(store: Store, city: City, days: Iterable[date]) -> list[date]:
    """Days that are known today and were not when they were scored, though there is a forecast for them."""
    issued = store.days_present("risk_forecasts", city.name, FORECAST_FILE)
    records = [ScoreRecord.load(store, city.name, day) for day in days if day - timedelta(days=1) in issued]
    waiting = [record.day for record in records if record.scores is None]
    last_known = CityHistory.load(store, city, max(waiting)).last_known if waiting else date.min
    return [day for day in waiting if day <= last_known]


def is_scored(store: Store, city: City, day: date) -> bool:
    """Whether the day has a record of scores."""
    return store.exists(scores_partition(city.name, day), RECORD_FILE)


@dataclass(frozen=True)
class ReplaySummary:
    """How a replay went."""

    city: str
    first: date
    last: date
    outcomes: Mapping[date, Outcome]
    scored: int
    """Days of the stretch whose outcome is known and that a stored forecast is for."""
    replayed: int
    """Of them, those whose forecast was made in a replay."""
    without_forecast: int
    """Days on which nothing was issued, as too little was known."""
    predicted_over_observed: float | None
    gains: Mapping[str, Gain]
    """Of what was served over each baseline that was fitted beside it."""
    best_baseline: str | None
    """In hindsight: the baseline with the least log loss."""

    def lines(self) -> list[str]:
        """The account in words."""
        counted = {outcome: sum(each == outcome for each in self.outcomes.values()) for outcome in OUTCOMES}
        lines = [
            f"{self.city}, {self.first} to {self.last}: {len(self.outcomes)} days, "
            + ", ".join(f"{number} {outcome}" for outcome, number in counted.items() if number)
            + "."
        ]
        if self.without_forecast:
            lines.append(f"Nothing was issued on {self.without_forecast} days, as the last known day was too long ago.")
        if not self.scored:
            return [*lines, "No day has a score: forecasts are for the day after, and its outcome has to be known."]
        lines.append(f"{self.scored} forecasts scored, {self.replayed} of them made in a replay.")
        named = {REFERENCE: "the historical mean"}
        if self.best_baseline is not None and self.best_baseline != REFERENCE:
            named[self.best_baseline] = f"the best baseline in hindsight, {self.best_baseline}"
        for name, words in named.items():
            if name in self.gains:
                lines.append(f"Gain over {words}: {self.gains[name].text()} nats per positive.")
        if self.predicted_over_observed is not None:
            lines.append(f"Predicted / observed cell-days with an alert: {self.predicted_over_observed:.2f}.")
        return lines


OUTCOMES: Final[tuple[Outcome, ...]] = ("made", "done before", "left as issued")


def summary(store: Store, city: City, outcomes: Mapping[date, Outcome]) -> ReplaySummary:
    """The account of the days of a replay, from what is stored of them and what is known of their outcomes today."""
    first, last = min(outcomes), max(outcomes)
    history = CityHistory.load(store, city, last)
    forecasts = {
        day: table
        for day, table in next_day_forecasts(store, city, first + timedelta(days=1), last).items()
        if day <= history.last_known
    }
    issued = store.days_present("risk_forecasts", city.name, FORECAST_FILE)
    scored = scored_days(forecasts, history, _CANDIDATE)
    gains: dict[str, Gain] = {}
    ratio = best = None
    if scored is not None:
        baselines = [name for name in scored.column_names if name in BASELINES]
        gains = {name: table_gain(scored, SERVED, name) for name in baselines}
        served = scored[SERVED].to_numpy()
        ratio = score_cell_days(
            served, observed_of(scored), scored[REFERENCE].to_numpy(), days_of(scored)
        ).predicted_over_observed
        best = min(
            (name for name in gains if gains[name].gain is not None),
            key=lambda name: gains[name].gain or 0.0,
            default=None,
        )
    return ReplaySummary(
        city=city.name,
        first=first,
        last=last,
        outcomes=outcomes,
        scored=len(forecasts),
        replayed=sum(is_replayed(table) for table in forecasts.values()),
        without_forecast=sum(day not in issued for day in outcomes),
        predicted_over_observed=ratio,
        gains=gains,
        best_baseline=best,
    )
