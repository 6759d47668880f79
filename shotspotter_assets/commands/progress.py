"""Progress of a command's processes: bars on a terminal, else a plain line every half minute; and the end of an interrupted one."""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.queues import Queue
from typing import TYPE_CHECKING, Final

import click

from shotspotter_assets.storage.progress import LOG_SECONDS, Report, listeners

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from shotspotter_assets.automation.stored import Stored

REFRESH_SECONDS: Final = 0.25


@contextmanager
def shown_progress() -> Iterator[None]:
    """Show the reports of this process, and those of others that reach its listeners, on the standard error output."""
    reports: dict[int, Report] = {}
    has_ended = threading.Event()

    def listen(report: Report) -> None:
        if report.place:
            reports[report.process] = report
        else:
            reports.pop(report.process, None)

    shows = threading.Thread(target=_show, args=(reports, has_ended), daemon=True)
    shows.start()
    listeners.append(listen)
    try:
        yield
    finally:
        listeners.remove(listen)
        has_ended.set()
        shows.join()


def _show(reports: dict[int, Report], has_ended: threading.Event) -> None:
    """Show the newest report of each process until the command has ended."""
    shown_at = time.monotonic()
    tasks: dict[int, TaskID] = {}
    bars = None
    while not has_ended.wait(REFRESH_SECONDS):
        present = dict(reports)
        bars = bars or (_bars() if present else None)
        if bars is not None and bars.console.is_interactive:
            _draw(bars, tasks, present)
        elif present and time.monotonic() - shown_at >= LOG_SECONDS:
            shown_at = time.monotonic()
            click.echo("; ".join(map(str, present.values())), err=True)
    if bars is not None:
        _draw(bars, tasks, {})


def _bars() -> "Progress":
    """Return bars that vanish when they end; other output of this process goes above them."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.table import Column

    words = TextColumn("{task.description}", markup=False, table_column=Column(ratio=1))
    return Progress(
        SpinnerColumn(),
        words,
        BarColumn(bar_width=20),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        refresh_per_second=4,
        expand=True,
        transient=True,
        redirect_stdout=sys.stdout.isatty(),
    )


def _draw(bars: "Progress", tasks: "dict[int, TaskID]", reports: dict[int, Report]) -> None:
    """Draw a bar for each process that has a report."""
    if reports and not tasks:
        bars.start()
    elif tasks and not reports:
        bars.stop()
    for process, report in reports.items():
        if process not in tasks:
            tasks[process] = bars.add_task("", total=1)
        bars.update(tasks[process], description=str(report), completed=report.share)
    for process in tasks.keys() - reports.keys():
        bars.remove_task(tasks.pop(process))


@contextmanager
def processes(number: int) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool of processes whose reports reach the listeners of this one, and which an interrupt kills."""
    spawned = multiprocessing.get_context("spawn")  # a fork would inherit the locks of this process's threads
    reports = spawned.Queue()
    threading.Thread(target=_forward, args=(reports,), daemon=True).start()
    with ProcessPoolExecutor(number, spawned, _report_to, (reports,)) as pool:
        try:
            yield pool
        except KeyboardInterrupt:
            for process in multiprocessing.active_children():
                process.kill()
            raise
    reports.put(None)


def _report_to(reports: "Queue[Report | None]") -> None:
    """Hand the reports of a new process to the one that shows them, and which ends it after an interrupt."""
    # Dagster's helpers inherit the mask, and would print tracebacks otherwise.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, daemon=True).start()
    listeners.append(reports.put)


def _end_with_parent() -> None:
    """End this process once the one that started it has ended, however that was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _forward(reports: "Queue[Report | None]") -> None:
    """Hand the reports of other processes to the listeners of this one, until None comes."""
    for report in iter(reports.get, None):
        for listener in listeners:
            listener(report)


def stored_text(stored: "Stored") -> str:
    """Return the numbers of a city's stored partitions by asset, in words."""
    from shotspotter_assets.storage.catalogue import Asset

    numbers = {asset: len(stored.versions(asset)) for asset in Asset if stored.city.has(asset)}
    of_assets = [f"{asset} {number:,}" for asset, number in numbers.items() if number]
    return f"Stored partitions of {stored.city.name}: {', '.join(of_assets) or 'none yet'}."
