"""Landed rows that are not built yet: shown in `status.json` and on the first page without a run."""

from collections.abc import Sequence

from pydantic import TypeAdapter
from pydantic_core import to_json

from shotspotter_assets.cities.city import City
from shotspotter_assets.pages.addresses import Status
from shotspotter_assets.storage.catalogue import INDEX, PAGE, STATUS, WAITING
from shotspotter_assets.storage.store import Store

_SENTENCES = TypeAdapter(list[str])


def read_waiting(store: Store, city: str) -> list[str]:
    """Return the sentences about what waits, as they were last written."""
    return list(store.read_index(WAITING, city, _SENTENCES.validate_json) or [])


def data_script(name: str, data: object, city: City) -> bytes:
    """Return data as a script, as pages on the disk may load scripts but may not fetch, in the words of the target."""
    return f'CityPages.data("{name}", {city.worded(to_json(data).decode())});\n'.encode()


def show_waiting(store: Store, city: City, sentences: Sequence[str]) -> None:
    """Keep the sentences about what waits, and renew them on the pages and in the status of each target."""
    store.write_bytes(WAITING, to_json(sentences), city.name)
    if not store.exists(INDEX, city.name):
        return

    def renewed(status: Status | None) -> bytes | None:
        return None if status is None else status.model_copy(update={"waits": tuple(sentences)}).content()

    for _, view in city.by_target(store):
        folder = "" if view.target == city.target else f"{view.target}/"
        script = data_script("waiting", sentences, view)
        store.write_bytes(PAGE.named(file=f"{folder}waiting.js"), script, city.name)
        store.update(PAGE.named(file=folder + STATUS.file), city.name, Status.model_validate_json, renewed)
