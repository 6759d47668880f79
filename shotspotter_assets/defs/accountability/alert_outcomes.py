"""Outcomes of alerts by local day, beside calls of persons about shots."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

import dagster as dg

from shotspotter_assets.accountability.outcome_checks import CHECKED_DAYS, OUTCOME_CHECKS
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import ONE_DAY
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.materialize import Checks, TableProduct
from shotspotter_assets.defs.partitions import run_days
from shotspotter_assets.defs.resources import Log, Store, StoreResource
from shotspotter_assets.storage.catalogue import ALERT_OUTCOMES, CLEANED, Asset
from shotspotter_assets.storage.wording import first_of

if TYPE_CHECKING:
    import pyarrow as pa

MAX_LOGGED: Final = 5  # rows not used that the log names for each day; the panel and the record name more


@TableProduct(Asset.ALERT_OUTCOMES, kinds={"parquet"}, code_version="1", table=ALERT_OUTCOMES)
def alert_outcomes(log: Log, store: Store, city: City, day: date, rows: "pa.Table") -> panel.Metadata:
    """Outcomes of the day's alerts as the table of `outcomes` in the city's file reports them.

    A call of a sensor is matched with its alert by id, or else by time and place, one to one. The day's calls that match no
    alert, and those of persons, are beside them. A code that the city's file does not name is open.
    """
    from shotspotter_assets.accountability.alert_outcomes import day_outcomes
    from shotspotter_assets.storage.fingerprints import table_fingerprints

    alerts = store.read_present(CLEANED, city.name, day - ONE_DAY, day + ONE_DAY)
    if alerts is None:
        alerts = CLEANED.schema.empty_table().add_column(0, "date", [[]])
    table, record = day_outcomes(rows, alerts, day, city)
    path = record.write_after(store, {ALERT_OUTCOMES: table})
    if record.problems:
        log.warning(f"{city.name}: {first_of(record.problems, MAX_LOGGED, ' ')}")
    numbers = record.model_dump(exclude={"format_version", "city", "day", "problems", "unknown_codes"})
    return {
        "data_version": table_fingerprints({day: table})[day],
        **numbers,
        **({"unknown_codes": record.unknown_codes} if record.unknown_codes else {}),
        **({"problems": panel.bullets(record.problems)} if record.problems else {}),
        "path": dg.MetadataValue.path(path),
    }


@Checks(Asset.ALERT_OUTCOMES, OUTCOME_CHECKS)
def outcome_checks(
    context: dg.AssetCheckExecutionContext, store: StoreResource, city: City
) -> Iterator[dg.AssetCheckResult]:
    """Look at the records of the run's days and of the days before them."""
    from shotspotter_assets.accountability.alert_outcomes import OutcomesRecord

    of_run = run_days(context, city)
    first = min(of_run[0], of_run[-1] - timedelta(days=CHECKED_DAYS - 1))
    records = OutcomesRecord.find_days(store.open(), city.name, first, of_run[-1])
    for name, check in OUTCOME_CHECKS.items():
        yield panel.check_result(check(records), check=name)
