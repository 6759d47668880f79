"""The place of a store's files: a local folder, a prefix of an S3 bucket, or changes in memory."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from uuid import uuid4

from filelock import FileLock

from shotspotter_assets.storage.errors import unusable

if TYPE_CHECKING:
    from shotspotter_assets.storage.s3_objects import S3Objects


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


class Draft:
    """Files of a store; writes stay in memory, where later reads of the same path find them. Lists are those of the store."""

    def __init__(self, objects: "Objects") -> None:
        self._objects = objects
        self._changed: dict[str, bytes | None] = {}  # content by path, None for a deleted file

    def __getattr__(self, name: str) -> Any:
        """Return what only reads or names: lists, addresses, threads."""
        return getattr(self._objects, name)

    def read(self, path: str) -> bytes:
        """Return a file's content; raise FileNotFoundError without it."""
        content = self._changed[path] if path in self._changed else self._objects.read(path)
        if content is None:
            raise FileNotFoundError(path)
        return content

    def exists(self, path: str) -> bool:
        return self._changed[path] is not None if path in self._changed else self._objects.exists(path)

    def write(self, path: str, data: bytes) -> None:
        self._changed[path] = data

    def delete(self, path: str) -> None:
        self._changed[path] = None

    def update(self, path: str, change: Callable[[bytes | None], bytes | None]) -> None:
        """Replace a file by `change` of its content, None without one."""
        after = change(self.read(path) if self.exists(path) else None)
        if after is not None:
            self.write(path, after)

    @staticmethod
    def alone(name: str) -> AbstractContextManager[None]:
        """Take no lock, because nobody else sees the changes."""
        return nullcontext()


Objects: TypeAlias = "LocalFiles | S3Objects | Draft"
"""Files by their paths below the root of a store."""
_S3_ROOT: Final = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?P<prefix>(?:/[^/]+)*)/?")


def objects_at(root: str, s3_client: Any = None) -> Objects:
    """Return the files below a folder or `s3://bucket/prefix`; raise ValueError for another root, or S3 without a client."""
    if root.strip() and "://" not in root and not root.startswith("s3:"):
        return LocalFiles(Path(root).expanduser().absolute())
    if not (found := _S3_ROOT.fullmatch(root)):
        raise ValueError(
            f"{root!r} is not a store: use a folder such as ./store or /data/shotspotter, or s3://bucket/prefix "
            "(environment variable SHOTSPOTTER_STORE)"
        )
    if s3_client is None:
        raise ValueError(f"the store {root} is on S3 and needs an S3 client")
    from shotspotter_assets.storage.s3_objects import S3Objects

    return S3Objects(found["bucket"], (found["prefix"] or "").strip("/"), s3_client)
