"""How each city stood when its data were last checked, whichever cities have been checked since.

A check of Dagster's shows its newest result alone, which the next city's run replaces.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Final

from pydantic import BaseModel

from shotspotter_assets.quality.finding import Finding
from shotspotter_assets.storage.file_names import CITY_STATE_FILE, QUALITY, check_state_file
from shotspotter_assets.storage.store import Partition, Store

OTHER_CHECKS: Final = (
    "raw_schema", "late_cities", "rows_are_conserved", "cleaned_schema", "rejected_schema", "counts_equal_alerts",
    "rolling_gate", "streets_are_usable",
)  # fmt: skip
"""Checks that are not of `all_checks`; each keeps what it found in a file of its own, as their runs may overlap."""

_FILES: Final = (CITY_STATE_FILE, *map(check_state_file, OTHER_CHECKS))


class CityState(BaseModel):
    """What the newest run over a city's days found."""

    first: date
    last: date
    """The days that were judged."""
    checked_at: datetime
    problems: dict[str, str]
    """Message of each check that did not pass; none for a city that is well."""

    @classmethod
    def of_run(cls, days: Collection[date], problems: Mapping[str, str]) -> "CityState":
        """The state after a run that ends now."""
        return cls(first=min(days), last=max(days), checked_at=datetime.now(UTC), problems=dict(problems))

    def keep(self, store: Store, city: str, file: str = CITY_STATE_FILE) -> None:
        """Store it in place of the state before."""
        store.write_bytes(Partition(QUALITY, city), file, self.model_dump_json(indent=1).encode())

    @classmethod
    def load(cls, store: Store, city: str) -> "list[CityState]":
        """What the newest run of each check over the city's days found; nothing of a city that was never checked."""
        partition = Partition(QUALITY, city)
        present = [file for file in _FILES if store.exists(partition, file)]
        return [cls.model_validate_json(store.read_bytes(partition, file)) for file in present]

    @classmethod
    def load_all(cls, store: Store) -> "dict[str, list[CityState]]":
        """`load` of all cities that were checked."""
        return {
            city: [cls.model_validate_json(contents[file]) for file in _FILES if file in contents]
            for city, contents in store.read_of_cities(QUALITY, *_FILES).items()
        }


def keep_outcome(store: Store, city: str, check: str, days: Collection[date], message: str | None) -> None:
    """Keep what one of `OTHER_CHECKS` found of a city, None if it passed: its file is there while it does not."""
    partition, file = Partition(QUALITY, city), check_state_file(check)
    if message is not None:
        CityState.of_run(days, {check: message}).keep(store, city, file)
    elif store.exists(partition, file):
        store.delete(partition, file)


def failed_cities(store: Store, check: str) -> set[str]:
    """The cities for which one of `OTHER_CHECKS` did not pass when it was last run for them."""
    return set(store.read_of_cities(QUALITY, check_state_file(check)))


def cities_are_well(
    states: Mapping[str, Sequence[CityState]], wrong_files: Mapping[str, str], unreadable: Mapping[str, str]
) -> Finding:
    """No check of any city warned or failed when it was last run for it, and all their files can be read.

    Args:
        states: see `CityState.load`, by city.
        wrong_files: what is wrong with city files that cannot be used, by city.
        unreadable: what is said of landed files that cannot be read, by city.
    """
    problems = {city: [state for state in of_city if state.problems] for city, of_city in states.items()}
    ill = [city for city, of_city in problems.items() if of_city or city in unreadable]
    well = [city for city, of_city in states.items() if of_city and city not in ill]
    unknown = [city for city, of_city in states.items() if not of_city and city not in ill]
    named = [
        f"{city} ({'; '.join([*map(_named, problems[city]), *(['unreadable files'] if city in unreadable else [])])})"
        for city in ill
    ]
    parts = [
        f"Not well: {'; '.join(named)}" if ill else "",
        f"Their files cannot be used: {', '.join(wrong_files)}" if wrong_files else "",
        f"Well: {', '.join(well)}" if well else "",
        f"Never checked: {', '.join(unknown)}" if unknown else "",
    ]
    numbers: dict[str, float | int | str] = {
        f"{city} {check}": message
        for city, of_city in problems.items()
        for state in of_city
        for check, message in state.problems.items()
    }
    numbers |= {f"{city} unreadable_files": message for city, message in unreadable.items()}
    numbers |= {f"{city} file": problem for city, problem in wrong_files.items()}
    return Finding(not ill and not wrong_files, ". ".join(part for part in parts if part) + ".", numbers)


def _named(state: CityState) -> str:
    days = str(state.first) if state.first == state.last else f"{state.first} to {state.last}"
    return f"{days}: {', '.join(state.problems)}"
