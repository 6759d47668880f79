"""What a segment of a street is called: its block by house numbers, or its street and the crossings that it lies between."""

from collections.abc import Collection
from typing import Final

HUNDRED: Final = 100
"""House numbers of a block; https://en.wikipedia.org/wiki/House_numbering#United_States_and_Canada"""


def readable(name: str) -> str:
    """A street's name without odd blanks, and with capitals where the file has none."""
    words = name.split()
    if name.islower():
        words = [word[0].upper() + word[1:] for word in words]
    return " ".join(words)


def block_name(street: str, low: float, high: float) -> str:
    """The block of a range of house numbers: "2800 block of Vine St"; "2800 to 2900 block" of one over two hundreds.

    Numbers below 100 are the unit block, as dispatchers say.
    """
    first, last = int(low) // HUNDRED * HUNDRED, int(high) // HUNDRED * HUNDRED
    if first == last:
        return f"{first or 'unit'} block of {street}"
    return f"{first or 'unit'} to {last} block of {street}"


def between_crossings(street: str, at_start: Collection[str], at_end: Collection[str]) -> str:
    """Where a street's segment lies, by the other streets at its two ends: "between Corry St and Daniels St".

    "at Corry St" if only one end has another street, "" if none has.
    """
    start, end = (min((name for name in names if name != street), default="") for names in (at_start, at_end))
    if start and end and start != end:
        return f"between {min(start, end)} and {max(start, end)}"
    return f"at {start or end}" if start or end else ""
