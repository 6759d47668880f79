"""Readers with a fault, each named after the folder of its file; apart, as the process that reads files imports it."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa

from shotspotter_assets.sources.landing.one_file import LandedFile, Shelf


class FaultyShelf(Shelf):
    """A source of which the reader of one file has a fault."""

    def rows(self, file: LandedFile, first: date, last: date) -> Iterator[pa.Table]:
        if file.path.endswith("faulty.csv"):
            fault, folder = FAULTS[Path(file.path).parent.name], Path(file.path).parent
            (folder / f"attempt_{time.time_ns()}").touch()
            fault(folder)
        return super().rows(file, first, last)


def _killed_once(folder: Path) -> None:
    if len(list(folder.glob("attempt_*"))) == 1:
        os.kill(os.getpid(), signal.SIGKILL)


FAULTS: dict[str, Callable[[Path], Any]] = {
    "killed_once": _killed_once,
    "killed": lambda _: os.kill(os.getpid(), signal.SIGKILL),
    "aborting": lambda _: os.abort(),
    "hanging": lambda _: time.sleep(600),
    "greedy": lambda _: bytearray(2**31),
    "odd": lambda _: dict[str, int]()["nothing"],
}
