"""The page of the last hours: the latest nowcast, and earlier ones with observed incidents."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import ONE_DAY
from shotspotter_assets.evaluation.forecasts_table import cells_of
from shotspotter_assets.forecasts.nowcast_scores import has_new_incident
from shotspotter_assets.forecasts.nowcasting import NowcastRecord
from shotspotter_assets.grid.cells import cell_middles, cell_numbers
from shotspotter_assets.pages.places import Places
from shotspotter_assets.pages.rendering import chance, map_view
from shotspotter_assets.storage.catalogue import ISSUED_MINUTES, NOWCAST_HOURS, NOWCAST_MINUTES
from shotspotter_assets.storage.store import Store

SHOWN_HOURS: Final = 12
SHOWN_PLACES: Final = 10
SHOWN_MINUTES: Final = 60  # length of the compared nowcasts


@dataclass(frozen=True)
class LastHours:
    """The last hours of a city up to its latest nowcast."""

    record: NowcastRecord
    issued: str  # clock time of the nowcast
    ends: datetime  # time from which on it is out of date
    spans: Sequence[str]  # lengths of the forecasts, in words
    places: Sequence[Mapping[str, object]]  # likeliest places, with their chances in each span
    data: Mapping[str, object]  # the map, for `last_hours.js`
    nowcasts: Sequence[Mapping[Hashable, object]]  # earlier nowcasts with observed incidents

    @property
    def has_times(self) -> bool:
        """True if minutes are forecast, whose chances are compared with the hour's forecast."""
        return self.record.without_minutes == ""


def last_hours(store: Store, city: City, places: Places) -> LastHours | None:
    """Return the last hours of a city; None without a nowcast."""
    record = NowcastRecord.find(store, city.name)
    if record is None:
        return None
    spans = _spans(store, city)
    now = datetime.fromisoformat(record.now)
    day = now.astimezone(city.zone).date()
    tables = [store.find_sound_table(ISSUED_MINUTES, city.name, issued_on) for issued_on in (day - ONE_DAY, day)]
    issued = [table for table in tables if table is not None]
    return LastHours(
        record=record,
        issued=clock_time(now, city),
        ends=now + timedelta(hours=1),
        spans=list(spans),
        places=_likely(list(spans.values()), places) if spans else [],
        data=_map_data(spans, record, city),
        nowcasts=_outcomes(pa.concat_tables(issued), record.incidents, now, city, places) if issued else [],
    )


def _spans(store: Store, city: City) -> dict[str, pa.Table]:
    """Return the latest forecasts of minutes and of hours by their length in words; all have the same cells in order."""
    minutes = store.read_table(NOWCAST_MINUTES, city.name)
    hours = store.read_table(NOWCAST_HOURS, city.name)
    of_minutes = {
        f"{length} min": minutes.filter(pc.equal(minutes["minutes"], length))
        for length in sorted(minutes["minutes"].unique().to_pylist())
    }
    return of_minutes | {
        f"{length} h": hours.filter(pc.equal(hours["hours"], length))
        for length in sorted(hours["hours"].unique().to_pylist())
    }


def _likely(spans: Sequence[pa.Table], places: Places) -> list[Mapping[str, object]]:
    """Return the likeliest cells of the shortest span; `times` is over the chance by the hour's forecast alone."""
    shortest = spans[0]
    probability = np.array([table["probability"].to_numpy() for table in spans])
    even = shortest["even" if "even" in shortest.column_names else "probability"].to_numpy()
    top = np.argsort(-probability[0], kind="stable")[:SHOWN_PLACES]
    names = places.names(*cells_of(shortest.take(top)))
    return [
        {
            "name": name,
            "chances": [chance(each) for each in probability[:, cell].tolist()],
            "times": float(probability[0, cell] / even[cell]),
        }
        for name, cell in zip(names, top, strict=True)
    ]


def _map_data(spans: Mapping[str, pa.Table], record: NowcastRecord, city: City) -> Mapping[str, object]:
    """Return the map's cells, its view by span, and the cells in which an incident began in the last hour."""
    since = datetime.fromisoformat(record.now).timestamp() - SHOWN_MINUTES * 60
    begun = [(row, column) for second, row, column in record.incidents if second > since]
    longitude, latitude = cell_middles(city, *np.array(begun, np.int64).reshape(-1, 2).T)
    return {
        "cells": cell_numbers(city, *cells_of(next(iter(spans.values())))).tolist() if spans else [],
        "views": [
            map_view(*(table[name].to_numpy() for name in ("probability", "expected"))) for table in spans.values()
        ],
        "begun": np.column_stack([latitude, longitude]).tolist(),
    }


def _outcomes(
    issued: pa.Table, incidents: Sequence[tuple[float, int, int]], now: datetime, city: City, places: Places
) -> list[dict[Hashable, Any]]:
    """Compare cells with a new incident as expected, by the hour's forecast alone (`even`), and observed."""
    since = pa.scalar(now - timedelta(hours=SHOWN_HOURS), pa.timestamp("us", "UTC"))
    chosen = issued.filter((pc.field("minutes") == SHOWN_MINUTES) & (pc.field("starts_utc") >= since))
    rows = chosen.to_pandas().astype({"probability": np.float64, "even": np.float64})
    rows["observed"] = has_new_incident(chosen, incidents)
    by_nowcast = rows.groupby("starts_utc")
    sums = by_nowcast[["probability", "even", "observed"]].sum()
    top = rows.loc[by_nowcast["probability"].idxmax()]
    outcomes = sums.rename(columns={"probability": "expected"}).assign(
        issued=[clock_time(instant, city) for instant in sums.index],
        likeliest=places.names(top["row"], top["column"]),
        is_over=sums.index + timedelta(minutes=SHOWN_MINUTES) <= now,
    )
    return outcomes[::-1].to_dict("records")


def clock_time(instant: datetime, city: City) -> str:
    """Return an instant on the city's clock, to the minute."""
    return f"{instant.astimezone(city.zone):%Y-%m-%d %H:%M}"
