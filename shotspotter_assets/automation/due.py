"""The runs that a city needs: what is stored, compared with what it was made from and with what the sources hold now.

Each comparison starts afresh, so that a run that was lost, failed or repeated does no harm.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from shotspotter_assets.automation.stored import NOT_MADE, Stored
from shotspotter_assets.calendar.local_time import contiguous, days_between
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.fold_windows import cutoffs, last_test_day
from shotspotter_assets.cities.stored_settings import settings_hash
from shotspotter_assets.quality.finding import number_of
from shotspotter_assets.serving.issued_forecasts import was_issued
from shotspotter_assets.sources.known_days import day_states
from shotspotter_assets.sources.snapshot import MAX_SILENT_DAYS, Snapshot
from shotspotter_assets.storage.catalogue import TENSORS
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.stored_file import Asset

LOOK_BACK_DAYS: Final = 14
"""Days of a live source that `automation: recent` builds although none was ever stored."""

RECENT_FOLD_DAYS: Final = 366
"""`automation: recent` trains the folds of one year, so that every season is tested."""

MAX_BACKLOG_DAYS: Final = 31
"""Longer stretches of days wait behind reports."""

NEWEST_DAY, CORRECTIONS, REPORTS, BACKLOG, FOLDS = 4, 3, 2, 1, -1
"""Priorities in the queue; runs that people start have priority 0."""

ALERTS: Final = (Asset.RAW_ALERTS, Asset.CLEANED_ALERTS, Asset.GRID_TENSORS)
PRODUCTS: Final = (Asset.LIVE_MODELS, Asset.RISK_FORECASTS, Asset.STREET_RISK, Asset.PATROL_PLANS)
TRAINING: Final = (Asset.FOLD_MODELS, Asset.EVALUATION_REPORTS, Asset.TUNED_SETTINGS)
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

    assets: tuple[Asset, ...]
    days: tuple[date, date] | None
    priority: int
    why: str
    version: str


@dataclass(frozen=True)
class Due:
    """The runs to request, in order, and what is waited for, in words.

    Of `training`, reports and then folds, only the first that may start is requested.
    """

    runs: Sequence[DueRun]
    training: Sequence[DueRun]
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
        daily = list(_daily_runs(city, stored, days, now))
    training: list[DueRun] = []
    if busy := sorted(set(under_way) & set(TRAINING)):
        waits.append(f"A run of {', '.join(busy)} is under way.")
    else:
        training = [*_reports(city, stored, days), *_folds(city, stored, days, waits)]
    held_back = [day for day in stored.table.in_state("held_back") if city.start <= day <= (city.end or day)]
    if held_back:
        number = number_of(len(held_back), "day")
        waits.append(f"Held back until files or the city's file are corrected: {number}, the last {max(held_back)}.")
    return Due(daily, training, waits)


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
        # Days that were stored and are no longer due follow what the sources say, too.
        yesterday = today - ONE_DAY
        last = max(last, min(max(table.days, default=last), yesterday, city.end or yesterday))
        same = snapshot.stored_days(table)
        states = day_states(city, snapshot.day_rows(table, same), last, today)
        gridded = stored.store.days_present(TENSORS, city.name)
        lineage, settings = stored.lineage(Asset.GRID_TENSORS), settings_hash(city, Asset.GRID_TENSORS)

        def why_due(day: date) -> str:
            entry, (state, why) = table.days.get(day), states[day]
            if entry is None:
                return "is new"
            if day not in same:
                return "has other rows now"
            if entry.settings != settings:
                return "was stored with other settings of the city's file"
            if entry.rejected and entry.max_share_rejected != city.max_share_rejected:
                return "was stored with another max_share_rejected"
            if entry.state != state:
                return f"is {state.replace('_', ' ')} now ({why})"
            is_gridded = day in gridded and lineage.get(str(day), NOT_MADE).made_from == table.made_from(day)
            return "" if is_gridded else "is not on the grid as it is stored"

        first = city.start
        if city.automation == "recent" and snapshot.live and not snapshot.landed:
            first = _first_recent(city, table.days, last)
        found: dict[date, tuple[str, str]] = {}
        left_out = []
        for day in days_between(city.start, last):
            if (reason := why_due(day)) and day < first and day not in table.days:
                left_out.append(day)
            elif reason:
                before = "" if reason == "is new" else table.days[day].version
                rows = sorted(snapshot.rows.get(day, {}).items())
                found[day] = reason, f"{before}{rows}{settings}{city.max_share_rejected}{states[day][0]}"
        if any(answer.error for answer in snapshot.polled.values()):
            # Runs that can only fail would use up their retries.
            return cls(last, {}, ["Days are built once the source answers again."], min(found, default=date.max))
        moved = {day for day in found if day not in same}
        # The incidents of a day may have begun on its eve.
        found |= {
            day + ONE_DAY: ("follows a day with other rows", version)
            for day, (_, version) in found.items()
            if day in moved and day < last and day + ONE_DAY in table.days and day + ONE_DAY not in found
        }
        waits = []
        if left_out:
            waits.append(
                f"No forecast or fold starts until the days from {left_out[0]} to {left_out[-1]} are built. Write `automation: "
                "history` in the city's file, or materialize raw_alerts, cleaned_alerts and grid_tensors of these days."
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


def _daily_runs(city: City, stored: Stored, days: _DueDays, now: datetime) -> Iterator[DueRun]:
    """Yield the runs of days, of the newest day's products, of scores, of the walk-forward report and of pages."""
    last = days.last
    if last is None:
        return
    products, stretches = _products(city), contiguous(days.due)
    if stretches and stretches[-1] == [last] and _may_go_first(city, stored, last):
        reason, version = days.due[last]
        yield DueRun(
            (*ALERTS, *products, Asset.CITY_PAGES), (last, last), NEWEST_DAY, f"{last} {reason}.", sha256(version)
        )
        stretches.pop()
    for stretch in reversed(stretches):
        reason, more = days.due[stretch[0]][0], f" to {stretch[-1]}: the first day" if len(stretch) > 1 else ""
        priority = CORRECTIONS if len(stretch) <= MAX_BACKLOG_DAYS else BACKLOG
        version = sha256(*(days.due[day][1] for day in stretch))
        yield DueRun(ALERTS, (stretch[0], stretch[-1]), priority, f"{stretch[0]}{more} {reason}.", version)
    if not days.due:
        yield from _product_runs(stored, days, last, products, now)


def _may_go_first(city: City, stored: Stored, last: date) -> bool:
    """Return True if the newest day can be forecast at once: all days before it are stored as the city's file says."""
    settings = settings_hash(city, Asset.GRID_TENSORS)
    before = [day for at, day in stored.table.days.items() if city.start <= at < last]
    return len(before) == (last - city.start).days and all(day.settings == settings for day in before)


def _product_runs(
    stored: Stored, days: _DueDays, last: date, products: Sequence[Asset], now: datetime
) -> Iterator[DueRun]:
    """Yield the runs of what is made from days that are all as they should be."""
    stale: list[Asset] = []
    if days.first_gap > last and stored.table.last_counted(last) is not None:
        stale = [name for name in products if name in PRODUCTS and not stored.is_current(name, last)]
        if stale and was_issued(stored.store, stored.city, last, now):
            stale = [name for name in stale if not stored.origin(name, last).version]
    scores = [name for name in products if name not in PRODUCTS]
    issued = [date.fromisoformat(key) + ONE_DAY for key in stored.versions(Asset.RISK_FORECASTS)]
    unscored = [day for day in sorted(issued) if day <= last and any(not stored.is_current(one, day) for one in scores)]
    if stale:
        unscored = [day for day in unscored if day != last]
        version = sha256(*(stored.made_from(name, last) for name in stale))
        assets = (*products, *([] if unscored else [Asset.CITY_PAGES]))
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
    if stored.versions(Asset.EVALUATION_REPORTS) and not stored.is_current(Asset.WALK_FORWARD_REPORTS):
        version, why = stored.made_from(Asset.WALK_FORWARD_REPORTS), stored.why_due(Asset.WALK_FORWARD_REPORTS)
        pages = (Asset.WALK_FORWARD_REPORTS, Asset.CITY_PAGES)
        yield DueRun(pages, None, CORRECTIONS, f"The walk-forward report {why}.", version)
    elif not stored.is_current(Asset.CITY_PAGES):
        yield DueRun(
            (Asset.CITY_PAGES,), None, CORRECTIONS, "The pages are outdated.", stored.made_from(Asset.CITY_PAGES)
        )


def _reports(city: City, stored: Stored, days: _DueDays) -> Iterator[DueRun]:
    """Yield the reports whose test window is over, and which are made from other inputs than there are now."""
    for cutoff in _trained(city, stored, days):
        last = last_test_day(city, cutoff)
        is_over = days.last is not None and last <= days.last and last < days.first_gap
        is_fresh = stored.is_current(Asset.FOLD_MODELS, cutoff)
        if (
            is_over
            and is_fresh
            and _is_settled(stored, last)
            and not stored.is_current(Asset.EVALUATION_REPORTS, cutoff)
        ):
            why, version = (
                stored.why_due(Asset.EVALUATION_REPORTS, cutoff),
                stored.made_from(Asset.EVALUATION_REPORTS, cutoff),
            )
            yield DueRun(
                (Asset.EVALUATION_REPORTS,), (cutoff, cutoff), REPORTS, f"The report of fold {cutoff} {why}.", version
            )


def _folds(city: City, stored: Stored, days: _DueDays, waits: list[str]) -> Iterator[DueRun]:
    """Yield the folds that are made from other days than there are now."""
    for cutoff in _trained(city, stored, days):
        eve = cutoff - ONE_DAY
        if stored.is_current(Asset.FOLD_MODELS, cutoff):
            continue
        if eve >= days.first_gap or not _is_settled(stored, eve):
            waits.append(f"Fold {cutoff} waits until its days are stored and {eve} is known.")
            return
        why, version = stored.why_due(Asset.FOLD_MODELS, cutoff), stored.made_from(Asset.FOLD_MODELS, cutoff)
        yield DueRun((Asset.FOLD_MODELS,), (cutoff, cutoff), FOLDS, f"Fold {cutoff} {why}.", version)


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


def _products(city: City) -> tuple[Asset, ...]:
    """Return the daily products of a city, scores last."""
    return (
        *PRODUCTS,
        Asset.FORECAST_SCORES,
        *([Asset.STREET_SCORES] if city.streets is not None else []),
        *([Asset.NOWCAST_SCORES] if city.nowcasts is not None else []),
    )
