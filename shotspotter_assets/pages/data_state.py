"""The page of the data: the state of the source, findings of checks, rejected rows, and the cells that sensors hear."""

from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import PurePosixPath
from typing import Final

from shotspotter_assets.cities.city import City
from shotspotter_assets.cleaning.alerts import REASONS
from shotspotter_assets.quality.all_checks import ALL_CHECKS
from shotspotter_assets.quality.city_state import CityState
from shotspotter_assets.sources.unreadable import read_unreadable
from shotspotter_assets.storage.errors import CorruptObjectError
from shotspotter_assets.storage.file_names import GRID_FILE, REJECTED_FILE
from shotspotter_assets.storage.store import Store

RECENT_DAYS: Final = 365
"""Days whose rejected rows are counted."""


@dataclass(frozen=True)
class CheckOutcome:
    """A check that did not pass."""

    name: str
    meaning: str
    message: str
    days: str


@dataclass(frozen=True)
class DataState:
    """The state of a city's data.

    Attributes:
        first: first stored day.
        last: last stored day.
        known: last day whose outcome is known.
        missing: number of days between the first and last stored ones that are not stored.
        checked: first and last day that the checks covered, in words; "" where none was run.
        problems: checks that did not pass when they last judged any of the city's days.
        rejected: number of rows and the reason in words, over the last `RECENT_DAYS`.
        rejected_since: first of these days.
        unreadable: names of landed files that cannot be read, and the reason.
        layers: key and file of each layer.
    """

    first: date | None
    last: date | None
    known: date | None
    missing: int
    checked: str
    problems: list[CheckOutcome]
    rejected: list[tuple[int, str]]
    rejected_since: date | None
    unreadable: list[tuple[str, str]]
    layers: list[tuple[str, str]]

    @property
    def passed(self) -> int:
        """Number of checks that passed."""
        return len(ALL_CHECKS) - len({one.name for one in self.problems if one.meaning})


def data_state(store: Store, city: City, known: date | None) -> DataState:
    """Read the state of a city's stored days."""
    days = store.days_present("grid_tensors", city.name, GRID_FILE)
    first, last = min(days, default=None), max(days, default=None)
    state = CityState.load(store, city.name)
    since = None if last is None else max(city.start, last - timedelta(days=RECENT_DAYS - 1))
    return DataState(
        first=first,
        last=last,
        known=known,
        missing=0 if first is None or last is None else (last - first).days + 1 - len(days),
        checked=_span(state.first, state.last) if state else "",
        problems=[
            CheckOutcome(name.replace("_", " "), ALL_CHECKS.get(name, ""), warned.message, warned.span)
            for name, warnings in (state.warnings.items() if state else ())
            for warned in warnings
        ],
        rejected=[] if since is None or last is None else _rejected(store, city, since, last),
        rejected_since=since,
        unreadable=[
            (PurePosixPath(path).name, file.error) for path, file in sorted(read_unreadable(store, city.name).items())
        ],
        layers=[(key, layer.path.name) for key, layer in city.layers.given().items()],
    )  # fmt: skip


def _span(first: date, last: date) -> str:
    return str(first) if first == last else f"{first} to {last}"


def _rejected(store: Store, city: City, first: date, last: date) -> list[tuple[int, str]]:
    try:
        table = store.read_present("cleaned_alerts", city.name, REJECTED_FILE, first, last, ["reason"])
    except CorruptObjectError:
        return []
    counts = Counter([] if table is None else table["reason"].to_pylist())
    return [(number, REASONS.get(str(reason), str(reason))) for reason, number in counts.most_common()]
