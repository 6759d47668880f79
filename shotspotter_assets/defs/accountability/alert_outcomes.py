"""Outcomes of alerts by local day: what became of each, beside calls of persons about shots."""

from datetime import date
from typing import TYPE_CHECKING

import dagster as dg

from shotspotter_assets.calendar.local_time import ONE_DAY
from shotspotter_assets.cities.city import City
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.resources import Log, Store
from shotspotter_assets.defs.table_assets import table_asset
from shotspotter_assets.storage.catalogue import ALERT_OUTCOMES, CLEANED, Asset

if TYPE_CHECKING:
    import pyarrow as pa


def definitions(city: City) -> dg.Definitions:
    """Build the asset with its checks, if the city's file has `outcomes`."""
    if not city.has(Asset.ALERT_OUTCOMES):
        return dg.Definitions()
    outcomes = table_asset(
        city, Asset.ALERT_OUTCOMES, alert_outcomes, kinds={"parquet"}, code_version="1", table=ALERT_OUTCOMES
    )
    return dg.Definitions(assets=[outcomes])


def alert_outcomes(log: Log, store: Store, city: City, day: date, rows: "pa.Table") -> panel.Metadata:
    """Outcomes of the day's alerts as the table of `outcomes` in the city's file reports them.

    A call of a sensor is matched with its alert by id, or else by time and place, one to one. The day's calls that match no
    alert, and those of persons, are beside them. A code that the city's file does not name is open.
    """
    from shotspotter_assets.accountability.day_outcomes import day_outcomes
    from shotspotter_assets.storage.fingerprints import table_fingerprints

    alerts = store.read_present(CLEANED, city.name, day - ONE_DAY, day + ONE_DAY)
    if alerts is None:
        alerts = CLEANED.schema.empty_table().add_column(0, "date", [[]])
    table, record = day_outcomes(rows, alerts, day, city)
    path = record.write_after(store, {ALERT_OUTCOMES: table})
    for problem in record.problems:
        log.warning(f"{city.name}: {problem}")
    numbers = record.model_dump(exclude={"city", "day", "problems", "unknown_codes"})
    return {
        "dagster/partition_row_count": table.num_rows,
        "data_version": table_fingerprints({day: table})[day],
        **numbers,
        **({"unknown_codes": record.unknown_codes} if record.unknown_codes else {}),
        **({"problems": panel.bullets(record.problems)} if record.problems else {}),
        "path": dg.MetadataValue.path(path),
    }
