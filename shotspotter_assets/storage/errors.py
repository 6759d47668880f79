"""The errors of the store; each message names the place and the remedy."""

from collections.abc import Collection, Iterable
from datetime import date

_MAX_LISTED_DAYS = 5
"""Days that a message names, as a window of years would fill the screen."""


_ALERT_ASSETS = ("raw_alerts", "cleaned_alerts", "grid_tensors")


class StoreError(Exception):
    """The store, or one object in it, cannot be used."""


class StoreUnwritableError(StoreError):
    """The store refuses writes: no permission, disk full, read-only, no such bucket, wrong credentials."""

    def __init__(self, root: str, reason: str) -> None:
        super().__init__(
            f"Cannot write to the store {root}: {reason}. "
            "Make room or give access there, or point SHOTSPOTTER_STORE to another place."
        )


class StoreUnreadableError(StoreError):
    """The store cannot be read; whether an object exists is not known."""

    def __init__(self, root: str, reason: str) -> None:
        super().__init__(
            f"Cannot read from the store {root}: {reason}. "
            "Give access there, or point SHOTSPOTTER_STORE to another place."
        )


class MissingObjectError(StoreError):
    """One object was asked for and is not in the store."""

    def __init__(self, *, asset: str, city: str, dimension: str | None, day: date | None, file: str, uri: str) -> None:
        where = city if day is None else f"{city} on {day}"
        super().__init__(f"{asset} has no {file} for {where} ({uri} does not exist): {_remedy(asset, city, day, day)}")
        self.asset, self.city, self.dimension, self.day = asset, city, dimension, day
        self.file, self.uri = file, uri


class MissingPartitionsError(StoreError):
    """Days of a window are not in the store; `days` has all of them, in order."""

    def __init__(self, asset: str, city: str, file: str, days: Collection[date], window: tuple[date, date]) -> None:
        self.asset, self.city, self.file, self.window = asset, city, file, window
        self.days: list[date] = sorted(days)
        first, last = window
        super().__init__(
            f"{asset} of {city} lacks {file} for {len(self.days):,} of the {(last - first).days + 1:,} days "
            f"{first} to {last}: {_shortened(self.days)}. " + _remedy(asset, city, self.days[0], self.days[-1])
        )


class CorruptObjectError(StoreError):
    """An object exists and is not what it should be, such as a Parquet file that does not open."""

    def __init__(self, asset: str, key: str, uri: str, reason: str) -> None:
        super().__init__(f"{uri} cannot be used as a table ({reason}): materialise {asset} for {key} again.")


def _remedy(asset: str, city: str, first: date | None, last: date | None) -> str:
    """The command that builds what is missing, with the inputs that may be missing too."""
    assets = _ALERT_ASSETS if asset in _ALERT_ASSETS else (asset,)
    which = (
        "" if first is None else f" --partition {first}" if first == last else f" --partition-range {first}...{last}"
    )
    return f"Materialise it: dg launch --assets {','.join(f'{city}/{name}' for name in assets)}{which}"


def _shortened(days: Iterable[date]) -> str:
    texts = [day.isoformat() for day in days]
    rest = len(texts) - _MAX_LISTED_DAYS
    return ", ".join(texts[:_MAX_LISTED_DAYS]) + (f" and {rest:,} more" if rest > 0 else "")
