"""Raw and cleaned alerts, by city and local day."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.calendar.local_time import rows_of_days
from shotspotter_assets.cleaning.alerts import CLEANED_SCHEMA, REASONS, DayAccount, clean_alerts
from shotspotter_assets.dagster_patches.partition_versions import add_version
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.automation.conditions import CATCH_UP
from shotspotter_assets.defs.environment import PARTITIONS
from shotspotter_assets.defs.partition_keys import Stretch, stretches
from shotspotter_assets.defs.resources import SourcesResource, StoreResource
from shotspotter_assets.partitions import ONE_RUN
from shotspotter_assets.sources.schema import RAW_SCHEMA
from shotspotter_assets.storage.errors import CorruptObjectError
from shotspotter_assets.storage.file_names import (
    ALERTS_FILE,
    REJECTED_FILE,
    SOURCE_VERSION,
    WITHDRAWN_FILE,
    unreadable_files,
)

if TYPE_CHECKING:
    from shotspotter_assets.sources.protocol import AlertSource
    from shotspotter_assets.storage.store import Store

SILENT_DAYS = 7
"""So many days without a row at the end of a range are worth a warning."""


def _column_schema(columns: Iterable[pa.Field]) -> dict[str, dg.TableSchema]:
    return {
        "dagster/column_schema": dg.TableSchema([dg.TableColumn(column.name, str(column.type)) for column in columns])
    }


@dg.asset(
    partitions_def=PARTITIONS.city_date,
    backfill_policy=ONE_RUN,
    group_name="alerts",
    kinds={"parquet"},
    code_version="1",
    metadata=_column_schema(column for column in RAW_SCHEMA if column.name != "date"),
)
def raw_alerts(context: dg.AssetExecutionContext, store: StoreResource, sources: SourcesResource) -> None:
    """Alerts as the city's source gives them, filed under local days, with where and when they were received.

    One run reads a whole range of days with one scan of the source. A day without alerts is a file without rows. The
    data version of a day is a hash of its rows: asking again makes only those days stale whose rows have changed.
    """
    from shotspotter_assets.sources.api.json_rows import versions_of_days
    from shotspotter_assets.sources.combined import combined
    from shotspotter_assets.sources.history import PUBLISHED, keep_first_seen
    from shotspotter_assets.sources.protocol import ChangingSource
    from shotspotter_assets.storage.fingerprints import day_fingerprints

    for stretch in stretches(context):
        city, days, opened = stretch.city, stretch.days, store.open()
        place = (context.asset_key.path[-1], city.name)
        before = _stored_before(context, opened, place, days)
        left_out = unreadable_files(opened, city.name)
        parts = sources.parts(city, left_out)
        asked_at = datetime.now(UTC)
        # Asked for before the rows, so that rows that come in between make the day look changed, not the other way round.
        source_versions = _counted_versions(parts, days)
        rows = combined(parts).read(days[0], days[-1])
        withdrawn = None
        if before is not None:
            rows = _with_rows_of_unread_files(context, rows, before, parts)
            rows, withdrawn = keep_first_seen(rows, before, asked_at)
            _keep_withdrawn(opened, place, withdrawn)
        if source_versions is None and len(parts) == 1 and isinstance(parts[0], ChangingSource):
            source_versions = versions_of_days(rows)
        by_day = rows_of_days(rows, days)
        opened.write_tables(*place, ALERTS_FILE, by_day)
        versions = day_fingerprints(rows.select(PUBLISHED), days)
        for day, table in by_day.items():
            add_version(context, stretch.key(day), versions[day])
            metadata: dict[str, int | str] = {"dagster/partition_row_count": table.num_rows}
            if source_versions is not None:
                metadata[SOURCE_VERSION] = source_versions.get(day, "")
            context.add_asset_metadata(metadata, partition_key=stretch.key(day))
        _warn_of_silence(context, stretch, [day for day, table in by_day.items() if table.num_rows])
        context.log.info(
            f"{city.name}: {rows.num_rows:,} rows of {len(days):,} days to {days[-1]}"
            + (f"; {withdrawn.num_rows:,} earlier rows were changed or taken back" if withdrawn else "")
        )


@dg.asset(
    partitions_def=PARTITIONS.city_date,
    backfill_policy=ONE_RUN,
    group_name="alerts",
    kinds={"parquet"},
    code_version="2",
    automation_condition=CATCH_UP,
    deps=[raw_alerts],
    metadata=_column_schema(CLEANED_SCHEMA),
)
def cleaned_alerts(context: dg.AssetExecutionContext, store: StoreResource) -> None:
    """The tidy table of usable alerts; rows that cannot be used are kept beside it with the reason.

    Received rows = cleaned + rejected + exact duplicates, for every day. An incident that began before midnight goes on
    after it, as far as the day before was received by then.
    """
    from shotspotter_assets.storage.fingerprints import table_fingerprints

    for stretch in stretches(context):
        city, days, opened = stretch.city, stretch.days, store.open()
        raw = opened.read_window("raw_alerts", city.name, ALERTS_FILE, days[0], days[-1])
        # No dependency, or a change of one day would make the next one stale too, for the few incidents over midnight.
        eve = days[0] - timedelta(days=1)
        yesterday = opened.read_present("raw_alerts", city.name, ALERTS_FILE, eve, eve)
        cleaned = clean_alerts(raw if yesterday is None else pa.concat_tables([yesterday, raw]), days, city)
        name = context.asset_key.path[-1]
        opened.write_tables(name, city.name, REJECTED_FILE, {day: result.rejected for day, result in cleaned.items()})
        opened.write_tables(name, city.name, ALERTS_FILE, {day: result.alerts for day, result in cleaned.items()})
        versions = table_fingerprints({day: result.alerts for day, result in cleaned.items()})
        for day, result in cleaned.items():
            add_version(context, stretch.key(day), versions[day])
            metadata = _metadata(result.account)
            if city.time_precision != "second":
                metadata["time_precision"] = dg.MetadataValue.text(city.time_precision)
            context.add_asset_metadata(metadata, partition_key=stretch.key(day))
        _add_pictures(context, opened, stretch)
        accounts = [result.account for result in cleaned.values()]
        context.log.info(_summary(city.name, accounts))
        unknown = _total(account.unknown_types for account in accounts)
        if unknown:
            context.log.warning(
                f"{city.name}: {unknown.total():,} alerts have a type that is not known and stays empty: "
                f"{', '.join(f'{spelling!r} {alerts:,}' for spelling, alerts in unknown.most_common(10))}"
            )


def _stored_before(
    context: dg.AssetExecutionContext, store: "Store", place: tuple[str, str], days: list[date]
) -> pa.Table | None:
    """What is stored of the days; nothing where a file is damaged, as this run makes it anew."""
    try:
        return store.read_present(*place, ALERTS_FILE, days[0], days[-1])
    except CorruptObjectError as error:
        context.log.warning(f"{error} The days are read anew; when their rows were first seen is lost.")
        return None


def _counted_versions(parts: "list[AlertSource]", days: list[date]) -> dict[date, str] | None:
    """The source's versions of the days, if it can tell them without handing over its rows."""
    from shotspotter_assets.sources.protocol import ChangingSource

    source = parts[0]
    if len(parts) > 1 or not isinstance(source, ChangingSource) or not source.counts_by_day:
        return None
    return source.changed_days(days[0], days[-1])


def _with_rows_of_unread_files(
    context: dg.AssetExecutionContext, rows: pa.Table, before: pa.Table, parts: "list[AlertSource]"
) -> pa.Table:
    """The rows with those stored before of landed files that are gone, damaged or being written now.

    A file that is tidied away, or spoiled, must not empty its days.
    """
    from shotspotter_assets.sources.landing.folder import LandingFolder
    from shotspotter_assets.sources.schema import ORDER

    files = before["received_from"].unique().to_pylist()
    unread = sorted(set().union(*(part.unread(files) for part in parts if isinstance(part, LandingFolder))))
    if not unread:
        return rows
    context.log.warning(
        f"Rows of files that cannot be read now are kept as they were: {', '.join(unread[:5])}"
        f"{f' and {len(unread) - 5} more' if len(unread) > 5 else ''}. To take rows back, land the file again without them."
    )
    kept = before.filter(pc.is_in(before["received_from"], pa.array(unread, pa.string())))
    return pa.concat_tables([rows, kept.cast(rows.schema)]).sort_by(ORDER)


def _keep_withdrawn(store: "Store", place: tuple[str, str], withdrawn: pa.Table) -> None:
    """Add to the rows that the source once had; most days have none, and no file."""
    days = sorted(set(withdrawn["date"].to_pylist()))
    if not days:
        return
    earlier = store.read_present(*place, WITHDRAWN_FILE, days[0], days[-1])
    together = pa.concat_tables([withdrawn] if earlier is None else [earlier.cast(withdrawn.schema), withdrawn])
    by_day = rows_of_days(together.sort_by([("date", "ascending"), ("withdrawn_at", "ascending")]), days)
    store.write_tables(*place, WITHDRAWN_FILE, by_day)


def _add_pictures(context: dg.AssetExecutionContext, store: "Store", stretch: Stretch) -> None:
    """A small map and the hours of each of the last days of a stretch; of years of days nobody looks at all."""
    from shotspotter_assets.quality.pictures import BEFORE_DAYS, COLUMNS, PICTURED_DAYS, day_pictures

    shown = stretch.days[-PICTURED_DAYS:]
    first = shown[0] - timedelta(days=BEFORE_DAYS)
    near = store.read_present("cleaned_alerts", stretch.city.name, ALERTS_FILE, first, shown[-1], COLUMNS)
    if near is None:
        return
    for day, png in day_pictures(near, shown, stretch.city).items():
        picture = panel.picture(str(day), png)
        context.add_asset_metadata({"picture": picture}, partition_key=stretch.key(day))


def _metadata(account: DayAccount) -> dict[str, dg.MetadataValue]:
    numbers = {
        "dagster/partition_row_count": account.cleaned,
        "received": account.received,
        "rejected": sum(account.rejected.values()),
        "duplicates": account.duplicates,
        "untyped": account.untyped,
        "incidents": account.incidents,
    }
    metadata: dict[str, dg.MetadataValue] = {name: dg.MetadataValue.int(number) for name, number in numbers.items()}
    if account.rejected:
        explained = {f"{reason}: {REASONS[reason]}": rows for reason, rows in account.rejected.items()}
        metadata["rejected_by_reason"] = dg.MetadataValue.json(explained)
    if account.unknown_types:
        metadata["unknown_type_spellings"] = dg.MetadataValue.json(account.unknown_types)
    return metadata


def _warn_of_silence(context: dg.AssetExecutionContext, stretch: Stretch, days_with_rows: list[date]) -> None:
    """Days after the end of a file look like days without alerts."""
    last = days_with_rows[-1] if days_with_rows else None
    silent = stretch.days if last is None else stretch.days[stretch.days.index(last) + 1 :]
    if len(silent) >= SILENT_DAYS:
        context.log.warning(
            f"{stretch.city.name}: the source has no row for the last {len(silent):,} days, {silent[0]} to {silent[-1]}. They "
            "are stored as days without alerts; if the source ends before, do not train or test on them."
        )


def _total(counts: Iterable[dict[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return total


def _summary(city: str, accounts: list[DayAccount]) -> str:
    rejected = _total(account.rejected for account in accounts)
    reasons = f" ({', '.join(f'{reason} {rows:,}' for reason, rows in rejected.most_common())})" if rejected else ""
    return (
        f"{city}: {sum(account.received for account in accounts):,} rows received on {len(accounts):,} days = "
        f"{sum(account.cleaned for account in accounts):,} cleaned + {rejected.total():,} rejected{reasons} + "
        f"{sum(account.duplicates for account in accounts):,} exact duplicates"
    )
