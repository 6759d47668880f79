"""The page of the last hours: what the latest nowcast says, and what each of those before said and what came."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.cities.city import City
from shotspotter_assets.models.next_minutes.incidents import Incidents, seconds_of
from shotspotter_assets.pages.chances import chance
from shotspotter_assets.pages.places import Places
from shotspotter_assets.serving.nowcast_scores import came_and_near, issued_minutes
from shotspotter_assets.serving.nowcasts import NowcastRecord, read_latest
from shotspotter_assets.storage.store import Store

HOURS: Final = 12
"""That are shown."""
SHOWN_PLACES: Final = 10
SHOWN_MINUTES: Final = 60
"""Of the nowcasts that are compared with what came."""


@dataclass(frozen=True)
class LikelyPlace:
    """A cell of the latest nowcast."""

    name: str
    chances: tuple[str, ...]
    """By the minutes of `LastHours.minutes`, as "1 in 20"."""
    times: float
    """How many times the chance by the hour's forecast alone, for the shortest minutes."""


@dataclass(frozen=True)
class ShownNowcast:
    """An earlier nowcast, for the next hour."""

    made: str
    """Day and time on the city's clock."""
    expected: float
    """Cells with a new incident."""
    even: float
    """The same by the hour's forecast alone."""
    came: int
    likeliest: str
    """The name of the cell with the highest chance."""
    is_over: bool
    """Whether its hour was over when the latest nowcast was made."""


@dataclass(frozen=True)
class LastHours:
    """What the page shows."""

    record: NowcastRecord
    made: str
    minutes: tuple[int, ...]
    places: list[LikelyPlace]
    nowcasts: list[ShownNowcast]
    """The latest first."""


def last_hours(store: Store, city: City, places: Places) -> LastHours | None:
    """The last hours of a city to its latest nowcast; None without one."""
    latest = read_latest(store, city)
    if latest is None:
        return None
    record, minutes, incidents = latest
    now = datetime.fromisoformat(record.now)
    day = now.astimezone(city.zone).date()
    tables = [issued_minutes(store, city, one) for one in (day - timedelta(days=1), day)]
    issued = pa.concat_tables([table for table in tables if table is not None]) if any(tables) else None
    lengths = tuple(sorted(minutes["minutes"].unique().to_pylist()))
    return LastHours(
        record,
        _clock(now, city),
        lengths,
        _likely(minutes, lengths, places) if lengths else [],
        [] if issued is None else _shown(issued, incidents, now, city, places),
    )


def _likely(minutes: pa.Table, lengths: tuple[int, ...], places: Places) -> list[LikelyPlace]:
    by_length = [minutes.filter(pc.equal(minutes["minutes"], length)) for length in lengths]
    probability = np.array([table["probability"].to_numpy() for table in by_length])
    even = by_length[0]["even"].to_numpy()
    top = np.argsort(-probability[0], kind="stable")[:SHOWN_PLACES]
    names = places.names(*(by_length[0][name].to_numpy()[top] for name in ("row", "column")))
    return [
        LikelyPlace(
            name, tuple(chance(float(each[cell])) for each in probability), float(probability[0, cell] / even[cell])
        )
        for name, cell in zip(names, top, strict=True)
    ]


def _shown(issued: pa.Table, incidents: Incidents, now: datetime, city: City, places: Places) -> list[ShownNowcast]:
    since = pa.scalar(now - timedelta(hours=HOURS), pa.timestamp("us", "UTC"))
    chosen = issued.filter(
        pc.and_(pc.equal(issued["minutes"], SHOWN_MINUTES), pc.greater_equal(issued["starts_utc"], since))
    )
    came, _ = came_and_near(city, chosen, incidents)
    made = seconds_of(chosen["starts_utc"].to_numpy())
    probability, even, row, column = (chosen[name].to_numpy() for name in ("probability", "even", "row", "column"))
    shown = []
    for second in np.unique(made)[::-1]:
        here = np.flatnonzero(made == second)
        top = here[np.argmax(probability[here])]
        instant = datetime.fromtimestamp(second, UTC)
        shown.append(
            ShownNowcast(
                _clock(instant, city),
                float(probability[here].sum(dtype=np.float64)),
                float(even[here].sum(dtype=np.float64)),
                int(came[here].sum()),
                places.name(int(row[top]), int(column[top])),
                instant + timedelta(minutes=SHOWN_MINUTES) <= now,
            )
        )
    return shown


def _clock(instant: datetime, city: City) -> str:
    return f"{instant.astimezone(city.zone):%Y-%m-%d %H:%M}"
