"""Columns of stored tables, listed without importing Arrow."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        kind: name of its Arrow type.
        meaning: what it holds, with its unit.
    """

    kind: str
    meaning: str
