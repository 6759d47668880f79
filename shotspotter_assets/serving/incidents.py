"""The incidents of a city's stored days."""

from datetime import date, timedelta
from typing import Final

import pyarrow as pa

from shotspotter_assets.cities.city import City
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.models.next_minutes.forecast import FIT_HOURS
from shotspotter_assets.models.next_minutes.incidents import Incidents
from shotspotter_assets.storage.file_names import ALERTS_FILE
from shotspotter_assets.storage.store import Store

INCIDENT_COLUMNS: Final = ("user_id", "incident_id", "time_utc", "longitude", "latitude", "gunshot_type")


def stored_incidents(store: Store, history: CityHistory) -> Incidents:
    """The incidents of the last two years of a history."""
    first = max(history.days[0], history.last_known - timedelta(hours=FIT_HOURS))
    return Incidents.of_alerts(stored_alerts(store, history.city, first, history.last_known), history.city)


def stored_alerts(store: Store, city: City, first: date, last: date) -> pa.Table:
    """Cleaned alerts of the days that are stored, with their `date`, as far as incidents ask for them."""
    alerts = store.read_present("cleaned_alerts", city.name, ALERTS_FILE, first, last, INCIDENT_COLUMNS)
    return NO_ALERTS if alerts is None else alerts.select(NO_ALERTS.column_names).cast(NO_ALERTS.schema)


NO_ALERTS: Final = pa.schema(
    [
        ("date", pa.date32()),
        ("user_id", pa.int64()),
        ("incident_id", pa.int64()),
        ("time_utc", pa.timestamp("us", "UTC")),
        ("longitude", pa.float64()),
        ("latitude", pa.float64()),
        ("gunshot_type", pa.int8()),
    ]
).empty_table()
