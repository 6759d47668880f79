"""Cleaned alerts, by city and local day: the tidy table of what can be used, and what cannot with the reason."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

import dagster as dg

from shotspotter_assets.cities.registry import Cities
from shotspotter_assets.cleaning.columns import CLEANED_COLUMNS
from shotspotter_assets.dagster_patches.partition_versions import add_version
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.automation.conditions import CATCH_UP
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.partitions import ONE_RUN, DateRange, Partitions, date_ranges
from shotspotter_assets.storage.file_names import ALERTS_FILE, REJECTED_FILE

if TYPE_CHECKING:
    from shotspotter_assets.cleaning.alerts import DayAccount
    from shotspotter_assets.quality.finding import Finding
    from shotspotter_assets.quality.window import Window
    from shotspotter_assets.storage.store import Store


def definitions(partitions: Partitions) -> dg.Definitions:
    """The asset and its checks."""
    from shotspotter_assets.quality.all_checks import ALL_CHECKS

    asset = dg.asset(
        partitions_def=partitions.city_date,
        backfill_policy=ONE_RUN,
        group_name="alerts",
        kinds={"parquet"},
        code_version="2",
        automation_condition=CATCH_UP,
        deps=["raw_alerts"],
        metadata=panel.column_schema(CLEANED_COLUMNS),
    )
    blocking = dg.asset_check(asset="cleaned_alerts", partitions_def=partitions.city_date, blocking=True)
    quality = dg.multi_asset_check(
        specs=[
            dg.AssetCheckSpec(name, asset="cleaned_alerts", description=meaning, partitions_def=partitions.city_date)
            for name, meaning in ALL_CHECKS.items()
        ]
    )
    return dg.Definitions(
        assets=[asset(cleaned_alerts)],
        asset_checks=[
            blocking(rows_are_conserved), blocking(cleaned_schema), blocking(rejected_schema), quality(data_quality)
        ],
    )  # fmt: skip


def cleaned_alerts(context: dg.AssetExecutionContext, cities: dg.ResourceParam[Cities], store: StoreResource) -> None:
    """The tidy table of usable alerts; rows that cannot be used are kept beside it with the reason.

    Received rows = cleaned + rejected + exact duplicates, for every day. An incident that began before midnight goes on
    after it, as far as the day before was received by then.
    """
    import pyarrow as pa

    from shotspotter_assets.cleaning.alerts import clean_alerts
    from shotspotter_assets.storage.fingerprints import table_fingerprints

    for date_range in date_ranges(context, cities):
        city, days, opened = date_range.city, date_range.days, store.open()
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
            add_version(context, date_range.key(day), versions[day])
            metadata = _metadata(result.account)
            if city.time_precision != "second":
                metadata["time_precision"] = dg.MetadataValue.text(city.time_precision)
            context.add_asset_metadata(metadata, partition_key=date_range.key(day))
        _add_pictures(context, opened, date_range)
        accounts = [result.account for result in cleaned.values()]
        context.log.info(_summary(city.name, accounts))
        unknown = _total(account.unknown_types for account in accounts)
        if unknown:
            context.log.warning(
                f"{city.name}: {unknown.total():,} alerts have a type that is not known and stays empty: "
                f"{', '.join(f'{spelling!r} {alerts:,}' for spelling, alerts in unknown.most_common(10))}"
            )


def rows_are_conserved(
    context: dg.AssetCheckExecutionContext, cities: dg.ResourceParam[Cities], store: StoreResource
) -> dg.AssetCheckResult:
    """Rows received = rows cleaned + rows rejected + exact duplicates, on every day, counted from the stored files."""
    from shotspotter_assets.cleaning.conservation import unaccounted_rows

    wrong: dict[str, int] = {}
    rows = 0
    for date_range in date_ranges(context, cities):
        window = (date_range.city.name, date_range.first, date_range.last)
        opened = store.open()
        raw, alerts, rejected = (
            opened.read_window(asset, window[0], file, *window[1:])
            for asset, file in (
                ("raw_alerts", ALERTS_FILE),
                ("cleaned_alerts", ALERTS_FILE),
                ("cleaned_alerts", REJECTED_FILE),
            )
        )
        rows += raw.num_rows
        wrong |= {
            date_range.key(day): difference for day, difference in unaccounted_rows(raw, alerts, rejected).items()
        }
    return dg.AssetCheckResult(
        passed=not wrong,
        metadata={"rows_received": rows, "unaccounted_rows_by_partition": wrong},
        description=f"Materialise cleaned_alerts again for {', '.join(list(wrong)[:5])}." if wrong else None,
    )


def cleaned_schema(
    context: dg.AssetCheckExecutionContext, cities: dg.ResourceParam[Cities], store: StoreResource
) -> dg.AssetCheckResult:
    """The tidy table has its columns and types, points in the box, known type codes, and `user_id` in sequence."""
    from shotspotter_assets.quality import schemas

    found: list[tuple[DateRange, Finding]] = []
    for date_range in date_ranges(context, cities):
        alerts = store.open().read_window(
            "cleaned_alerts", date_range.city.name, ALERTS_FILE, date_range.first, date_range.last
        )
        schema = schemas.cleaned_schema(date_range.city)
        found.append((date_range, schemas.schema_finding(schema, alerts, "cleaned_alerts")))
    return panel.check_result("cleaned_schema", found, dg.AssetCheckSeverity.ERROR)


def rejected_schema(
    context: dg.AssetCheckExecutionContext, cities: dg.ResourceParam[Cities], store: StoreResource
) -> dg.AssetCheckResult:
    """The rejected rows are as they were received, each with a known reason."""
    from shotspotter_assets.quality import schemas

    found: list[tuple[DateRange, Finding]] = []
    for date_range in date_ranges(context, cities):
        rejected = store.open().read_window(
            "cleaned_alerts", date_range.city.name, REJECTED_FILE, date_range.first, date_range.last
        )
        schema = schemas.rejected_schema()
        found.append((date_range, schemas.schema_finding(schema, rejected, "cleaned_alerts")))
    return panel.check_result("rejected_schema", found, dg.AssetCheckSeverity.ERROR)


def data_quality(
    context: dg.AssetCheckExecutionContext, cities: dg.ResourceParam[Cities], store: StoreResource
) -> Iterator[dg.AssetCheckResult]:
    """What is odd about the data of the run's days, against the stored days of the year before them."""
    from shotspotter_assets.quality.all_checks import ALL_CHECKS, check_of

    windows = [(date_range, _window(store.open(), date_range)) for date_range in date_ranges(context, cities)]
    for name in ALL_CHECKS:
        findings = [(date_range, check_of(name)(window)) for date_range, window in windows]
        yield panel.check_result(name, findings, dg.AssetCheckSeverity.WARN)


def _window(store: "Store", date_range: DateRange) -> "Window":
    from shotspotter_assets.quality.window import ALERT_COLUMNS, HISTORY_DAYS, Window

    city, first, last = date_range.city.name, date_range.first, date_range.last
    since = first - timedelta(days=HISTORY_DAYS)
    alerts = store.read_present("cleaned_alerts", city, ALERTS_FILE, since, last, ALERT_COLUMNS)
    assert alerts is not None
    stored = [day for day in store.days_present("cleaned_alerts", city, ALERTS_FILE) if since <= day <= last]
    raw = store.read_window("raw_alerts", city, ALERTS_FILE, first, last, ["received_row"])
    rejected = store.read_window("cleaned_alerts", city, REJECTED_FILE, first, last, ["reason"])
    return Window.of_tables(date_range.city, date_range.days, stored, alerts, raw, rejected)


def _add_pictures(context: dg.AssetExecutionContext, store: "Store", date_range: DateRange) -> None:
    """A small map and the hours of each of the last days of a range; of years of days nobody looks at all."""
    from shotspotter_assets.quality.pictures import BEFORE_DAYS, COLUMNS, PICTURED_DAYS, day_pictures

    shown = date_range.days[-PICTURED_DAYS:]
    first = shown[0] - timedelta(days=BEFORE_DAYS)
    near = store.read_present("cleaned_alerts", date_range.city.name, ALERTS_FILE, first, shown[-1], COLUMNS)
    if near is None:
        return
    for day, png in day_pictures(near, shown, date_range.city).items():
        picture = panel.picture(str(day), png)
        context.add_asset_metadata({"picture": picture}, partition_key=date_range.key(day))


def _metadata(account: "DayAccount") -> dict[str, dg.MetadataValue]:
    from shotspotter_assets.cleaning.alerts import REASONS

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


def _total(counts: Iterable[dict[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return total


def _summary(city: str, accounts: "list[DayAccount]") -> str:
    rejected = _total(account.rejected for account in accounts)
    reasons = f" ({', '.join(f'{reason} {rows:,}' for reason, rows in rejected.most_common())})" if rejected else ""
    return (
        f"{city}: {sum(account.received for account in accounts):,} rows received on {len(accounts):,} days = "
        f"{sum(account.cleaned for account in accounts):,} cleaned + {rejected.total():,} rejected{reasons} + "
        f"{sum(account.duplicates for account in accounts):,} exact duplicates"
    )
