"""Verification of sealed forecasts: links, hashes, sums and intervals, and reruns of one day."""

from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
from pydantic import ValidationError

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import ONE_DAY, day_start
from shotspotter_assets.forecasts.daily_forecast import forecast_day
from shotspotter_assets.forecasts.issued_forecasts import ISSUE_RECORD, SHADOW, ForecastRecord, find_record, is_over
from shotspotter_assets.forecasts.seals import Chain, DayFiles, Seal, contradiction, shown_head
from shotspotter_assets.forecasts.serving_record import ForecastWindow, ServingRecord
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.storage.catalogue import FORECAST, FORECAST_RECORD
from shotspotter_assets.storage.errors import error_reason
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.progress import steps
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.wording import first_of, number_of, period

RESTORE: Final = "Restore it from a backup."


class VerificationError(ValueError):
    """Days and links that do not fit, one a line, the first in full."""


class Misfit(NamedTuple):
    """A day that does not fit the chain, with the reason in a sentence."""

    day: date
    reason: str


def verify(store: Store, city: City, now: datetime, head: str = "") -> str:
    """Return in words what the chains of a city's targets prove; raise VerificationError with what does not fit.

    `head` is one that somebody has kept, as `number:hash` or as the hash alone.
    """
    lines = []
    problems = []
    chains = [(of_target, view, Chain.read(of_target, city.name)) for of_target, view in city.by_target(store)]
    for of_target, view, chain in chains:
        name = f"{city.name}, {view.target}"
        if misfits := sorted(misfits_of(of_target, view, chain)):
            later = first_of([str(misfit.day) for misfit in misfits[1:]])
            problems.append(f"{name}, {misfits[0].day}: {misfits[0].reason}{f' Also: {later}.' if later else ''}")
        elif not chain.lines:
            problems.append(_nothing_sealed(of_target, view))
        else:
            lines.append(f"{name}: {_in_words(of_target, view, chain, now)}")
            if number := _number_of(chain, head):
                lines.append(f"{name}: {_before(chain, number)}")
    if head and not any(_number_of(chain, head) for _, _, chain in chains):
        problems += [f"{city.name}, {view.target}: {_not_in_chain(chain, head)}" for _, view, chain in chains]
    if problems:
        raise VerificationError("\n".join(problems))
    return "\n".join(lines)


def remake(store: Store, city: City, day: date) -> str:
    """Forecast a day again from the stored models and days, without writing; return in words what is different.

    Raises VerificationError for a day without a forecast or models, and ModelFilesError for lost or changed models.
    """
    return "\n".join(_remade(of_target, view, day) for of_target, view in city.by_target(store))


def _remade(store: Store, city: City, day: date) -> str:
    """Return the differences between the stored forecast of one target and its rerun; see `remake`."""
    name = f"{city.name}, {city.target}, {day}"
    stored = find_record(store, city.name, day - ONE_DAY)
    serving = ServingRecord.find(store, city.name, day - ONE_DAY)
    if not isinstance(stored, ForecastRecord) or serving is None:
        raise VerificationError(f"{name}: there is no forecast, or no record of its models, to make it from.")
    history = CityHistory.load(store, city, day - ONE_DAY, max(serving.train[0] or city.start, city.start))
    known = history.until(min(history.last_known, stored.last_known))
    again = forecast_day(ForecastWindow.of(serving, serving.loaded(store), known))
    table = store.read_table(FORECAST, city.name, day - ONE_DAY)
    made_by = serving.made_by(city)
    if {*table.column_names} - {SHADOW} == {*again.table.column_names} and len(table) == len(again.table):
        found = [*_differences(table, again.table)] or ["equal tables"]
    else:
        found = ["other rows or columns"]
    found += [f"other {key.replace('_', ' ')}" for key, value in stored.made_by.items() if made_by.get(key) != value]
    if again.record.last_known != stored.last_known:
        found.append("other last known day")
    expected = f"{stored.expected_alerts:.4f} expected, {again.record.expected_alerts:.4f} when forecast again"
    return f"{name}: {'; '.join(found)} ({expected})."


def _differences(stored: pa.Table, again: pa.Table) -> Iterator[str]:
    """Yield the columns whose values differ, with the largest difference of numbers."""
    for column in again.column_names:
        before = stored[column]
        after = again[column]
        if not before.equals(after):
            is_number = pa.types.is_floating(before.type) and before.null_count == after.null_count
            by = f" by up to {np.nanmax(np.abs(before.to_numpy() - after.to_numpy())):.2g}" if is_number else ""
            yield f"{column} differs{by}"


def misfits_of(store: Store, city: City, chain: Chain, first: date = date.min) -> Iterator[Misfit]:
    """Yield what does not fit in all links of a target, and in the stored files of the days from `first` on."""
    last: dict[date, Seal] = {}
    day = date.min
    for number, line in enumerate(chain.lines, start=1):
        try:
            seal = Seal.model_validate_json(line)
        except ValidationError as error:
            yield Misfit(
                day, f"seal {number}, after that of this day, cannot be read: {error_reason(error)}. {RESTORE}"
            )
            continue
        day = seal.day
        previous = sha256(chain.lines[number - 2]) if number > 1 else ""
        if (seal.number, seal.previous, seal.city, seal.target) != (number, previous, city.name, city.target):
            yield Misfit(day, f"seal {seal.number} does not follow the seal before it, which was changed or removed.")
        if seal.flaw and day >= first:
            yield Misfit(day, f"seal {number} states: {seal.flaw}")
        last[day] = seal
    shown = shown_head(store, city)
    if shown and not chain.has(shown):
        yield Misfit(day, f"the pages showed seal {shown}, {_ends(chain)}: its end was cut off, or a seal was changed.")
    for day, seal in steps("day", last.items(), "verifying forecasts"):
        if day >= first and (reason := _reason(store, city, seal)):
            yield Misfit(day, reason)


def _reason(store: Store, city: City, seal: Seal) -> str:
    """Return why the stored files of a day are not those of its last seal, or contradict each other; "" if they fit."""
    files = DayFiles.read(store, city.name, seal.day)
    hashes = files.hashes
    for name, field in (("record.json", "record_sha256"), ("forecast.parquet", "table_sha256")):
        sealed = getattr(seal, field)
        if hashes[field] != sealed:
            if not sealed:
                return f"{name} was added after the day was sealed without it."
            state = "not as sealed (SHA-256)" if hashes[field] else "missing"
            return f"{name} is {state}. {RESTORE}"
    if seal.flaw or seal.state not in ("issued", "late", "replayed"):
        return ""
    record = ISSUE_RECORD.validate_json(files.record)
    return contradiction(record, files) if isinstance(record, ForecastRecord) else "record.json has no forecast."


def _nothing_sealed(store: Store, city: City) -> str:
    """Return why a target has no seals, in words."""
    recorded = store.days_present(FORECAST_RECORD, city.name)
    days = f"forecasts from {min(recorded) + ONE_DAY} on are stored" if recorded else "no forecast is stored"
    remedy = "The next run of city_pages seals the days that have begun."
    return f"{city.name}, {city.target}: no day is sealed yet, and {days}. {remedy}"


def _in_words(store: Store, city: City, chain: Chain, now: datetime) -> str:
    """Return the days of a sound chain by state, with the days that are not sealed yet."""
    seals = [Seal.model_validate_json(line) for line in chain.lines]
    last = {seal.day: seal for seal in seals}
    states = Counter(seal.state for seal in last.values())
    counts = ", ".join(f"{number:,} {state}" for state, number in states.items())
    # The outcome of a day that was over when it was sealed could be known.
    later = sum(
        is_over(seal.day, city.zone, seal.sealed_at) for seal in last.values() if seal.state in ("issued", "late")
    )
    facts = f"As sealed: {number_of(len(last), 'day')} ({period(min(last), max(last))}), of these {counts}."
    facts += f" {number_of(later, 'issued day')} sealed after the day was over." if later else ""
    remade = sorted({seal.day for seal in seals if seal.remade})
    facts += f" Remade: {first_of([str(day) for day in remade])}." if remade else ""
    recorded = {issued + ONE_DAY for issued in store.days_present(FORECAST_RECORD, city.name)}
    waiting = sorted(day for day in recorded - last.keys() if now >= day_start(day, city.zone))
    facts += f" Not sealed yet: {first_of([str(day) for day in waiting])}." if waiting else ""
    return f"{facts}\n  Head: {chain.head}"


def _number_of(chain: Chain, head: str) -> int:
    """Return the number of the link that was once a head, given with its number or by its hash alone; 0 without it."""
    if ":" in head:
        return int(head.partition(":")[0]) if chain.has(head) else 0
    return next((number for number, line in enumerate(chain.lines, start=1) if sha256(line) == head), 0)


def _before(chain: Chain, number: int) -> str:
    """Return what a kept head proves about the links to it, in words."""
    seals = [Seal.model_validate_json(line) for line in chain.lines]
    remade = sorted({seal.day for seal in seals[number:] if seal.remade} & {seal.day for seal in seals[:number]})
    replaced = f" Replaced since, with a further link: {first_of([str(day) for day in remade])}." if remade else ""
    return (
        f"seal {number} of {seals[number - 1].day} is in the chain: nothing that it seals was changed unseen.{replaced}"
    )


def _not_in_chain(chain: Chain, head: str) -> str:
    """Return that a kept head is not in a chain, in words."""
    number = head.partition(":")[0] if ":" in head else ""
    if number.isdecimal() and 0 < int(number) <= len(chain.lines):
        day = next(iter(Chain((chain.lines[int(number) - 1],)).last_by_day()), "unreadable")
        return f"seal {head} is not in the chain, whose seal {number} ({day}) has another hash: it or one before was changed."
    return f"seal {head} is not in the chain, {_ends(chain)}: its end was cut off, or the seal is of another city."


def _ends(chain: Chain) -> str:
    """Return where a chain ends, in words."""
    if not chain.lines:
        return "whose file seals.jsonl is missing or empty"
    return f"which ends with seal {len(chain.lines)} ({max(chain.last_by_day(), default='unreadable')})"
