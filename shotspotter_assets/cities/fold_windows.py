"""The cutoffs and windows of a city's walk-forward folds."""

from datetime import date, timedelta
from typing import Final

from shotspotter_assets.calendar.local_time import days_between
from shotspotter_assets.cities.city import City

MIN_FOLD_DAYS: Final = 90
"""Minimum number of days before a city's first cutoff."""


def first_cutoff(city: City) -> date:
    """Return the city's first cutoff with `MIN_FOLD_DAYS` before it."""
    return city.folds.next_cutoff(city.start + timedelta(days=MIN_FOLD_DAYS - 1))


def fold_windows(city: City, cutoff: date) -> tuple[list[date], list[date]]:
    """Return the days before the cutoff and the days of the test window of a city's fold; none after the city's end."""
    return days_between(city.start, cutoff - timedelta(days=1)), days_between(cutoff, last_test_day(city, cutoff))


def last_test_day(city: City, cutoff: date) -> date:
    """Return the last day of the test window of a city's fold; a day before the cutoff after the city's end."""
    last = city.folds.next_cutoff(cutoff) - timedelta(days=1)
    return last if city.end is None else min(last, city.end)


def cutoffs(city: City, last: date) -> list[date]:
    """Return the cutoffs of a city's folds to the day after `last`, in order."""
    found, cutoff = [], first_cutoff(city)
    while cutoff <= last + timedelta(days=1):
        found.append(cutoff)
        cutoff = city.folds.next_cutoff(cutoff)
    return found
