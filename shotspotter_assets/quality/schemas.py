"""Pandera schemas of the stored tables: types, nulls, ranges, and the rules that every reader relies on."""

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
import pyarrow as pa

from shotspotter_assets.cities.city import FIRST_EVENT_CODE, GUNSHOT_TYPES, City
from shotspotter_assets.cleaning.alerts import AS_SPELLED, REASONS
from shotspotter_assets.quality.finding import Finding

if TYPE_CHECKING:
    import pandera.pandas as pandera

MAX_ROUNDS: Final = 1000
"""The largest number of rounds in nine cities' alerts is 120; a larger one than this is another column's value."""

MAX_FAILURES_SHOWN: Final = 5

_NULLABLE_INTEGERS: Final = {pa.int8(): pd.Int8Dtype(), pa.int32(): pd.Int32Dtype()}


def raw_schema() -> "pandera.DataFrameSchema":
    """`RAW_SCHEMA` with its `date`: where each row came from is known, what it says may be missing."""
    import pandera.pandas as pandera

    return pandera.DataFrameSchema(
        {
            "date": pandera.Column("object", nullable=False),
            "gunshot_type": pandera.Column(str, nullable=True),
            **_received(pandera),
        },
        unique=["date", "received_from", "received_row"],
        report_duplicates="exclude_first",
        strict=True,
    )


def rejected_schema() -> "pandera.DataFrameSchema":
    """`REJECTED_SCHEMA` with its `date`: each row has one of `REASONS`."""
    import pandera.pandas as pandera

    return pandera.DataFrameSchema(
        {
            "date": pandera.Column("object", nullable=False),
            AS_SPELLED: pandera.Column(str, nullable=True),
            "reason": pandera.Column(str, pandera.Check.isin(list(REASONS)), nullable=False),
            **_received(pandera),
        },
        unique=["date", "received_from", "received_row"],
        report_duplicates="exclude_first",
        strict=True,
    )


def cleaned_schema(city: City) -> "pandera.DataFrameSchema":
    """`CLEANED_SCHEMA` with its `date`: points in the box, codes of the city, `user_id` in sequence within each day."""
    import pandera.pandas as pandera

    check, box = pandera.Check, city.box
    codes = [*GUNSHOT_TYPES, *range(FIRST_EVENT_CODE, FIRST_EVENT_CODE + len(city.event_types))]
    return pandera.DataFrameSchema(
        {
            "date": pandera.Column("object", nullable=False),
            "user_id": pandera.Column("int64", unique=True, nullable=False),
            "source_id": pandera.Column(str, nullable=True),
            "time_utc": pandera.Column("datetime64[us, UTC]", nullable=False),
            "longitude": pandera.Column(float, check.in_range(box.west, box.east), nullable=False),
            "latitude": pandera.Column(float, check.in_range(box.south, box.north), nullable=False),
            "location_id": pandera.Column("uint32", nullable=False),
            "gunshot_type": pandera.Column(pd.Int8Dtype(), check.isin(codes), nullable=True),
            "rounds": pandera.Column(pd.Int32Dtype(), check.in_range(0, MAX_ROUNDS), nullable=True),
            "incident_id": pandera.Column("int64", nullable=False),
            "is_holiday_fireworks": pandera.Column(bool, nullable=False),
        },
        checks=[
            check(_numbered_in_sequence, name="user_id is yyyymmdd * 100000 + 0, 1, 2, ... in each day"),
            check(lambda rows: rows["incident_id"] <= rows["user_id"], name="an incident begins with its first alert"),
            check(lambda rows: _local_days(rows, city) == rows["date"], name="the time lies in the local day"),
        ],
        strict=True,
    )


def schema_finding(schema: "pandera.DataFrameSchema", table: pa.Table, asset: str) -> Finding:
    """Whether a stored table is as its schema says.

    Args:
        schema: of the table.
        table: with the local `date`.
        asset: the asset that wrote the table, for the message.
    """
    import pandera.errors

    try:
        schema.validate(table.to_pandas(types_mapper=_NULLABLE_INTEGERS.get), lazy=True)
    except pandera.errors.SchemaErrors as errors:
        return _failed(errors.failure_cases, table, asset)
    return Finding(True, f"{table.num_rows:,} rows are as their schema says.", {"rows": table.num_rows})


def _failed(cases: pd.DataFrame, table: pa.Table, asset: str) -> Finding:
    broken_rules = cases.groupby(["column", "check"], dropna=False, sort=False)
    rules = [
        f"{f'{column}: ' if isinstance(column, str) else ''}{rule}, {len(rows):,} rows such as {rows['failure_case'].iloc[0]!r}"
        for (column, rule), rows in broken_rules
    ]
    at = cases["index"].dropna().unique().astype(int)
    dates: Sequence[date] = table["date"].take(pa.array(at)).to_pylist() if "date" in table.column_names else []
    days = {day: float(dates.count(day)) for day in sorted(set(dates))}
    message = (
        f"{asset}: {'; '.join(rules[:MAX_FAILURES_SHOWN])}. The files were changed or written by other code: materialise "
        f"{asset} again for {', '.join(map(str, list(days)[:MAX_FAILURES_SHOWN])) or 'these days'}."
    )
    return Finding(False, message, {"rows": table.num_rows, "rules_broken": len(rules)}, days)


def _received(pandera: Any) -> "dict[str, pandera.Column]":
    """The columns that raw and rejected rows share."""
    return {
        "time_utc": pandera.Column("datetime64[us, UTC]", nullable=True),
        "longitude": pandera.Column(float, nullable=True),
        "latitude": pandera.Column(float, nullable=True),
        "rounds": pandera.Column(pd.Int32Dtype(), nullable=True),
        "source_id": pandera.Column(str, nullable=True),
        "as_received": pandera.Column(str, nullable=True),
        "received_from": pandera.Column(str, nullable=False),
        "received_row": pandera.Column("int64", pandera.Check.ge(0), nullable=False),
        "received_at": pandera.Column("datetime64[us, UTC]", nullable=False),
    }


def _numbered_in_sequence(rows: pd.DataFrame) -> "pd.Series[bool]":
    day = pd.to_datetime(rows["date"]).dt.strftime("%Y%m%d").astype("int64")
    return rows["user_id"] == day * 100_000 + rows.groupby("date").cumcount()


def _local_days(rows: pd.DataFrame, city: City) -> "pd.Series[Any]":
    return rows["time_utc"].dt.tz_convert(city.zone).dt.date
