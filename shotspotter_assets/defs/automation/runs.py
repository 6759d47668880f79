"""The runs that sensors and schedules ask for, and what is known of those already asked for."""

from collections.abc import Iterable, Iterator, Mapping, Set
from datetime import UTC, date, datetime, timedelta
from typing import Final

import dagster as dg

from shotspotter_assets.cities.publication import NOT_KNOWN
from shotspotter_assets.defs.alerts.raw_alerts import SOURCE_VERSION
from shotspotter_assets.partitions import contiguous, key_of, parse_key, parse_range_tags, range_tags

DAILY_ASSETS: Final = tuple(dg.AssetKey(name) for name in ("raw_alerts", "cleaned_alerts", "grid_tensors"))
"""Named in each request too, so that the UI's list of runs shows what a run is for."""
DAILY_CHAIN: Final = dg.AssetSelection.assets(*DAILY_ASSETS)

PLANS: Final = dg.AssetKey("patrol_plans")

ATTEMPT_TAG: Final = "shotspotter/attempt"
MADE_SINCE_TAG: Final = "shotspotter/made_since"
"""Of a failed run all of whose days other runs have made."""
WAITS: Final = (timedelta(minutes=5), timedelta(hours=1), timedelta(hours=6), timedelta(hours=24))
"""After its failure, and after each further one, a run is tried again."""
FORGOTTEN: Final = timedelta(days=7)

RECORDS_PER_PAGE: Final = 1000

CITY_TAG: Final = "shotspotter/city"
PRIORITY_TAG: Final = "dagster/priority"
"""Of two runs that wait, the one with the greater number goes first; what is started by hand has 0."""


def requests_of(city: str, days: Mapping[date, str], look: str) -> Iterator[dg.RunRequest]:
    """One request per stretch of contiguous days, the newest first.

    `look` tells one look from the next in the run key: a correction that is taken back makes a run although the days
    have had these versions before, and a tick that is done over makes none twice.
    """
    from shotspotter_assets.storage.fingerprints import sha256

    for stretch in reversed(contiguous(sorted(days))):
        first, last = stretch[0], stretch[-1]
        versions = sha256(*(days[day] for day in stretch))[:16]
        yield dg.RunRequest(
            run_key=f"{city}|{first}...{last}|{versions}|{look}",
            tags=city_tags(city, first, last),
            asset_selection=DAILY_ASSETS,
        )


def city_tags(city: str, first: date, last: date) -> dict[str, str]:
    """Tags of one run over a city's days, by which the runs of a city are found."""
    return range_tags(city, first, last) | {CITY_TAG: city} | priority_tag(last)


def priority_tag(day: date, makes_plans: bool = False) -> dict[str, str]:
    """Tag by which runs of newer days go first: yesterday's even before what is started by hand.

    What makes plans goes before the alerts of other cities and before all scores, which no shift waits for.
    """
    return {PRIORITY_TAG: str(2 - (datetime.now(UTC).date() - day).days + makes_plans)}


def newest_first(requests: Iterable[dg.RunRequest]) -> list[dg.RunRequest]:
    """Requests of one partition each, in the order of their days and with its priority."""

    def tags_of(asked: dg.RunRequest) -> dict[str, str]:
        return {**asked.tags, **priority_tag(_day_of_partition(asked), PLANS in (asked.asset_selection or ()))}

    by_day = sorted(requests, key=_day_of_partition, reverse=True)
    return [asked.with_replaced_attrs(tags=tags_of(asked)) for asked in by_day]


def days_of(requests: Iterable[dg.RunRequest]) -> set[date]:
    """The days that requests of ranges are for."""
    return {day for asked in requests for day in _days_of_tags(asked.tags)}


def cities_with_failures(instance: dg.DagsterInstance) -> set[str]:
    """Cities of which a run asked for by a sensor or schedule has failed of late: one query for all of them."""
    recent = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=datetime.now(UTC) - FORGOTTEN)
    return {run.tags[CITY_TAG] for run in instance.get_runs(recent) if CITY_TAG in run.tags}


def failed_again(instance: dg.DagsterInstance, city: str, under_way: Set[date]) -> Iterator[dg.RunRequest]:
    """Runs of the days of the city's runs that failed, to be tried again after `WAITS`.

    A source that is down for an hour must not leave a hole. Days that were asked for since, or that were made since by hand
    or by the conditions of the assets, are not made again; while one of the others is being made, all of them wait. A run all of
    whose days were made since is marked.
    """
    now = datetime.now(UTC)
    recent = dg.RunsFilter(tags={CITY_TAG: city}, updated_after=now - FORGOTTEN)
    latest: dict[date, dg.RunRecord] = {}
    for record in instance.get_run_records(recent, ascending=True):  # as they were asked for, whatever the clock said
        latest |= dict.fromkeys(_days_of_tags(record.dagster_run.tags), record)
    for record in {record.storage_id: record for record in latest.values()}.values():
        run = record.dagster_run
        attempt = int(run.tags.get(ATTEMPT_TAG, 0))
        over = attempt >= len(WAITS) or record.end_time is None or MADE_SINCE_TAG in run.tags
        if run.status is not dg.DagsterRunStatus.FAILURE or over:
            continue
        waited_s = now.timestamp() - float(record.end_time or 0)
        # Less than nothing after the clock was set back: how long it has waited is not known.
        if 0 <= waited_s < WAITS[attempt].total_seconds():
            continue
        days = {day for day, of_day in latest.items() if of_day is record}
        if days & under_way:
            continue
        lacking = days - _made_since(instance, city, days, record)
        if not lacking:  # not looked up at each tick: thousands of days take seconds
            instance.add_run_tags(run.run_id, {MADE_SINCE_TAG: "true"})
        for stretch in contiguous(sorted(lacking)):
            first, last = stretch[0], stretch[-1]
            yield dg.RunRequest(
                run_key=f"again {run.run_id}|{first}...{last}",
                tags=city_tags(city, first, last) | {ATTEMPT_TAG: str(attempt + 1)},
                asset_selection=DAILY_ASSETS,
            )


def _made_since(instance: dg.DagsterInstance, city: str, days: Set[date], failed: dg.RunRecord) -> set[date]:
    """Those of the days of which a run that was asked for later has made the last of `DAILY_ASSETS`, from new rows."""
    chains = [_last_made(instance, asset, city, days) for asset in DAILY_ASSETS]
    complete = set[date](days).intersection(*chains)
    made_by = {made.run_id for chain in chains for day, made in chain.items() if day in complete}
    asked = {  # the number of each run, in the order in which they were asked for
        record.dagster_run.run_id: record.storage_id
        for record in (instance.get_run_records(dg.RunsFilter(run_ids=list(made_by))) if made_by else ())
    }

    def is_made(day: date) -> bool:
        rows, *_, grid = in_order = [chain[day] for chain in chains]
        return (
            asked.get(rows.run_id, -1) >= failed.storage_id
            and asked.get(grid.run_id, -1) > failed.storage_id
            and in_order == sorted(in_order, key=lambda made: made.storage_id)
        )

    return {day for day in complete if is_made(day)}


def without_received(instance: dg.DagsterInstance, city: str, days: Mapping[date, str]) -> Mapping[date, str]:
    """The days without those of which `raw_alerts` was last made from the same version of the source."""
    received = _received_versions(instance, city, days)
    return {day: version for day, version in days.items() if not _is_same(received, day, version)}


def _days_of_tags(tags: Mapping[str, str]) -> list[date]:
    """The days of a run or request of a range."""
    named = parse_range_tags(tags)
    if named is None:
        return []
    _, first, last = named
    return [first + timedelta(days=at) for at in range((last - first).days + 1)]


def _day_of_partition(asked: dg.RunRequest) -> date:
    return parse_key(str(asked.partition_key))[1]


def _is_same(received: Mapping[date, str | None], day: date, version: str) -> bool:
    """A silent day that was known when it was made is not asked for again while nothing newer has come."""
    return received.get(day) == version or (version == NOT_KNOWN and day in received and not received[day])


def not_known(instance: dg.DagsterInstance, city: str, days: Iterable[date]) -> list[date]:
    """Those of the days that were not known when `raw_alerts` was last made of them."""
    return sorted(day for day, version in _received_versions(instance, city, days).items() if version == NOT_KNOWN)


def is_received(instance: dg.DagsterInstance, city: str, day: date) -> bool:
    """Whether `raw_alerts` was ever made of the day."""
    return bool(instance.fetch_materializations(_of_days(DAILY_ASSETS[0], city, [day]), limit=1).records)


def _received_versions(instance: dg.DagsterInstance, city: str, days: Iterable[date]) -> dict[date, str | None]:
    """The version of the source from which `raw_alerts` was last made, of those of the days that were made."""
    versions: dict[date, str | None] = {}
    for day, record in _last_made(instance, DAILY_ASSETS[0], city, days).items():
        assert record.asset_materialization is not None
        version = record.asset_materialization.metadata.get(SOURCE_VERSION)
        versions[day] = None if version is None else str(version.value)
    return versions


def _last_made(
    instance: dg.DagsterInstance, asset: dg.AssetKey, city: str, days: Iterable[date]
) -> dict[date, dg.EventLogRecord]:
    """The newest materialization of an asset of those of the days that were made."""
    wanted = set(days)
    newest: dict[date, dg.EventLogRecord] = {}
    cursor, has_more = None, bool(wanted)
    while has_more and newest.keys() != wanted:
        page = instance.fetch_materializations(_of_days(asset, city, wanted), limit=RECORDS_PER_PAGE, cursor=cursor)
        for record in page.records:  # the newest first
            assert record.partition_key is not None
            newest.setdefault(parse_key(record.partition_key)[1], record)
        cursor, has_more = page.cursor, page.has_more
    return newest


def _of_days(asset: dg.AssetKey, city: str, days: Iterable[date]) -> dg.AssetRecordsFilter:
    return dg.AssetRecordsFilter(asset_key=asset, asset_partitions=[key_of(city, day) for day in sorted(days)])
