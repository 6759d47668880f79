"""The one table of gunshot type spellings."""

import pyarrow as pa
import pyarrow.compute as pc

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
    "probable gunfire": 2,
    "possible gunfire": 2,
    "pg": 2,
}
"""Code of each spelling, in lower case with single blanks for underscores and hyphens."""


def gunshot_type_codes(spellings: pa.ChunkedArray) -> pa.ChunkedArray:
    """Codes 0, 1, 2 (int8) of type spellings in any case, with blanks, underscores or hyphens; else null."""
    encoded = pc.dictionary_encode(spellings.combine_chunks())
    codes = pa.array([SPELLINGS.get(_normalised(text)) for text in encoded.dictionary.to_pylist()], pa.int8())
    return pa.chunked_array([codes.take(encoded.indices)])


def unknown_spellings(spellings: pa.ChunkedArray, codes: pa.ChunkedArray) -> dict[str, int]:
    """How often each spelling occurs that has no code."""
    unknown = spellings.filter(pc.and_(pc.is_valid(spellings), pc.is_null(codes)))
    return {str(pair["values"]): int(pair["counts"]) for pair in pc.value_counts(unknown).to_pylist()}


def _normalised(text: str) -> str:
    return " ".join(text.lower().replace("_", " ").replace("-", " ").split())
