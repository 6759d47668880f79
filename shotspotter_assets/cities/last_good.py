"""Keep the last usable text of each city file on this machine, so that a city outlives a mistake in its file."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from shotspotter_assets.storage.errors import StoreError
from shotspotter_assets.storage.objects import LocalFiles

log = logging.getLogger(__name__)


class LastGoodFiles:
    """Copies of city files below the local folder `root`, each at the path of its file."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, file: Path) -> tuple[str, datetime] | None:
        """Return the last usable text of a city file, and the time when it was first loaded; None without one."""
        copy = self.root / _path(file)
        try:
            return copy.read_bytes().decode(), datetime.fromtimestamp(copy.stat().st_mtime, UTC)
        except (OSError, ValueError):
            return None

    def keep(self, texts: Mapping[Path, str]) -> None:
        """Store the texts that changed; log a warning if the folder cannot be written to."""
        try:
            for file, text in texts.items():
                if not (last := self.read(file)) or last[0] != text:
                    LocalFiles(self.root).write(_path(file), text.encode())
        except (OSError, StoreError) as error:
            log.warning("The last good city files cannot be kept in %s: %s", self.root, error)


def _path(file: Path) -> str:
    return str(file.absolute().relative_to(file.absolute().anchor))
