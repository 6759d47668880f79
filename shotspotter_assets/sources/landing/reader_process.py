"""The process that reads landed files, so that one that takes too much, or breaks a library, ends nothing else.

Started by `apart`, which sends it batches (pickled, from a process that is trusted) and reads lines of JSON; tables
are left as Arrow files. Nothing that was made of a foreign file is unpickled.
"""

import json
import logging
import os
import pickle
import queue
import select
import struct
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from shotspotter_assets.cities.limits import MEGABYTE
from shotspotter_assets.sources.landing.file_readers import broken
from shotspotter_assets.sources.landing.one_file import LandedFile, Shelf
from shotspotter_assets.sources.protocol import SourceError
from shotspotter_assets.sources.schema import RAW_SCHEMA

MAX_FILES_AT_ONCE: Final = 8
"""On S3, most of the time of a small file is waiting."""

IDLE_SECONDS: Final = 60.0
"""A process that is asked for nothing ends itself after this."""

MAX_KEPT_MB: Final = 512
"""A process that has held more than this beyond its beginning is replaced."""

LEFT: Final = pa.ipc.IpcWriteOptions(compression="lz4")
"""How rows are left: that each repeats the name of its file takes no room then."""

HEADER: Final = struct.Struct(">Q")
"""Before each batch: the number of its bytes."""


class Task(NamedTuple):
    """One file, and what is wanted of it: the rows of days, or, where `first` is None, the versions of all days to `last`."""

    file: LandedFile
    first: date | None
    last: date
    further_parts: tuple[date, ...] = ()
    """The days with which the second part of the days and those after it begin; each part's rows are left apart."""


@dataclass(frozen=True)
class Batch:
    """Files of one source of a city."""

    shelf: Shelf
    tasks: tuple[Task, ...]
    folder: str
    """Where tables are left."""


class _Answers:
    """Lines of JSON on what was standard output; whatever libraries print goes to standard error."""

    def __init__(self) -> None:
        self._stream: IO[str] = os.fdopen(os.dup(1), "w", encoding="utf-8")
        self._lock = threading.Lock()
        os.dup2(2, 1)

    def write(self, **answer: Any) -> None:
        with self._lock:
            self._stream.write(json.dumps(answer) + "\n")
            self._stream.flush()


class _Records(logging.Handler):
    """Log records by the thread that made them, which works on one file at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._by_thread: dict[int | None, list[tuple[str, int, str]]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        self._by_thread.setdefault(record.thread, []).append((record.name, record.levelno, record.getMessage()))

    def taken(self) -> list[tuple[str, int, str]]:
        return self._by_thread.pop(threading.get_ident(), [])


def main() -> None:
    """Work on batches until standard input ends, as it does with the process that opened it."""
    answers, records = _Answers(), _Records()
    logging.getLogger().addHandler(records)
    logging.captureWarnings(True)
    batches: queue.Queue[bytes] = queue.Queue()
    at_start, largest_kept = _memory_bytes("VmData"), _memory_bytes("VmHWM") + MAX_KEPT_MB * MEGABYTE

    def work() -> None:
        try:
            while True:
                batch: Batch = pickle.loads(batches.get())  # noqa: S301  # made by the process that started this one
                _limit_memory(at_start + batch.shelf.city.limits.memory_mb * MEGABYTE)
                with ThreadPoolExecutor(min(MAX_FILES_AT_ONCE, len(batch.tasks))) as pool:
                    for number, task in enumerate(batch.tasks):
                        pool.submit(_answer, answers, records, batch, number, task)
                batches.task_done()
                answers.write(over=True, tired=_memory_bytes("VmHWM") > largest_kept)
        except BaseException:
            traceback.print_exc()
            os._exit(1)  # the one that asks sees that it has ended

    threading.Thread(target=work, daemon=True).start()
    _receive(batches)
    os._exit(0)  # whatever a library is still doing


def _receive(batches: "queue.Queue[bytes]") -> None:
    while True:
        has_input = bool(select.select([0], [], [], IDLE_SECONDS)[0])
        if not has_input and not batches.unfinished_tasks:
            return
        if has_input:
            header = _read(HEADER.size)
            if len(header) < HEADER.size:
                return
            batches.put(_read(HEADER.unpack(header)[0]))


def _read(size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = os.read(0, size - len(parts))
        if not part:
            break
        parts += part
    return bytes(parts)


def _answer(answers: _Answers, records: _Records, batch: Batch, number: int, task: Task) -> None:
    answers.write(begun=number)
    result: dict[str, Any] = {}
    try:
        result = _result(batch, number, task)
    except MemoryError:
        result = {"out_of_memory": True}
    except SourceError as error:
        result = {"error": str(error)}
    except Exception as error:  # whatever a library makes of a foreign file, the other files are read
        result = {"error": str(broken(batch.shelf.city, task.file.path, error))}
    answers.write(done=number, log=records.taken(), **result)


def _result(batch: Batch, number: int, task: Task) -> dict[str, Any]:
    if task.first is None:
        versions = batch.shelf.day_versions(task.file, task.last)
        return {"versions": {day.isoformat(): version for day, version in versions.items()}}
    path = Path(batch.folder) / f"{number}.arrow"
    parts: list[int] = []
    starts = np.array(task.further_parts, dtype="datetime64[D]")
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, RAW_SCHEMA, options=LEFT) as writer:
        for rows in batch.shelf.rows(task.file, task.first, task.last):
            part = np.searchsorted(starts, rows["date"].to_numpy().astype("datetime64[D]"), side="right")
            for number_of_part in np.unique(part):
                of_part = rows.filter(pa.array(part == number_of_part)).combine_chunks()
                for of_batch in of_part.to_batches():
                    writer.write_batch(of_batch)
                    parts.append(int(number_of_part))
    return {"table": path.name, "parts": parts}


def _limit_memory(size: int) -> None:
    """Let allocations beyond `size` bytes fail, and be the first to go where the machine has no more."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        wanted = size if hard == resource.RLIM_INFINITY else min(size, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))
        Path("/proc/self/oom_score_adj").write_text("1000")


def _memory_bytes(name: str) -> int:
    """A line of /proc/self/status, 0 where there is none."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return 0
