"""Spellings of alert types, and their codes."""

from collections.abc import Callable
from difflib import get_close_matches
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.cities.city import FIRST_EVENT_CODE, City

SPELLINGS: Final = {
    **dict.fromkeys(("single gunshot", "single gunshots", "single", "sg", "0"), 0),
    **dict.fromkeys(("multiple gunshots", "multiple gunshot", "multiple", "mg", "1"), 1),
    **dict.fromkeys(("gunshot or firecracker", "gunshots or firecracker", "multiple gunshot or firecracker"), 2),
    **dict.fromkeys(("gunshot or firecrackers", "gunshots or firecrackers", "2"), 2),
    **dict.fromkeys(("probable gunfire", "possible gunfire", "pg"), 2),
}
"""Code by spelling, in lower case with single blanks for underscores and hyphens, and "gunshot" in one word."""


MIN_RESEMBLANCE: Final = 0.85  # ratio of `difflib`: about two wrong letters in ten


def type_codes(spellings: pa.ChunkedArray, city: City) -> pa.ChunkedArray:
    """Return the code (int8) of each spelling, null if unknown; the city's own come first, then its event types."""
    return _looked_up(spellings, _codes_of_spellings(city).get, pa.int8())


def unknown_spellings(spellings: pa.ChunkedArray, codes: pa.ChunkedArray, city: City) -> dict[str, int]:
    """Count the spellings without a code, except those that the city's file lists."""
    table = _codes_of_spellings(city)
    unknown = spellings.filter(pc.and_(pc.is_valid(spellings), pc.is_null(codes)))
    counts = {str(pair["values"]): int(pair["counts"]) for pair in pc.value_counts(unknown).to_pylist()}
    return {spelling: alerts for spelling, alerts in counts.items() if normalised(spelling) not in table}


def are_unlisted(spellings: pa.ChunkedArray, city: City) -> pa.ChunkedArray:
    """Flag spellings of other events: no table lists them, and they resemble no gunshot type; false for null.

    Unlisted spellings that do, such as "Singel Gunshot", are gunshots of unknown type, so that a slip of the publisher does
    not remove alerts.
    """
    table = _codes_of_spellings(city)
    gunshots = [text for text, code in table.items() if "gun" in text and (code is None or code < FIRST_EVENT_CODE)]

    def is_other(spelling: str) -> bool:
        return spelling not in table and not get_close_matches(spelling, gunshots, 1, MIN_RESEMBLANCE)

    return pc.fill_null(_looked_up(spellings, is_other, pa.bool_()), False)


def _looked_up(spellings: pa.ChunkedArray, value_of: Callable[[str], int | None], kind: pa.DataType) -> pa.ChunkedArray:
    encoded = pc.dictionary_encode(spellings.combine_chunks())
    values = pa.array([value_of(normalised(text)) for text in encoded.dictionary.to_pylist()], kind)
    return pa.chunked_array([values.take(encoded.indices)])


def _codes_of_spellings(city: City) -> dict[str, int | None]:
    codes = enumerate(city.event_types.values(), start=FIRST_EVENT_CODE)
    events = {normalised(spelling): code for code, spellings in codes for spelling in spellings}
    return SPELLINGS | events | {normalised(spelling): code for spelling, code in city.gunshot_spellings.items()}


def normalised(text: str) -> str:
    """Return a spelling as `SPELLINGS` has it."""
    return " ".join(text.lower().replace("_", " ").replace("-", " ").split()).replace("gun shot", "gunshot")
