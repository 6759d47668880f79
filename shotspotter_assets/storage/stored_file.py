"""Descriptions of stored files, of which `storage.catalogue` lists all; nothing here imports Arrow before a schema is asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Final, Literal, Self

if TYPE_CHECKING:
    import pyarrow as pa

ALL_CITIES: Final = "all-cities"
"""Stands for the city's name in files of all cities; no city can have this name."""

Dimension = Literal["date", "fold"]
"""Key of the folder that names a partition's date."""


class Asset(StrEnum):
    """Names of the assets, and of two folders that hold files beside them."""

    RAW_ALERTS = "raw_alerts"
    CLEANED_ALERTS = "cleaned_alerts"
    GRID_TENSORS = "grid_tensors"
    TUNED_SETTINGS = "tuned_settings"
    FOLD_MODELS = "fold_models"
    EVALUATION_REPORTS = "evaluation_reports"
    WALK_FORWARD_REPORTS = "walk_forward_reports"
    LIVE_MODELS = "live_models"
    RISK_FORECASTS = "risk_forecasts"
    STREET_RISK = "street_risk"
    STREET_SCORES = "street_scores"
    PATROL_PLANS = "patrol_plans"
    FORECAST_SCORES = "forecast_scores"
    NOWCASTS = "nowcasts"
    NOWCAST_SCORES = "nowcast_scores"
    CITY_PAGES = "city_pages"
    SHARED_MODELS = "shared_models"
    ARRIVALS = "arrivals"
    QUALITY = "quality"


@dataclass(frozen=True)
class Column:
    """One column; `kind` names its Arrow type, and `meaning` includes the unit."""

    kind: str
    meaning: str
    required: bool = True


@dataclass(frozen=True)
class StoredFile:
    """One file of each partition of an asset.

    Attributes:
        date_name: the date that names the partition, such as `issue_date`; empty for one file per city.
        file: the file's name; names in braces stand for what `named` puts there.
    """

    asset: Asset
    date_name: str
    file: str
    meaning: str

    @property
    def dimension(self) -> Dimension:
        """Key of the folder of a date."""
        return "fold" if self.date_name == "cutoff" else "date"

    def folder(self, city: str, day: date | None = None) -> str:
        """Return the folder of a partition within the store; raise ValueError for a date too many or too few."""
        if (day is None) == bool(self.date_name):
            raise ValueError(
                f"{self.file} of {self.asset} is stored by {self.date_name or 'city alone'}, not for {day}"
            )
        return f"{self.asset}/city={city}" + ("" if day is None else f"/{self.dimension}={day.isoformat()}")

    def named(self, **parts: str) -> Self:
        """Return one of the files that the name in braces stands for."""
        return replace(self, file=self.file.format(**parts))


@dataclass(frozen=True, eq=False)
class StoredTable(StoredFile):
    """One Parquet file of each partition.

    Attributes:
        columns: columns by name in order; the partition's own date is among them if tables in memory have it.
        others: further columns, such as a probability by each model; None without any.
    """

    columns: Mapping[str, Column]
    others: Column | None = None

    @cached_property
    def schema(self) -> "pa.Schema":
        """Arrow schema of `columns`."""
        import pyarrow as pa

        fields = [pa.field(name, _arrow_type(one.kind), not one.required) for name, one in self.columns.items()]
        return pa.schema(fields)

    def checked(self, table: "pa.Table") -> "pa.Table":
        """Return a table to store in the catalogue's types.

        Raises:
            ValueError: a column is missing, unlisted or of another type, or a required value is missing.
        """
        import pyarrow as pa

        table.validate(full=True)
        fields = [field for field in self.schema if field.name != self.dimension or not self.date_name]
        others = [field for field in table.schema if field.name not in self.columns]
        for field in fields:
            if field.name not in table.column_names:
                raise self._refused(field.name, "is missing")
            if table.schema.field(field.name).type != field.type:
                raise self._refused(field.name, f"is {table.schema.field(field.name).type}, not {field.type}")
            if not field.nullable and table[field.name].null_count:
                raise self._refused(field.name, f"lacks {table[field.name].null_count:,} values")
        for field in others:
            if self.others is None or field.type != _arrow_type(self.others.kind):
                raise self._refused(field.name, f"of type {field.type} is not in the catalogue")
        schema = pa.schema([*fields, *others], table.schema.metadata)
        return table if schema == table.schema else table.select(schema.names).cast(schema)

    def _refused(self, column: str, reason: str) -> ValueError:
        return ValueError(f"{self.asset}, {self.file}: column {column} {reason}.")


def _arrow_type(kind: str) -> "pa.DataType":
    import pyarrow as pa

    kinds = (
        pa.bool_(), pa.date32(), pa.float32(), pa.float64(), pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.string(),
        pa.timestamp("us", "UTC"), pa.uint64(),
    )  # fmt: skip
    texts = {"list<string>": pa.list_(pa.string())}
    texts["list<name, version>"] = pa.list_(pa.struct([("name", pa.string()), ("version", pa.string())]))
    return ({str(one): one for one in kinds} | texts)[kind]
