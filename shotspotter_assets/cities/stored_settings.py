"""Settings of a city that stored data depend on, by the declarations of assets (`storage.catalogue`), and their hashes."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final

from shotspotter_assets.cities.city import City
from shotspotter_assets.storage.catalogue import ALERTS, FROM_TABLES, Asset
from shotspotter_assets.storage.fingerprints import sha256
from shotspotter_assets.storage.lineage import NOT_MADE, Key, Lineage, Origin
from shotspotter_assets.storage.wording import LAUNCH, number_of, period

GRID: Final = "grid"  # metadata key of `grid_settings` in forecasts
HARMLESS_KEYS: Final = {
    "name": "It names the city's files.",
    "start": "It bounds the partitions; histories leave out earlier days.",
    "end": "It bounds the partitions.",
    "first_forecast": "It bounds the partitions of issue dates.",
    "automation": "It decides which runs start, but changes no result.",
    "limits": "Files and answers above them are refused before they are stored.",
    "publication": "The states of days follow it at each comparison with the sources.",
    "unusual_days": "The states of days follow it at each comparison with the sources.",
    "max_share_rejected": "The table of days stores it with each day, and days with rejected rows are decided again.",
    "is_tried": "It appears only in documents.",
    "contact": "Only the UI shows it.",
    "time_precision": "It sets the precision of published times; live models use it from their next training on.",
    "retraining": "It sets the date of the next training.",
    "shadow": "It changes nothing that serves; the next training of the live models adds it.",
}
"""Keys of the city's file that no asset declares, with the reason why a change outdates nothing that is stored."""
KEYS_OF_NEW_FORECASTS: Final = (
    "start", "publication", "unusual_days", "max_share_rejected", "time_precision", "retraining"
)  # fmt: skip
"""Those of `HARMLESS_KEYS` that change forecasts still to be issued: their days of data, or the date of the training."""


def settings_of(city: City, keys: Iterable[str]) -> dict[str, Any]:
    """Return the values of keys in the city's file, in the order of the file, if results depend on them.

    Sources count by the rules for their rows, side tables by the rules for theirs and not by their source, `folds` by the
    windows before a cutoff if these limit the history, and files by their name and folder, wherever the installation is.
    """
    keys = {*keys}
    of_tables = {section: {"source"} for asset in FROM_TABLES for section in asset.spec.rows}
    stated = city.model_dump(include=keys - {"source", "other_sources"}, exclude=of_tables)
    values: dict[str, Any] = _with_short_paths(
        stated, city.model_dump(mode="json", include={*stated}, exclude=of_tables)
    )
    if "source" in keys:
        values["sources"] = [[getattr(source, rule) for rule in source.row_rules] for source in city.all_sources]
    if "folds" in values:
        del values["folds"]
        if city.folds.train != "all":
            values["folds"] = city.folds.model_dump(include={"train", "validation"})
    return values


def _with_short_paths(stated: Any, written: Any) -> Any:
    """Return settings as `written` to JSON, with the last two parts of each path that is `stated`."""
    if isinstance(stated, Path):
        return "/".join(stated.parts[-2:])
    if isinstance(stated, dict):
        return {name: _with_short_paths(part, written[name]) for name, part in stated.items()}
    if isinstance(stated, tuple):
        return [_with_short_paths(part, written_part) for part, written_part in zip(stated, written, strict=True)]
    return written


def settings_hash(city: City, asset: Asset, more: Sequence[str] = ()) -> str:
    """Return the SHA-256 of the settings that an asset and the assets that it is made from depend on, and of `more` keys."""
    chain = (*asset.ancestors, asset)
    keys = [key for source in chain for key in (*source.spec.keys, *source.spec.other_keys)]
    return sha256(json.dumps(settings_of(city, [*keys, *more]), sort_keys=True))


def own_settings(city: City, asset: Asset) -> str:
    """Return the version of the settings that an asset itself depends on, without those of its inputs; "" without any."""
    keys = (*asset.spec.keys, *asset.spec.other_keys)
    values = settings_of(city, keys)
    return sha256(json.dumps(values, separators=(",", ":"), ensure_ascii=False))[:8] if keys else ""


def grid_settings(city: City) -> str:
    """Return box, cells, event types and counted rows of a city, and the events of its target, as JSON."""
    events = {"target": city.targets[city.target]}
    keys = {*Asset.CLEANED_ALERTS.spec.keys, *Asset.GRID_TENSORS.spec.keys}
    return json.dumps(city.model_dump(include=keys) | events)


def model_settings(city: City) -> dict[str, str]:
    """Return a hash of each key of the city's file that fitted models depend on; `folds` only if it limits the history."""
    models = Asset.LIVE_MODELS
    keys = [key for asset in (*models.ancestors, models) for key in asset.spec.keys]
    values = {key: settings_of(city, [key]) for key in keys}
    return {key: sha256(json.dumps(value, sort_keys=True))[:8] for key, value in values.items() if value}


def settings_version(city: City, asset: Asset) -> str:
    """Return the start of `settings_hash`, which the lineage of days of alerts holds as their version."""
    return settings_hash(city, asset)[:8]


def origins_of_days(city: City, asset: Asset, made_from: Mapping[Key, str]) -> dict[Key, Origin]:
    """Return the lineage of days of alerts from the versions of their inputs, with the settings of the city's file."""
    settings = settings_version(city, asset)
    return {day: Origin(inputs, settings) for day, inputs in made_from.items()}


def refuse_other_settings(lineage: Lineage, days: Sequence[date], city: City, asset: Asset) -> None:
    """Refuse days that were stored with other settings than the city's file has now; the ValueError names the remedy."""
    accepted = ("", settings_version(city, asset))
    other = [day for day in days if lineage.get(str(day), NOT_MADE).version not in accepted]
    if other:
        selection = ",".join(f"{city.name}/{name}" for name in ALERTS)
        raise ValueError(
            f"City {city.name}: {asset} of {number_of(len(other), 'day')}, {period(other[0], other[-1])}, were stored with "
            "other settings than the city's file has now (time zone, box, grid, types, or the meaning of times and "
            f"points). Rebuild {', '.join(ALERTS[:-1])} and {ALERTS[-1]} for these days, or undo the change: "
            f"{LAUNCH} --assets {selection} --partition-range {other[0]}...{other[-1]}"
        )
