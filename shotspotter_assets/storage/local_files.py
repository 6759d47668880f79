"""Objects as files under a local folder. What their paths mean (asset, city, day) belongs to `store`."""

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Final

from shotspotter_assets.storage.errors import StoreUnreadableError, StoreUnwritableError
from shotspotter_assets.storage.processes import THIS_MACHINE, is_gone

MAX_WRITE_S: Final = 86_400.0
"""A temporary file of another machine is taken for abandoned after so long, by the file system's clock and this one's."""

_TEMPORARY = re.compile(r"\.(.+)-(\d+)-\d+\.partial")
_numbers = count()

LOCKS = ".locks"
"""Folder of empty files, whose locks tell processes apart that write at once."""


class LocalFiles:
    """Reads and writes files under `root` by their relative path ("/" between folders)."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.name = str(root)

    def uri(self, path: str) -> str:
        return str(self.root / path)

    def write(self, path: str, data: bytes) -> None:
        """Replace the file in one step: readers see the old file or the new one, also if this process is killed.

        There is no fsync, which takes longer than the rest of the write: after a power cut the newest files may have to
        be materialised again.

        Raises:
            StoreUnwritableError: no permission, no space, or a file where a folder should be.
        """
        target = self.root / path
        temporary = target.with_name(f".{THIS_MACHINE}-{os.getpid()}-{next(_numbers)}.partial")
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

    def update(self, path: str, change: Callable[[bytes | None], bytes]) -> None:
        """Replace the file by what `change` makes of it, None where it is missing; within `alone`, so that no change is lost.

        Raises:
            StoreUnreadableError, StoreUnwritableError: see `read` and `write`.
        """
        try:
            content = self.read(path)
        except FileNotFoundError:
            content = None
        self.write(path, change(content))

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Wait until no other process, and no other thread, is within `alone` of that name.

        The lock of a process that is killed is free. Without POSIX locks nothing is waited for. Machines that share the folder
        wait for each other where its file system has locks for all of them, as NFS from version 4 on.

        Raises:
            StoreUnwritableError: no permission or no space.
        """
        try:
            import fcntl
        except ImportError:
            yield
            return
        file = self.root / LOCKS / name
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            held = file.open("wb")
        except OSError as error:
            raise StoreUnwritableError(self.name, f"{error.strerror or error} ({file})") from error
        with held:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield

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

    def paths(self, folder: str) -> list[str]:
        """The files in a folder and those below it, relative to the root."""

        def refuse(error: OSError) -> None:
            if not isinstance(error, FileNotFoundError):
                raise StoreUnreadableError(self.name, f"{error.strerror or error} ({error.filename})") from error

        return [
            str((Path(parent) / name).relative_to(self.root))
            for parent, _, names in os.walk(self.root / folder, onerror=refuse)
            for name in names
        ]


def _remove_abandoned(folder: Path) -> None:
    """Remove the temporary files of killed writers of this machine, and those of others that are too old to be written."""
    for path in folder.iterdir():
        temporary = _TEMPORARY.fullmatch(path.name)
        if temporary and _is_abandoned(path, writer=f"{temporary[1]}:{temporary[2]}"):
            path.unlink(missing_ok=True)


def _is_abandoned(path: Path, writer: str) -> bool:
    ended = is_gone(writer)
    if ended is not None:
        return ended
    try:
        return time.time() - path.stat().st_mtime > MAX_WRITE_S
    except FileNotFoundError:  # its writer is done
        return False
