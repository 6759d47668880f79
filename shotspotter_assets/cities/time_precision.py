"""The shortest span of time that a city's published times can tell apart."""

from typing import Final

from shotspotter_assets.cities.city import City

HOURS: Final = {"second": 0, "hour": 1, "day": 24}
"""The shortest span that times of each precision support."""


class TimePrecisionError(ValueError):
    """The city's times are not exact enough."""


def require_precision(city: City, hours: float) -> None:
    """Refuse spans of hours that the city's times cannot tell apart.

    Raises:
        TimePrecisionError: see `City.time_precision`.
    """
    shortest = HOURS[city.time_precision]
    if hours < shortest:
        raise TimePrecisionError(
            f"City {city.name}: spans of {hours:g} h need more exact times than it has (time_precision: "
            f"{city.time_precision}). Use {shortest} h or longer, or correct time_precision in the city's file."
        )
