"""The page of the data: how the source is doing, what checks found, what was rejected, and where sensors hear."""

from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import PurePosixPath
from typing import Final

from shotspotter_assets.cities.city import City
from shotspotter_assets.cleaning.alerts import REASONS
from shotspotter_assets.quality.all_checks import ALL_CHECKS
from shotspotter_assets.quality.city_state import CityState
from shotspotter_assets.sources.seen import read_unreadable
from shotspotter_assets.storage.errors import CorruptObjectError
from shotspotter_assets.storage.file_names import GRID_FILE, REJECTED_FILE
from shotspotter_assets.storage.store import Store

RECENT_DAYS: Final = 365
"""Of which rejected rows are counted."""


@dataclass(frozen=True)
class CheckOutcome:
    """What a check found that did not pass."""

    name: str
    meaning: str
    message: str
    days: str


@dataclass(frozen=True)
class DataState:
    """How a city's data are doing.

    Attributes:
        missing: days between the first and last stored ones that are not stored.
        checked: last day that checks were of; None where none were run.
        rejected: number of rows and the reason in words, of the last `RECENT_DAYS`.
        unreadable: names of landed files that cannot be read, and why.
    """

    first: date | None
    last: date | None
    known: date | None
    missing: int
    checked: date | None
    problems: list[CheckOutcome]
    passed: int
    rejected: list[tuple[int, str]]
    rejected_since: date | None
    unreadable: list[tuple[str, str]]
    layers: list[tuple[str, str]]


def data_state(store: Store, city: City, known: date | None) -> DataState:
    """The state of a city's stored days."""
    days = store.days_present("grid_tensors", city.name, GRID_FILE)
    first, last = min(days, default=None), max(days, default=None)
    states = CityState.load(store, city.name)
    problems = [
        CheckOutcome(name.replace("_", " "), ALL_CHECKS.get(name, ""), message, _span(state))
        for state in states
        for name, message in state.problems.items()
    ]
    since = None if last is None else max(city.start, last - timedelta(days=RECENT_DAYS - 1))
    return DataState(
        first=first,
        last=last,
        known=known,
        missing=0 if first is None or last is None else (last - first).days + 1 - len(days),
        checked=max((state.last for state in states), default=None),
        problems=problems,
        passed=len(ALL_CHECKS) - sum(outcome.meaning != "" for outcome in problems),
        rejected=[] if since is None or last is None else _rejected(store, city, since, last),
        rejected_since=since,
        unreadable=[
            (PurePosixPath(path).name, file.error) for path, file in sorted(read_unreadable(store, city.name).items())
        ],
        layers=[(key, layer.path.name) for key, layer in city.layers.given().items()],
    )


def _span(state: CityState) -> str:
    return str(state.first) if state.first == state.last else f"{state.first} to {state.last}"


def _rejected(store: Store, city: City, first: date, last: date) -> list[tuple[int, str]]:
    try:
        table = store.read_present("cleaned_alerts", city.name, REJECTED_FILE, first, last, ["reason"])
    except CorruptObjectError:
        return []
    counts = Counter([] if table is None else table["reason"].to_pylist())
    return [(number, REASONS.get(str(reason), str(reason))) for reason, number in counts.most_common()]
