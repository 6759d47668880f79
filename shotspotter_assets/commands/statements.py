"""The commands `quiet`, `accept` and `approve`: a person's statements about days and models."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from shotspotter_assets.alerts.days.day_decisions import snapshot_decisions
from shotspotter_assets.alerts.days.day_table import DayTable
from shotspotter_assets.alerts.days.day_words import Word
from shotspotter_assets.cities import local_time
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import ONE_DAY, days_between
from shotspotter_assets.city_files import find_city
from shotspotter_assets.defs.resources import SourcesResource, StoreResource
from shotspotter_assets.settings import Settings
from shotspotter_assets.storage.wording import first_of, period


def state_days(settings: Settings, name: str, word: Word, first: date, last: date, *, is_undone: bool) -> Sequence[str]:
    """Write, or remove, a statement about the days `first` to `last` of a city; return a line with the state of each day.

    Files are written only for days whose state changes. Raises ValueError for days before the city's start, for days that
    are not over, and where nothing would change; no file is written then.
    """
    city = find_city(settings.cities, name)
    sources = SourcesResource(landing_root=settings.landing_root)
    store = StoreResource(root=settings.store_root).open().draft()
    yesterday = local_time.today(city.zone) - ONE_DAY
    _check_days(city, first, last, yesterday)
    days = days_between(first, last)
    folder = sources.words(city)
    snapshot = sources.snapshot(city, store, local_time.now(), poll_seconds=None)
    stated = snapshot.words.days(word)
    if is_undone and stated.isdisjoint(days):
        raise ValueError(f"City {name}: there is no `{word}` of {period(first, last)}, so nothing was withdrawn.")
    changed_words = snapshot.words.with_days(word, stated.difference(days) if is_undone else stated.union(days))
    table = DayTable.read(store, name)
    before = snapshot_decisions(city, snapshot, table, yesterday)
    after = snapshot_decisions(city, replace(snapshot, words=changed_words), table, yesterday)
    changed = [day for day in days if after[day] != before[day]]
    if not changed and not is_undone:
        states = first_of([f"{day} is {after[day].in_words}" for day in days], separator=" ")
        raise ValueError(f"City {name}: `{word}` changes nothing, so nothing was written. {states}")
    for day in stated.intersection(days) if is_undone else changed:
        (folder.remove if is_undone else folder.add)(word, day)
    return [f"{name}: {day} {'is' if day in changed else 'stays'} {after[day].in_words}" for day in days]


def _check_days(city: City, first: date, last: date, yesterday: date) -> None:
    """Raise ValueError unless `first` to `last` are days of the city that are over."""
    if last < first:
        raise ValueError(f"City {city.name}: the last day ({last}) is before the first ({first}).")
    if first < city.start:
        raise ValueError(f"City {city.name}: {first} is before the city's first day, {city.start}.")
    if last > yesterday:
        raise ValueError(f"City {city.name}: {last} is not over yet; the last day that is over is {yesterday}.")


def approve_models(settings: Settings, name: str, version: str, approver: str) -> Sequence[str]:
    """Approve the models of a version, or the only ones that wait; without an approver, only list those that wait.

    The city's next run compares the approvals, and lets the models serve. Raises ValueError if no such models wait.
    """
    from shotspotter_assets.forecasts.approval import approve, waiting_models

    city = find_city(settings.cities, name)
    store = StoreResource(root=settings.store_root).open()
    waiting = {waits.models.version: waits for waits in waiting_models(store, city, date.max)}
    if not waiting:
        raise ValueError(f"City {name}: no models wait for approval.")
    versions = ", ".join(waiting)
    if version and version not in waiting:
        raise ValueError(f"City {name}: no models of version {version} wait for approval; those of {versions} do.")
    if not approver:
        return [waits.reason for key, waits in waiting.items() if version in ("", key)]
    if not version and len(waiting) > 1:
        raise ValueError(f"City {name}: models of several versions wait for approval; name one of {versions}.")
    version = version or versions
    approve(store, city, date.max, version, approver, local_time.now())
    return [f"{name}: models {version} were approved by {approver}. The next run of live_models lets them serve."]
