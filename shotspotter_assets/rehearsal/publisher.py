"""A publisher's layer on loopback that shows rows only as they are published: late, a day at a time or in bursts."""

import contextlib
import re
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.rehearsal.loopback import answering

COLUMNS: Final = {
    "OBJECTID": "esriFieldTypeOID",
    "SOURCE_ID": "esriFieldTypeString",
    "OCCURRED": "esriFieldTypeDate",
    "LONGITUDE": "esriFieldTypeDouble",
    "LATITUDE": "esriFieldTypeDouble",
    "TYPE": "esriFieldTypeString",
}
"""Fields of a layer, with their types."""

MAX_ROWS: Final = 2_000
"""Rows of a page, as most layers have it."""


class Publisher:
    """The layers of the cities that publish late."""

    def __init__(self) -> None:
        self._layers: dict[str, sqlite3.Connection] = {}
        self._through: dict[str, str] = {}
        self._lock = threading.Lock()
        self.is_away = False
        """Whether the server takes calls and hangs up."""

    def add(self, name: str, alerts: pa.Table, time_zone: str) -> None:
        """A layer of alerts with `rehearsal.cities.COLUMNS`, of which none is published yet."""
        utc = pc.assume_timezone(alerts["occurred_at"], time_zone, ambiguous="earliest", nonexistent="latest")
        milliseconds = pc.cast(pc.cast(utc, pa.timestamp("ms", "UTC"), safe=False), pa.int64())
        days = pc.strftime(alerts["occurred_at"], "%Y-%m-%d")
        others = (alerts[column] for column in ("longitude", "latitude", "alert_type"))
        columns = [alerts["source_id"], milliseconds, *others, days]
        rows = zip(*(column.to_pylist() for column in columns), strict=True)
        layer = sqlite3.connect(":memory:", check_same_thread=False)
        layer.execute(f"CREATE TABLE layer ({', '.join(COLUMNS)}, day)")
        layer.executemany(
            "INSERT INTO layer VALUES (?, ?, ?, ?, ?, ?, ?)",
            ((number, *row) for number, row in enumerate(rows, start=1)),
        )
        self._layers[name] = layer

    def publish(self, name: str, through: date) -> None:
        """Show the rows of the local days up to `through`."""
        self._through[name] = through.isoformat()

    def answer(self, name: str, asked: Mapping[str, str]) -> dict[str, Any]:
        """What the layer answers to a query, or its description."""
        if "where" not in asked:
            fields = [{"name": field, "type": kind} for field, kind in COLUMNS.items()]
            return {
                "fields": fields,
                "objectIdField": "OBJECTID",
                "maxRecordCount": MAX_ROWS,
                "advancedQueryCapabilities": {"supportsPagination": True},
            }
        day = r"TIMESTAMP '(\S+) 00:00:00'"
        where = re.sub(day, r"(CAST(strftime('%s', '\1') AS INTEGER) * 1000)", asked["where"])
        shown = f"FROM layer WHERE day <= ? AND ({where})"
        with self._lock:
            execute = self._layers[name].execute
            if asked.get("returnCountOnly") == "true":
                return {"count": execute(f"SELECT count(*) {shown}", [self._through[name]]).fetchone()[0]}
            page = [self._through[name], int(asked["resultRecordCount"]), int(asked["resultOffset"])]
            ordered = f"SELECT {', '.join(COLUMNS)} {shown} ORDER BY {asked['orderByFields']} LIMIT ? OFFSET ?"
            rows = execute(ordered, page).fetchall()
        features = [{"attributes": dict(zip(COLUMNS, row, strict=True))} for row in rows]
        return {"features": features, "exceededTransferLimit": len(features) == page[1]}


@contextlib.contextmanager
def publishing(publisher: Publisher) -> Iterator[str]:
    """Serve the layers on a free loopback port: the address below which each is by its name."""

    def answer(path: str, asked: dict[str, str]) -> object:
        return None if publisher.is_away else publisher.answer(path.split("/")[1], asked)

    with answering(answer) as address:
        yield address
