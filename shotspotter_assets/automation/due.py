"""The runs that a city needs: what is stored, compared with what it was made from and with what the sources hold now.

Nothing is remembered: a run that was lost, failed or repeated does no harm, as the next comparison finds what is left.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from shotspotter_assets.automation.stored import Stored
from shotspotter_assets.calendar.local_time import contiguous, days_between
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.fold_windows import cutoffs, last_test_day
from shotspotter_assets.cleaning.day_settings import settings_hash
from shotspotter_assets.quality.finding import number_of
from shotspotter_assets.sources.snapshot import MAX_SILENT_DAYS, Snapshot
from shotspotter_assets.storage.file_names import GRID_FILE
from shotspotter_assets.storage.fingerprints import sha256

LOOK_BACK_DAYS: Final = 14
"""Days of a live source that `automation: recent` builds although none was ever stored."""

RECENT_FOLD_DAYS: Final = 366
"""`automation: recent` trains the folds of one year, so that every season is tested."""

MAX_BACKLOG_DAYS: Final = 31
"""Longer stretches of days wait behind reports."""

NEWEST_DAY, CORRECTIONS, REPORTS, BACKLOG, FOLDS = 4, 3, 2, 1, -1
"""Priorities in the queue; runs that people start have priority 0."""

ALERTS: Final = ("raw_alerts", "cleaned_alerts", "grid_tensors")
PRODUCTS: Final = ("live_models", "risk_forecasts", "street_risk", "patrol_plans")
TRAINING: Final = ("fold_models", "evaluation_reports", "tuned_settings")
"""Assets whose runs may be under way beside those of days."""

ONE_DAY: Final = timedelta(days=1)


@dataclass(frozen=True)
class DueRun:
    """A run to request.

    Attributes:
        assets: names of the city's assets.
        days: first and last day, or the cutoff of a fold twice; None for assets without partitions.
        why: the reason, in words.
        version: of what is to be built; a repeated request has the same.
    """

    assets: tuple[str, ...]
    days: tuple[date, date] | None
    priority: int
    why: str
    version: str


@dataclass(frozen=True)
class Due:
    """The runs to request, in order, and what is waited for, in words."""

    runs: Sequence[DueRun]
    waits: Sequence[str]


def due(city: City, snapshot: Snapshot, stored: Stored, under_way: Collection[str], now: datetime) -> Due:
    """Return the runs that a city needs.

    Args:
        city: the city.
        snapshot: what its sources hold.
        stored: what is stored.
        under_way: names of the assets of the city that runs under way write.
        now: the present.
    """
    today = now.astimezone(city.zone).date()
    waits = snapshot.waits(today)
    days = _DueDays.of(city, snapshot, stored, now)
    waits += days.waits
    daily: list[DueRun] = []
    if busy := sorted(set(under_way) - set(TRAINING)):
        waits.append(f"A run of {', '.join(busy)} is under way.")
    else:
        daily = list(_daily_runs(city, stored, days))
    training: list[DueRun] = []
    if busy := sorted(set(under_way) & set(TRAINING)):
        waits.append(f"A run of {', '.join(busy)} is under way.")
    else:
        training = [*_next_report(city, stored, days), *_next_fold(city, stored, days, waits)][:1]
    held_back = stored.table.in_state("held_back")
    if held_back:
        number = number_of(len(held_back), "day")
        waits.append(f"Held back until files or the city's file are corrected: {number}, the last {max(held_back)}.")
    return Due([*daily, *training], waits)


@dataclass(frozen=True)
class _DueDays:
    """The days of a city that are to be built, each with the reason.

    Attributes:
        last: the last day that is to be stored; None as long as the sources hold no day that is over.
        due: reasons and versions by day.
        waits: why days are not built, in words.
        first_gap: the first day that is to be built or is missing.
    """

    last: date | None
    due: Mapping[date, tuple[str, str]]
    waits: Sequence[str] = ()
    first_gap: date = date.max

    @classmethod
    def of(cls, city: City, snapshot: Snapshot, stored: Stored, now: datetime) -> "_DueDays":
        table, last = stored.table, snapshot.last_due(now)
        today = now.astimezone(city.zone).date()
        is_reported = any(day < today for day in {*snapshot.rows, *snapshot.named}) or bool(table.days)
        if not is_reported and not _is_asked_only(city, snapshot):
            return cls(None, {}, ["No day that is over has landed yet."])
        if last < city.start:
            return cls(None, {}, [f"The city starts on {city.start}."])
        same = snapshot.stored_days(table)
        states = snapshot.states(table, same, last, today).states
        gridded = stored.store.days_present("grid_tensors", city.name, GRID_FILE)
        lineage, settings = stored.lineage("grid_tensors"), settings_hash(city, "grid_tensors")
        first = (
            city.start if city.automation == "history" or not snapshot.live else _first_recent(city, table.days, last)
        )
        found: dict[date, tuple[str, str]] = {}
        left_out = []
        for day in days_between(city.start, last):
            entry, (state, why) = table.days.get(day), states[day]
            reason = ""
            if entry is None:
                reason = "is new"
            elif day not in same:
                reason = "has other rows now"
            elif entry.settings != settings:
                reason = "was stored with other settings of the city's file"
            elif entry.state != state:
                reason = f"is {state.replace('_', ' ')} now ({why})"
            elif day not in gridded or str(day) not in lineage or lineage[str(day)].made_from != table.made_from(day):
                reason = "is not on the grid as it is stored"
            if reason and day < first and entry is None:
                left_out.append(day)
            elif reason:
                before = "" if entry is None else entry.version
                found[day] = reason, f"{before}{sorted(snapshot.rows.get(day, {}).items())}{settings}{state}"
        # The incidents of a day may have begun on its eve.
        found |= {
            day + ONE_DAY: ("follows a day with other rows", version)
            for day, (reason, version) in found.items()
            if day + ONE_DAY in table.days and day + ONE_DAY not in found and "rows" in reason
        }
        waits = []
        if left_out:
            waits.append(
                f"Days before {first} were never built (automation: recent). For all of its history, write `automation: "
                "history` in the city's file, or materialize raw_alerts, cleaned_alerts and grid_tensors."
            )
        if city.end is None and (today - last).days > MAX_SILENT_DAYS:
            waits.append(
                f"The newest day is {last}. If the service has ended, write `end: {last}` in the city's file: with "
                "`automation: recent`, folds of the year before it are trained then."
            )
        return cls(last, dict(sorted(found.items())), waits, min([*found, *left_out], default=date.max))


def _is_asked_only(city: City, snapshot: Snapshot) -> bool:
    """Return True if days are stored although nothing lands: the source is simulated, or was asked and has answered."""
    return city.source.kind == "simulated" or any(not answer.error for answer in snapshot.polled.values())


def _first_recent(city: City, days: Collection[date], last: date) -> date:
    """Return the first day that `automation: recent` builds although it never was: a fortnight ago, or since the newest."""
    fortnight, newest = last - timedelta(days=LOOK_BACK_DAYS - 1), max(days, default=date.min)
    return min(fortnight, newest + ONE_DAY) if (last - newest).days <= MAX_SILENT_DAYS else fortnight


def _daily_runs(city: City, stored: Stored, days: _DueDays) -> Iterator[DueRun]:
    """Yield the runs of days, of the newest day's products, of scores, of the walk-forward report and of pages."""
    last = days.last
    if last is None:
        return
    products, stretches = _products(city), contiguous(days.due)
    if stretches and stretches[-1] == [last] and _may_go_first(city, stored, last):
        reason, version = days.due[last]
        yield DueRun((*ALERTS, *products, "city_pages"), (last, last), NEWEST_DAY, f"{last} {reason}.", sha256(version))
        stretches.pop()
    for stretch in reversed(stretches):
        reason, more = days.due[stretch[0]][0], f" to {stretch[-1]}: the first day" if len(stretch) > 1 else ""
        priority = CORRECTIONS if len(stretch) <= MAX_BACKLOG_DAYS else BACKLOG
        version = sha256(*(days.due[day][1] for day in stretch))
        yield DueRun(ALERTS, (stretch[0], stretch[-1]), priority, f"{stretch[0]}{more} {reason}.", version)
    if not days.due:
        yield from _product_runs(stored, days, last, products)


def _may_go_first(city: City, stored: Stored, last: date) -> bool:
    """Return True if the newest day can be forecast at once: all days before it are stored as the city's file says."""
    settings = settings_hash(city, "grid_tensors")
    before = [day for at, day in stored.table.days.items() if city.start <= at < last]
    return len(before) == (last - city.start).days and all(day.settings == settings for day in before)


def _product_runs(stored: Stored, days: _DueDays, last: date, products: Sequence[str]) -> Iterator[DueRun]:
    """Yield the runs of what is made from days that are all as they should be."""
    stale: list[str] = []
    if days.first_gap > last and stored.table.last_counted(last) is not None:
        stale = [name for name in products if name in PRODUCTS and not stored.is_current(name, last)]
    scores = [name for name in products if name not in PRODUCTS]
    issued = [date.fromisoformat(key) + ONE_DAY for key in stored.lineage("risk_forecasts")]
    unscored = [day for day in sorted(issued) if day <= last and any(not stored.is_current(one, day) for one in scores)]
    if stale:
        unscored = [day for day in unscored if day != last]
        version = sha256(*(stored.made_from(name, last) for name in stale))
        assets = (*products, *([] if unscored else ["city_pages"]))
        yield DueRun(
            assets, (last, last), NEWEST_DAY, f"{stale[0]} of {last} {stored.why_due(stale[0], last)}.", version
        )
    for stretch in contiguous(unscored):
        version = sha256(*(stored.made_from(name, day) for name in scores for day in stretch))
        named = f"{stretch[0]} to {stretch[-1]}" if len(stretch) > 1 else f"{stretch[0]}"
        yield DueRun(
            tuple(scores), (stretch[0], stretch[-1]), CORRECTIONS, f"The scores of {named} are outdated.", version
        )
    if not issued or stale or unscored:
        return
    if stored.lineage("evaluation_reports") and not stored.is_current("walk_forward_reports"):
        version, why = stored.made_from("walk_forward_reports"), stored.why_due("walk_forward_reports")
        pages = ("walk_forward_reports", "city_pages")
        yield DueRun(pages, None, CORRECTIONS, f"The walk-forward report {why}.", version)
    elif not stored.is_current("city_pages"):
        yield DueRun(("city_pages",), None, CORRECTIONS, "The pages are outdated.", stored.made_from("city_pages"))


def _next_report(city: City, stored: Stored, days: _DueDays) -> Iterator[DueRun]:
    """Yield the first report whose test window is over, and which is made from other inputs than there are now."""
    for cutoff in _trained(city, stored, days):
        last = last_test_day(city, cutoff)
        is_over = days.last is not None and last <= days.last and last < days.first_gap
        is_fresh = stored.is_current("fold_models", cutoff)
        if is_over and is_fresh and _is_settled(stored, last) and not stored.is_current("evaluation_reports", cutoff):
            why = f"The report of fold {cutoff} {stored.why_due('evaluation_reports', cutoff)}."
            yield DueRun(
                ("evaluation_reports",), (cutoff, cutoff), REPORTS, why, stored.made_from("evaluation_reports", cutoff)
            )
            return


def _next_fold(city: City, stored: Stored, days: _DueDays, waits: list[str]) -> Iterator[DueRun]:
    """Yield the first fold that is made from other days than there are now."""
    for cutoff in _trained(city, stored, days):
        if stored.is_current("fold_models", cutoff):
            continue
        eve = cutoff - ONE_DAY
        if eve >= days.first_gap:
            waits.append(f"Fold {cutoff} waits for its days.")
        elif not _is_settled(stored, eve):
            waits.append(f"Fold {cutoff} waits until {eve} is known.")
        else:
            why = f"Fold {cutoff} {stored.why_due('fold_models', cutoff)}."
            yield DueRun(("fold_models",), (cutoff, cutoff), FOLDS, why, stored.made_from("fold_models", cutoff))
        return


def _is_settled(stored: Stored, day: date) -> bool:
    """Return True if a day is known, or will not be: a later day is."""
    newest = stored.table.last_counted(date.max)
    return newest is not None and day <= newest


def _trained(city: City, stored: Stored, days: _DueDays) -> list[date]:
    """Return the cutoffs of the folds that automation trains, oldest first."""
    if days.last is None:
        return []
    since = days.last - timedelta(days=RECENT_FOLD_DAYS) if city.automation == "recent" else date.min
    return [cutoff for cutoff in cutoffs(city, days.last) if cutoff >= since and last_test_day(city, cutoff) >= cutoff]


def _products(city: City) -> tuple[str, ...]:
    """Return the daily products of a city, scores last."""
    return (
        *PRODUCTS,
        "forecast_scores",
        *(["street_scores"] if city.streets is not None else []),
        *(["nowcast_scores"] if city.nowcasts is not None else []),
    )
