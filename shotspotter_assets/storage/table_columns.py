"""Columns of stored tables, listed without importing Arrow."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """One column; `kind` names its Arrow type, and `meaning` includes the unit."""

    kind: str
    meaning: str
