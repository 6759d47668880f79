"""The present state of a city, which the sensor renews in `status.json` and beside the pages without a run."""

from datetime import timedelta
from functools import partial
from typing import Final

from pydantic_core import to_json, to_jsonable_python

from shotspotter_assets.cities.city import City
from shotspotter_assets.pages.addresses import Status
from shotspotter_assets.quality.city_now import CityNow, made_text, stored_now, version_of
from shotspotter_assets.sources.day_table import DayTable
from shotspotter_assets.storage.catalogue import INDEX, PAGE, STATUS, WAITING
from shotspotter_assets.storage.store import Store

MAX_AGE: Final = timedelta(minutes=15)  # an unchanged state is written again after it: pages tell that ticks go on


def read_now(store: Store, city: City) -> CityNow:
    """Return the kept state; where a run has stored days since, or runs do not start automatically, that of the store."""
    table = DayTable.read(store, city.name)
    kept = store.read_index(WAITING, city.name, CityNow.model_validate_json)
    if kept is not None and city.is_automated and kept.table == version_of(table):
        return kept
    of_store = stored_now(city, table)
    return (
        of_store
        if kept is None or not city.is_automated
        else of_store.model_copy(update={"at": kept.at, "stage": kept.stage, "waits": kept.waits})
    )


def data_script(name: str, data: object) -> bytes:
    """Return data as a script, because pages on the disk may load scripts but may not fetch."""
    return f'CityPages.data("{name}", {to_json(data).decode()});\n'.encode()


def folder_of(city: City, target: str) -> str:
    """Return the folder of a target's pages within the city's, with "/"; "" for the main target."""
    return "" if target == city.target else f"{target}/"


def show_now(store: Store, city: City, now: CityNow) -> None:
    """Keep the state of a city if it changed or is old, and renew it on the pages."""
    kept = store.read_index(WAITING, city.name, CityNow.model_validate_json)
    if kept is not None and now.is_like(kept) and now.at and kept.at and now.at - kept.at < MAX_AGE:
        return
    store.write_bytes(WAITING, to_json(now), city.name)
    if store.exists(INDEX, city.name):
        renew_waiting(store, city)


def renew_waiting(store: Store, city: City) -> None:
    """Write the kept state to the pages and the status of each target.

    Each write reads it anew, so the newest state stays if the sensor and a run write at once.
    """
    for _, view in city.by_target(store):
        folder = folder_of(city, view.target)
        status = PAGE.named(file=folder + STATUS.file)
        store.update(status, view.name, Status.model_validate_json, partial(_renewed, store, view))
        shown = store.read_index(status, view.name, Status.model_validate_json)
        if shown is not None:
            store.write_bytes(PAGE.named(file=f"{folder}waiting.js"), waiting_script(shown), view.name)


def waiting_script(status: Status) -> bytes:
    """Return the present state of a target as a script for its pages and the overview."""
    names = ("as_of", "version", "made", "data", "waits")
    return data_script("waiting", {name: to_jsonable_python(getattr(status, name)) for name in names})


def with_now(store: Store, city: City, status: Status) -> Status:
    """Return the status of a target with the present state of its city."""
    now = read_now(store, city)
    made = made_text(now, DayTable.read(store, city.name), status.issued_at, status.last_known, city)
    return status.model_copy(update={"as_of": now.at, "data": now.data, "waits": now.waits, "made": made})


def _renewed(store: Store, city: City, status: Status | None) -> bytes | None:
    return None if status is None else with_now(store, city, status).content()
