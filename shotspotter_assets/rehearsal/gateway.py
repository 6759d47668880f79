"""A vendor's gateway on loopback that gives alerts at once: recorded alerts again, faster, with all that a gateway may do.

Some alerts come without a type, which is sent later as a correction, some are handed over twice, and for a while it is down.
"""

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from shotspotter_assets.rehearsal.loopback import answering

UNTYPED_EVERY: Final = 3
"""One alert in so many comes without its type."""
TWICE_EVERY: Final = 10
"""One alert in so many is in every answer twice."""


@dataclass(frozen=True)
class Emitted:
    """An alert of the gateway."""

    id: str
    at: float
    """Seconds since 1970 at which it is there, which is also its time."""
    longitude: float
    latitude: float
    type: str
    typed_at: float
    """When its type is there."""
    is_twice: bool = False

    def row(self, now: float) -> dict[str, Any]:
        """As it is handed over."""
        when = datetime.fromtimestamp(self.at, UTC).isoformat(timespec="milliseconds")
        typed = {"type": self.type, "version": 2} if self.typed_at <= now else {"version": 1}
        return {"id": self.id, "time": when, "lat": self.latitude, "lon": self.longitude, **typed}


@dataclass(frozen=True)
class Answer:
    """What the gateway had when it was asked."""

    at: float
    alerts: int
    """Different ones, of all days."""
    types: int
    """Those of them with a type."""


@dataclass
class Gateway:
    """See the module.

    Attributes:
        alerts: all that there ever are, by time.
        down: seconds since 1970 from and to which it takes calls and hangs up.
        answers: what it has answered.
    """

    alerts: Sequence[Emitted]
    down: tuple[float, float] = (0.0, 0.0)
    answers: list[Answer] = field(default_factory=list)

    def is_down(self, now: float) -> bool:
        """Whether it hangs up."""
        return self.down[0] <= now < self.down[1]

    def rows(self, first: float, last: float, now: float) -> list[dict[str, Any]]:
        """The alerts between two instants that are there."""
        there = [alert for alert in self.alerts if alert.at <= now]
        self.answers.append(Answer(now, len(there), sum(alert.typed_at <= now for alert in there)))
        asked = [alert for alert in there if first <= alert.at < last]
        return [alert.row(now) for alert in asked for _ in range(1 + alert.is_twice)]


def emitted(
    recorded: Sequence[tuple[float, float, float, str]], begin: float, speed: float, typed_after: float
) -> list[Emitted]:
    """Recorded alerts (seconds, longitude, latitude, type), the first of them at `begin`, so many times as fast.

    Args:
        recorded: by time.
        begin: seconds since 1970.
        speed: times.
        typed_after: seconds until a type that is not there at once is sent.
    """
    made = []
    for number, (second, longitude, latitude, kind) in enumerate(recorded):
        at = begin + (second - recorded[0][0]) / speed
        late = 0.0 if number % UNTYPED_EVERY else typed_after
        made.append(
            Emitted(f"live-{number}", at, longitude, latitude, kind, at + late, number % TWICE_EVERY == TWICE_EVERY - 1)
        )
    return made


SOURCE: Final = {
    "kind": "alerts_api",
    "paging": {"style": "page", "next": "more"},
    "rows": "alerts",
    "instant_format": "epoch_s",
    "version": "version",
    "columns": {"time": "time", "longitude": "lon", "latitude": "lat", "gunshot_type": "type", "source_id": "id"},
}
"""Of the city's file, without the address."""


@contextlib.contextmanager
def serving(gateway: Gateway) -> Iterator[str]:
    """Serve the gateway on a free loopback port: the address for the city's file."""

    def answer(_: str, asked: dict[str, str]) -> object:
        now = time.time()
        if gateway.is_down(now):
            return None
        return {"alerts": gateway.rows(float(asked["from"]), float(asked["to"]), now), "more": False}

    with answering(answer) as address:
        yield f"{address}/alerts?from={{first}}&to={{last}}"
