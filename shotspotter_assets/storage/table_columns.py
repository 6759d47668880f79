"""What a stored table's columns are: listed where Arrow is not to be imported, as for the catalog of the UI."""

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
