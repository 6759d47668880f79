"""The kept store of release 0.2.0, and the account of its files by which a migrated store is compared with it."""

import json
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

ARCHIVE: Final = Path(__file__).parent / "store_0_2_0.tar.xz"  # by `make_store_0_2_0.py`
KEPT: Final = (
    "risk_forecasts",
    "street_risk",
    "patrol_plans",
    "live_models",
    "forecast_scores",
    "street_scores",
    "nowcast_scores",
    "nowcasts",
    "tuned_settings",
)
BY_TARGET: Final = (
    "risk_forecasts",
    "street_risk",
    "live_models",
    "forecast_scores",
    "street_scores",
    "tuned_settings",
)
FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    "risk_forecasts": {"day": "forecast_date"},
    "street_risk": {"day": "issue_date"},
    "patrol_plans": {"day": "forecast_date"},
    "live_models": {"day": "issue_date", "fitted_on": "models_from", "level": "weekly_offset"},
    "forecast_scores": {"day": "scored_date"},
    "street_scores": {"day": "scored_date"},
    "nowcast_scores": {"day": "scored_date"},
    "tuned_settings": {"fold": "cutoff"},
}
"""Today's names of fields by old ones."""
FIELDS_OF_PARTS: Final = {
    ("live_models", "models"): {"settings": "chosen"},
    ("nowcast_scores", "scores"): {"came": "observed"},
}
"""Today's names of fields of each model, and of each length of nowcasts."""
COLUMNS: Final = {"day": "forecast_date"}  # today's names of columns by old ones


def unpack(folder: Path, archive: Path = ARCHIVE) -> Path:
    """Unpack an archive; return the folder, which has the city's file, its landed files and its store."""
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder


def evidence(store: Path) -> Iterator[str]:
    """Yield the paths of the files of 0.2.0 that a migration has to keep, without indexes."""
    for file in sorted(store.rglob("*")):
        path = file.relative_to(store).as_posix()
        is_dated = "/date=" in path or "/fold=" in path
        if path.startswith(KEPT) and file.is_file() and is_dated:
            yield path


def present_path(path: str) -> str:
    """Return today's path of a file of 0.2.0."""
    asset, city, *rest = path.split("/")
    target = ["target=gunfire"] if asset in BY_TARGET else []
    return "/".join([asset, city, *target, *rest]).replace("audit.json", "record.json")


def differences(old: Path, new: Path) -> list[str]:
    """Return in words what a file of 0.2.0 states and its successor does not."""
    asset = old.as_posix().split("store/")[-1].split("/")[0]
    if old.suffix == ".parquet":
        return _differences_of_tables(pq.read_table(old), pq.read_table(new))
    if old.name in ("record.json", "audit.json") or old.name.endswith(".record.json"):
        return differences_of_records(asset, json.loads(old.read_bytes()), json.loads(new.read_bytes()))
    return [] if old.read_bytes() == new.read_bytes() else ["bytes"]


def differences_of_records(asset: str, old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Return the values of a record of 0.2.0 that its successor does not have under today's name."""
    present = dict(_leaves(new))
    named = {_present_name(asset, name): value for name, value in _leaves(old)}
    return [f"{name}: {value}" for name, value in named.items() if present.get(name, present) != value]


def _differences_of_tables(old: pa.Table, new: pa.Table) -> list[str]:
    entries = {**(new.schema.metadata or {})}
    lost = [str(key) for key, value in (old.schema.metadata or {}).items() if entries.get(key) != value]
    for name in old.column_names:
        present = COLUMNS.get(name, name.replace("baseline_", "model_"))
        if present not in new.column_names or not old[name].equals(new[present]):
            lost.append(name)
    return lost


def _present_name(asset: str, name: tuple[str, ...]) -> tuple[str, ...]:
    first, *others = name
    if (asset, first) in FIELDS_OF_PARTS and len(others) > 1:
        others[1] = FIELDS_OF_PARTS[asset, first].get(others[1], others[1])
    return (FIELDS[asset].get(first, first), *others)


def _leaves(value: Any, name: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield each value within a record with its path; empty groups count as values."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if not value or not isinstance(value, dict | list):
        yield name, value
    for key, part in items:
        yield from _leaves(part, (*name, str(key)))
