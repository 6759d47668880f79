"""Pandera schemas of the stored tables: types, nulls, ranges, and the rules that every reader relies on."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Final

import pandas as pd
import pandera.pandas as pandera
import pyarrow as pa
from pandera.errors import SchemaErrors

from shotspotter_assets.cities.city import FIRST_EVENT_CODE, GUNSHOT_TYPES, City
from shotspotter_assets.cleaning.alerts import CLEANED_SCHEMA, REASONS, REJECTED_SCHEMA
from shotspotter_assets.quality.finding import Finding
from shotspotter_assets.sources.schema import RAW_SCHEMA

MAX_ROUNDS: Final = 1000
"""The largest number of rounds in nine cities' alerts is 120; a larger one than this is another column's value."""

MAX_FAILURES_SHOWN: Final = 5

DATE: Final = RAW_SCHEMA.field("date")
PLACE: Final = ["date", "received_from", "received_row"]
REQUIRED: Final = (*PLACE, "received_at")
"""What is known of each row as received, whatever the publisher left out."""

_NULLABLE_INTEGERS: Final = {pa.int8(): pd.Int8Dtype(), pa.int32(): pd.Int32Dtype()}
_PANDAS_TYPES: Final = _NULLABLE_INTEGERS | {
    pa.date32(): "object",
    pa.string(): str,
    pa.float64(): float,
    pa.bool_(): bool,
    pa.int64(): "int64",
    pa.uint64(): "uint64",
    pa.timestamp("us", "UTC"): "datetime64[us, UTC]",
}


def raw_schema(_: City) -> pandera.DataFrameSchema:
    """`RAW_SCHEMA`: where each row came from is known, what the publisher gives may be missing."""
    return _schema(RAW_SCHEMA, {"received_row": pandera.Check.ge(0)}, unique=PLACE)


def rejected_schema(_: City) -> pandera.DataFrameSchema:
    """`REJECTED_SCHEMA` with its `date`: each row has one of `REASONS`."""
    allowed = {"received_row": pandera.Check.ge(0), "reason": pandera.Check.isin(list(REASONS))}
    return _schema([DATE, *REJECTED_SCHEMA], allowed, unique=PLACE)


def cleaned_schema(city: City) -> pandera.DataFrameSchema:
    """`CLEANED_SCHEMA` with its `date`: points in the box, codes of the city, `user_id` in sequence within each day."""
    check, box = pandera.Check, city.box
    allowed = {
        "longitude": check.in_range(box.west, box.east),
        "latitude": check.in_range(box.south, box.north),
        "gunshot_type": check.isin(
            [*GUNSHOT_TYPES, *range(FIRST_EVENT_CODE, FIRST_EVENT_CODE + len(city.event_types))]
        ),
        "rounds": check.in_range(0, MAX_ROUNDS),
    }
    rules = [
        check(_numbered_in_sequence, name="user_id is yyyymmdd * 100000 + 0, 1, 2, ... in each day"),
        check(lambda rows: rows["incident_id"] <= rows["user_id"], name="an incident begins with its first alert"),
        check(lambda rows: _local_days(rows, city) == rows["date"], name="the time lies in the local day"),
    ]
    return _schema([DATE, *CLEANED_SCHEMA], allowed, checks=rules)


SCHEMAS: Final = {"raw_schema": raw_schema, "cleaned_schema": cleaned_schema, "rejected_schema": rejected_schema}
"""By the name of the check: from the city to the schema of the stored table."""


def schema_finding(schema: pandera.DataFrameSchema, tables: Iterable[pa.Table], asset: str) -> Finding:
    """Whether stored tables are as their schema says.

    Args:
        schema: of the tables.
        tables: of some days each, with the local `date`.
        asset: the asset that wrote the tables, for the message.
    """
    rows, cases, dates = 0, [], []
    for table in tables:
        try:
            schema.validate(table.to_pandas(types_mapper=_NULLABLE_INTEGERS.get), lazy=True)
        except SchemaErrors as errors:
            of_table = errors.failure_cases
            cases.append(of_table.assign(index=of_table["index"] + rows))
        rows += table.num_rows
        if "date" in table.column_names:
            dates.append(table["date"])
    if cases:
        all_dates = pa.chunked_array([chunk for column in dates for chunk in column.chunks], pa.date32())
        return _failed(pd.concat(cases), rows, all_dates, asset)
    return Finding(True, f"{rows:,} rows are as their schema says.", {"rows": rows})


def _failed(cases: pd.DataFrame, rows: int, dates_of_rows: pa.ChunkedArray, asset: str) -> Finding:
    broken_rules = cases.groupby(["column", "check"], dropna=False, sort=False)
    rules = [
        f"{f'{column}: ' if isinstance(column, str) else ''}{rule}, {len(of_rule):,} rows such as "
        f"{of_rule['failure_case'].iloc[0]!r}"
        for (column, rule), of_rule in broken_rules
    ]
    at = cases["index"].dropna().unique().astype(int)
    dates: Sequence[date] = dates_of_rows.take(pa.array(at)).to_pylist() if len(dates_of_rows) else []
    days = {day: float(dates.count(day)) for day in sorted(set(dates))}
    message = (
        f"{asset}: {'; '.join(rules[:MAX_FAILURES_SHOWN])}. The files were changed or written by other code: materialise "
        f"{asset} again for {', '.join(map(str, list(days)[:MAX_FAILURES_SHOWN])) or 'these days'}."
    )
    return Finding(False, message, {"rows": rows, "rules_broken": len(rules)}, days)


def _schema(fields: Iterable[pa.Field], allowed: Mapping[str, pandera.Check], **rules: Any) -> pandera.DataFrameSchema:
    columns = {
        field.name: pandera.Column(
            _PANDAS_TYPES[field.type],
            allowed.get(field.name),
            nullable=field.nullable and field.name not in REQUIRED,
            unique=field.name == "user_id",
        )
        for field in fields
    }
    return pandera.DataFrameSchema(columns, strict=True, report_duplicates="exclude_first", **rules)


def _numbered_in_sequence(rows: pd.DataFrame) -> "pd.Series[bool]":
    day = pd.to_datetime(rows["date"]).dt.strftime("%Y%m%d").astype("int64")
    return rows["user_id"] == day * 100_000 + rows.groupby("date").cumcount()


def _local_days(rows: pd.DataFrame, city: City) -> "pd.Series[Any]":
    return rows["time_utc"].dt.tz_convert(city.zone).dt.date
