from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from shotspotter_assets.forecasts.nowcasting import Nowcast, NowcastRecord, write_nowcast
from shotspotter_assets.pages.last_hours import last_hours
from shotspotter_assets.pages.places import Places
from shotspotter_assets.pages.site import PagesRecord, renew_last_hours
from shotspotter_assets.storage.catalogue import NOWCAST_HOURS, NOWCAST_MINUTES, PAGE
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.models.next_hours.simulated_incidents import CELLS, CITY, NOON, incidents

PLACES = Places(CITY)
LIKELIEST = PLACES.names(*np.array(CELLS[1:2]).T)[0]


def cast(now: datetime, probability: list[float], begun: list[tuple[datetime, int]]) -> Nowcast:
    """A nowcast with a probability an hour for each cell, issued after the incidents that have begun."""
    rows = [
        {
            "horizon": f"{minutes}m", "starts_utc": now, "minutes": minutes, "row": row, "column": column,
            "probability": one * minutes / 60, "expected": one * minutes / 60, "even": 0.01 * minutes / 60,
        }
        for minutes in (15, 60) for (row, column), one in zip(CELLS, probability, strict=True)
    ]  # fmt: skip
    found = incidents(*begun)
    record = NowcastRecord(
        city=CITY.name, now=now.isoformat(), starts="", models_from=date(2021, 2, 1), without_minutes="",
        alerts_since_midnight=len(begun), incidents_last_hour=len(found.within(now.timestamp() - 3600, np.inf)),
        incidents=found.points,
    )  # fmt: skip
    minutes = pa.Table.from_pylist(rows, NOWCAST_MINUTES.schema)
    return Nowcast(NOWCAST_HOURS.schema.empty_table(), minutes, record)


def test_earlier_nowcasts_show_observed_incidents(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    assert last_hours(store, CITY, PLACES) is None
    begun = [(NOON - timedelta(minutes=10), 0), (NOON + timedelta(minutes=59), 1), (NOON + timedelta(minutes=61), 2)]
    write_nowcast(store, CITY, cast(NOON - timedelta(hours=13), [0.1, 0.1, 0.1], begun[:1]))
    write_nowcast(store, CITY, cast(NOON, [0.1, 0.3, 0.2], begun[:1]))
    write_nowcast(store, CITY, cast(NOON + timedelta(minutes=62), [0.4, 0.1, 0.2], begun))
    found = last_hours(store, CITY, PLACES)
    assert (found.spans, found.record.incidents_last_hour) == (["15 min", "60 min"], 2)
    chances = [["1 in 10", "4 in 10"], ["1 in 20", "1 in 5"], ["1 in 40", "1 in 10"]]
    assert [place["chances"] for place in found.places] == chances
    assert [round(place["times"], 3) for place in found.places] == [40, 20, 10]
    latest, first = found.nowcasts
    assert (latest["observed"], latest["is_over"], latest["issued"]) == (0, False, "2021-02-03 13:02")
    assert (first["observed"], first["is_over"]) == (1, True)
    assert (round(first["expected"], 5), round(first["even"], 5)) == (0.6, 0.03)
    assert first["likeliest"] == LIKELIEST


def test_only_the_page_of_the_last_hours_is_renewed(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    write_nowcast(store, CITY, cast(NOON, [0.1, 0.3, 0.2], [(NOON, 0)]))
    renew_last_hours(store, CITY, PLACES)
    assert not store.exists(PAGE.named(file="last_hours.html"), CITY.name)
    record = PagesRecord(city=CITY.name, files={"other.html": "a hash"})
    record.write(store)
    for file in ("other.html", "unrecorded.html"):
        store.write_bytes(PAGE.named(file=file), b"x", CITY.name)
    renew_last_hours(store, CITY, PLACES)
    page = store.read_bytes(PAGE.named(file="last_hours.html"), CITY.name).decode()
    assert "The latest nowcast was issued at 2021-02-03 12:00: 1 incident began in the hour before" in page
    assert LIKELIEST in page
    assert "polled" not in page
    renew_last_hours(store, CITY, PLACES, NOON + timedelta(minutes=5))
    page = store.read_bytes(PAGE.named(file="last_hours.html"), CITY.name).decode()
    assert "since midnight. The source was last polled at 2021-02-03 12:05.</p>" in page
    kept = PagesRecord.load(store, CITY.name)
    assert set(kept.files) == {"other.html", "unrecorded.html", "last_hours.html", "hours.js"}
    assert store.exists(PAGE.named(file="unrecorded.html"), CITY.name)
