"""Landed files are read in a process of their own, with limits of memory and time: the side that asks.

A process reads many files, also of several cities, as its start takes half a second. If it ends, runs out of memory or
takes too long while it has several files open, each of these is read again alone, so that the one at fault is known.
"""

import atexit
import json
import logging
import os
import pickle
import re
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from time import monotonic
from typing import Any, Final, TypeAlias

import pyarrow as pa

from shotspotter_assets.cities.limits import Limits
from shotspotter_assets.sources.landing import reader_process
from shotspotter_assets.sources.landing.one_file import Shelf
from shotspotter_assets.sources.landing.reader_process import HEADER, Batch, Task
from shotspotter_assets.sources.protocol import SourceError
from shotspotter_assets.sources.schema import RAW_SCHEMA


@dataclass(frozen=True)
class LeftRows:
    """The rows of a file as the process has left them, `RAW_SCHEMA`."""

    path: Path
    parts: Sequence[int]
    """The part of the days that each record batch is of."""

    def of_part(self, part: int) -> pa.Table:
        """Its rows, read from the disk each time."""
        with pa.OSFile(str(self.path)) as file:
            reader = pa.ipc.open_file(file)
            batches = [reader.get_batch(number) for number, its_part in enumerate(self.parts) if its_part == part]
        return pa.Table.from_batches(batches, reader.schema).cast(RAW_SCHEMA)


Result: TypeAlias = LeftRows | dict[date, str] | SourceError
"""What was wanted of a file, or why it cannot be had."""

MAX_IDLE: Final = 2
"""Processes that are kept for the next files; they end themselves after a while."""

MAX_STARTS: Final = 3
"""So often a process is started that ends before it has begun with a file."""

MAX_START_SECONDS: Final = 60.0
"""Maximum time without a word while no file is open."""

MAX_ATTEMPTS: Final = 2
"""So often a file is read alone or with others in a process that ends for a reason that is not known."""

OUT_OF_MEMORY: Final = re.compile(rb"memory allocation of \d+ bytes failed|bad_alloc|MemoryError")
"""What Rust, C++ and Python say before they end."""

MAX_SAID_BYTES: Final = 2**20


def read_apart(shelf: Shelf, tasks: Sequence[Task], folder: str = "") -> Iterator[tuple[Task, Result]]:
    """The result of each task, in the order in which they are done.

    Args:
        shelf: of the files.
        tasks: what is wanted of each.
        folder: where rows are left.

    Raises:
        SourceError: no process can be started.
    """
    left = dict(enumerate(tasks))
    attempts = Counter[int]()
    failed_starts = 0
    alone: list[int] = []
    while left:
        numbers = [alone.pop()] if alone else list(left)
        opened: set[int] = set()
        reader = _borrowed()
        try:
            for answer in reader.answers(Batch(shelf, tuple(left[number] for number in numbers), folder)):
                if "begun" in answer:
                    opened.add(numbers[answer["begun"]])
                    continue
                number = numbers[answer["done"]]
                opened.discard(number)
                if answer.get("out_of_memory") and len(numbers) > 1:
                    alone.append(number)
                else:
                    yield left[number], _result(shelf, left.pop(number), answer, folder)
        except _ReaderEndedError as ended:
            attempts.update(opened)
            failed_starts += not opened
            if failed_starts == MAX_STARTS:
                raise _refused(shelf, left[numbers[0]], ended.reason) from None
            if len(numbers) == 1 and opened and (ended.is_files_fault or attempts[numbers[0]] == MAX_ATTEMPTS):
                task = left.pop(numbers[0])
                yield task, _refused(shelf, task, ended.reason)
            else:
                alone += opened
        finally:
            _give_back(reader)


def _result(shelf: Shelf, task: Task, answer: dict[str, Any], folder: str) -> Result:
    for name, level, message in answer["log"]:
        logging.getLogger(name).log(level, "%s", message)
    if "error" in answer:
        return SourceError(answer["error"])
    if "versions" in answer:
        return {date.fromisoformat(day): version for day, version in answer["versions"].items()}
    if "table" in answer:
        return LeftRows(Path(folder) / Path(answer["table"]).name, answer["parts"])
    return _refused(shelf, task, _beyond_memory(shelf.city.limits))


def _refused(shelf: Shelf, task: Task, reason: str) -> SourceError:
    return SourceError(
        f"City {shelf.city.name}: {task.file.path} cannot be read: {reason}. Split the file, replace it, or move it out of "
        "the landing folder."
    )


def _beyond_memory(limits: Limits) -> str:
    return f"it takes more memory than limits.memory_mb of the city's file allows ({limits.memory_mb:,} MB)"


class _ReaderEndedError(Exception):
    """The process has ended, or was ended, with files open or before it opened any."""

    def __init__(self, reason: str, *, is_files_fault: bool) -> None:
        super().__init__(reason)
        self.reason, self.is_files_fault = reason, is_files_fault


class _Reader:
    """One process that reads files, as `reader_process` has it."""

    def __init__(self) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the process
        self._access = _access()
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            # Pools that set memory aside would count against the limit, and arenas for each thread too.
            "ARROW_DEFAULT_MEMORY_POOL": "system",
            "MALLOC_ARENA_MAX": "2",
            "RUST_BACKTRACE": "0",
        }
        self._process = subprocess.Popen(  # noqa: S603  # nothing of it comes from outside
            [sys.executable, "-c", f"from {reader_process.__name__} import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment,
            start_new_session=True,  # an interrupt at the terminal is for those who asked
        )
        self.owner = os.getpid()
        self.is_busy = self.is_tired = False

    @property
    def is_alive(self) -> bool:
        return self.owner == os.getpid() and self._process.poll() is None

    @property
    def has_access(self) -> bool:
        """Whether it was started with the keys of a bucket that this process has now."""
        return self._access == _access()

    def answers(self, batch: Batch) -> Iterator[dict[str, Any]]:
        """What the process says of each file: that it has begun with it, and what came of it.

        Raises:
            _ReaderEndedError: it has ended, or was ended as it took longer with a file than the city's limits allow.
        """
        limits = batch.shelf.city.limits
        content = pickle.dumps(batch)
        self.is_busy = True
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(HEADER.pack(len(content)) + content)
            self._process.stdin.flush()
        except OSError:
            raise self._ended(limits) from None
        begun: dict[int, float] = {}
        started = monotonic()

        def deadline() -> float:
            return min(begun.values()) + limits.seconds if begun else started + MAX_START_SECONDS

        for answer in self._lines(deadline):
            if answer is None:
                reason = f"it takes longer than limits.seconds of the city's file allows ({limits.seconds:g} s)"
                raise _ReaderEndedError(reason if begun else "its reader is not heard of", is_files_fault=bool(begun))
            if answer.get("over"):
                self.is_busy, self.is_tired = False, answer["tired"]
                if begun:
                    raise _ReaderEndedError("its reader has not answered", is_files_fault=False)
                return
            if "begun" in answer:
                begun[answer["begun"]] = monotonic()
            else:
                begun.pop(answer["done"])
                started = monotonic()
            yield answer
        raise self._ended(limits)

    def _lines(self, deadline: Callable[[], float]) -> Iterator[dict[str, Any] | None]:
        """Lines as they come, None once the deadline is over; ends with the process."""
        assert self._process.stdout is not None
        descriptor, rest = self._process.stdout.fileno(), b""
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while True:
                if not selector.select(max(deadline() - monotonic(), 0)):
                    yield None
                part = os.read(descriptor, 1 << 16)
                if not part:
                    return
                *lines, rest = (rest + part).split(b"\n")
                for line in lines:
                    yield json.loads(line)

    def _ended(self, limits: Limits) -> _ReaderEndedError:
        """Why the process ended by itself."""
        code = self._process.wait()
        self._errors.seek(0)
        said = self._errors.read(MAX_SAID_BYTES)
        if OUT_OF_MEMORY.search(said):
            return _ReaderEndedError(_beyond_memory(limits), is_files_fault=True)
        by = signal.Signals(-code).name if code < 0 else f"code {code}"
        return _ReaderEndedError(f"its reader was ended ({by})", is_files_fault=False)

    def end(self) -> None:
        """End the process, whatever it does."""
        if self.owner != os.getpid():
            return
        with suppress(OSError):
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                with suppress(OSError):
                    stream.close()


def _access() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("AWS_")}


_idle: list[_Reader] = []
_lock = threading.Lock()


@atexit.register
def _end_idle() -> None:
    while _idle:
        _idle.pop().end()


def _borrowed() -> _Reader:
    with _lock:
        while _idle:
            reader = _idle.pop()
            if reader.is_alive and reader.has_access:
                return reader
            reader.end()
    return _Reader()


def _give_back(reader: _Reader) -> None:
    """For the next files, unless it has ended, was left in the middle, or has grown."""
    with _lock:
        if reader.is_alive and not reader.is_busy and not reader.is_tired and len(_idle) < MAX_IDLE:
            _idle.append(reader)
            return
    reader.end()
