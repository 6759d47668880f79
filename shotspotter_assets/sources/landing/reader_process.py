"""The process that reads landed files, so that a file that hangs, or takes too much memory, stops nothing else.

`subprocess_reader` starts it. Batches come pickled, from the process that started this one. Answers are JSON and Arrow
streams: nothing that was made from a foreign file is unpickled.
"""

import json
import logging
import os
import pickle
import resource
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow as pa

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.source_settings import MEGABYTE, LandingSource
from shotspotter_assets.sources.alert_source import SourceError
from shotspotter_assets.sources.landing.one_file import LandedFile, read_rows

IDLE_SECONDS: Final = 60.0
"""A process without work ends after this."""

MAX_KEPT_MB: Final = 512
"""A process whose memory has grown by more than this ends after its batch."""


class Task(NamedTuple):
    """One file to read."""

    file: LandedFile
    content: Path
    """Local path with the content of the file."""
    days: tuple[date, date]
    """First and last day of the rows to return."""


@dataclass(frozen=True)
class Batch:
    """Files of one source of a city."""

    city: City
    source: LandingSource
    tasks: Sequence[Task]

    def read(self, task: Task) -> pa.Table:
        """The rows of one file; see `read_rows`."""
        return read_rows(task.content, task.file, self.city, self.source, task.days)


class _Records(logging.Handler):
    """Collects log records for the process that started this one."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[tuple[str, int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append((record.name, record.levelno, record.getMessage()))

    def take(self) -> list[tuple[str, int, str]]:
        taken, self.records = self.records, []
        return taken


def main() -> None:
    """Work on batches until the connection ends."""
    connection, records = Connection(int(sys.argv[1])), _Records()
    logging.getLogger().addHandler(records)
    logging.captureWarnings(True)
    at_start, peak_at_start = _data_bytes(), _peak_mb()
    connection.send_bytes(b"ready")
    with suppress(EOFError, OSError):
        while _peak_mb() < peak_at_start + MAX_KEPT_MB and connection.poll(IDLE_SECONDS):
            batch: Batch = pickle.loads(connection.recv_bytes())  # noqa: S301  # from the process that started this one
            _limit_memory(at_start + batch.city.limits.memory_mb * MEGABYTE)
            for task in batch.tasks:
                table, answer = _answer(batch, task)
                connection.send_bytes(json.dumps(answer | {"log": records.take()}).encode())
                connection.send_bytes(table)


def _answer(batch: Batch, task: Task) -> tuple[bytes, dict[str, Any]]:
    """(Arrow stream of the rows, what went wrong)."""
    try:
        return _stream(batch.read(task)), {}
    except SourceError as error:
        return b"", {"error": str(error)}
    except MemoryError:
        reason = (
            f"it takes more memory than limits.memory_mb of the city's file allows ({batch.city.limits.memory_mb:,} MB)"
        )
    except Exception as error:  # whatever a library makes of a foreign file, the other files are read
        reason = f"{type(error).__name__}: {str(error).splitlines()[:1]}"
    return b"", {"reason": reason}


def _stream(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_table(rows)
    return bytes(sink.getvalue().to_pybytes())


def _limit_memory(size: int) -> None:
    """Let allocations beyond `size` bytes fail, and let the kernel end this process first when memory runs out."""
    with suppress(OSError, ValueError):
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        wanted = size if hard == resource.RLIM_INFINITY else min(size, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))
        Path("/proc/self/oom_score_adj").write_text("1000")


def _data_bytes() -> int:
    """Memory for data of this process (VmData), 0 where /proc is missing."""
    with suppress(OSError):
        lines = Path("/proc/self/status").read_text().splitlines()
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData:")), 0)
    return 0


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
    os._exit(0)  # whatever a library is still doing
