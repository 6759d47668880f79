"""A store's files with changes that stay in memory, for commands that only look."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from shotspotter_assets.storage.objects import Objects


class Draft:
    """Files of a store; writes stay in memory, where later reads of the same path find them. Lists are those of the store."""

    def __init__(self, objects: Objects) -> None:
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
