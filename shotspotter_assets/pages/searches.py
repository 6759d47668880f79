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
    """One search.

    Attributes:
        found: its stored record.
        settings: the settings in words.
        state: whether they apply, in words.
        pictures: PNG, by name of the file beside the page.
        alts: text for readers who do not see the picture, by name of the file.
    """

    found: TunedSettings
    settings: str
    state: str
    pictures: dict[str, bytes]
    alts: dict[str, str]


def searches(store: Store, city: str) -> list[Search]:
    """Return the newest search of each forecaster of the city; [] without any."""
    newest = {name: folds[-1] for name in TUNABLE if (folds := tuned_folds(store, city, name))}
    shown = []
    for name, fold in newest.items():
        found, pictures, alts = read_tuned(store, city, fold, name), {}, {}
        for picture in PICTURES:
            file = f"search_{name}_{picture}.png"
            with suppress(MissingObjectError):
                pictures[file] = store.read_bytes(tuned_partition(city, fold), picture_file(f"{name}.{picture}"))
                alts[file] = ALTS[picture]
        state = "They apply once the city's file has them."
        if not found.settings:
            state = "Nothing better than the current settings was found."
        shown.append(Search(found, in_words(found.settings), state, pictures, alts))
    return shown
