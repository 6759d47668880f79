"""All alerts of a city, as small as the browser can filter them."""

import base64
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from shotspotter_assets.calendar.local_time import wall_clock
from shotspotter_assets.calendar.weekdays import hours_of_day
from shotspotter_assets.cities.city import UNKNOWN_TYPE_CODE, City
from shotspotter_assets.storage.file_names import ALERTS_FILE
from shotspotter_assets.storage.store import Store

COLUMNS = ("time_utc", "longitude", "latitude", "gunshot_type", "user_id", "incident_id")


class AlertTable(BaseModel):
    """Alerts by time. Columns are base64 of little-endian numbers: uint16, or uint8 where said."""

    model_config = ConfigDict(frozen=True)

    count: int
    first: date | None
    """The day that is number 0; None without alerts."""
    last: date | None
    has_hours: bool
    types: list[str]
    """Names of the types that occur."""
    x: str
    """East within the city's box, in 1 / 65535 of its width."""
    y: str
    """North, likewise."""
    day: str
    """Days since `first`."""
    hour: str
    """Of the local clock, uint8."""
    type: str
    """Place in `types`, uint8."""
    begins: str
    """1 for the first alert of an incident, uint8."""


def alert_table(store: Store, city: City, last: date) -> AlertTable:
    """All cleaned alerts of the city's stored days to the last one."""
    alerts = store.read_present("cleaned_alerts", city.name, ALERTS_FILE, city.start, last, COLUMNS)
    if alerts is None or not len(alerts):
        return AlertTable(
            count=0, first=None, last=None, has_hours=city.time_precision != "day", types=[],
            x="", y="", day="", hour="", type="", begins="",
        )  # fmt: skip
    days = alerts["date"].to_numpy().astype("datetime64[D]")
    codes = alerts["gunshot_type"].fill_null(UNKNOWN_TYPE_CODE).to_numpy()
    present = np.unique(codes)
    box = city.box
    east = (alerts["longitude"].to_numpy() - box.west) / (box.east - box.west)
    north = (alerts["latitude"].to_numpy() - box.south) / (box.north - box.south)
    return AlertTable(
        count=len(alerts),
        first=days.min().item(),
        last=days.max().item(),
        has_hours=city.time_precision != "day",
        types=[city.type_names[int(code)] for code in present],
        x=_encoded(np.rint(east * 65535), np.uint16),
        y=_encoded(np.rint(north * 65535), np.uint16),
        day=_encoded((days - days.min()).astype(np.int64), np.uint16),
        hour=_encoded(hours_of_day(wall_clock(alerts["time_utc"], city.zone)), np.uint8),
        type=_encoded(np.searchsorted(present, codes), np.uint8),
        begins=_encoded(_is_first(alerts), np.uint8),
    )


def _is_first(alerts: pa.Table) -> npt.NDArray[np.int64]:
    return pc.equal(alerts["user_id"], alerts["incident_id"]).cast("int64").to_numpy()


def _encoded(values: npt.NDArray[np.integer | np.floating], kind: type[np.unsignedinteger]) -> str:
    return base64.b64encode(values.astype(np.dtype(kind).newbyteorder("<")).tobytes()).decode()
