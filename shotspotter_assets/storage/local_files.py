"""Objects as files under a local folder."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from filelock import FileLock

from shotspotter_assets.storage.errors import unusable


class LocalFiles:
    """Reads and writes files below `root` by relative path; raises FileNotFoundError, or StoreError for a broken folder."""

    threads = 1  # small files take longer in threads, which wait for each other

    def __init__(self, root: Path) -> None:
        self.root = root
        self.name = str(root)

    def uri(self, path: str) -> str:
        return str(self.root / path)

    def write(self, path: str, data: bytes) -> None:
        """Replace the file in one step; a killed process leaves a dotted file, a power cut may lose the newest files."""
        target = self.root / path
        temporary = target.with_name(f".{uuid4().hex}.partial")
        with self._blamed(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                temporary.write_bytes(data)
                temporary.replace(target)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Wait until no other process or thread is within `alone` of that name; killed processes release the lock."""
        file = self.root / ".locks" / name
        with self._blamed(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(file).acquire()
        with lock:
            yield

    def update(self, path: str, change: Callable[[bytes | None], bytes | None]) -> None:
        """Replace the file by `change` of its content, None without one, while no other process or thread changes it."""
        with self.alone(path.replace("/", ".")):
            before = self.read(path) if self.exists(path) else None
            after = change(before)
            if after is not None and after != before:
                self.write(path, after)

    def read(self, path: str) -> bytes:
        with self._blamed(self.root / path):
            return (self.root / path).read_bytes()

    def exists(self, path: str) -> bool:
        return (self.root / path).is_file()

    def delete(self, path: str) -> None:
        if self.exists(path):
            with self._blamed(self.root / path):
                (self.root / path).unlink(missing_ok=True)

    def folders_with(self, folder: str, prefix: str, first: str, last: str, file: str) -> list[str]:
        """Return the folders in `folder`, from `prefix + first` to `prefix + last`, that hold `file`."""
        parent = self.root / folder
        if not parent.is_dir():
            return []
        with self._blamed(parent):
            names = [name for name in os.listdir(parent) if prefix + first <= name <= prefix + last]  # noqa: PTH208
        # Sensors list thousands of days every few seconds, most of the time in pathlib's paths.
        return [name for name in names if os.path.isfile(f"{parent}/{name}/{file}")]  # noqa: PTH113

    def files_in(self, folder: str, *, named: str = "") -> set[str]:
        """Return the files in `folder` and below, by path within it; only those whose names begin with `named`."""
        parent = self.root / folder
        start = len(f"{parent}/")
        with self._blamed(parent):
            walk = os.walk(parent, onerror=_raised, followlinks=True)  # a folder may lie on another disk
            paths = [f"{path}/{name}" for path, _, names in walk for name in names if name.startswith(named)]
        return {path[start:] for path in paths if os.path.isfile(path)}  # noqa: PTH113  # a Path takes most of the time

    @contextmanager
    def _blamed(self, path: Path) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            raise unusable(str(self.root), f"{error.strerror or error} ({path})") from error


def _raised(error: OSError) -> None:
    """Raise the error of a folder that cannot be listed; one that is gone has no files."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error
