"""Objects as files under a local folder. What their paths mean (asset, city, day) belongs to `store`."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from uuid import uuid4

from filelock import FileLock

from shotspotter_assets.storage.errors import StoreUnreadableError, StoreUnwritableError

MAX_WRITE_S: Final = 3_600.0
"""Age in seconds from which a temporary file is that of a killed writer."""

PARTIAL: Final = ".partial"
"""Ending of temporary files, whose names begin with a dot."""

LOCKS: Final = ".locks"
"""Folder of the lock files."""


class LocalFiles:
    """Reads and writes files under `root` by their relative path ("/" between folders)."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.name = str(root)

    def uri(self, path: str) -> str:
        return str(self.root / path)

    def write(self, path: str, data: bytes) -> None:
        """Replace the file in one step: readers see the old file or the new one, also if this process is killed.

        There is no fsync, which takes longer than the rest of the write: after a power cut the newest files may be lost.

        Raises:
            StoreUnwritableError: no permission, no space, or a file where a folder should be.
        """
        target = self.root / path
        temporary = target.with_name(f".{uuid4().hex}{PARTIAL}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            _remove_abandoned(target.parent)
            try:
                temporary.write_bytes(data)
                temporary.replace(target)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise StoreUnwritableError(self.name, f"{error.strerror or error} ({target})") from error

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Wait until no other process or thread is within `alone` of that name; a killed process releases its lock.

        Raises:
            StoreUnwritableError: no permission or no space.
        """
        file = self.root / LOCKS / name
        lock = FileLock(file)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except OSError as error:
            raise StoreUnwritableError(self.name, f"{error.strerror or error} ({file})") from error
        try:
            yield
        finally:
            lock.release()

    def read(self, path: str) -> bytes:
        """The file's content.

        Raises:
            FileNotFoundError: there is no such file.
            StoreUnreadableError: it cannot be read.
        """
        try:
            return (self.root / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise FileNotFoundError(path) from None
        except OSError as error:
            raise StoreUnreadableError(self.name, f"{error.strerror or error} ({self.root / path})") from error

    def exists(self, path: str) -> bool:
        return (self.root / path).is_file()

    def delete(self, path: str) -> None:
        """Remove the file; no error if it is not there.

        Raises:
            StoreUnwritableError: it may not be removed.
        """
        target = self.root / path
        try:
            target.unlink(missing_ok=True)
        except NotADirectoryError:
            return
        except OSError as error:
            raise StoreUnwritableError(self.name, f"{error.strerror or error} ({target})") from error

    def folders_with(self, folder: str, prefix: str, first: str, last: str, file: str) -> list[str]:
        """Names of the folders in `folder`, from `prefix + first` to `prefix + last`, that hold `file`."""
        parent = self.root / folder
        try:
            names = [entry.name for entry in parent.iterdir() if prefix + first <= entry.name <= prefix + last]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise StoreUnreadableError(self.name, f"{error.strerror or error} ({parent})") from error
        return [name for name in names if (parent / name / file).is_file()]


def _remove_abandoned(folder: Path) -> None:
    """Remove the temporary files of killed writers."""
    for path in folder.glob(f".*{PARTIAL}"):
        with suppress(FileNotFoundError):  # its writer has just finished
            if time.time() - path.stat().st_mtime > MAX_WRITE_S:
                path.unlink()
