"""The page of the last hours: the latest nowcast, and earlier ones with observed incidents."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.cities.city import City
from shotspotter_assets.models.next_minutes.incident_points import Incidents
from shotspotter_assets.pages.places import Places
from shotspotter_assets.pages.words import chance
from shotspotter_assets.serving.nowcast_scores import has_new_incident
from shotspotter_assets.serving.nowcasting import NowcastRecord, read_latest
from shotspotter_assets.storage.catalogue import ISSUED_MINUTES
from shotspotter_assets.storage.store import Store

SHOWN_HOURS: Final = 12
SHOWN_PLACES: Final = 10
SHOWN_MINUTES: Final = 60
"""Length of the compared nowcasts."""


class MinutesPlace(NamedTuple):
    """A cell of the latest nowcast, with its chances by `LastHours.minutes`.

    `times` is the chance of the shortest minutes as a multiple of that by the hour's forecast alone.
    """

    name: str
    chances: list[str]
    times: float


class ShownNowcast(NamedTuple):
    """An earlier nowcast of an hour: cells with a new incident as expected, by the hour's forecast alone, and observed."""

    issued: str
    expected: float
    even: float
    observed: int
    likeliest: str
    is_over: bool


@dataclass(frozen=True)
class LastHours:
    """Content of the page; the latest nowcast comes first."""

    record: NowcastRecord
    issued: str
    minutes: tuple[int, ...]
    places: list[MinutesPlace]
    nowcasts: list[ShownNowcast]
    shown_hours: int = SHOWN_HOURS


def last_hours(store: Store, city: City, places: Places) -> LastHours | None:
    """Return the last hours of a city up to its latest nowcast; None without one."""
    latest = read_latest(store, city)
    if latest is None:
        return None
    record, minutes, incidents = latest
    now = datetime.fromisoformat(record.now)
    day = now.astimezone(city.zone).date()
    tables = [store.find_table(ISSUED_MINUTES, city.name, one) for one in (day - timedelta(days=1), day)]
    issued = [table for table in tables if table is not None]
    lengths = tuple(sorted(minutes["minutes"].unique().to_pylist()))
    return LastHours(
        record,
        _clock(now, city),
        lengths,
        _likely(minutes, lengths, places) if lengths else [],
        _shown(pa.concat_tables(issued), incidents, now, city, places) if issued else [],
    )


def _likely(minutes: pa.Table, lengths: tuple[int, ...], places: Places) -> list[MinutesPlace]:
    by_length = [minutes.filter(pc.equal(minutes["minutes"], length)) for length in lengths]
    probability = np.array([table["probability"].to_numpy() for table in by_length])
    times = probability[0] / by_length[0]["even"].to_numpy()
    top = np.argsort(-probability[0], kind="stable")[:SHOWN_PLACES]
    names = places.names(*(by_length[0][name].to_numpy()[top] for name in ("row", "column")))
    return [
        MinutesPlace(name, [chance(each) for each in probability[:, cell].tolist()], float(times[cell]))
        for name, cell in zip(names, top, strict=True)
    ]


def _shown(issued: pa.Table, incidents: Incidents, now: datetime, city: City, places: Places) -> list[ShownNowcast]:
    since = pa.scalar(now - timedelta(hours=SHOWN_HOURS), pa.timestamp("us", "UTC"))
    chosen = issued.filter((pc.field("minutes") == SHOWN_MINUTES) & (pc.field("starts_utc") >= since))
    rows = chosen.to_pandas().astype({"probability": np.float64, "even": np.float64})
    rows["observed"] = has_new_incident(chosen, incidents)
    shown = []
    for instant, here in reversed([*rows.groupby("starts_utc")]):
        top = here.loc[here["probability"].idxmax()]
        shown.append(
            ShownNowcast(
                issued=_clock(instant, city),
                expected=here["probability"].sum(),
                even=here["even"].sum(),
                observed=here["observed"].sum(),
                likeliest=places.name(top["row"], top["column"]),
                is_over=instant + timedelta(minutes=SHOWN_MINUTES) <= now,
            )
        )
    return shown


def _clock(instant: datetime, city: City) -> str:
    return f"{instant.astimezone(city.zone):%Y-%m-%d %H:%M}"
