"""One way to wait in tests: for a condition, until a deadline."""

import subprocess
import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


class NotInTimeError(AssertionError):
    """The condition was not true before the deadline, or its process ended."""


def wait_until(
    condition: Callable[[], Result], seconds: float = 300.0, *, every: float = 0.02,
    ignored: type[Exception] | tuple[type[Exception], ...] = (), process: subprocess.Popen | None = None,
    details: Callable[[], str] = str,
) -> Result:  # fmt: skip
    """Return the first true result of `condition`; `ignored` errors count as false, and `process` has to run meanwhile."""
    deadline = time.monotonic() + seconds
    problem = None
    while True:
        try:
            if result := condition():
                return result
        except ignored as error:
            problem = error
        if time.monotonic() > deadline or (process is not None and process.poll() is not None):
            raise NotInTimeError(f"not within {seconds:g} s\n{details()}") from problem
        time.sleep(every)
