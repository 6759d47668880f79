"""What happens when: a random order of landings, faults and kills, the same for the same seed."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal, NamedTuple

from shotspotter_assets.rehearsal.chaos.hostile_files import LIBRARY

Killed = Literal["run worker", "code server", "daemon", "web server"]

KILLS_IN_10_MINUTES: Final[dict[Killed, int]] = {"run worker": 5, "code server": 2, "daemon": 2, "web server": 1}
CORRECTIONS_IN_10_MINUTES: Final = 4
"""Of each city whose alerts land."""
SPOILED_IN_10_MINUTES: Final = 4
OUTAGES_IN_10_MINUTES: Final = 4
CLOCK_MOVES_IN_10_MINUTES: Final = 4

OUTAGE_SECONDS: Final = (10.0, 40.0)
SECOND_DAEMON_SECONDS: Final = 60.0
MAX_MOVE_SECONDS: Final = 5400
"""By which the clock is moved, back or forth."""

QUIET_SHARE: Final = 0.1
"""At the beginning nothing is killed: there is nothing to lose yet."""


class Landing(NamedTuple):
    """A part of a day lands, or is replaced by a corrected one."""

    city: str
    day: date
    part: int
    version: int = 1

    def __str__(self) -> str:
        again = f", corrected ({self.version})" if self.version > 1 else ""
        return f"{self.city} {self.day} part {self.part} lands{again}"


class Spoiling(NamedTuple):
    """A landed file is replaced by one that is cut off; it is mended when all is over."""

    city: str
    day: date
    part: int

    def __str__(self) -> str:
        return f"{self.city} {self.day} part {self.part} is replaced by half of it"


class Hostility(NamedTuple):
    """A file of the library lands."""

    city: str
    file: str
    day: date

    def __str__(self) -> str:
        return f"{self.city}: hostile file {self.file!a}"


class Publishing(NamedTuple):
    """The layer shows the rows of the days up to one."""

    day: date

    def __str__(self) -> str:
        return f"the layer shows {self.day}"


class Outage(NamedTuple):
    """The layer's server is away for some seconds."""

    seconds: float

    def __str__(self) -> str:
        return f"the layer's server is away for {self.seconds:.0f} s"


class Kill(NamedTuple):
    """SIGKILL to a process."""

    what: Killed

    def __str__(self) -> str:
        return f"SIGKILL to a {self.what}"


class SecondDaemon(NamedTuple):
    """Somebody starts a daemon beside the one that runs, and ends it again."""

    seconds: float

    def __str__(self) -> str:
        return f"a second daemon for {self.seconds:.0f} s"


class ClockMove(NamedTuple):
    """The clock of the installation is set so many seconds from the true time."""

    seconds: int

    def __str__(self) -> str:
        return f"the clock is set {self.seconds:+d} s from the true time"


Action = Landing | Spoiling | Hostility | Publishing | Outage | Kill | SecondDaemon | ClockMove


@dataclass(frozen=True)
class LandedCity:
    """What the plan has to know of a city whose alerts land."""

    name: str
    parts: int
    """Files of a day."""


class Step(NamedTuple):
    """One action."""

    at: float
    """Seconds from the beginning."""
    action: Action


def plan(
    seed: int,
    seconds: float,
    cities: Sequence[LandedCity],
    days: Sequence[date],
    *,
    clock: bool,
    second_daemon: bool = False,
) -> list[Step]:
    """The steps in their order; every part of every day lands, and so does, in five minutes or more, every hostile file.

    Args:
        seed: of the random numbers, which are used for nothing else.
        seconds: in which all of it happens.
        cities: those whose alerts land.
        days: those that land, and are published by the layer, one by one.
        clock: whether the clock can be moved.
        second_daemon: whether somebody starts a second daemon for a while.
    """
    chance = random.Random(seed)  # noqa: S311 - no secret
    share = seconds / 600
    steps = [
        *_kills(chance, seconds, share),
        *_landings(chance, seconds, share, cities, days),
        *_hostilities(chance, seconds, cities, days),
        *(Step((number + 0.5) * seconds / len(days), Publishing(day)) for number, day in enumerate(days)),
        *(
            Step(chance.uniform(0, 0.9) * seconds, Outage(chance.uniform(*OUTAGE_SECONDS)))
            for _ in range(_count(OUTAGES_IN_10_MINUTES, share))
        ),
    ]
    if second_daemon:
        daemon_s = min(SECOND_DAEMON_SECONDS, seconds / 4)
        steps.append(Step(chance.uniform(0.3 * seconds, 0.9 * seconds - daemon_s), SecondDaemon(daemon_s)))
    if clock:
        moves = _count(CLOCK_MOVES_IN_10_MINUTES, share)
        times = (chance.uniform(QUIET_SHARE, 0.9) * seconds for _ in range(moves))
        steps += [Step(at, ClockMove(chance.randint(-MAX_MOVE_SECONDS, MAX_MOVE_SECONDS))) for at in times]
    return sorted(steps, key=lambda step: step.at)


def _count(in_10_minutes: int, share: float) -> int:
    return max(1, round(in_10_minutes * share))


def _kills(chance: random.Random, seconds: float, share: float) -> Iterator[Step]:
    """Spread out, so that there is something to kill again."""
    kills = [Kill(what) for what, number in KILLS_IN_10_MINUTES.items() for _ in range(_count(number, share))]
    chance.shuffle(kills)
    room = seconds * (1 - QUIET_SHARE) / len(kills)
    for number, kill in enumerate(kills):
        yield Step(seconds * QUIET_SHARE + (number + chance.random()) * room, kill)


def _landings(
    chance: random.Random, seconds: float, share: float, cities: Sequence[LandedCity], days: Sequence[date]
) -> Iterator[Step]:
    for city in cities:
        files = [(day, part) for day in days for part in range(city.parts)]
        landed: dict[tuple[date, int], float] = {}
        for number, file in enumerate(files):
            # About in the order of their days, some of them before those that should have come first.
            landed[file] = min(1.0, max(0.0, (number + chance.gauss(0.5, 1)) / len(files))) * seconds * 0.9
            yield Step(landed[file], Landing(city.name, *file))
        chance.shuffle(files)
        corrected, spoiled = _count(CORRECTIONS_IN_10_MINUTES, share), _count(SPOILED_IN_10_MINUTES, share)
        for number, file in enumerate(files[: corrected + spoiled]):
            at = chance.uniform(landed[file] + 0.1, seconds)
            yield Step(at, Landing(city.name, *file, version=2) if number < corrected else Spoiling(city.name, *file))


def _hostilities(
    chance: random.Random, seconds: float, cities: Sequence[LandedCity], days: Sequence[date]
) -> Iterator[Step]:
    files = [*LIBRARY]
    chance.shuffle(files)
    for file in files[: max(1, round(len(files) * min(1.0, seconds / 300)))]:
        yield Step(
            chance.uniform(0, 0.95) * seconds, Hostility(chance.choice(cities).name, file, chance.choice([*days]))
        )
