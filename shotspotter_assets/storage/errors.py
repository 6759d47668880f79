"""The errors of the store; each message names the place and the remedy."""

from collections.abc import Collection
from datetime import date

_MAX_LISTED_DAYS = 5
"""Days that a message names, as a window of years would fill the screen."""
_ALERT_ASSETS = ("raw_alerts", "cleaned_alerts", "grid_tensors")


class StoreError(Exception):
    """The store, or one object in it, cannot be used."""


class MissingObjectError(StoreError):
    """One object was asked for and is not in the store."""

    def __init__(self, asset: str, city: str, day: date | None, file: str, uri: str) -> None:
        where = city if day is None else f"{city} on {day}"
        super().__init__(f"{asset} has no {file} for {where} ({uri} does not exist): {_remedy(asset, city, day, day)}")


class MissingPartitionsError(StoreError):
    """Days of a window are not in the store; `days` has all of them, in order."""

    def __init__(self, asset: str, city: str, file: str, days: Collection[date], window: tuple[date, date]) -> None:
        self.days: list[date] = sorted(days)
        first, last = window
        more = len(days) - _MAX_LISTED_DAYS
        listed = ", ".join(map(str, self.days[:_MAX_LISTED_DAYS])) + (f" and {more:,} more" if more > 0 else "")
        super().__init__(
            f"{asset} of {city} lacks {file} for {len(days):,} of the {(last - first).days + 1:,} days "
            f"{first} to {last}: {listed}. " + _remedy(asset, city, self.days[0], self.days[-1])
        )


class CorruptObjectError(StoreError):
    """An object exists and is not what it should be, such as a Parquet file that does not open."""

    def __init__(self, asset: str, key: str, uri: str, reason: str) -> None:
        super().__init__(f"{uri} cannot be used as a table ({reason}): materialize {asset} for {key} again.")


def unusable(root: str, reason: str) -> StoreError:
    """The error of a store that cannot be read or written: no permission, disk full, no such bucket, wrong credentials."""
    return StoreError(
        f"Cannot use the store {root}: {reason}. "
        "Make room or give access there, or point SHOTSPOTTER_STORE to another place."
    )


def _remedy(asset: str, city: str, first: date | None, last: date | None) -> str:
    """The command that builds what is missing, with the inputs that may be missing too."""
    assets = _ALERT_ASSETS if asset in _ALERT_ASSETS else (asset,)
    which = (
        "" if first is None else f" --partition {first}" if first == last else f" --partition-range {first}...{last}"
    )
    return f"Materialize it: dg launch --assets {','.join(f'{city}/{name}' for name in assets)}{which}"
