"""Rows of side tables with their further columns, and problems of rows that cannot be used."""

import json
from collections.abc import Sequence
from datetime import date
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

READ_TIME: Final = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"  # form in which `row_texts` writes a time


class Problem(NamedTuple):
    """A row, or a part of it, that is not used."""

    day: date  # local day under which the row is filed
    text: str  # file, row, problem and remedy


def problems_of(frame: pd.DataFrame, texts: Sequence[str] | str) -> list[Problem]:
    """Return a problem for each row of a frame: its file and row, and its text, or the text of all."""
    of_rows = [texts] * len(frame) if isinstance(texts, str) else texts
    places = zip(frame["day"], frame["where"], of_rows, strict=True)
    return [Problem(day, f"{where}: {text}.") for day, where, text in places]


def row_frame(rows: pa.Table, names: Sequence[str]) -> pd.DataFrame:
    """Return rows of a side table with further columns by name as text, None for empty ones."""
    numbers = pc.add(rows["received_row"], 1).cast(pa.string())
    frame = pd.DataFrame(
        {
            "day": np.array(rows["date"].to_pylist(), dtype=object),
            "where": pc.binary_join_element_wise(rows["received_from"], numbers, ", row ").to_pylist(),
            "received": rows["time_utc"].to_pandas(),
            "longitude": rows["longitude"].to_numpy(),
            "latitude": rows["latitude"].to_numpy(),
        }
    )
    texts = [json.loads(text) for text in rows["as_received"].to_pylist()]
    further = [[row.get(name) for name in names] for row in texts]
    return frame.join(pd.DataFrame(further, columns=list(names), dtype=object))
