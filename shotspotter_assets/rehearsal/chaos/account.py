"""Whether an installation holds what it has to: nothing lost, nothing twice, every bad file named, statuses true."""

import html
import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq

from shotspotter_assets.dagster_patches.run_launcher import process_of
from shotspotter_assets.defs.automation.under_way import UNDER_WAY
from shotspotter_assets.defs.run_summary import failure_cause
from shotspotter_assets.partitions import key_of, parse_range_tags
from shotspotter_assets.rehearsal.account import DAILY_CHAIN, LIVE_CHAIN, Materializations
from shotspotter_assets.rehearsal.chaos.hostile_files import shown
from shotspotter_assets.rehearsal.chaos.ledger import BadFile, Ledger
from shotspotter_assets.rehearsal.story import Notice
from shotspotter_assets.sources.seen import read_unreadable
from shotspotter_assets.storage.errors import StoreError
from shotspotter_assets.storage.file_names import ALERTS_FILE, GRID_FILE, REJECTED_FILE
from shotspotter_assets.storage.store import Store

NEVER_STARTED = "The run has not started"

MAX_NAMED = 5
"""Ids that a line has room for."""


def stored_wrong(store: Store, ledger: Ledger, cities: Iterable[str], first: date, last: date) -> Iterator[str]:
    """What is lost, twice, or from nowhere, by city and day from `first` to `last`."""
    for city in cities:
        raw = _ids_by_day(store, "raw_alerts", city, ALERTS_FILE, first, last)
        cleaned = _ids_by_day(store, "cleaned_alerts", city, ALERTS_FILE, first, last)
        rejected = _ids_by_day(store, "cleaned_alerts", city, REJECTED_FILE, first, last)
        counted = _grid_counts(store, city, first, last)
        for day in sorted(day for day in ledger.days_of(city) if first <= day <= last):
            key, wanted = key_of(city, day), Counter(ledger.received[city, day])
            good = Counter(ledger.received[city, day] - ledger.rejected)
            yield from _differences(f"raw_alerts of {key}", raw.get(day), wanted)
            yield from _differences(f"cleaned_alerts of {key}", cleaned.get(day), good)
            yield from _differences(f"the rejected rows of {key}", rejected.get(day), wanted - good)
            if counted.get(day) != good.total():
                yield f"grid_tensors of {key} counts {counted.get(day)} alerts of {good.total()}"


def made_too_often(ledger: Ledger, materialized: Materializations, runs: Sequence[dg.RunRecord]) -> Iterator[str]:
    """Days that were made more often than they have changed and their runs were killed."""
    broken: Counter[str] = Counter()
    for record in runs:
        if record.dagster_run.status is not dg.DagsterRunStatus.SUCCESS:
            broken.update(keys_of(record.dagster_run))
    for (city, day), versions in ledger.versions.items():
        key = key_of(city, day)
        for asset in DAILY_CHAIN:
            made = materialized.get((asset, key), [])
            if len(made) > versions + broken[key]:
                by = ", ".join(f"{one.run_id[:8]} at {datetime.fromtimestamp(one.at):%H:%M:%S}" for one in made)
                yield (
                    f"{asset} of {key} was made {len(made)} times, and it has changed {versions} times and {broken[key]} of its "
                    f"runs were broken off; made by {by}"
                )


def _with_resumed(run: dg.DagsterRun, by_id: Mapping[str, dg.DagsterRun]) -> list[str]:
    """Ids of a run and of those that it goes on from: what they have made it does not make again."""
    ids = [run.run_id]
    while run.is_resume_retry and (before := by_id.get(run.parent_run_id or "")):
        run = before
        ids.append(run.run_id)
    return ids


def wrong_statuses(
    instance: dg.DagsterInstance, ledger: Ledger, materialized: Materializations, runs: Sequence[dg.RunRecord]
) -> Iterator[str]:
    """Runs of which the storage says what is not so."""
    made = {(asset, key, one.run_id) for (asset, key), times in materialized.items() for one in times}
    known = {*DAILY_CHAIN, *LIVE_CHAIN}
    by_id = {record.dagster_run.run_id: record.dagster_run for record in runs}
    for record in runs:
        run = record.dagster_run
        name = f"run {run.run_id[:8]} ({', '.join(sorted(keys_of(run))[:1])}...)"
        assets = {asset.to_user_string() for asset in run.asset_selection or ()} & known
        if run.status in UNDER_WAY:
            yield f"{name} is {run.status.value}, and nothing is under way any more"
        elif run.status is dg.DagsterRunStatus.SUCCESS:
            tried = _with_resumed(run, by_id)
            missing = [
                key
                for key in keys_of(run)
                for asset in assets
                if not any((asset, key, run_id) in made for run_id in tried)
            ]
            if missing:
                yield f"{name} is a SUCCESS and has not made {len(missing)} of its partitions, such as {missing[0]}"
        elif (process := process_of(instance, run.run_id)) not in ledger.killed:
            cause = _cause(instance, run.run_id)
            if process is None and ledger.killed and cause.startswith(NEVER_STARTED):
                continue  # whoever was about to start its process was killed
            if not any(harm in cause for harm in ledger.harms):
                yield f"{name} is {run.status.value}, its process was not killed, and no harm was done to it: {cause}"


def unnamed_files(ledger_files: Iterable[BadFile], ticks: str, notices: Sequence[Notice]) -> Iterator[str]:
    """Bad files that no tick or, where they are refused, no notice has named."""
    told = " ".join(html.unescape(notice.text).replace("\\", "") for notice in notices)
    for file in ledger_files:
        name = shown(file.name)
        if file.outcome in ("refused", "in transfer") and name not in ticks:
            yield f"{name} of {file.city} is named in no tick"
        if file.outcome == "refused" and f"{file.city}, {name}".replace("\\", "") not in told:
            yield f"{name} of {file.city} is named in no notice"
    for notice in notices:
        if "<img" in notice.text or "<script" in notice.text:
            yield f"a notice has tags of a file: {notice.text[:200]}"


def wrong_unreadable(store: Store, ledger: Ledger, cities: Iterable[str]) -> Iterator[str]:
    """Files that count as unreadable and are not, and the other way round."""
    for city in cities:
        listed = {Path(path).name for path in read_unreadable(store, city)}
        wanted = {shown(file.name) for file in ledger.refused() if file.city == city}
        for name in listed - wanted:
            yield f"{name} of {city} counts as unreadable, and can be read"
        for name in wanted - listed:
            yield f"{name} of {city} cannot be read, and is not listed as such"


def broken_files(root: Path) -> Iterator[str]:
    """Files of the store that are left half-written, or cannot be read."""
    for path in sorted(root.rglob("*")):
        if path.suffix == ".partial":
            yield f"{path.relative_to(root)} is left half-written"
        try:
            if path.suffix == ".parquet" and path.is_file():
                pq.read_table(path)
            elif path.suffix in (".json", ".geojson"):
                json.loads(path.read_bytes())
        except (OSError, ValueError, pa.ArrowException) as error:
            yield f"{path.relative_to(root)} cannot be read ({error})"


def broken_databases(home: Path) -> Iterator[str]:
    """SQLite files of the instance that are damaged."""
    for path in sorted(home.rglob("*.db")):
        try:
            with closing(sqlite3.connect(path)) as database:
                [(verdict, *_), *_] = database.execute("pragma quick_check").fetchall()
        except sqlite3.DatabaseError as error:
            verdict = str(error)
        if verdict != "ok":
            yield f"{path.relative_to(home)}: {verdict}"


def keys_of(run: dg.DagsterRun) -> list[str]:
    """The partitions that a run is for."""
    named = parse_range_tags(run.tags)
    if named is None:
        return [run.tags["dagster/partition"]] if "dagster/partition" in run.tags else []
    city, first, last = named
    return [key_of(city, first + timedelta(days=number)) for number in range((last - first).days + 1)]


def made_together(runs: Sequence[dg.DagsterRun]) -> Iterator[str]:
    """What two of the runs, which are all under way, make of one partition."""
    makers: Counter[tuple[str, str]] = Counter(
        (asset.to_user_string(), key) for run in runs for asset in run.asset_selection or () for key in keys_of(run)
    )
    for (asset, key), number in makers.items():
        if number > 1:
            yield f"{asset} of {key} was made by {number} runs at the same time"


def _differences(what: str, found: Counter[str] | None, wanted: Counter[str]) -> Iterator[str]:
    if found is None:
        if wanted or "rejected" not in what:
            yield f"{what} is missing"
        return
    for kind, ids in (("lacks", wanted - found), ("has twice or from nowhere", found - wanted)):
        if ids:
            yield f"{what} {kind} {ids.total()} of {wanted.total()} alerts: {', '.join(sorted(ids)[:MAX_NAMED])}"


def _ids_by_day(store: Store, asset: str, city: str, file: str, first: date, last: date) -> dict[date, Counter[str]]:
    ids = {day: Counter[str]() for day in store.days_present(asset, city, file) if first <= day <= last}
    table = _present(store, asset, city, file, first, last, ["source_id"])
    if table is not None:
        for day, source_id in zip(table["date"].to_pylist(), table["source_id"].to_pylist(), strict=True):
            ids[day][source_id] += 1
    return ids


def _grid_counts(store: Store, city: str, first: date, last: date) -> dict[date, int]:
    counts = {day: 0 for day in store.days_present("grid_tensors", city, GRID_FILE) if first <= day <= last}
    table = _present(store, "grid_tensors", city, GRID_FILE, first, last, ["count"])
    if table is not None:
        for day, count in zip(table["date"].to_pylist(), table["count"].to_pylist(), strict=True):
            counts[day] += count
    return counts


def _present(
    store: Store, asset: str, city: str, file: str, first: date, last: date, columns: list[str]
) -> pa.Table | None:
    try:
        return store.read_present(asset, city, file, first, last, columns)
    except StoreError:  # named by `broken_files`
        return None


def _cause(instance: dg.DagsterInstance, run_id: str) -> str:
    kinds = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE}
    events = [entry.get_dagster_event() for entry in instance.all_logs(run_id, of_type=kinds)]
    for event in events:
        if event.is_step_failure:
            return f"{event.step_key} failed: {failure_cause(event)}"
    return str(events[0].message) if events else "no event says why"
