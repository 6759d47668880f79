"""The commands `quiet` and `accept`: a person's statement about days, and the resulting state of each day."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from shotspotter_assets.calendar import local_time
from shotspotter_assets.calendar.local_time import ONE_DAY, days_between
from shotspotter_assets.city_files import find_city
from shotspotter_assets.defs.resources import SourcesResource, StoreResource
from shotspotter_assets.quality.day_decisions import snapshot_decisions
from shotspotter_assets.settings import Settings
from shotspotter_assets.sources.day_table import DayTable
from shotspotter_assets.sources.day_words import Word


def state_days(settings: Settings, name: str, word: Word, first: date, last: date, *, is_undone: bool) -> Sequence[str]:
    """Write, or remove, a statement about the days `first` to `last` of a city; return a line with the state of each day.

    Raises ValueError for days before the city's start, and for days that are not over.
    """
    city = find_city(settings.cities, name)
    sources = SourcesResource(landing_root=settings.landing_root)
    store = StoreResource(root=settings.store_root).open()
    yesterday = local_time.today(city.zone) - ONE_DAY
    if not city.start <= first <= last <= yesterday:
        raise ValueError(f"City {name}: {first} to {last} are no days from {city.start} to {yesterday}.")
    folder = sources.words(city)
    snapshot = sources.snapshot(city, store, local_time.now(), poll_seconds=None)
    table = DayTable.read(store, name)
    before = snapshot_decisions(snapshot, table, yesterday)
    for day in days_between(first, last):
        (folder.remove if is_undone else folder.add)(word, day)
    after = snapshot_decisions(replace(snapshot, words=folder.read()), table, yesterday)
    return [
        f"{name}: {day} is {after[day].state.replace('_', ' ')}. {after[day].why}"
        + (" The word is without effect." if after[day] == before[day] else "")
        for day in days_between(first, last)
    ]
