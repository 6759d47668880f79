"""The cutoffs and test windows of a city's walk-forward folds."""

from datetime import date

from shotspotter_assets.calendar.local_time import ONE_DAY
from shotspotter_assets.cities.city import City


def last_test_day(city: City, cutoff: date) -> date:
    """Return the last day of the test window of a city's fold; a day before the cutoff after the city's end."""
    return min(city.folds.last_test_day(cutoff), city.end or date.max)


def cutoffs(city: City, last: date) -> list[date]:
    """Return the cutoffs of a city's folds to the day after `last`, in order."""
    found, cutoff = [], city.folds.first_cutoff(city.start)
    while cutoff <= last + ONE_DAY:
        found.append(cutoff)
        cutoff = city.folds.next_cutoff(cutoff)
    return found
