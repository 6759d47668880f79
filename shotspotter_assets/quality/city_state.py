"""How each city stood when its data were last checked, whichever cities have been checked since.

A check of Dagster's shows its newest result alone, which the next city's run replaces.
"""

from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime

from pydantic import BaseModel

from shotspotter_assets.quality.finding import Finding
from shotspotter_assets.storage.file_names import CITY_STATE_FILE, QUALITY
from shotspotter_assets.storage.store import Partition, Store


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

    def keep(self, store: Store, city: str) -> None:
        """Store it in place of the city's state before."""
        store.write_bytes(Partition(QUALITY, city), CITY_STATE_FILE, self.model_dump_json(indent=1).encode())

    @classmethod
    def load(cls, store: Store, city: str) -> "CityState | None":
        """The stored state; None for a city that was never checked."""
        partition = Partition(QUALITY, city)
        if not store.exists(partition, CITY_STATE_FILE):
            return None
        return cls.model_validate_json(store.read_bytes(partition, CITY_STATE_FILE))


def cities_are_well(states: Mapping[str, CityState | None], wrong_files: Mapping[str, str]) -> Finding:
    """No city had a warning when its data were last checked, whichever city this run is of, and all their files are right."""
    ill = {city: state for city, state in states.items() if state is not None and state.problems}
    well = [city for city, state in states.items() if state is not None and not state.problems]
    unknown = [city for city, state in states.items() if state is None]
    parts = [
        "Not well: "
        + "; ".join(
            f"{city} ({state.first} to {state.last}: {', '.join(state.problems)})" for city, state in ill.items()
        )
        if ill
        else "",
        f"Their files cannot be used: {', '.join(wrong_files)}" if wrong_files else "",
        f"Well: {', '.join(well)}" if well else "",
        f"Never checked: {', '.join(unknown)}" if unknown else "",
    ]
    numbers: dict[str, float | int | str] = {
        f"{city} {check}": message for city, state in ill.items() for check, message in state.problems.items()
    }
    numbers |= {f"{city} file": problem for city, problem in wrong_files.items()}
    return Finding(not ill and not wrong_files, ". ".join(part for part in parts if part) + ".", numbers)
