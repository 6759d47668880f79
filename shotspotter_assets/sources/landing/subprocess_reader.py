"""Reads landed files in a subprocess with limits of memory and time, so that a hostile file is named and stops nothing else.

The subprocess reads one file after the other and answers in their order, so the file at fault is always the first without
an answer. The files after it are read by a new process. A process is kept for the next batch, as its start takes a second.
"""

import atexit
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from multiprocessing import Pipe
from typing import Final

import pyarrow as pa

from shotspotter_assets.sources.alert_source import SourceError
from shotspotter_assets.sources.landing import reader_process
from shotspotter_assets.sources.landing.reader_process import Batch, Task

MAX_IDLE: Final = 2
"""Processes that are kept for the next batch."""

MAX_START_SECONDS: Final = 60.0

MAX_ATTEMPTS: Final = 2
"""A file is read again if its process ends, as something else may have ended it."""


def read_in_subprocess(batch: Batch) -> Iterator[tuple[Task, pa.Table | SourceError]]:
    """The rows of each file (`RAW_SCHEMA`), or why they cannot be read, in the order of the tasks.

    Raises:
        SourceError: no process can be started.
    """
    left, attempts = list(batch.tasks), 0
    while left:
        process = _acquire_process()
        try:
            process.send(replace(batch, tasks=left))
            while left:
                result = process.receive(batch.city.limits.seconds)
                yield left[0], _refusal(batch, left[0], result) if isinstance(result, str) else result
                left, attempts = left[1:], 0
            _release_process(process)
        except TimeoutError:
            limit = f"({batch.city.limits.seconds:g} s)"
            yield (
                left[0],
                _refusal(batch, left[0], f"it takes longer than limits.seconds of the city's file allows {limit}"),
            )
            left, attempts = left[1:], 0
        except (EOFError, OSError):
            attempts += 1
            if attempts == MAX_ATTEMPTS:
                memory = f"limits.memory_mb is {batch.city.limits.memory_mb:,}"
                reason = f"the process that read it ended ({process.exit_reason()}), for want of memory or of a defect; {memory}"
                yield left[0], _refusal(batch, left[0], reason)
                left, attempts = left[1:], 0
        finally:
            if not process.is_idle:
                process.end()


def _refusal(batch: Batch, task: Task, reason: str) -> SourceError:
    return SourceError(
        f"City {batch.city.name}: {task.file.path} cannot be read: {reason}. Split the file, replace it, or move it out of the "
        "landing folder."
    )


class _Process:
    """One subprocess that reads files, and the connection to it."""

    def __init__(self) -> None:
        self._connection, theirs = Pipe()
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            # Memory that pools and arenas set aside would count against the limit.
            "ARROW_DEFAULT_MEMORY_POOL": "system",
            "MALLOC_ARENA_MAX": "2",
        }
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  # nothing of it comes from outside
                [sys.executable, "-m", reader_process.__name__, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env=environment,
                start_new_session=True,  # an interrupt at the terminal is for the process that asked
            )
        self.is_idle = True
        try:
            ready = self._connection.poll(MAX_START_SECONDS) and self._connection.recv_bytes()
        except (EOFError, OSError):
            ready = b""
        if not ready:
            self.end()
            raise SourceError(f"No process for landed files can be started ({self.exit_reason()}). Run again.")

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def send(self, batch: Batch) -> None:
        self.is_idle = False
        self._connection.send_bytes(pickle.dumps(batch))

    def receive(self, seconds: float) -> "pa.Table | SourceError | str":
        """The rows of the next file, its error, or the reason why the process could not read it.

        Raises:
            TimeoutError: no answer has come.
            EOFError, OSError: the process has ended.
        """
        if not self._connection.poll(seconds):
            raise TimeoutError
        answer = json.loads(self._connection.recv_bytes())
        table = self._connection.recv_bytes()
        if "error" in answer:
            return SourceError(answer["error"])
        return str(answer["reason"]) if "reason" in answer else pa.ipc.open_stream(table).read_all()

    def exit_reason(self) -> str:
        """How the process ended."""
        code = self._process.wait()
        return signal.Signals(-code).name if code < 0 else f"code {code}"

    def end(self) -> None:
        """End the process, whatever it does."""
        self._connection.close()
        with suppress(OSError):
            self._process.kill()
        self._process.wait()


_idle: list[_Process] = []
_lock = threading.Lock()


@atexit.register
def _end_idle() -> None:
    while _idle:
        _idle.pop().end()


def _acquire_process() -> _Process:
    with _lock:
        while _idle:
            process = _idle.pop()
            if process.is_alive:
                return process
            process.end()
    return _Process()


def _release_process(process: _Process) -> None:
    """Keep a process for the next batch, or end it where enough are kept."""
    with _lock:
        process.is_idle = len(_idle) < MAX_IDLE
        if process.is_idle:
            _idle.append(process)
