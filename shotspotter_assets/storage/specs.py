"""Vocabulary in which `storage.catalogue` declares assets: partitions, relations to inputs, keys of the city's file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Final


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
