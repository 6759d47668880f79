"""Reads landed files in a subprocess with limits of memory and time, so that a hostile file is named and stops nothing else.

The file at fault is the first without an answer, and a new process reads the files after it. Tasks go there pickled, rows
come back as Arrow files: nothing made from a foreign file is unpickled.
"""

import atexit
import json
import os
import pickle
import resource
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import feather

from shotspotter_assets.alerts.sources.alert_source import SourceError
from shotspotter_assets.alerts.sources.landing.formats import FORMATS
from shotspotter_assets.alerts.sources.landing.received import corrected_day
from shotspotter_assets.alerts.sources.raw_rows import to_raw
from shotspotter_assets.alerts.sources.schema import FIRST_POSSIBLE_DAY
from shotspotter_assets.alerts.sources.tabular_settings import LandingSettings
from shotspotter_assets.cities.local_time import ONE_DAY
from shotspotter_assets.cities.source_settings import Site
from shotspotter_assets.grid.dates import local_dates

MAX_ROWS: Final = 15_000_000  # maximum number of rows of one file
MAX_ATTEMPTS: Final = 2  # a file is read again if its process ends, because something else may have ended it
MAX_IDLE_SECONDS: Final = 60
MAX_CHARACTERS: Final = 1_000  # maximum length of the reason why a file cannot be read, which every tick repeats
PROGRAM: Final = f"from {__name__} import main; main()"

Process = subprocess.Popen[bytes]


class Task(NamedTuple):
    """One file to read, with the paths of its content and of its rows."""

    path: str  # the `received_from` of its rows
    modified: datetime
    named_day: date | None  # local day in the file's name, if it is a daily file or a correction
    content: Path
    rows: Path


@dataclass(frozen=True)
class Batch:
    """Files of one source of a site."""

    site: Site
    source: LandingSettings
    tasks: Sequence[Task]

    def read(self, task: Task) -> pa.Table:
        """Return the rows of a file, as `RAW_SCHEMA`; raise SourceError if it cannot be used."""
        table = self._table(task)
        site = self.site
        filing_day = site.start
        plausible = (site.start, date.max - ONE_DAY)
        if task.named_day is not None:
            filing_day = max(task.named_day, site.start)
            plausible = (max(site.start, task.named_day - ONE_DAY), task.named_day + ONE_DAY)
        rows = to_raw(table, site, self.source, task.path, task.modified, filing_day, plausible)
        local = local_dates(rows["time_utc"], site.zone)
        self._refuse_other_days(task, local)
        self._refuse_undated(task, rows, local)
        return rows

    def _table(self, task: Task) -> pa.Table:
        """Return the file as its format's reader does; raise SourceError for any error of it, and for too many rows."""
        read, kind = FORMATS[PurePosixPath(task.path).suffix.lower()]
        try:
            table = read(task.content, self.source)
        except MemoryError:
            raise
        except Exception as error:  # whatever a library makes of a foreign file
            reason = (str(error).splitlines() or [""])[0] or type(error).__name__
            raise _refusal(self.site, task.path, f"as {kind} ({reason})") from None
        if table.num_rows > MAX_ROWS:
            raise _refusal(
                self.site, task.path, f"as {kind} (it has {table.num_rows:,} rows; at most {MAX_ROWS:,} are)"
            )
        return table

    def _refuse_other_days(self, task: Task, local: pa.ChunkedArray) -> None:
        """Raise SourceError for a correction of a day that has rows of other days."""
        others = pc.sum(pc.not_equal(local, pa.scalar(corrected_day(task.path), pa.date32()))).as_py()
        if others:
            reason = f"as a correction of {task.named_day}: {others:,} of {len(local):,} rows are of other days"
            raise _refusal(self.site, task.path, reason)

    def _refuse_undated(self, task: Task, rows: pa.Table, local: pa.ChunkedArray) -> None:
        """Raise SourceError if more rows than `Site.max_share_rejected` allows have no usable date."""
        start = pa.scalar(self.site.start)
        is_early = pc.and_(pc.less(local, start), pc.greater_equal(local, pa.scalar(FIRST_POSSIBLE_DAY)))
        undated = pc.invert(pc.fill_null(pc.or_(pc.equal(local, rows["date"]), is_early), False))
        number = pc.sum(undated).as_py() or 0
        if number > self.site.max_share_rejected * rows.num_rows:
            first = rows.filter(undated).slice(0, 1).to_pylist()[0]
            remedy = "Correct columns.time, time_format (day and month may be interchanged) and naive_times of the city's file"
            problem = f"as {number:,} of {rows.num_rows:,} rows have no usable date; the first is row"
            reason = f"{problem} {first['received_row']}: {first['as_received'] or first['time_utc']}. {remedy}"
            raise _refusal(self.site, task.path, reason)


def _cut(text: str) -> str:
    """Return a text without its middle if it is long, because it may hold values of a hostile file."""
    return text if len(text) <= MAX_CHARACTERS else f"{text[: MAX_CHARACTERS // 2]} ... {text[-MAX_CHARACTERS // 2 :]}"


def _refusal(site: Site, path: str, reason: str) -> SourceError:
    remedy = "Replace or split the file, correct the city's file, or move it out of the landing folder"
    reason = f"{_cut(reason)}. {remedy}; if its transfer is not over, wait."
    return SourceError(f"City {site.name}: {path} cannot be read {reason}")


def read_in_subprocess(batch: Batch) -> Iterator[tuple[Task, pa.Table | SourceError]]:
    """Yield the rows of each file (`RAW_SCHEMA`), or why they cannot be read, in the order of the tasks."""
    left = list(batch.tasks)
    attempts = 0
    while left:
        process = _acquire()
        is_idle = False
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            with suppress(BrokenPipeError):
                pickle.dump(replace(batch, tasks=tuple(left)), process.stdin)
                process.stdin.flush()
            while left and (line := process.stdout.readline()):
                task = left.pop(0)
                error = json.loads(line)
                attempts = 0
                yield task, SourceError(error) if error else feather.read_table(str(task.rows), memory_map=False)
                task.rows.unlink(missing_ok=True)
            is_idle = not left
            code = 0 if is_idle else process.wait()
        finally:
            if is_idle and not _idle:
                _idle.append(process)
            else:
                _end(process)
        if not left:
            return
        attempts += 1
        if -code == signal.SIGALRM:
            reason = f"within the {batch.site.limits.seconds:g} s that limits.seconds allows"
        elif attempts == MAX_ATTEMPTS:
            how = signal.Signals(-code).name if code < 0 else f"code {code}"
            reason = f"as its reader ends ({how}): a defect, or more memory than limits.memory_mb ({batch.site.limits.memory_mb:,})"
        else:
            continue
        yield left[0], _refusal(batch.site, left.pop(0).path, reason)
        attempts = 0


_idle: list[Process] = []  # at most one process that waits for the next batch, because its start takes a second


def _acquire() -> Process:
    """Return the waiting process, or a new one."""
    with suppress(IndexError):
        process = _idle.pop()
        if process.poll() is None:
            return process
        _end(process)
    # Memory that pools and arenas set aside would count against the limit.
    environment = {"ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "2"}
    environment = {**os.environ, **environment, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.Popen(  # noqa: S603 - nothing of the program comes from outside
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        start_new_session=True,  # an interrupt at the terminal is for the process that asked
    )


def _end(process: Process) -> None:
    process.kill()
    process.communicate()


@atexit.register
def _end_idle() -> None:
    while _idle:
        _end(_idle.pop())


def main() -> None:
    """Read the files of the batches on standard input; write a line with the error, or null, for each."""
    batches = os.fdopen(0, "rb")
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a library prints
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")  # the kernel ends this process first
    while select.select([batches], [], [], MAX_IDLE_SECONDS)[0] and batches.peek(1):
        batch: Batch = pickle.load(batches)  # noqa: S301  # from the process that started this one
        with suppress(OSError, ValueError):  # a lower limit of the machine stays
            hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
            resource.setrlimit(resource.RLIMIT_DATA, (batch.site.limits.memory_mb * 2**20, hard))
        for task in batch.tasks:
            signal.setitimer(signal.ITIMER_REAL, batch.site.limits.seconds)  # its signal ends this process
            error, is_exhausted = _error_of(batch, task)
            answers.write(f"{json.dumps(error)}\n")
            if is_exhausted:
                os._exit(1)
        signal.setitimer(signal.ITIMER_REAL, 0)
    os._exit(0)  # whatever a library is still doing


def _error_of(batch: Batch, task: Task) -> tuple[str | None, bool]:
    """Store the rows of a file; return the reason if they cannot be read, and True if memory has run out."""
    try:
        feather.write_feather(batch.read(task), str(task.rows), compression="lz4")
    except SourceError as error:
        return _cut(str(error)), False
    except Exception as error:  # whatever a library makes of a foreign file, the other files are read
        reason = f"({type(error).__name__}: {str(error).splitlines()[:1]})"
        if is_exhausted := isinstance(error, MemoryError):
            reason = f"with the {batch.site.limits.memory_mb:,} MB of memory that limits.memory_mb allows"
        return str(_refusal(batch.site, task.path, reason)), is_exhausted
    return None, False
