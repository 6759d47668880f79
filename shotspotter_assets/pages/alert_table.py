"""All alerts of a city, small enough for the browser to filter."""

import base64
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from shotspotter_assets.calendar.dates import hours_of_day
from shotspotter_assets.calendar.local_time import wall_clock
from shotspotter_assets.cities.city import UNKNOWN_TYPE_CODE, City
from shotspotter_assets.storage.file_names import ALERTS_FILE
from shotspotter_assets.storage.store import Store

COLUMNS = ("time_utc", "longitude", "latitude", "gunshot_type", "user_id", "incident_id")
STEPS = 65535


class AlertTable(BaseModel):
    """Alerts by time. Columns are base64 of little-endian uint16."""

    model_config = ConfigDict(frozen=True)

    count: int = 0
    first: date | None = None
    """The day with number 0; None without alerts."""
    last: date | None = None
    has_hours: bool
    types: list[str] = []
    """Names of the types that occur."""
    cells: list[int] = []
    """Numbers (row * columns + column) of the cells with alerts."""
    x: str = ""
    """East within the city's box, in 1 / 65535 of its width."""
    y: str = ""
    """North within the city's box, in 1 / 65535 of its height."""
    cell: str = ""
    """Place in `cells`."""
    day: str = ""
    """Days since `first`."""
    hour: str = ""
    """Hour of the local clock."""
    type: str = ""
    """Place in `types`."""
    begins: str = ""
    """1 for the first alert of an incident."""


def alert_table(store: Store, city: City, last: date) -> AlertTable:
    """Return all cleaned alerts of the city's stored days up to the last one."""
    alerts = store.read_present("cleaned_alerts", city.name, ALERTS_FILE, city.start, last, COLUMNS)
    has_hours = city.time_precision != "day"
    if alerts is None or not len(alerts):
        return AlertTable(has_hours=has_hours)
    days = alerts["date"].to_numpy().astype("datetime64[D]")
    codes = alerts["gunshot_type"].fill_null(UNKNOWN_TYPE_CODE).to_numpy()
    present, kind = np.unique(codes, return_inverse=True)
    box, (rows, columns) = city.box, city.shape
    x = (alerts["longitude"].to_numpy() - box.west) / (box.east - box.west)
    y = (alerts["latitude"].to_numpy() - box.south) / (box.north - box.south)
    row, column = (np.clip((at * size).astype(int), 0, size - 1) for at, size in ((y, rows), (x, columns)))
    cells, cell = np.unique(row * columns + column, return_inverse=True)
    return AlertTable(
        count=len(alerts),
        first=days.min().item(),
        last=days.max().item(),
        has_hours=has_hours,
        types=[city.type_names[int(code)] for code in present],
        cells=cells.tolist(),
        x=_encoded(np.clip(x * STEPS, 0, STEPS)),
        y=_encoded(np.clip(y * STEPS, 0, STEPS)),
        cell=_encoded(cell),
        day=_encoded((days - days.min()).astype(np.int64)),
        hour=_encoded(hours_of_day(wall_clock(alerts["time_utc"], city.zone))),
        type=_encoded(kind),
        begins=_encoded(pc.equal(alerts["user_id"], alerts["incident_id"]).to_numpy()),
    )


def _encoded(values: npt.NDArray[np.generic]) -> str:
    return base64.b64encode(values.astype("<u2").tobytes()).decode()
