"""Keeps the last usable text of each city file on this machine, so that a city outlives a mistake in its file."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from shotspotter_assets.storage.errors import StoreError
from shotspotter_assets.storage.local_files import LocalFiles

log = logging.getLogger(__name__)


class LastGood(NamedTuple):
    """The last usable text of a city file, and when it was first loaded."""

    text: str
    since: datetime


class LastGoodFiles:
    """Copies of city files below the local folder `root`, each at the path of its file."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, file: Path) -> LastGood | None:
        """Return the last usable text of a city file; None without one."""
        copy = self.root / _path(file)
        try:
            return LastGood(copy.read_bytes().decode(), datetime.fromtimestamp(copy.stat().st_mtime, UTC))
        except (OSError, ValueError):
            return None

    def keep(self, texts: Mapping[Path, str]) -> None:
        """Store the texts that changed; log a warning if the folder cannot be written to."""
        try:
            for file, text in texts.items():
                last = self.read(file)
                if last is None or last.text != text:
                    LocalFiles(self.root).write(_path(file), text.encode())
        except (OSError, StoreError) as error:
            log.warning("The last good city files cannot be kept in %s: %s", self.root, error)


def _path(file: Path) -> str:
    return str(file.absolute().relative_to(file.absolute().anchor))
