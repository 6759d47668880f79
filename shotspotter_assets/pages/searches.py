"""The searches of settings on the track record: the newest one of each forecaster, with its pictures."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from shotspotter_assets.evaluation.tuning_views import PICTURES, in_words
from shotspotter_assets.models.registry import TUNABLE
from shotspotter_assets.models.tuning.tuned_settings import TunedSettings, read_tuned, tuned_folds, tuned_partition
from shotspotter_assets.storage.errors import MissingObjectError
from shotspotter_assets.storage.file_names import picture_file
from shotspotter_assets.storage.store import Store

ALTS: Final = {
    "history": "Validation loss of each trial in their order, and the best so far",
    "importance": "Share of each setting in the variance of the loss",
    "parallel_coordinates": "Settings of all trials as lines, coloured by their loss",
}


@dataclass(frozen=True)
class Search:
    """A stored search, its settings and their state in words, and PNG and alternative text by name of the picture's file."""

    found: TunedSettings
    settings: str
    state: str
    pictures: dict[str, tuple[bytes, str]]


def searches(store: Store, city: str) -> list[Search]:
    """Return the newest search of each forecaster of the city; [] without any."""
    newest = {name: folds[-1] for name in TUNABLE if (folds := tuned_folds(store, city, name))}
    shown = []
    for name, fold in newest.items():
        found, pictures = read_tuned(store, city, fold, name), {}
        for picture in PICTURES:
            with suppress(MissingObjectError):
                png = store.read_bytes(tuned_partition(city, fold), picture_file(f"{name}.{picture}"))
                pictures[f"search_{name}_{picture}.png"] = png, ALTS[picture]
        state = "They apply once the city's file has them."
        if not found.settings:
            state = "Nothing better than the current settings was found."
        shown.append(Search(found, in_words(found.settings), state, pictures))
    return shown
