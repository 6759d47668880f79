"""The result of converting one stored file to the next format.

A conversion is pure: it sees the path within the store and the content of one file. The engine may call it again for a file
that it has already converted, as a migration can be killed at any moment. Therefore the conversion of a converted file is
that file, and no new path is that of another old file.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Converted:
    """One file of the next format; one that stays as it is has its old path and content."""

    path: str  # within the store
    content: bytes


@dataclass(frozen=True)
class Rebuilt:
    """A file that the migration deletes; automation rebuilds its partition."""

    reason: str  # as the end of a sentence


Conversion: TypeAlias = Callable[[str, bytes], Sequence[Converted] | Rebuilt]
"""Converts a file by path and content; raises ValueError for a damaged one, which then stays as it is."""
