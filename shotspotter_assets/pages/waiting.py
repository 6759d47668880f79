"""The present state of a city, which the sensor renews in `status.json` and beside the pages without a run."""

from datetime import timedelta
from functools import partial
from typing import Final

from pydantic_core import to_json

from shotspotter_assets.alerts.days.city_now import CityNow, made_text, stored_now
from shotspotter_assets.alerts.days.day_table import DayTable
from shotspotter_assets.cities.city import City
from shotspotter_assets.pages.addresses import Status
from shotspotter_assets.pages.words import plain
from shotspotter_assets.storage.catalogue import INDEX, PAGE, STATUS, WAITING
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_file import StoredFile

MAX_AGE: Final = timedelta(minutes=15)  # an unchanged state is written again after it: pages tell that ticks go on


def read_now(store: Store, city: City) -> CityNow:
    """Return the kept state; of one that was kept before a run stored days, only its time and stage hold."""
    of_store = stored_now(city, DayTable.read(store, city.name))
    kept = store.read_index(WAITING, city.name, _kept) if city.is_automated else None
    if kept is None or kept.table == of_store.table:
        return kept or of_store
    return of_store.model_copy(update={"at": kept.at, "stage": kept.stage})


def data_script(name: str, data: object) -> bytes:
    """Return data as a script, because pages on the disk may load scripts but may not fetch."""
    return f'CityPages.data("{name}", {to_json(data).decode()});\n'.encode()


def folder_of(city: City, target: str) -> str:
    """Return the folder of a target's pages within the city's, with "/"; "" for the main target."""
    return "" if target == city.target else f"{target}/"


def show_now(store: Store, city: City, now: CityNow) -> None:
    """Keep the state of a city if it changed or is old, and renew it on the pages."""
    kept = store.read_index(WAITING, city.name, _kept)
    is_recent = kept is not None and kept.at is not None and now.at is not None and now.at - kept.at < MAX_AGE
    if kept is not None and is_recent and kept == now.model_copy(update={"at": kept.at}):
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
        store.update(PAGE.named(file=f"{folder}waiting.js"), view.name, bytes, partial(_script, store, view, status))


def _kept(content: bytes) -> CityNow | None:
    """Return a kept state; None for the sentences that 1.0.0 kept instead."""
    return None if content.startswith(b"[") else CityNow.model_validate_json(content)


def _renewed(store: Store, city: City, status: Status | None) -> bytes | None:
    """Return the status of a target with the present state of its city."""
    if status is None:
        return None
    now = read_now(store, city)
    made = made_text(now, DayTable.read(store, city.name), status.issued_at, status.last_known, city)
    present = {"as_of": now.at, "data": now.data, "waits": now.waits, "made": made}
    return status.model_copy(update=present).content()


def _script(store: Store, city: City, file: StoredFile, _: bytes | None) -> bytes | None:
    """Return the present state in the status of a target as a script for its pages and the overview, in plain words."""
    status = store.read_index(file, city.name, Status.model_validate_json)
    if status is None:
        return None
    shown = status.model_dump(mode="json", include={"as_of", "version", "made", "data"})
    return data_script("waiting", shown | {"waits": [plain(text) for text in status.waits]})
