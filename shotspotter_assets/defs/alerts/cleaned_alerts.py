"""Cleaned alerts, by city and local day: the tidy table of what can be used, and what cannot with the reason."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

import dagster as dg

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.registry import Cities, unusable_files
from shotspotter_assets.cleaning.columns import CLEANED_COLUMNS
from shotspotter_assets.dagster_patches.partition_versions import add_version
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.automation.conditions import CATCH_UP
from shotspotter_assets.defs.checks import check_result, keep_findings, schema_check, stored_rows
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.partitions import ONE_RUN, DateRange, Partitions, date_ranges, with_progress
from shotspotter_assets.quality.all_checks import ALL_CHECKS, check_of
from shotspotter_assets.storage.file_names import ALERTS_FILE, REJECTED_FILE

if TYPE_CHECKING:
    import pyarrow as pa

    from shotspotter_assets.cleaning.alerts import Account, CleanedDay
    from shotspotter_assets.storage.store import Store


CLEANED_SCHEMA_HOLDS: Final = (
    "The tidy table has its columns and types, points in the box, known type codes, and `user_id` in sequence."
)
REJECTED_SCHEMA_HOLDS: Final = "The rejected rows are as they were received, each with a known reason."
PICTURED_CITIES: Final = 3
"""Of a run over many."""
CITIES_ARE_WELL: Final = "cities_are_well"
WELL: Final = "No check of any city warned or failed when it was last run for it, whichever city this run is of."


def definitions(partitions: Partitions) -> dg.Definitions:
    """The asset and its checks."""
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
    conserved = dg.asset_check(asset="cleaned_alerts", partitions_def=partitions.city_date, blocking=True)
    schemas = [
        schema_check(partitions, "cleaned_schema", "cleaned_alerts", ALERTS_FILE, CLEANED_SCHEMA_HOLDS),
        schema_check(partitions, "rejected_schema", "cleaned_alerts", REJECTED_FILE, REJECTED_SCHEMA_HOLDS),
    ]
    quality = dg.multi_asset_check(
        specs=[
            dg.AssetCheckSpec(name, asset="cleaned_alerts", description=meaning, partitions_def=partitions.city_date)
            for name, meaning in (ALL_CHECKS | {CITIES_ARE_WELL: WELL}).items()
        ]
    )
    return dg.Definitions(
        assets=[asset(cleaned_alerts)], asset_checks=[conserved(rows_are_conserved), *schemas, quality(data_quality)]
    )


def cleaned_alerts(context: dg.AssetExecutionContext, cities: dg.ResourceParam[Cities], store: StoreResource) -> None:
    """The tidy table of usable alerts; rows that cannot be used are kept beside it with the reason.

    Received rows = cleaned + rejected + duplicates, for every day. An incident that began before midnight goes on after it,
    as far as the day before was received by then. If most rows of a city cannot be used, the run fails and nothing is
    written.
    """
    from shotspotter_assets.sources.known_days import mark_states, stored_states

    opened = store.open()
    all_cleaned = [(date_range, _cleaned(context, opened, date_range)) for date_range in date_ranges(context, cities)]
    _refuse_mostly_rejected(opened, all_cleaned)
    for date_range, cleaned in all_cleaned:
        city = date_range.city
        rejected = {day: result.rejected for day, result in cleaned.items()}
        alerts = {day: result.alerts for day, result in cleaned.items()}
        received = max((day for day, result in cleaned.items() if result.account.received), default=date.min)
        silent = [day for day in date_range.days if day > received]
        states = stored_states(opened, "raw_alerts", city.name, ALERTS_FILE, silent)
        with opened.alone("cleaned_alerts", city.name):
            opened.write_tables("cleaned_alerts", city.name, REJECTED_FILE, rejected)
            opened.write_tables("cleaned_alerts", city.name, ALERTS_FILE, mark_states(alerts, states))
        _report_days(context, date_range, cleaned, states)
        _add_pictures(context, opened, date_range)
        _log_account(context, date_range, cleaned)


def rows_are_conserved(
    context: dg.AssetCheckExecutionContext, cities: dg.ResourceParam[Cities], store: StoreResource
) -> dg.AssetCheckResult:
    """Rows received = rows cleaned + rows rejected + duplicates, on every day, counted from the stored files."""
    from shotspotter_assets.cleaning.alerts import IDENTITY, RECOUNTED, unaccounted_rows

    wrong: dict[str, int] = {}
    rows = 0
    findings = []
    for date_range in date_ranges(context, cities):
        unaccounted: dict[date, int] = {}
        for raw, alerts, rejected in zip(
            stored_rows(store, date_range, "raw_alerts", ALERTS_FILE, RECOUNTED),
            stored_rows(store, date_range, "cleaned_alerts", ALERTS_FILE, ["user_id"]),
            stored_rows(store, date_range, "cleaned_alerts", REJECTED_FILE, IDENTITY),
            strict=True,
        ):
            rows += raw.num_rows
            unaccounted |= unaccounted_rows(raw, alerts, rejected)
        wrong |= {date_range.key(day): difference for day, difference in unaccounted.items()}
        days = ", ".join(map(str, list(unaccounted)[:5]))
        findings.append((date_range, not unaccounted, f"Rows of {days} are lost; materialise cleaned_alerts again."))
    keep_findings(store, "rows_are_conserved", findings)
    return dg.AssetCheckResult(
        passed=not wrong,
        metadata={"rows_received": rows, "unaccounted_rows_by_partition": wrong},
        description=f"Materialise cleaned_alerts again for {', '.join(list(wrong)[:5])}." if wrong else None,
    )


def data_quality(
    context: dg.AssetCheckExecutionContext, cities: dg.ResourceParam[Cities], store: StoreResource
) -> Iterator[dg.AssetCheckResult]:
    """What is odd about the data of the run's days, against the stored days of the year before them.

    The last of the results is of all cities: a city that is not well stays in sight until a run of its own finds it well.
    """
    from shotspotter_assets.quality.city_state import CityState, cities_are_well
    from shotspotter_assets.quality.pictures import city_picture
    from shotspotter_assets.quality.window import Window

    windows = [
        (date_range, Window.load(store.open(), date_range.city, date_range.days))
        for date_range in date_ranges(context, cities)
    ]
    problems: dict[str, dict[str, str]] = {date_range.city.name: {} for date_range, _ in windows}
    named: dict[str, dict[str, set[date]]] = {city: {} for city in problems}
    for name in ALL_CHECKS:
        findings = [(date_range, check_of(name)(window)) for date_range, window in windows]
        yield check_result(name, findings, dg.AssetCheckSeverity.WARN)
        for date_range, finding in findings:
            if not finding.passed:
                problems[date_range.city.name][name] = finding.message
                named[date_range.city.name].setdefault(name, set()).update(finding.days or [date_range.last])
    for city, of_city in problems.items():
        days = [day for date_range, _ in windows if date_range.city.name == city for day in date_range.days]
        CityState.of_run(days, of_city).keep(store.open(), city)
    wrong_files = {name: file.problem for name, file in unusable_files(cities).items()}
    states = CityState.load_all(store.open())
    finding = cities_are_well(
        {name: states.get(name, []) for name in cities}, wrong_files, _unreadable_files(store.open(), cities)
    )
    yield dg.AssetCheckResult(
        check_name=CITIES_ARE_WELL,
        passed=finding.passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=finding.message,
        metadata=finding.numbers
        | {
            f"{date_range.city.name}: its days": panel.picture(
                date_range.city.name, city_picture(window.counts, named[date_range.city.name])
            )
            for date_range, window in windows[-PICTURED_CITIES:]
        },
    )


def _unreadable_files(store: "Store", cities: Cities) -> dict[str, str]:
    """What is said of the landed files that cannot be read, by city."""
    from shotspotter_assets.quality.unreadable_files import unreadable_note
    from shotspotter_assets.sources.registry import arrivals
    from shotspotter_assets.sources.seen import read_all_unreadable

    files = read_all_unreadable(store)
    landed = [name for name, city in cities.items() if "landed" in arrivals(city)]
    return {name: unreadable_note(name, files[name]) for name in landed if files.get(name)}


def _cleaned(context: dg.AssetExecutionContext, store: "Store", date_range: DateRange) -> "dict[date, CleanedDay]":
    """The cleaned days, of whose raw rows a part is held in memory at a time."""
    from shotspotter_assets.cleaning.alerts import clean_alerts
    from shotspotter_assets.cleaning.day_settings import days_of_other_settings, refuse_days

    city = date_range.city
    store.require_window("raw_alerts", city.name, ALERTS_FILE, date_range.first, date_range.last)
    cleaned: dict[date, CleanedDay] = {}
    stale: list[date] = []
    for part in with_progress(context, date_range.parts, "cleaned"):
        raw = store.read_window("raw_alerts", city.name, ALERTS_FILE, part.first, part.last)
        stale += days_of_other_settings(raw.schema.metadata, part.days, city, "raw_alerts")
        if not stale:
            cleaned |= clean_alerts(_with_days_before(store, raw, part), part.days, city)
    refuse_days(stale, city, "raw_alerts")
    return cleaned


def _with_days_before(store: "Store", raw: "pa.Table", part: DateRange) -> "pa.Table":
    """The raw alerts of the days, and of those before them that cleaning looks at, as far as they are stored."""
    import pyarrow as pa

    from shotspotter_assets.cleaning.alerts import DAYS_BEFORE

    # No dependency, or a change of one day would make the next ones stale too, for the few incidents over midnight.
    since, eve = part.first - timedelta(days=DAYS_BEFORE), part.first - timedelta(days=1)
    before = store.read_present("raw_alerts", part.city.name, ALERTS_FILE, since, eve)
    return raw if before is None else pa.concat_tables([before, raw])


def _refuse_mostly_rejected(store: "Store", all_cleaned: "Sequence[tuple[DateRange, dict[date, CleanedDay]]]") -> None:
    """Of each city, all days of the run together."""
    from shotspotter_assets.cleaning.refusal import MostRowsRejectedError, refuse_mostly_rejected
    from shotspotter_assets.quality.city_state import CityState

    for city in {date_range.city.name: date_range.city for date_range, _ in all_cleaned}.values():
        days: dict[date, CleanedDay] = {}
        for date_range, cleaned in all_cleaned:
            if date_range.city.name == city.name:
                days |= cleaned
        try:
            refuse_mostly_rejected(city, list(days.values()), partial(_other_alerts, store, city, days))
        except MostRowsRejectedError as error:
            CityState.of_run(days, {"share_rejected": str(error)}).keep(store, city.name)
            raise


def _other_alerts(store: "Store", city: City, days: Collection[date]) -> int:
    """Alerts stored for other days, if the city's first day, where rows without a date are filed, is among `days`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if city.start not in days:
        return 0
    alerts = store.read_present("cleaned_alerts", city.name, ALERTS_FILE, date.min, date.max, ["user_id"])
    return 0 if alerts is None else int(pc.sum(pc.invert(pc.is_in(alerts["date"], pa.array(list(days))))).as_py() or 0)


def _report_days(
    context: dg.AssetExecutionContext,
    date_range: DateRange,
    cleaned: "Mapping[date, CleanedDay]",
    states: "Mapping[date, str]",
) -> None:
    """Data version and numbers of each day."""
    from shotspotter_assets.sources.known_days import state_version
    from shotspotter_assets.storage.fingerprints import table_fingerprints

    precision = date_range.city.time_precision
    versions = table_fingerprints({day: result.alerts for day, result in cleaned.items()})
    for day, result in cleaned.items():
        metadata = _metadata(result.account) | ({} if precision == "second" else {"time_precision": precision})
        add_version(context, date_range.key(day), state_version(versions[day], states.get(day)))
        metadata |= panel.day_state(states.get(day))
        context.add_asset_metadata(metadata, partition_key=date_range.key(day))


def _metadata(account: "Account") -> panel.Metadata:
    from shotspotter_assets.cleaning.alerts import REASONS

    metadata: panel.Metadata = {
        "dagster/partition_row_count": account.cleaned,
        "received": account.received,
        "rejected": sum(account.rejected.values()),
        "duplicates": account.duplicates,
        "untyped": account.untyped,
        "incidents": account.incidents,
    }
    if account.rejected:
        metadata["rejected_by_reason"] = {
            f"{reason}: {REASONS[reason]}": rows for reason, rows in account.rejected.items()
        }
    if account.unknown_types:
        metadata["unknown_type_spellings"] = account.unknown_types
    return metadata


def _add_pictures(context: dg.AssetExecutionContext, store: "Store", date_range: DateRange) -> None:
    """A small map and the hours of each of the last days of a range; of years of days nobody looks at all."""
    from shotspotter_assets.quality.pictures import BEFORE_DAYS, COLUMNS, PICTURED_DAYS, day_pictures

    shown = date_range.days[-PICTURED_DAYS:]
    first = shown[0] - timedelta(days=BEFORE_DAYS)
    near = store.read_present("cleaned_alerts", date_range.city.name, ALERTS_FILE, first, shown[-1], COLUMNS)
    if near is not None:
        for day, png in day_pictures(near, shown, date_range.city).items():
            picture = {"picture": panel.picture(str(day), png)}
            context.add_asset_metadata(picture, partition_key=date_range.key(day))


def _log_account(
    context: dg.AssetExecutionContext, date_range: DateRange, cleaned: "Mapping[date, CleanedDay]"
) -> None:
    """Where the rows went, and a warning of types that are not known."""
    from shotspotter_assets.cleaning.alerts import NO_ROWS

    total = sum((result.account for result in cleaned.values()), start=NO_ROWS)
    rejected, unknown = Counter(total.rejected), Counter(total.unknown_types)
    reasons = f" ({', '.join(f'{reason} {rows:,}' for reason, rows in rejected.most_common())})" if rejected else ""
    context.log.info(
        f"{date_range.city.name}: {total.received:,} rows received on {len(cleaned):,} days = {total.cleaned:,} cleaned + "
        f"{rejected.total():,} rejected{reasons} + {total.duplicates:,} duplicates"
    )
    if unknown:
        spellings = ", ".join(f"{spelling!r} {alerts:,}" for spelling, alerts in unknown.most_common(10))
        context.log.warning(
            f"{date_range.city.name}: {unknown.total():,} alerts have a type that is not known and stays empty: {spellings}"
        )
