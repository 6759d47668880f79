"""Cleaned alerts of a city by local day: the tidy table of usable rows, and the rejected rows with their reasons."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

import dagster as dg

from shotspotter_assets.alerts.checks.all_checks import ALL_CHECKS, all_findings
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import ONE_DAY
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.materialize import Check, Checks, RunAsset
from shotspotter_assets.defs.partitions import run_days
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.storage.catalogue import CLEANED, RAW_ROWS, REJECTED, Asset
from shotspotter_assets.storage.wording import number_of

if TYPE_CHECKING:
    from shotspotter_assets.alerts.cleaning import Account, CleanedDay

MAX_SPELLINGS: Final = 20
MAX_CHARACTERS: Final = 80  # unknown types that are shown, and the length of each


@RunAsset(Asset.CLEANED_ALERTS, kinds={"parquet"}, code_version="3", table=CLEANED)
def cleaned_alerts(context: dg.AssetExecutionContext, store: StoreResource, city: City) -> None:
    """The tidy table of usable alerts, and beside it the rejected rows with their reasons.

    Received rows = cleaned + rejected + duplicates, for every day. Equal rows without an id count as the source's
    `equal_rows` says. Incidents go on over midnight. A day of mostly unusable rows is held back (see `raw_alerts`).
    """
    import pyarrow as pa

    from shotspotter_assets.alerts.cleaning import DAYS_BEFORE, clean_alerts
    from shotspotter_assets.alerts.days.day_table import DayTable
    from shotspotter_assets.cities.stored_settings import origins_of_days, refuse_other_settings
    from shotspotter_assets.storage.lineage import Key, begin_lineage, read_lineage, record_lineage

    opened = store.open()
    days = run_days(context, city)
    table = DayTable.read(opened, city.name)
    raw = opened.read_window(RAW_ROWS, city.name, days[0], days[-1])
    table.require(city.name, days)
    refuse_other_settings(read_lineage(opened, Asset.RAW_ALERTS, city.name), days, city, Asset.RAW_ALERTS)
    # No Dagster dependency: a change of one day would make the next ones stale too, for the few incidents over midnight.
    since = days[0] - timedelta(days=DAYS_BEFORE)
    before = opened.read_present(RAW_ROWS, city.name, since, days[0] - ONE_DAY)
    cleaned = clean_alerts(raw if before is None else pa.concat_tables([before, raw]), days, city)
    made_from: dict[Key, str] = {day: table.made_from(day) for day in days}
    begin_lineage(opened, Asset.CLEANED_ALERTS, city.name, made_from)
    with opened.alone(CLEANED.asset, city.name):
        opened.write_tables(REJECTED, {day: result.rejected for day, result in cleaned.items()}, city.name)
        opened.write_tables(CLEANED, {day: result.alerts for day, result in cleaned.items()}, city.name)
    record_lineage(opened, Asset.CLEANED_ALERTS, city.name, origins_of_days(city, Asset.CLEANED_ALERTS, made_from))
    for day, result in cleaned.items():
        state = table.days[day]
        metadata = _metadata(result.account) | {"data_version": table.made_from(day)}
        metadata |= panel.stored_rows(opened, city, CLEANED, day, result.account.cleaned)
        metadata |= {} if city.time_precision == "second" else {"time_precision": city.time_precision}
        context.add_asset_metadata(metadata | panel.day_state(state), partition_key=str(day))
    _log_account(context, city, cleaned)


@Check(Asset.CLEANED_ALERTS, blocking=True)
def rows_are_conserved(context: dg.AssetCheckExecutionContext, store: StoreResource, city: City) -> dg.AssetCheckResult:
    """Rows received = rows cleaned + rows rejected + duplicates on every day, counted from the stored files."""
    from shotspotter_assets.alerts.cleaning import IDENTITY, RECOUNTED, unaccounted_rows

    opened = store.open()
    days = run_days(context, city)
    raw = opened.read_window(RAW_ROWS, city.name, days[0], days[-1], RECOUNTED)
    alerts = opened.read_window(CLEANED, city.name, days[0], days[-1], ["user_id"])
    rejected = opened.read_window(REJECTED, city.name, days[0], days[-1], IDENTITY)
    wrong = {str(day): difference for day, difference in unaccounted_rows(raw, alerts, rejected).items()}
    return dg.AssetCheckResult(
        passed=not wrong,
        metadata={"rows_received": raw.num_rows, "unaccounted_rows_by_day": wrong},
        description=f"Materialize cleaned_alerts again for {', '.join(list(wrong)[:5])}." if wrong else None,
    )


@Checks(Asset.CLEANED_ALERTS, ALL_CHECKS)
def data_quality(
    context: dg.AssetCheckExecutionContext, store: StoreResource, city: City
) -> Iterator[dg.AssetCheckResult]:
    """Compare the run's days with the stored ones of the 547 days before them."""
    from shotspotter_assets.alerts.checks.all_checks import keep_findings
    from shotspotter_assets.alerts.checks.window import Window

    opened = store.open()
    days = run_days(context, city)
    findings = all_findings(Window.load(opened, city, days))
    for name, finding in keep_findings(opened, city, days, findings).items():
        yield panel.check_result(finding, "ERROR" if finding.is_error else "WARN", check=name)


def _metadata(account: "Account") -> panel.Metadata:
    from shotspotter_assets.alerts.cleaning import REASONS

    counted = ("received", "duplicates", "equal_rows", "untyped", "incidents")
    metadata: panel.Metadata = {name: getattr(account, name) for name in counted}
    metadata["rejected"] = sum(account.rejected.values())
    if account.rejected:
        metadata["rejected_by_reason"] = {f"{why}: {REASONS[why]}": rows for why, rows in account.rejected.items()}
    for name, counts in (("unknown_type_spellings", account.unknown_types), ("ignored_events", account.other_events)):
        if counts:
            most = Counter(counts).most_common(MAX_SPELLINGS)
            metadata[name] = {spelling[:MAX_CHARACTERS]: rows for spelling, rows in most}
    return metadata


def _log_account(context: dg.AssetExecutionContext, city: City, cleaned: "Mapping[date, CleanedDay]") -> None:
    """Log the account of all days together, and the spellings of unknown types."""
    accounts = [result.account for result in cleaned.values()]
    rejected = sum((Counter(account.rejected) for account in accounts), Counter[str]())
    unknown = sum((Counter(account.unknown_types) for account in accounts), Counter[str]())
    reasons = f" ({', '.join(f'{reason} {rows:,}' for reason, rows in rejected.most_common())})" if rejected else ""
    context.log.info(
        f"{city.name}: {number_of(sum(account.received for account in accounts), 'row')} received on "
        f"{number_of(len(cleaned), 'day')} = {sum(account.cleaned for account in accounts):,} cleaned + "
        f"{rejected.total():,} rejected{reasons} + {sum(account.duplicates for account in accounts):,} duplicates. "
        f"Of those cleaned, {sum(account.equal_rows for account in accounts):,} equal another row."
    )
    if unknown:
        most = unknown.most_common(MAX_SPELLINGS)
        spellings = ", ".join(f"{spelling[:MAX_CHARACTERS]!r} {alerts:,}" for spelling, alerts in most)
        context.log.warning(
            f"{city.name}: {number_of(unknown.total(), 'alert')} with an unknown type, which stays empty: {spellings}. "
            "Map the spellings in gunshot_spellings or event_types of the city's file."
        )
