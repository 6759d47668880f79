"""What a rehearsal did itself, which files landed when, and the notices that it received."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

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


@dataclass(frozen=True)
class Publication:
    """What a layer shows from a moment on."""

    at: float
    """Seconds since 1970."""
    through: date
    """The last day with rows."""


@dataclass
class Story:
    """The landings of the days that land or are published one by one, and the notices."""

    days: list[date]
    notices: list[Notice] = field(default_factory=list)
    published: dict[str, list[Publication]] = field(default_factory=lambda: defaultdict(list))
    """By city, the first of them before anything is asked."""
    _landings: dict[tuple[str, date], list[Landing]] = field(default_factory=lambda: defaultdict(list))

    def add(self, landing: Landing) -> None:
        """Note a landing."""
        self._landings[landing.city, landing.drop.day].append(landing)

    def publish(self, city: str, through: date) -> None:
        """Note that a layer shows the days up to `through`, unless it did before."""
        before = self.published[city][-1].through if self.published[city] else None
        if before == through:
            return
        now = datetime.now(UTC).timestamp()
        self.published[city].append(Publication(now, through))
        for number in range((through - before).days if before else 0):
            self.add(Landing(now, city, Drop(through - timedelta(days=number), "published"), "the layer"))

    def published_through(self, city: str, at: float) -> date | None:
        """The last day that a layer showed at a moment; None of a city whose days land in files."""
        shown = [publication.through for publication in self.published.get(city, []) if publication.at <= at]
        return shown[-1] if shown else None

    def changed_fortnight_at(self, city: str) -> float | None:
        """When a layer last showed more of the days that the newest forecast looks at; None if it has not."""
        seen = newest_day() - timedelta(days=LOOK_BACK_DAYS)
        return max((one.at for one in self.published.get(city, [])[1:] if one.through > seen), default=None)

    def versions(self, city: str, day: date) -> int:
        """Times that a day has to be made: for each landing, or when it was first asked for and when it was published."""
        landed = len(self.readable(city, day))
        if city in self.published:
            return landed + 1
        return landed if day in self.days else 1

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
        if city in self.published:
            return self.days
        missing = [day for day in self.days if not self.readable(city, day)]
        return [day for day in self.days if not missing or day < missing[0]]

    def max_forecasts(self, city: str, day: date) -> int:
        """Times that a day's forecast may be made: once, and again for each later landing of a day that it looks at."""
        if city in self.published:
            return len(self.published[city]) if day == newest_day() else 1
        return self.max_scores(city, day)

    def max_scores(self, city: str, day: date) -> int:
        """Times that a day may be scored: once, and again for each later change of a day that it looks at."""
        if city in self.published:
            return len(self.published[city])
        window = [day - timedelta(days=back) for back in range(LOOK_BACK_DAYS)]
        first = min((landing.at for landing in self.readable(city, day)), default=0.0)
        return 1 + sum(landing.at > first for near in window for landing in self.readable(city, near))


def newest_day() -> date:
    """The newest day that has partitions: its forecast is made again when its inputs change."""
    return datetime.now(UTC).date() - timedelta(days=1)
