"""Indexes of 0.2.0 in today's shape: lineages, and the list of landed files."""

import json
from typing import Any, Final

from pydantic import TypeAdapter

from shotspotter_assets.sources.landing.received import FileVersion, ReceivedFile
from shotspotter_assets.storage.catalogue import FILES, FROM_TABLES, PRODUCTS, RECORD, SCORES, Asset
from shotspotter_assets.storage.lineage import BEGUN, KEPT, Key, Lineage, Origin, read_lineage, record_lineage
from shotspotter_assets.storage.objects import Objects
from shotspotter_assets.storage.store import Store

NOT_REMADE: Final = (Asset.LIVE_MODELS, Asset.RISK_FORECASTS)  # models of 0.2.0 cannot forecast in this version
KEPT_ASSETS: Final = (*PRODUCTS, *SCORES, *FROM_TABLES)  # evidence of what was issued, and of what came of it
_BEGUN: Final = ("being made", BEGUN)  # starts of the inputs of a partition that a run has begun, in 0.2.0 and later
_RECORDS: Final = {file.asset: file for file in FILES if file.file == RECORD}
_LINEAGE: Final = TypeAdapter(Lineage)
_RECEIVED: Final = TypeAdapter(dict[str, ReceivedFile])


def converted_lineage(asset: Asset, content: bytes) -> bytes:
    """Return a lineage in which complete partitions of `KEPT_ASSETS` are kept, with the versions of their contents."""
    lineage = _LINEAGE.validate_json(content)
    if asset not in KEPT_ASSETS:
        return content
    complete = {key: origin for key, origin in lineage.items() if not origin.made_from.startswith(_BEGUN)}
    return _LINEAGE.dump_json(lineage | {key: Origin(KEPT, origin.version) for key, origin in complete.items()})


def keep_unlisted(store: Store, objects: Objects) -> None:
    """Keep the partitions of `KEPT_ASSETS` that have a record, but no origin, as a lineage was lost or damaged."""
    for asset in KEPT_ASSETS:
        for city in {path.partition("/")[0].removeprefix("city=") for path in objects.files_in(asset)}:
            listed = read_lineage(store, asset, city)
            unlisted: list[Key] = [day for day in store.days_present(_RECORDS[asset], city) if str(day) not in listed]
            record_lineage(store, asset, city, {day: Origin(KEPT) for day in unlisted})


def converted_received(content: bytes) -> bytes:
    """Return the list of landed files; 0.2.0 joined the parts of a version, and named the day that a file's name holds.

    Files whose rows were read with the settings of 0.2.0 are read again; those that are gone keep their rows.
    """
    files = json.loads(content)
    return _RECEIVED.dump_json(_RECEIVED.validate_python({path: _file(file) for path, file in files.items()}))


def _file(file: dict[str, Any]) -> dict[str, Any]:
    rows_from = file.get("rows_from")
    return file | {"version": _version(file["version"]), "rows_from": _version(rows_from) if rows_from else None}


def _version(text: Any) -> Any:
    """Return the parts of a version; the text joins its content, limits and meaning, of which the content has colons."""
    return FileVersion(*text.rsplit(":", 2)) if isinstance(text, str) else text
