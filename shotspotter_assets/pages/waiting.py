"""Landed rows that are not built yet: shown in `status.json` and on the first page without a run."""

from collections.abc import Sequence

from pydantic import TypeAdapter
from pydantic_core import to_json

from shotspotter_assets.cities.city import City
from shotspotter_assets.pages.addresses import Status
from shotspotter_assets.storage.catalogue import INDEX, PAGE, STATUS, WAITING
from shotspotter_assets.storage.store import Store

_SENTENCES = TypeAdapter(list[str])


def read_waiting(store: Store, city: City) -> list[str]:
    """Return the sentences about what waits, as they were last written; in a manual city nothing waits for a run."""
    sentences = store.read_index(WAITING, city.name, _SENTENCES.validate_json) if city.is_automated else None
    return list(sentences or [])


def data_script(name: str, data: object) -> bytes:
    """Return data as a script, because pages on the disk may load scripts but may not fetch."""
    return f'CityPages.data("{name}", {to_json(data).decode()});\n'.encode()


def folder_of(city: City, target: str) -> str:
    """Return the folder of a target's pages within the city's, with "/"; "" for the main target."""
    return "" if target == city.target else f"{target}/"


def show_waiting(store: Store, city: City, sentences: Sequence[str]) -> None:
    """Keep the sentences about what waits, and renew them on the pages."""
    store.write_bytes(WAITING, to_json(sentences), city.name)
    if store.exists(INDEX, city.name):
        renew_waiting(store, city)


def renew_waiting(store: Store, city: City) -> None:
    """Write the kept sentences to the pages and the status of each target.

    Each write reads them anew, so the newest sentences stay if the sensor and a run write at once.
    """
    for _, view in city.by_target(store):
        _renew_target(store, view, folder_of(city, view.target))


def _renew_target(store: Store, view: City, folder: str) -> None:
    def script(_: bytes | None) -> bytes:
        return data_script("waiting", read_waiting(store, view))

    def renewed(status: Status | None) -> bytes | None:
        waits = tuple(read_waiting(store, view))
        return None if status is None else status.model_copy(update={"waits": waits}).content()

    store.update(PAGE.named(file=f"{folder}waiting.js"), view.name, bytes, script)
    store.update(PAGE.named(file=folder + STATUS.file), view.name, Status.model_validate_json, renewed)
