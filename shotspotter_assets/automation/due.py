"""Due runs of a city: stored assets are compared with inputs and sources each time, so that a lost run does no harm."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Final

from shotspotter_assets.alerts.days.city_now import (
    FAILED,
    FORECAST_NEXT,
    NEXT,
    CityNow,
    held_back_days,
    last_due,
    stored_now,
)
from shotspotter_assets.alerts.days.days_in_words import last_awaited, missing_days, table_in_words
from shotspotter_assets.alerts.sources.side_settings import sections_of
from shotspotter_assets.alerts.sources.snapshot import Snapshot
from shotspotter_assets.automation.due_days import DueDays, due_days, named_files
from shotspotter_assets.automation.stored import Stored
from shotspotter_assets.automation.under_way import (
    BACKLOG,
    CORRECTIONS,
    FOLDS,
    NEW_MODELS,
    NEWEST_DAY,
    REPORTS,
    DueRun,
    RunUnderWay,
    writer,
)
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.folds import years_of
from shotspotter_assets.cities.local_time import ONE_DAY, contiguous, days_between
from shotspotter_assets.cities.publication import newest_issue_date
from shotspotter_assets.cities.stored_settings import settings_hash
from shotspotter_assets.forecasts.issued_forecasts import is_over, issued_record
from shotspotter_assets.storage.catalogue import ALERTS, FROM_TABLES, PRODUCTS, SCORES, TRAINING, Asset
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.lineage import Key
from shotspotter_assets.storage.stored_file import Partitions
from shotspotter_assets.storage.wording import period

RECENT_FOLD_DAYS: Final = 366  # age of the oldest fold of `automation: recent`: every season is tested
MAX_CORRECTION_DAYS: Final = 31  # longer stretches of days wait behind reports
MADE_FROM_FORECASTS: Final = tuple(asset for asset in PRODUCTS if Asset.RISK_FORECASTS in asset.ancestors)
MADE_FROM_REPORTS: Final = {
    Asset.WALK_FORWARD_REPORTS: "The walk-forward report",
    Asset.BURDEN_AUDITS: "The burden audit",
}


@dataclass(frozen=True)
class Due:
    """The runs to request in order, and those that are due and wait for a run under way."""

    runs: Sequence[DueRun]
    training: Sequence[DueRun]  # reports and then folds, of which only the first that may start is requested
    waiting: Sequence[DueRun]  # due runs whose partitions a run under way writes
    waits: Sequence[str]  # reasons why other runs wait, in words
    days: Collection[date] = ()  # days to store, again or for the first time
    arrived: Sequence[date] = ()  # days whose landed rows or daily files are not stored yet
    data: str = ""  # known, missing and arrived days, in words
    blocked: Sequence[str] = ()  # sentences about days held back and files set aside, which a person has to correct

    def now(self, stored: Stored, under_way: Sequence[RunUnderWay], retries: Sequence[str], at: datetime) -> CityNow:
        """Return the record that status, status file, pages and overview show; `retries` are about failed runs."""
        of_store = stored_now(stored.city, stored.table, at)
        if not stored.city.is_automated:
            return of_store
        due_runs = [*self.runs, *self.waiting]
        later = {*ALERTS, *PRODUCTS, Asset.CITY_PAGES}
        is_due = not retries and any(not later.isdisjoint(run.assets) for run in due_runs)
        is_at_work = is_due or any(not run.is_training and not later.isdisjoint(run.assets) for run in under_way)
        landed = [run.waiting_text if run.waits_for else run.why for run in due_runs if Asset.RAW_ALERTS in run.assets]
        return CityNow(
            at=at,
            table=of_store.table,
            data=self.data,
            arrived=tuple(self.arrived),
            stage=FORECAST_NEXT if is_at_work else FAILED if retries else NEXT,
            waits=tuple(dict.fromkeys([*landed, *retries, *self.blocked])),
        )


def due(city: City, snapshot: Snapshot, stored: Stored, under_way: Sequence[RunUnderWay], now: datetime) -> Due:
    """Compare a city's stored assets with its sources, whatever runs are under way."""
    if any(run.is_training for run in under_way):
        stored.ignore_claims(Asset.LIVE_MODELS)
    days = due_days(city, snapshot, stored, now)
    daily = [_placed(run, under_way, days.last) for run in _daily_runs(stored, days, under_way, now)]
    training = [*_report_runs(stored, days), *_fold_runs(stored, days)]
    busy = next((run for run in under_way if run.is_training or not run.assets.isdisjoint(TRAINING)), None)
    if busy is not None:  # one training or report of a city at a time
        training = [replace(run, waits_for=str(busy)) for run in training[:1]]
    blocked = [*held_back_days(stored.table, city, days.due), *snapshot.unusable.values()]
    whys = (_why_fold_waits(stored, days, cutoff) for cutoff in _outdated_folds(stored, days))
    missing = []  # a sentence about the recent days that are not known, once all others are stored
    awaited = last_awaited(city.site, now, stored.table)
    newest = min(days.last or awaited, awaited)
    if days.last is not None and not days.due and missing_days(stored.table, newest):
        words = table_in_words(stored.table, newest, newest, city.rows)
        missing = [f"{words[:1].upper()}{words[1:]}."]
    waits = [
        *snapshot.waits(now.astimezone(city.zone).date()),
        *days.waits,
        *missing,
        *islice(filter(None, whys), 1),  # later folds wait for the first one
        *blocked,
        *(note for section in sections_of(city) for note in stored.table_state(section).notes),
    ]
    landed = {*snapshot.rows, *(day for report in snapshot.reports[:1] for day in report.files)}
    arrived = [day for day in days.due if day in landed]
    return Due(
        runs=[run for run in daily if not run.waits_for],
        training=[run for run in training if not run.waits_for],
        waiting=[run for run in (*daily, *training) if run.waits_for],
        waits=waits,
        days=days.due,
        arrived=arrived,
        data=table_in_words(stored.table, newest, last_due(stored.table, city, now), city.rows, arrived),
        blocked=blocked,
    )


def _placed(run: DueRun, under_way: Sequence[RunUnderWay], last: date | None) -> DueRun:
    """Return a run with the run under way that it waits for: one that writes its partitions.

    The newest day waits only for a run that builds its rows: a run of other assets may go on beside it, and so may one
    that has begun with other rows of that day. No run waits for a training, except another one.
    """
    assets: Sequence[Asset] = run.assets
    under_way = [other for other in under_way if other.is_training == run.is_training]
    if run.days == (last, last) and Asset.RAW_ALERTS in run.assets:
        assets = ALERTS
        under_way = [
            other
            for other in under_way
            # A run in the queue reads the rows of its start.
            if not (other.days == run.days and other.has_started and other.version not in ("", run.version))
        ]
    before = writer(under_way, assets, run.days)
    return run if before is None else replace(run, waits_for=str(before))


def _daily_runs(stored: Stored, days: DueDays, under_way: Sequence[RunUnderWay], now: datetime) -> Iterator[DueRun]:
    """Yield the runs of days and those of products, the latter as stopgaps while days are due."""
    last = days.last
    if last is None:
        return
    yield from _day_runs(stored, days, last, under_way, now)
    if not days.due:
        yield from _later_runs(stored, last, now)
    elif writer(under_way, ALERTS, (stored.city.start, last)) is None and _is_whole(stored):
        yield from (replace(run, is_stopgap=True) for run in _later_runs(stored, last, now))


def _day_runs(
    stored: Stored, days: DueDays, last: date, under_way: Sequence[RunUnderWay], now: datetime
) -> Iterator[DueRun]:
    """Yield the run of the newest day with its products, and the runs of alerts of other days, newest first."""
    # Days that a run under way writes are stretches apart.
    free = [day for day in days.due if writer(under_way, ALERTS, (day, day)) is None]
    busy = [day for day in days.due if day not in set(free)]
    for stretch in sorted([*contiguous(free), *contiguous(busy)], reverse=True):
        if stretch == [last] and _has_days_before(stored, last):
            yield _days_run(_assets_of_newest_day(stored, last, now), stretch, days, NEWEST_DAY)
        else:
            priority = CORRECTIONS if len(stretch) <= MAX_CORRECTION_DAYS else BACKLOG
            yield _days_run(ALERTS, stretch, days, priority)


def _later_runs(stored: Stored, last: date, now: datetime) -> Iterator[DueRun]:
    """Yield the runs of outdated products of the present, then of scores, then of reports and the pages."""
    stale = _stale_products(stored, last, now)
    unscored = _unscored_days(stored)
    yield from _product_runs(stored, stale, with_pages=not unscored)
    yield from _score_runs(stored, unscored)
    if not stale and not unscored:
        yield from _closing_runs(stored, last)
    yield from _table_runs(stored, last)
    yield from _model_runs(stored, last, now)


def _model_runs(stored: Stored, last: date, now: datetime) -> Iterator[DueRun]:
    """Yield the run that trains live models, if those of the newest issue date state that it is due and can be replaced."""
    for day in _issue_dates(stored.city, last, now)[-1:]:
        reason = stored.training_due(day)
        if reason and stored.is_current(Asset.LIVE_MODELS, day) and not _is_issued(stored, day, now):
            version = stored.made_from(Asset.LIVE_MODELS, day)
            yield DueRun(
                (Asset.LIVE_MODELS,), (day, day), NEW_MODELS, f"Live models of {day} are to be {reason}.", version
            )


def _assets_of_newest_day(stored: Stored, day: date, now: datetime) -> tuple[Asset, ...]:
    """Return the assets of the newest day's run: its scores, and products and pages unless later ones follow."""
    scores = _scores(stored.city) if day >= stored.city.first_issue_date else ()
    issue_dates = _issue_dates(stored.city, day, now)
    if issue_dates and issue_dates != [day]:
        return *ALERTS, *scores
    products = PRODUCTS if issue_dates and not _is_issued(stored, day, now) else ()
    return *ALERTS, *products, *scores, Asset.CITY_PAGES


def _days_run(assets: tuple[Asset, ...], stretch: Sequence[date], days: DueDays, priority: int) -> DueRun:
    """Return the run of a stretch of due days."""
    first = stretch[0]
    last = stretch[-1]
    due_days = [days.due[day] for day in stretch]
    files = named_files({day: days.due[day] for day in stretch})
    named = f"{period(first, last)}{files}{': the first day' if len(stretch) > 1 else ''}"
    return DueRun(
        assets,
        (first, last),
        priority,
        why=f"{named} {due_days[0].reason}.",
        version=sha256(*(day.version for day in due_days))[:16],
        replaces=sha256(*(day.replaces for day in due_days))[:16],
    )


def _has_days_before(stored: Stored, last: date) -> bool:
    """Return True if all days before a day are stored with the settings of the city's file."""
    start = stored.city.start
    settings = settings_hash(stored.city, Asset.GRID_TENSORS)
    before = [entry for day, entry in stored.table.days.items() if start <= day < last]
    return len(before) == (last - start).days and all(entry.settings == settings for entry in before)


def _is_whole(stored: Stored) -> bool:
    """Return True if all days to the newest stored one are on the grid as stored, with the settings of the city's file."""
    end = stored.city.end or date.max
    days = [day for day in stored.table.days if day <= end]
    if any(stored.origin(Asset.GRID_TENSORS, day).made_from != stored.table.made_from(day) for day in days):
        return False
    return bool(days) and _has_days_before(stored, max(days) + ONE_DAY)


def _issue_dates(city: City, last: date, now: datetime) -> list[date]:
    """Return the issue dates of the present: yesterday and, from the city's hour on, today; `last` of an ended source."""
    local = now.astimezone(city.zone)
    yesterday = local.date() - ONE_DAY
    newest = newest_issue_date(local)
    dates = days_between(yesterday, min(newest, city.end or newest)) if last >= yesterday - ONE_DAY else []
    return [day for day in dates or [last] if day >= city.first_issue_date]


def _is_issued(stored: Stored, issue_date: date, now: datetime) -> bool:
    """Return True if the forecasts of all targets stay as issued."""
    of_targets = stored.city.by_target(stored.store)
    return all(issued_record(store, city, issue_date, now) is not None for store, city in of_targets)


def _stale_products(stored: Stored, last: date, now: datetime) -> dict[date, list[Asset]]:
    """Return the outdated products of the present by issue date; none without stored days, or while some are missing."""
    newest = max((day for day in stored.table.days if day <= last), default=None)  # some may lie after the city's end
    if newest is None or stored.table.last_counted(newest) is None or not _has_days_before(stored, newest + ONE_DAY):
        return {}
    of_dates = {day: _stale_products_of(stored, day, now) for day in _issue_dates(stored.city, last, now)}
    return {day: assets for day, assets in of_dates.items() if assets}


def _stale_products_of(stored: Stored, issue_date: date, now: datetime) -> list[Asset]:
    """Return the outdated products of an issue date.

    Products that are made from an issued forecast follow it until its day is over; others stay as they were issued.
    """
    stale = [asset for asset in PRODUCTS if not stored.is_current(asset, issue_date)]
    if stored.approved(issue_date) and Asset.LIVE_MODELS not in stale:
        stale.insert(0, Asset.LIVE_MODELS)
    if not stale or not _is_issued(stored, issue_date, now):
        return stale
    following = () if is_over(issue_date + ONE_DAY, stored.city.zone, now) else MADE_FROM_FORECASTS
    return [asset for asset in stale if asset in following or not stored.origin(asset, issue_date).version]


def _product_runs(stored: Stored, stale: Mapping[date, Sequence[Asset]], *, with_pages: bool) -> Iterator[DueRun]:
    """Yield the runs of the issue dates with outdated products, and of the pages unless a later run builds them."""
    assets = (*PRODUCTS, *([Asset.CITY_PAGES] if with_pages else []))
    for stretch in contiguous(stale):
        first = stretch[0]
        outdated = stale[first][0]
        approved = "".join(stored.approved(day) for day in stretch)
        version = sha256(*(stored.made_from(asset, day) for day in stretch for asset in stale[day]), approved)[:16]
        cause = f"lacks the approved models {approved}" if approved else stored.why_due(outdated, first)
        why = f"{outdated} of {first} {cause}."
        yield DueRun(assets, (first, stretch[-1]), NEWEST_DAY, why, version)


def _unscored_days(stored: Stored) -> list[date]:
    """Return the stored days of issued forecasts whose scores are outdated."""
    scores = _scores(stored.city)
    end = stored.city.end or date.max
    days = {day for day in stored.table.days if stored.city.first_issue_date <= day <= end}
    issued = sorted(date.fromisoformat(key) + ONE_DAY for key in stored.versions(Asset.RISK_FORECASTS))
    return [day for day in issued if day in days and any(not stored.is_current(asset, day) for asset in scores)]


def _score_runs(stored: Stored, unscored: Sequence[date]) -> Iterator[DueRun]:
    """Yield the runs of all scores of the days with outdated ones."""
    scores = _scores(stored.city)
    for stretch in contiguous(unscored):
        version = sha256(*(stored.made_from(asset, day) for asset in scores for day in stretch))[:16]
        first = stretch[0]
        outdated = next(asset for asset in scores if not stored.is_current(asset, first))
        why = f"{outdated} of {first} {stored.why_due(outdated, first)}."
        yield DueRun(scores, (first, stretch[-1]), CORRECTIONS, why, version)


def _table_runs(stored: Stored, last: date) -> Iterator[DueRun]:
    """Yield the runs of outdated assets that are made from side tables, of stored days or of days with a forecast."""
    issued = [date.fromisoformat(key) + ONE_DAY for key in stored.versions(Asset.RISK_FORECASTS)]
    for asset in FROM_TABLES:
        if not stored.city.has(asset):
            continue
        days = issued if asset.spec.partitions is Partitions.SCORED_DAYS else stored.table.days
        stale = [day for day in sorted(days) if day <= last and not stored.is_current(asset, day)]
        for stretch in contiguous(stale):
            priority = CORRECTIONS if len(stretch) <= MAX_CORRECTION_DAYS else BACKLOG
            yield _due_run(stored, (asset,), stretch, priority, f"{asset} of {stretch[0]}")


def _closing_runs(stored: Stored, last: date) -> Iterator[DueRun]:
    """Yield the run of an outdated walk-forward report or burden audit with the pages, or else those made from them."""
    outdated = [asset for asset in MADE_FROM_REPORTS if not stored.is_current(asset)]
    if stored.versions(Asset.EVALUATION_REPORTS) and outdated:
        yield _due_run(stored, (*outdated, Asset.CITY_PAGES), [None], CORRECTIONS, MADE_FROM_REPORTS[outdated[0]])
        return
    yield from _annual_runs(stored, last)
    if not stored.is_current(Asset.CITY_PAGES):
        yield _due_run(stored, (Asset.CITY_PAGES,), [None], CORRECTIONS, "The site")


def _annual_runs(stored: Stored, last: date) -> Iterator[DueRun]:
    """Yield the runs of outdated annual reports of years that are over, whose days to `last` are all stored."""
    city = stored.city
    for year in (date(number, 1, 1) for number in range(city.start.year, last.year + 1)):
        days = days_between(max(city.start, year), min(city.end or date.max, date(year.year, 12, 31)))
        is_over = days[-1] <= last and _is_settled(stored, days[-1]) and all(day in stored.table.days for day in days)
        if is_over and not stored.is_current(Asset.ANNUAL_REPORTS, year):
            yield _due_run(stored, (Asset.ANNUAL_REPORTS,), [year], REPORTS, f"The annual report of {year.year}")


def _report_runs(stored: Stored, days: DueDays) -> Iterator[DueRun]:
    """Yield outdated reports of folds whose models are current and whose test window is over."""
    asset = Asset.EVALUATION_REPORTS
    for cutoff in _trained(stored.city, days):
        last = stored.city.last_test_day(cutoff)
        is_over = days.last is not None and last <= days.last and last < days.first_gap and _is_settled(stored, last)
        if is_over and stored.is_current(Asset.FOLD_MODELS, cutoff) and not stored.is_current(asset, cutoff):
            yield _due_run(stored, (asset,), [cutoff], REPORTS, f"The report of fold {cutoff}")


def _fold_runs(stored: Stored, days: DueDays) -> Iterator[DueRun]:
    """Yield the runs of folds to train, oldest first; one that waits holds back the later ones."""
    for cutoff in _outdated_folds(stored, days):
        if _why_fold_waits(stored, days, cutoff):
            return
        yield _due_run(stored, (Asset.FOLD_MODELS,), [cutoff], FOLDS, f"Fold {cutoff}")


def _outdated_folds(stored: Stored, days: DueDays) -> list[date]:
    return [cutoff for cutoff in _trained(stored.city, days) if not stored.is_current(Asset.FOLD_MODELS, cutoff)]


def _why_fold_waits(stored: Stored, days: DueDays, cutoff: date) -> str:
    """Return why a fold cannot be trained yet; empty if it can."""
    if days.first_gap < cutoff:
        return f"Fold {cutoff} waits until the days from {days.first_gap} on are built."
    eve = cutoff - ONE_DAY
    if not _is_settled(stored, eve):
        newest = stored.table.last_counted(date.max)
        return f"Fold {cutoff} waits until {eve} or a later day is known; the newest known day is {newest or 'none'}."
    return ""


def _due_run(stored: Stored, assets: tuple[Asset, ...], keys: Sequence[Key], priority: int, subject: str) -> DueRun:
    """Return a run of successive partitions, or of `[None]`; its version is the first asset's, its reason the first one's."""
    days = [key for key in keys if key is not None]
    version = sha256(*(stored.made_from(assets[0], key) for key in keys))[:16]
    why = f"{subject} {stored.why_due(assets[0], keys[0])}."
    return DueRun(assets, (days[0], days[-1]) if days else None, priority, why, version)


def _is_settled(stored: Stored, day: date) -> bool:
    newest = stored.table.last_counted(date.max)
    return newest is not None and day <= newest


def _trained(city: City, days: DueDays) -> list[date]:
    """Return the cutoffs of the folds that automation trains, oldest first."""
    if days.last is None:
        return []
    recent = days.last - timedelta(days=RECENT_FOLD_DAYS * (1 + years_of(city.folds.test)))
    since = recent if city.automation == "recent" else date.min
    return [cutoff for cutoff in city.cutoffs(days.last) if cutoff >= since and city.last_test_day(cutoff) >= cutoff]


def _scores(city: City) -> tuple[Asset, ...]:
    """Return the assets that score a day's issued forecasts of the city."""
    return tuple(asset for asset in SCORES if city.has(asset))
