"""How sources spell the types of alerts, and the codes that they stand for."""

import pyarrow as pa
import pyarrow.compute as pc

from shotspotter_assets.cities.city import FIRST_EVENT_CODE, City

SPELLINGS: dict[str, int] = {
    "single gunshot": 0,
    "single gunshots": 0,
    "single": 0,
    "sg": 0,
    "multiple gunshots": 1,
    "multiple gunshot": 1,
    "multiple": 1,
    "mg": 1,
    "gunshot or firecracker": 2,
    "gunshots or firecracker": 2,
    "gunshot or firecrackers": 2,
    "gunshots or firecrackers": 2,
    "probable gunfire": 2,
    "possible gunfire": 2,
    "pg": 2,
}
"""Code of each spelling, in lower case with single blanks for underscores and hyphens."""


def type_codes(spellings: pa.ChunkedArray, city: City) -> pa.ChunkedArray:
    """Codes (int8) of type spellings in any case, with blanks, underscores or hyphens; null where none is known.

    0, 1 and 2 are gunshot types, from `FIRST_EVENT_CODE` on the city's `event_types`. The city's own
    `gunshot_spellings` come before its event types, and those before `SPELLINGS`.
    """
    table = _codes_of_spellings(city)
    encoded = pc.dictionary_encode(spellings.combine_chunks())
    codes = pa.array([table.get(_normalised(text)) for text in encoded.dictionary.to_pylist()], pa.int8())
    return pa.chunked_array([codes.take(encoded.indices)])


def unknown_spellings(spellings: pa.ChunkedArray, codes: pa.ChunkedArray, city: City) -> dict[str, int]:
    """How often each spelling occurs that has no code, without those that the city's file lists as having none."""
    table = _codes_of_spellings(city)
    unknown = spellings.filter(pc.and_(pc.is_valid(spellings), pc.is_null(codes)))
    counts = {str(pair["values"]): int(pair["counts"]) for pair in pc.value_counts(unknown).to_pylist()}
    return {spelling: alerts for spelling, alerts in counts.items() if _normalised(spelling) not in table}


def are_unlisted(spellings: pa.ChunkedArray, city: City) -> pa.ChunkedArray:
    """Whether each spelling stands in no table, so that it may be any other event; false for null."""
    table = _codes_of_spellings(city)
    encoded = pc.dictionary_encode(spellings.combine_chunks())
    unlisted = pa.array([_normalised(text) not in table for text in encoded.dictionary.to_pylist()], pa.bool_())
    return pc.fill_null(unlisted.take(encoded.indices), False)


def _codes_of_spellings(city: City) -> dict[str, int | None]:
    events = {
        _normalised(spelling): FIRST_EVENT_CODE + at
        for at, spellings in enumerate(city.event_types.values())
        for spelling in spellings
    }
    own = {_normalised(spelling): code for spelling, code in city.gunshot_spellings.items()}
    return {**SPELLINGS, **events, **own}


def _normalised(text: str) -> str:
    return " ".join(text.lower().replace("_", " ").replace("-", " ").split())
