"""Runs of a replay: how the assets know that they are in one, and what they may know then."""

from typing import TYPE_CHECKING, Final

from shotspotter_assets.cities.city import City
from shotspotter_assets.partitions import RunContext

if TYPE_CHECKING:
    from shotspotter_assets.sources.known_then import KnownThen
    from shotspotter_assets.storage.store import Store

REPLAY_TAG: Final = "shotspotter/replay"
"""Of each run of a replay, with the city as its value."""

AS_OF_TAG: Final = "shotspotter/as_of"
"""Of a run that plays a past day as if it were today: the issue date, after which nothing was known."""


def is_replay(context: RunContext) -> bool:
    """Whether the run plays a past day as if it were today."""
    return AS_OF_TAG in context.run.tags


def known_then(context: RunContext, store: "Store", city: City) -> "KnownThen | None":
    """What was known of the city's days on earlier ones, for a run of a replay; None for all others."""
    from shotspotter_assets.sources.known_then import KnownThen

    return KnownThen.load(store, city) if is_replay(context) else None
