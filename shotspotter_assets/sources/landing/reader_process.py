"""The process that reads landed files, so that a file that hangs, or takes too much memory, stops nothing else.

`subprocess_reader` starts it. Batches come pickled, from the process that started this one. Answers are JSON and Arrow
streams: nothing that was made from a foreign file is unpickled.
"""

import json
import os
import pickle
import resource
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from multiprocessing.connection import Connection
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple

import pyarrow as pa

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.source_settings import MEGABYTE, LandingSource
from shotspotter_assets.sources.alert_source import SourceError
from shotspotter_assets.sources.landing.formats import FORMATS, refuse_large_file, refuse_many_rows
from shotspotter_assets.sources.landing.text_formats import WrongContentError
from shotspotter_assets.sources.raw_rows import to_raw

IDLE_SECONDS: Final = 60.0
"""A process without work ends after this."""


class LandedFile(NamedTuple):
    """One file of the landing folder, and the local days of its rows."""

    path: str
    """As the rows name it (`received_from`)."""
    modified: datetime
    named_day: date | None
    """The day in the file's name, where the city's file says that names have one (`file_date`)."""
    filing_day: date
    """The day of rows without a usable date: the day in the name, kept within the city's days, else the first day."""
    plausible_days: tuple[date, date]
    """First and last local day that a row's own time may name; other rows are filed under `filing_day`."""


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
        """The rows of a file that are filed under the task's days, as `RAW_SCHEMA`.

        Raises:
            SourceError: the file cannot be read, cannot be understood, or exceeds the city's limits.
        """
        file, city = task.file, self.city
        kind = FORMATS[PurePosixPath(file.path).suffix.lower()]
        try:
            refuse_large_file(task.content.stat().st_size, city.limits)
            table = kind.read(task.content, self.source)
            refuse_many_rows(table.num_rows, city.limits.max_rows)
        except WrongContentError as error:
            text = str(error)
            raise SourceError(f"City {city.name}: {file.path}{'' if text.startswith('has ') else ':'} {text}") from None
        except MemoryError:
            raise
        except Exception as error:  # whatever a library makes of a foreign file
            reason = (str(error).splitlines() or [""])[0] or type(error).__name__
            raise SourceError(
                f"City {city.name}: {file.path} cannot be read as {kind.name} ({reason}). If its transfer is not over, wait "
                "and run again; else replace the file or move it out of the landing folder."
            ) from None
        rows = to_raw(table, 0, city, self.source, file.path, file.modified, file.filing_day, file.plausible_days)
        first, last = (pa.scalar(day) for day in task.days)
        return rows.filter((pa.compute.field("date") >= first) & (pa.compute.field("date") <= last))


def main() -> None:
    """Work on batches until the connection ends."""
    connection, at_start = Connection(int(sys.argv[1])), _data_bytes()
    connection.send_bytes(b"ready")
    with suppress(EOFError, OSError):
        while connection.poll(IDLE_SECONDS):
            batch: Batch = pickle.loads(connection.recv_bytes())  # noqa: S301  # from the process that started this one
            _limit_memory(at_start + batch.city.limits.memory_mb * MEGABYTE)
            for task in batch.tasks:
                table, answer = _answer(batch, task)
                connection.send_bytes(json.dumps(answer).encode())
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


if __name__ == "__main__":
    main()
    os._exit(0)  # whatever a library is still doing
