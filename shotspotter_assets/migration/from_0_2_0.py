"""Conversion of one stored file of 0.2.0, or of a later version without format versions, to format 2.

Issued forecasts, their scores, plans, issued minutes and serving records are kept byte for byte, or with today's names of
fields and columns. What 0.2.0 did not state is null, empty or absent. Its one target is named `gunfire`. Files that are made
from others, and that this version cannot use, are deleted and rebuilt.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from shotspotter_assets.migration.conversion import Converted, Rebuilt
from shotspotter_assets.migration.old_indexes import converted_lineage, converted_received
from shotspotter_assets.migration.old_records import ADAPTERS, converted_record
from shotspotter_assets.migration.old_tables import TABLES, converted_table
from shotspotter_assets.storage import catalogue
from shotspotter_assets.storage.catalogue import RECORD, Asset, OtherFolder
from shotspotter_assets.storage.specs import StoredFolder
from shotspotter_assets.storage.store_format import FORMAT_VERSION
from shotspotter_assets.storage.stored_file import GUNFIRE, StoredFile

_PATH: Final = re.compile(
    r"(?P<folder>\w+)/city=(?P<city>[^/]+)(?:/target=(?P<target>\w+))?"
    r"(?:/(?P<dimension>date|fold)=(?P<day>\d{4}-\d{2}-\d{2}))?/(?P<name>[^/]+)"
)
_FOLDERS: Final[dict[str, StoredFolder]] = {str(folder): folder for folder in (*Asset, *OtherFolder)}
_PLAN_RECORD: Final = "audit.json"  # name of the record of a plan in 0.2.0
_RECORDS: Final = (RECORD, "report.json", catalogue.APPROVALS.file, catalogue.WAITING_MODELS.file)  # ends of names
_UNUSED: Final[dict[Asset, str]] = {
    Asset.FOLD_MODELS: "models of 0.2.0 cannot forecast in this version, so the fold is trained again",
    Asset.EVALUATION_REPORTS: "the report is rebuilt from the fold's new models",
    Asset.WALK_FORWARD_REPORTS: "the report is rebuilt from those of the folds",
}
"""Reasons why files of a target's assets are rebuilt if they lie outside a target's folder, where 0.2.0 wrote them."""
_RENEWED: Final[dict[Asset, str]] = {
    Asset.CITY_PAGES: "the pages are rebuilt",
    Asset.NOWCASTS: "the next nowcast replaces the latest one",
    Asset.SHARED_MODELS: "the regressions of all cities are fitted again each week",
}
"""Reasons why other files are rebuilt, by asset."""
_ANSWERS: Final = (catalogue.POLLED.file, catalogue.WAITING.file)


@dataclass(frozen=True)
class _Place:
    """Parts of an old path."""

    folder: StoredFolder
    city: str
    target: str  # empty outside the folder of a target
    day: date | None
    name: str

    def path(self, name: str) -> str:
        """Return today's path of the file under a name."""
        date_name = self.folder.spec.partitions.value if isinstance(self.folder, Asset) and self.day else ""
        file = StoredFile(self.folder, date_name or ("day" if self.day else ""), name, "")
        return file.path(self.city, self.day, self.target or GUNFIRE)


def convert(path: str, content: bytes) -> Sequence[Converted] | Rebuilt:
    """Return the files in the present format that replace a stored file, or why it is rebuilt.

    Raises ValueError for a damaged file, and for one that no release wrote.
    """
    place = _place_of(path)
    asset = place.folder
    if not isinstance(asset, Asset):
        return _converted_other(place, content)
    if asset is Asset.CITY_PAGES or (asset in _RENEWED and place.day is None):
        return Rebuilt(_RENEWED[asset])
    if place.name == catalogue.LINEAGE[asset].file:
        return [Converted(path, converted_lineage(asset, content))]
    if asset is Asset.SHARED_MODELS and b'"week"' not in content:
        return Rebuilt(_RENEWED[asset])
    if asset in _UNUSED and not place.target and _is_written(asset, place.name):
        return Rebuilt(_UNUSED[asset])
    return [_converted_file(asset, place, content)]


def _place_of(path: str) -> _Place:
    match = _PATH.fullmatch(path)
    if match is None or match["folder"] not in _FOLDERS:
        raise ValueError("no release wrote such a file")
    day = None if match["day"] is None else date.fromisoformat(match["day"])
    return _Place(_FOLDERS[match["folder"]], match["city"], match["target"] or "", day, match["name"])


def _converted_file(asset: Asset, place: _Place, content: bytes) -> Converted:
    """Convert a file of a partition: a record, a table, or a file that stays as it is under today's path."""
    if place.name == _PLAN_RECORD or (place.day and asset in ADAPTERS and place.name.endswith(RECORD)):
        name = RECORD if place.name == _PLAN_RECORD else place.name
        assert place.day is not None
        return Converted(place.path(name), converted_record(asset, content, place.city, place.day))
    if (asset, place.name) in TABLES:
        return Converted(place.path(place.name), converted_table(TABLES[asset, place.name], content))
    if not _is_written(asset, place.name):
        raise ValueError("no release wrote such a file")
    is_record = place.name.endswith(_RECORDS)
    return Converted(place.path(place.name), _with_version(content) if is_record else content)


def _converted_other(place: _Place, content: bytes) -> Sequence[Converted] | Rebuilt:
    """Convert a file about sources or checks, which no asset holds."""
    path = place.path(place.name)
    if place.name in _ANSWERS:
        return Rebuilt("live sources are polled again, and landed files are compared again")
    if place.name == catalogue.RECEIVED.file:
        return [Converted(path, converted_received(content))]
    if place.name.endswith(".parquet"):
        return [Converted(path, converted_table(catalogue.ARRIVED_ROWS, content))]
    return [Converted(path, content)]


def _with_version(content: bytes) -> bytes:
    """Return a record in today's shape with the version of the format as its first field."""
    record = json.loads(content)
    if not isinstance(record, dict):
        raise ValueError("it is not a record")
    if "format_version" in record:
        return content
    return json.dumps({"format_version": FORMAT_VERSION} | record, indent=1, ensure_ascii=False).encode()


def _is_written(asset: Asset, name: str) -> bool:
    """Return True if the catalogue has a file of an asset under a name."""
    files = [file.file for file in catalogue.FILES if file.asset == asset]
    return any(re.fullmatch(re.sub(r"\\{\w+\\}", ".+", re.escape(file)), name) for file in files)
