"""A recount, from the tables alone, of whether cleaning lost or invented rows."""

from datetime import date
from typing import Final

import pandas as pd
import pyarrow as pa

from shotspotter_assets.cleaning.alerts import CONTENT

IDENTITY: Final = ("date", "received_from", "received_row")
"""What tells the rows of a source apart, also those that state the same."""


def unaccounted_rows(raw: pa.Table, alerts: pa.Table, rejected: pa.Table) -> dict[date, int]:
    """Received rows minus cleaned, rejected and exactly repeated ones, for the days on which that is not zero.

    All three tables have the local `date`, the raw one `CONTENT` and `IDENTITY`, the rejected one `IDENTITY`. Repeats are
    counted among the raw rows that were not rejected, so the count does not rest on what cleaning reports about itself.
    """
    identity = list(IDENTITY)
    usable = raw.to_pandas().merge(
        rejected.select(identity).to_pandas().drop_duplicates(), on=identity, how="left", indicator=True
    )
    usable = usable[usable["_merge"] == "left_only"]
    counts = pd.DataFrame(
        {
            "received": raw["date"].to_pandas().value_counts(),
            "cleaned": alerts["date"].to_pandas().value_counts(),
            "rejected": rejected["date"].to_pandas().value_counts(),
            "repeated": usable.loc[usable.duplicated(list(CONTENT)), "date"].value_counts(),
        }
    ).fillna(0)
    difference = counts["received"] - counts["cleaned"] - counts["rejected"] - counts["repeated"]
    wrong = difference[difference != 0]
    return {day: int(rows) for day, rows in zip(wrong.index, wrong, strict=True)}
