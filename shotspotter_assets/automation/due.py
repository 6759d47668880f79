"""Due runs of a city: stored assets compared afresh with inputs and sources, so that a lost run does no harm."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from shotspotter_assets.automation.stored import NOT_MADE, Stored
from shotspotter_assets.calendar.local_time import ONE_DAY, contiguous
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.folds import years_of
from shotspotter_assets.cities.stored_settings import settings_hash
from shotspotter_assets.quality.finding import number_of
from shotspotter_assets.serving.issued_forecasts import issued_record
from shotspotter_assets.sources.day_table import day_states
from shotspotter_assets.sources.snapshot import MAX_SILENT_DAYS, Snapshot
from shotspotter_assets.storage.catalogue import TENSORS
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.stored_file import Asset

RECENT_DAYS: Final = 14  # days of a live source that `automation: recent` builds at first
RECENT_FOLD_DAYS: Final = 366  # age of the oldest fold of `automation: recent`: every season is tested
MAX_CORRECTION_DAYS: Final = 31  # longer stretches of days wait behind reports
NEWEST_DAY, CORRECTIONS, REPORTS, BACKLOG, FOLDS = 4, 3, 2, 1, -1  # priorities in the queue; people's runs have 0
ALERTS: Final = (Asset.RAW_ALERTS, Asset.CLEANED_ALERTS, Asset.GRID_TENSORS)
PRODUCTS: Final = (Asset.LIVE_MODELS, Asset.RISK_FORECASTS, Asset.STREET_RISK, Asset.PATROL_PLANS)
TRAINING: Final = (Asset.FOLD_MODELS, Asset.EVALUATION_REPORTS, Asset.TUNED_SETTINGS)  # assets beside those of days


@dataclass(frozen=True)
class DueRun:
    """A run to request."""

    assets: tuple[Asset, ...]
    days: tuple[date, date] | None  # first and last day, or twice the cutoff of a fold; None without partitions
    priority: int
    why: str  # reason, in words
    version: str  # version of the partitions to build, equal in repeated requests


@dataclass(frozen=True)
class Due:
    """The runs to request in order."""

    runs: Sequence[DueRun]
    training: Sequence[DueRun]  # reports and then folds, of which only the first that may start is requested
    waits: Sequence[str]  # reasons why other runs wait, in words


def due(city: City, snapshot: Snapshot, stored: Stored, under_way: Collection[str], now: datetime) -> Due:
    """Compare a city's stored assets with its sources; `under_way` names the assets of runs that have not ended."""
    waits, days = snapshot.waits(now.astimezone(city.zone).date()), _due_days(city, snapshot, stored, now)
    waits += days.waits
    busy_daily, busy_training = set(under_way) - set(TRAINING), set(under_way) & set(TRAINING)
    waits += [f"A run of {', '.join(sorted(busy))} is under way." for busy in (busy_daily, busy_training) if busy]
    daily = [] if busy_daily else list(_daily_runs(city, stored, days, now))
    training = [] if busy_training else [*_reports(city, stored, days), *_folds(city, stored, days, waits)]
    held_back = [day for day in stored.table.in_state("held_back") if city.start <= day <= (city.end or day)]
    if held_back:
        number = number_of(len(held_back), "day")
        waits.append(f"Held back until files or the city's file are corrected: {number}, the last {max(held_back)}.")
    return Due(daily, training, waits)


@dataclass(frozen=True)
class _DueDays:
    last: date | None  # last day to store; None if the sources have no day that is over
    due: Mapping[date, tuple[str, str]]  # reason and version by day in order
    waits: Sequence[str] = ()  # reasons why days are not built, in words
    first_gap: date = date.max  # first day that is to be built or was left out


def _due_days(city: City, snapshot: Snapshot, stored: Stored, now: datetime) -> _DueDays:
    table, last, today = stored.table, snapshot.last_due(now), now.astimezone(city.zone).date()
    answers = snapshot.polled.values()
    has_days = any(day < today for day in {*snapshot.rows, *snapshot.named}) or bool(table.days)
    if not (has_days or city.source.kind == "simulated" or any(not answer.error for answer in answers)):
        return _DueDays(None, {}, ["No day that is over has landed yet."])
    if last < city.start:
        return _DueDays(None, {}, [f"The city starts on {city.start}."])
    # Days that were stored and are no longer due follow the sources, too.
    yesterday = today - ONE_DAY
    last = max(last, min(max(table.days, default=last), yesterday, city.end or yesterday))
    same = snapshot.stored_days(table)
    states = day_states(city, snapshot.day_rows(table, same), snapshot.named, last, today)
    settings, reasons, first = settings_hash(city, Asset.GRID_TENSORS), _reasons(stored, same, states), city.start
    if city.automation == "recent" and snapshot.live and not snapshot.landed:
        # The last `RECENT_DAYS`, or all since the newest stored day.
        first, newest = last - timedelta(days=RECENT_DAYS - 1), max(table.days, default=date.min)
        first = min(first, newest + ONE_DAY) if (last - newest).days <= MAX_SILENT_DAYS else first
    left_out = [day for day in reasons if day < first and day not in table.days]
    found: dict[date, tuple[str, str]] = {}
    for day in sorted(reasons.keys() - set(left_out)):
        before = table.days[day].version if day in table.days else ""
        rows = sorted(snapshot.rows.get(day, {}).items())
        found[day] = reasons[day], f"{before}{rows}{settings}{city.max_share_rejected}{states[day][0]}"
    # The incidents of a day may have begun on its eve.
    found |= {
        day + ONE_DAY: ("follows a day with other rows", version)
        for day, (_, version) in found.items()
        if day not in same and day < last and day + ONE_DAY in table.days and day + ONE_DAY not in found
    }
    waits, first_gap = [], min([*found, *left_out], default=date.max)
    unanswered_from = min((snapshot.live[one] for one, answer in snapshot.polled.items() if answer.error), default=None)
    if unanswered_from is not None:
        # Runs that can only fail would use up their retries.
        found = {day: why for day, why in found.items() if day < unanswered_from}
        waits.append(f"Days from {max(unanswered_from, city.start)} are built once the source answers again.")
    if left_out:
        waits.append(
            f"No forecast or fold starts until the days from {left_out[0]} to {left_out[-1]} are built. Write `automation: "
            "history` in the city's file, or materialize raw_alerts, cleaned_alerts and grid_tensors of these days."
        )
    if city.end is None and unanswered_from is None and (today - last).days > MAX_SILENT_DAYS:
        waits.append(
            f"The newest day is {last}. If the service has ended, write `end: {last}` in the city's file: with "
            "`automation: recent`, folds of the year before it are trained then."
        )
    return _DueDays(last, dict(sorted(found.items())), waits, first_gap)


def _reasons(stored: Stored, same: Collection[date], states: Mapping[date, tuple[str, str]]) -> dict[date, str]:
    """Return the reason for each day to build, as the end of a sentence; `same` days have the rows of the sources."""
    city, table, settings = stored.city, stored.table, settings_hash(stored.city, Asset.GRID_TENSORS)
    gridded, lineage = stored.store.days_present(TENSORS, city.name), stored.lineage(Asset.GRID_TENSORS)

    def reason(day: date, state: str, why: str) -> str:
        entry = table.days.get(day)
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

    return {day: text for day, state in states.items() if (text := reason(day, *state))}


def _daily_runs(city: City, stored: Stored, days: _DueDays, now: datetime) -> Iterator[DueRun]:
    last = days.last
    if last is None:
        return
    products, stretches = _products(city) if last >= city.first_issue_date else (), contiguous(days.due)
    if stretches and stretches[-1] == [last] and _may_go_first(city, stored, last):
        reason, version = days.due[last]
        assets = (*ALERTS, *products, Asset.CITY_PAGES)
        yield DueRun(assets, (last, last), NEWEST_DAY, f"{last} {reason}.", sha256(version))
        stretches.pop()
    for stretch in reversed(stretches):
        reason, more = days.due[stretch[0]][0], f" to {stretch[-1]}: the first day" if len(stretch) > 1 else ""
        priority = CORRECTIONS if len(stretch) <= MAX_CORRECTION_DAYS else BACKLOG
        version = sha256(*(days.due[day][1] for day in stretch))
        yield DueRun(ALERTS, (stretch[0], stretch[-1]), priority, f"{stretch[0]}{more} {reason}.", version)
    if not days.due:
        yield from _product_runs(stored, days, last, products, now)


def _may_go_first(city: City, stored: Stored, last: date) -> bool:
    """Return True if all days before the newest one are stored with the settings of the city's file."""
    settings = settings_hash(city, Asset.GRID_TENSORS)
    before = [day for at, day in stored.table.days.items() if city.start <= at < last]
    return len(before) == (last - city.start).days and all(day.settings == settings for day in before)


def _product_runs(
    stored: Stored, days: _DueDays, last: date, products: Sequence[Asset], now: datetime
) -> Iterator[DueRun]:
    stale, first = list[Asset](), stored.city.first_issue_date
    if days.first_gap > last and stored.table.last_counted(last) is not None:
        stale = [name for name in products if name in PRODUCTS and not stored.is_current(name, last)]
        of_targets = stored.city.by_target(stored.store)
        if stale and all(issued_record(store, city, last, now) is not None for store, city in of_targets):
            stale = [name for name in stale if not stored.origin(name, last).version]
    scores = [name for name in products if name not in PRODUCTS]
    issued = [date.fromisoformat(key) + ONE_DAY for key in stored.versions(Asset.RISK_FORECASTS)]
    unscored = [
        day for day in sorted(issued) if first <= day <= last and any(not stored.is_current(one, day) for one in scores)
    ]
    if stale:
        unscored = [day for day in unscored if day != last]
        version = sha256(*(stored.made_from(name, last) for name in stale))
        assets = (*products, *([] if unscored else [Asset.CITY_PAGES]))
        why = f"{stale[0]} of {last} {stored.why_due(stale[0], last)}."
        yield DueRun(assets, (last, last), NEWEST_DAY, why, version)
    for stretch in contiguous(unscored):
        version = sha256(*(stored.made_from(name, day) for name in scores for day in stretch))
        why = f"The scores of {stretch[0]}{f' to {stretch[-1]}' if len(stretch) > 1 else ''} are outdated."
        yield DueRun(tuple(scores), (stretch[0], stretch[-1]), CORRECTIONS, why, version)
    if not issued or stale or unscored:
        return
    if stored.versions(Asset.EVALUATION_REPORTS) and not stored.is_current(Asset.WALK_FORWARD_REPORTS):
        assets = (Asset.WALK_FORWARD_REPORTS, Asset.CITY_PAGES)
        yield _due_run(stored, assets, None, CORRECTIONS, "The walk-forward report")
    elif not stored.is_current(Asset.CITY_PAGES):
        version = stored.made_from(Asset.CITY_PAGES)
        yield DueRun((Asset.CITY_PAGES,), None, CORRECTIONS, "The pages are outdated.", version)


def _reports(city: City, stored: Stored, days: _DueDays) -> Iterator[DueRun]:
    """Yield outdated reports of folds whose models are current and whose test window is over."""
    for cutoff in _trained(city, days):
        last, asset = city.last_test_day(cutoff), Asset.EVALUATION_REPORTS
        is_over = days.last is not None and last <= days.last and last < days.first_gap and _is_settled(stored, last)
        if is_over and stored.is_current(Asset.FOLD_MODELS, cutoff) and not stored.is_current(asset, cutoff):
            yield _due_run(stored, (asset,), cutoff, REPORTS, f"The report of fold {cutoff}")


def _folds(city: City, stored: Stored, days: _DueDays, waits: list[str]) -> Iterator[DueRun]:
    for cutoff in _trained(city, days):
        eve, asset = cutoff - ONE_DAY, Asset.FOLD_MODELS
        if stored.is_current(asset, cutoff):
            continue
        if eve >= days.first_gap or not _is_settled(stored, eve):
            waits.append(f"Fold {cutoff} waits until its days are stored and {eve} is known.")
            return
        yield _due_run(stored, (asset,), cutoff, FOLDS, f"Fold {cutoff}")


def _due_run(stored: Stored, assets: tuple[Asset, ...], key: date | None, priority: int, subject: str) -> DueRun:
    why, version = stored.why_due(assets[0], key), stored.made_from(assets[0], key)
    return DueRun(assets, None if key is None else (key, key), priority, f"{subject} {why}.", version)


def _is_settled(stored: Stored, day: date) -> bool:
    newest = stored.table.last_counted(date.max)
    return newest is not None and day <= newest


def _trained(city: City, days: _DueDays) -> list[date]:
    """Return the cutoffs of the folds that automation trains, oldest first."""
    if days.last is None:
        return []
    recent = days.last - timedelta(days=RECENT_FOLD_DAYS * (1 + years_of(city.folds.test)))
    since = recent if city.automation == "recent" else date.min
    return [cutoff for cutoff in city.cutoffs(days.last) if cutoff >= since and city.last_test_day(cutoff) >= cutoff]


def _products(city: City) -> tuple[Asset, ...]:
    optional = {Asset.STREET_SCORES: city.streets, Asset.NOWCAST_SCORES: city.nowcasts}
    return (*PRODUCTS, Asset.FORECAST_SCORES, *(asset for asset, rules in optional.items() if rules is not None))
