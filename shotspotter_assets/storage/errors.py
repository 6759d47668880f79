"""Errors of the store, with address and remedy."""

from collections.abc import Collection
from datetime import date

from pydantic import ValidationError

from shotspotter_assets.storage.catalogue import ALERTS
from shotspotter_assets.storage.stored_file import StoredFolder
from shotspotter_assets.storage.wording import LAUNCH, first_of, number_of, period


class StoreError(Exception):
    """Failure of the store or of an object in it."""

    def __reduce__(self) -> tuple[type["StoreError"], tuple[str]]:
        return StoreError, (str(self),)  # A pool of processes rebuilds errors from one argument.


class MissingObjectError(StoreError):
    """A missing object."""

    def __init__(self, asset: StoredFolder, city: str, day: date | None, file: str, uri: str) -> None:
        where = city if day is None else f"{city} on {day}"
        super().__init__(f"{asset} has no {file} for {where} ({uri} does not exist): {_remedy(asset, city, day, day)}")


class MissingPartitionsError(StoreError):
    """Missing days of a window."""

    def __init__(
        self, asset: StoredFolder, city: str, file: str, days: Collection[date], window: tuple[date, date]
    ) -> None:
        self.days: list[date] = sorted(days)
        first, last = window
        listed = first_of([str(day) for day in self.days])
        super().__init__(
            f"{asset} of {city} lacks {file} for {len(days):,} of the {number_of((last - first).days + 1, 'day')} "
            f"{period(first, last)}: {listed}. " + _remedy(asset, city, self.days[0], self.days[-1])
        )


class CorruptObjectError(StoreError):
    """An unreadable object: a damaged Parquet file, or a record of another version."""

    def __init__(self, asset: StoredFolder, key: str, uri: str, reason: str) -> None:
        super().__init__(f"{uri} cannot be used ({reason}). Rebuild it: materialize {asset} for {key} again.")


def error_reason(error: Exception) -> str:
    """Return the first fault that pydantic or Arrow has found, in one line."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return ": ".join([*map(str, first["loc"]), first["msg"]])
    return (str(error).splitlines() or [type(error).__name__])[0]


def unusable(root: str, reason: str) -> StoreError:
    """Return the error of a store without access: no permission, disk full, no such bucket, wrong credentials."""
    remedy = "Make room or give access there, or name another store in SHOTSPOTTER_STORE."
    return StoreError(f"Cannot use the store {root}: {reason}. {remedy}")


def _remedy(asset: StoredFolder, city: str, first: date | None, last: date | None) -> str:
    assets = ALERTS if asset in ALERTS else (asset,)
    days = f" --partition {first}" if first == last else f" --partition-range {first}...{last}"
    which = days if first is not None else ""
    return f"Materialize it: {LAUNCH} --assets {','.join(f'{city}/{name}' for name in assets)}{which}"
