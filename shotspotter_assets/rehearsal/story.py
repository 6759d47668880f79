"""What a rehearsal did itself, which files landed when, and the notices that it received."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta

from shotspotter_assets.partitions import LOOK_BACK_DAYS
from shotspotter_assets.rehearsal.drops import Drop


@dataclass(frozen=True)
class Landing:
    """One file that landed."""

    at: float
    """Seconds since 1970."""
    city: str
    drop: Drop
    file: str


@dataclass(frozen=True)
class Notice:
    """One post to the webhook, of one message or several."""

    at: float
    """Seconds since 1970."""
    text: str


@dataclass
class Story:
    """The landings of the days that land one by one, and the notices."""

    days: list[date]
    notices: list[Notice] = field(default_factory=list)
    _landings: dict[tuple[str, date], list[Landing]] = field(default_factory=lambda: defaultdict(list))

    def add(self, landing: Landing) -> None:
        """Note a landing."""
        self._landings[landing.city, landing.drop.day].append(landing)

    def landings(self, city: str, day: date) -> list[Landing]:
        """All landings of a day."""
        return self._landings.get((city, day), [])

    def readable(self, city: str, day: date) -> list[Landing]:
        """The landings of a day of which it can be made."""
        return [landing for landing in self.landings(city, day) if landing.drop.is_readable]

    def unreadable(self) -> list[Landing]:
        """The landings of which nothing can be made."""
        return [landing for landings in self._landings.values() for landing in landings if not landing.drop.is_readable]

    def is_notified(self, landing: Landing) -> bool:
        """Whether a notice names the file as corrupt."""
        return any(f"Corrupt file: {landing.city}, {landing.file}" in notice.text for notice in self.notices)

    def forecast_days(self, city: str) -> list[date]:
        """The days that can be forecast from by now: a day's forecast waits for the days before it."""
        missing = [day for day in self.days if not self.readable(city, day)]
        return [day for day in self.days if not missing or day < missing[0]]

    def max_forecasts(self, city: str, day: date) -> int:
        """Times that a day's forecast may be made: once, and again for each later landing of a day that it looks at."""
        window = [day - timedelta(days=back) for back in range(LOOK_BACK_DAYS)]
        first = min((landing.at for landing in self.readable(city, day)), default=0.0)
        return 1 + sum(landing.at > first for near in window for landing in self.readable(city, near))
