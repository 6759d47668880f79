"""Comparison of what two deployments have stored."""

import re
import zipfile
from collections.abc import Mapping
from io import BytesIO
from typing import Final

TIMES: Final = re.compile(
    rb'"(issued_at|checked_at|seconds_to_train|seconds|resumed_from_epoch)": [^,\n}]+|"[^"]+\.keras": "\w{64}"'
    rb'|"reference\.json": "\w{64}"'
)
"""What records say of the clock, of interruptions, and of files that say it too; all else is the same where the same was made."""


def without_times(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files, by path, without the times in their records and in the archives of networks."""
    return {name: _without_times(name, content) for name, content in files.items()}


def _without_times(name: str, content: bytes) -> bytes:
    if name.endswith(".json"):
        return TIMES.sub(b"", content)
    if name.endswith(".keras"):
        with zipfile.ZipFile(BytesIO(content)) as archive:
            return b"".join(archive.read(part) for part in sorted({*archive.namelist()} - {"metadata.json"}))
    return content
