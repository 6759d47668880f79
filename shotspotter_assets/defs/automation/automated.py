"""Cities whose runs start automatically."""

from collections.abc import Iterable
from typing import Final

from shotspotter_assets.cities.city import City

NOT_AUTOMATED: Final = "The city is not automated; write `automation: recent` in its file."


def automated(cities: Iterable[City]) -> list[City]:
    """Return the cities whose `automation` is not `manual`."""
    return [city for city in cities if city.is_automated]
