"""Comparison of what two deployments have stored."""

import re
import zipfile
from collections.abc import Mapping
from io import BytesIO
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from shotspotter_assets.pages.site import CITY_PAGES
from shotspotter_assets.storage.file_names import ALERTS_FILE, ARRIVALS

TIMES: Final = re.compile(
    rb'"(issued_at|checked_at|seconds_to_train|seconds|resumed_from_epoch)": [^,\n}]+|"[^"]+\.keras": "\w{64}"'
    rb'|"reference\.json": "\w{64}"'
)
"""What records say of the clock, of interruptions, and of files that say it too; all else is the same where the same was made."""


def without_times(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files, by path, without the times in their records and in the archives of networks."""
    return {name: _without_times(name, content) for name, content in files.items()}


def without_receipt(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files, by path, without what follows from when and from which folder rows were received.

    What sensors have seen is of them alone, and pages are made of what is there every other minute.
    """
    kept = {name: content for name, content in files.items() if not name.startswith((f"{ARRIVALS}/", f"{CITY_PAGES}/"))}
    return {
        name: _without_receipt(content) if name.endswith(f"/{ALERTS_FILE}") else content
        for name, content in kept.items()
    }


def _without_receipt(content: bytes) -> bytes:
    table = pq.read_table(BytesIO(content))
    table = table.select([name for name in table.column_names if name not in ("received_at", "received_from")])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table.combine_chunks())
    return sink.getvalue().to_pybytes()


def _without_times(name: str, content: bytes) -> bytes:
    if name.endswith(".json"):
        return TIMES.sub(b"", content)
    if name.endswith(".keras"):
        with zipfile.ZipFile(BytesIO(content)) as archive:
            return b"".join(archive.read(part) for part in sorted({*archive.namelist()} - {"metadata.json"}))
    return content
