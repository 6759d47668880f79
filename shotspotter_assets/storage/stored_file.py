"""Vocabulary in which `storage.catalogue` declares assets and stored files; Arrow is imported with the first schema."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from enum import Enum, StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    import pyarrow as pa


class Partitions(Enum):
    """Kinds of partitions; the value names the date of a partition, and is empty for an asset without partitions."""

    DAYS = "day"
    ISSUE_DATES = "issue_date"
    SCORED_DAYS = "scored_date"
    FOLDS = "cutoff"
    WEEKS = "week"
    YEARS = "year"
    NONE = ""


@dataclass(frozen=True)
class Days:
    """Input partitions from `first` to `last`, in days after the own one; `first` is None for all earlier ones."""

    first: int | None
    last: int


SAME: Final = Days(0, 0)
DAY_BEFORE: Final = Days(-1, -1)
LAST_TWO_DAYS: Final = Days(-1, 0)  # a shift over midnight ends on the day after it began
DAYS_AROUND: Final = Days(-1, 1)  # a call about an alert of 23:58 may be received on the next day
DAYS_TO_OWN: Final = Days(None, 0)
DAYS_BEFORE: Final = Days(None, -1)  # all days before the cutoff of a fold


class Whole(Enum):
    """Relations to input partitions that are not counted from the own one."""

    TEST_WINDOW = "all days to the last one of the fold's test window"
    ALL = "all partitions"
    OWN_YEAR = "all days of the year, and its eve, on which its first forecast is issued"
    FINISHED = "all partitions that are complete, by their content; one that a run is writing counts as it was"
    FULL_MONTHS = "all days to the end of the last month whose days are all over and stored"
    APPROVALS = "models that a person approved"


Relation = Days | Whole


@dataclass(frozen=True)
class Spec:
    """Declaration of an asset: partitions, inputs, and the keys of the city's file that change it.

    A change of a key in `keys` or `other_keys` rebuilds the asset. Models that were fitted with other values of `keys`
    cannot serve any more; `other_keys` change rows or the choice of a model, and earlier models stay usable.
    """

    partitions: Partitions
    inputs: Mapping[str, Relation] = field(default_factory=dict)  # by name of the asset
    keys: tuple[str, ...] = ()
    other_keys: tuple[str, ...] = ()
    by_target: bool = False  # True if each target of the city has its own files; their lineage is that of all targets
    automatic: bool = True  # False for an asset that only people, schedules or its own sensor build
    on_pages: bool = False  # True if the pages show it
    section: str = ""  # section of the city's file without which the city lacks the asset
    rows: Mapping[str, Days] = field(default_factory=dict)
    """Days of the rows that the asset reads itself, by section of the city's file that names their source."""


class StoredFolder(StrEnum):
    """Names of the folders of a store; the members are in `storage.catalogue`."""

    @property
    def is_by_target(self) -> bool:
        """True if each target has its own folder."""
        return False


ALL_CITIES: Final = "all-cities"  # name of the city of files of all cities; no city can have it
GUNFIRE: Final = "gunfire"  # target of a city without `targets` in its file


@dataclass(frozen=True)
class Column:
    """One column; `kind` names its Arrow type, and `meaning` includes the unit."""

    kind: str
    meaning: str
    required: bool = True


@dataclass(frozen=True)
class StoredFile:
    """One file of each partition of an asset."""

    asset: StoredFolder
    date_name: str  # date that names the partition, such as `issue_date`; empty for one file per city
    file: str  # name of the file; `named` fills words in braces
    meaning: str

    @property
    def dimension(self) -> str:
        """Partition key in the folder's name."""
        return "fold" if self.date_name == "cutoff" else "date"

    @property
    def is_by_target(self) -> bool:
        """True if each target has the file."""
        return self.asset.is_by_target and not self.file.startswith("_")

    def folder(self, city: str, target: str) -> str:
        """Return the path of the city's folder, in which each target may have its own."""
        return f"{self.asset}/city={city}" + (f"/target={target}" if self.is_by_target else "")

    def path(self, city: str, day: date | None = None, target: str = GUNFIRE) -> str:
        """Return the file's path within the store; raise ValueError for a superfluous or missing date."""
        if (day is None) == bool(self.date_name):
            key = self.date_name or "city alone"
            raise ValueError(f"{self.file} of {self.asset} is stored by {key}, not for {day}")
        folder = "" if day is None else f"/{self.dimension}={day.isoformat()}"
        return f"{self.folder(city, target)}{folder}/{self.file}"

    @property
    def pattern(self) -> str:
        """Path of the files of all cities, targets and dates, with asterisks."""
        date = f"/{self.dimension}=*" if self.date_name else ""
        return f"{self.folder('*', '*')}{date}/{self.file}"

    def named(self, **words: str) -> Self:
        """Return the file with words instead of those in braces."""
        return replace(self, file=self.file.format_map(words))


@dataclass(frozen=True, eq=False)
class StoredTable(StoredFile):
    """One Parquet file of each partition."""

    columns: Mapping[str, Column]  # columns by name in order, with the partition's own date if tables in memory have it
    others: Column | None = None  # further columns, such as a probability by each model
    published: str = ""  # name of the CSV of the newest forecast's table beside the pages; empty for none

    @property
    def own_columns(self) -> dict[str, Column]:
        """Columns of the file, without the partition's own date."""
        is_key = {self.dimension} if self.date_name else set()
        return {name: column for name, column in self.columns.items() if name not in is_key}

    @property
    def key_types(self) -> dict[str, str]:
        """SQL types of the keys in the folders' names."""
        keys = {"city": "VARCHAR"} | ({"target": "VARCHAR"} if self.is_by_target else {})
        return keys | ({self.dimension: "DATE"} if self.date_name else {})

    @cached_property
    def schema(self) -> "pa.Schema":
        """Arrow schema of `columns`."""
        import pyarrow as pa

        fields = [
            pa.field(name, _arrow_type(column.kind), not column.required) for name, column in self.columns.items()
        ]
        return pa.schema(fields)

    def checked(self, table: "pa.Table") -> "pa.Table":
        """Return a table in the catalogue's types; raise ValueError if a column, type or required value is wrong."""
        import pyarrow as pa

        table.validate(full=True)
        fields = [self.schema.field(name) for name in self.own_columns]
        others = [column for column in table.schema if column.name not in self.columns]
        for column in fields:
            if column.name not in table.column_names:
                raise self._refused(column.name, "is missing")
            if table.schema.field(column.name).type != column.type:
                raise self._refused(column.name, f"is {table.schema.field(column.name).type}, not {column.type}")
            if not column.nullable and table[column.name].null_count:
                raise self._refused(column.name, f"lacks {table[column.name].null_count:,} values")
        for column in others:
            if self.others is None or column.type != _arrow_type(self.others.kind):
                raise self._refused(column.name, f"of type {column.type} is not in the catalogue")
        schema = pa.schema([*fields, *others], table.schema.metadata)
        return table if schema == table.schema else table.select(schema.names).cast(schema)

    def _refused(self, column: str, reason: str) -> ValueError:
        return ValueError(f"{self.asset}, {self.file}: column {column} {reason}.")


def _arrow_type(kind: str) -> "pa.DataType":
    import pyarrow as pa

    without_alias = {
        "timestamp[us, tz=UTC]": pa.timestamp("us", "UTC"),
        "list<string>": pa.list_(pa.string()),
        "list<name, version>": pa.list_(pa.struct([("name", pa.string()), ("version", pa.string())])),
    }
    return without_alias[kind] if kind in without_alias else pa.type_for_alias(kind)
