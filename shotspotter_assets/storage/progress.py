"""Progress of long work: nested loops report where they are to listeners of this process and, each half minute, to the log."""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from operator import length_hint
from typing import Any, Final, NamedTuple, TypeVar

log = logging.getLogger(__name__)
LOG_SECONDS: Final = 30
MIN_SECONDS: Final = 0.1  # between reports, because loops over days are quick
MIN_ELAPSED_SECONDS: Final = 3  # before the remaining time is estimated
MIN_SHARE: Final = 0.15

_Item = TypeVar("_Item")


class Report(NamedTuple):
    """Place of a process in its loops."""

    process: int
    place: str = ""  # such as "raw_alerts, day 812 of 1,826"; empty once the loops have ended
    share: float = 0.0
    ends_at: float = 0.0  # estimated time of the end, in seconds since the epoch; 0 if unknown

    def __str__(self) -> str:
        """Return the place with its share and the remaining time, as far as they are known."""
        left = self.ends_at - time.time()
        share = [f"{self.share:.0%}"] if self.share else []
        return ", ".join([self.place, *share, *([f"about {_duration(left)} left"] if left > 0 else [])])


listeners: Final[list[Callable[[Report], object]]] = []
"""Functions that get the reports of this process; a command shows them."""


class _Thread(threading.local):
    """Running loops of a thread, the outermost first, and the times of their start and of reports."""

    def __init__(self) -> None:
        self.loops: list[Steps] = []
        self.began = 0.0
        self.reported = 0.0
        self.logged = 0.0

    def report(self) -> None:
        """Report the present place, unless the last report was a moment ago."""
        now = time.monotonic()
        if not self.loops or now - self.reported < MIN_SECONDS:
            return
        self.reported = now
        share = 0.0
        for loop in reversed(self.loops):
            share = loop.share(share)
        elapsed = now - self.began
        is_known = elapsed >= MIN_ELAPSED_SECONDS and share >= MIN_SHARE
        ends_at = time.time() + elapsed * (1 - share) / share if is_known else 0.0
        places = dict.fromkeys(filter(None, map(str, self.loops)))  # a run of one asset has its name, too
        report = Report(os.getpid(), ", ".join(places), share, ends_at)
        for listener in listeners:
            listener(report)
        if now - self.logged >= LOG_SECONDS:
            self.logged = now
            log.info("%s", report)


_thread = _Thread()


class Steps(AbstractContextManager["Steps"]):
    """A loop over a number of units, such as days, within the loops that surround it; `work` names what they are steps of.

    `seconds` are the usual ones of each step, in order; without them, all take the same time.
    """

    def __init__(self, unit: str, total: int, work: str = "", seconds: Sequence[float] = ()) -> None:
        self.unit = unit
        self.total = total
        self.work = work
        self.seconds = seconds or [1.0] * max(total, 1)
        self.done = 0
        self.done_share = 0.0

    def __str__(self) -> str:
        """Return the work with its present step: "raw_alerts, day 812 of 1,826"."""
        step = f"{self.unit} {min(self.done + 1, self.total):,} of {self.total:,}" if self.total > 1 else ""
        return ", ".join(filter(None, [self.work, step]))

    def share(self, of_step: float) -> float:
        """Return the share that is done, given that of the present step."""
        return min(self.done_share + of_step * self._share_of_step(), 1.0)

    def _share_of_step(self) -> float:
        return self.seconds[min(self.done, len(self.seconds) - 1)] / sum(self.seconds)

    def __enter__(self) -> "Steps":
        if not _thread.loops:
            _thread.began = _thread.logged = time.monotonic()
        _thread.loops.append(self)
        _thread.report()
        return self

    def __exit__(self, *_: Any) -> None:
        _thread.loops.remove(self)
        if not _thread.loops:
            for listener in listeners:
                listener(Report(os.getpid()))

    def advance(self, share: float | None = None) -> None:
        """Report that a step is done, and with it a share of the loop: by default, that of its usual seconds."""
        self.done_share += self._share_of_step() if share is None else share
        self.done += 1
        _thread.report()


def steps(
    unit: str, items: Iterable[_Item], work: str = "", total: int = 0, seconds: Sequence[float] = ()
) -> Iterator[_Item]:
    """Yield items, and report each before it is made and used; those without a length need `total`. See `Steps`."""
    with Steps(unit, total or length_hint(items), work, seconds) as loop:
        for item in items:
            yield item
            loop.advance()


def _duration(seconds: float) -> str:
    """Return a duration in words, rounded up: "20 s", "3 min", "2 h"."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds > 2 * size:
            return f"{-int(-seconds // size)} {unit}"
    return f"{int(seconds) + 1} s"
