"""Stored alerts of a city, and their incidents."""

from datetime import date, timedelta
from typing import Final

import pyarrow as pa

from shotspotter_assets.cities.city import City
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.models.next_hours.incident_points import Incidents
from shotspotter_assets.models.next_hours.lift_table import FIT_HOURS
from shotspotter_assets.storage.catalogue import CLEANED
from shotspotter_assets.storage.store import Store

COLUMNS: Final = ("user_id", "incident_id", "time_utc", "longitude", "latitude", "gunshot_type")
NO_ALERTS: Final = pa.schema(
    [("date", pa.date32()), *((name, CLEANED.schema.field(name).type) for name in COLUMNS)]
).empty_table()
"""Empty table of the local `date` and the columns of cleaned alerts that `Incidents.of_alerts` reads."""


def stored_incidents(store: Store, history: CityHistory, fitted_to: date) -> Incidents:
    """Read the incidents of a history from two years before a day on, the days on which minutes are fitted."""
    first = max(history.days[0], fitted_to - timedelta(hours=FIT_HOURS))
    return Incidents.of_alerts(stored_alerts(store, history.city, first, history.last_known), history.city)


def stored_alerts(store: Store, city: City, first: date, last: date) -> pa.Table:
    """Read the alerts of the stored days, with the columns of `NO_ALERTS`."""
    alerts = store.read_present(CLEANED, city.name, first, last, COLUMNS)
    return NO_ALERTS if alerts is None else incident_columns(alerts)


def incident_columns(alerts: pa.Table) -> pa.Table:
    """Return the columns of `NO_ALERTS`."""
    return alerts.select(NO_ALERTS.column_names).cast(NO_ALERTS.schema)
