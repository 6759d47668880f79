"""Lists the files of a landing folder, local or on S3, and fetches objects."""

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

HIDDEN: Final = (".", "_")
"""First characters of the names of files and folders that are ignored."""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class ListedFile:
    """A file as it was listed."""

    path: str
    version: str = ""
    """Short text that changes whenever the file is written."""
    modified: datetime = EPOCH
    refused: str | None = None
    """Reason why the file is not opened, and the remedy; None for a file that may be read."""


def local_files(folder: str) -> Iterator[ListedFile]:
    """Yield the files of a folder and its subfolders; none where it is missing. Links are not followed."""

    def refuse(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise error

    for within, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(HIDDEN)]
        for name in [*files, *folders]:
            if not name.startswith(HIDDEN):
                yield from local_file(os.path.join(within, name))  # noqa: PTH118  # names may not be UTF-8


def local_file(path: str) -> Iterator[ListedFile]:
    """Yield one file, unless it is gone; a link, or a name that is not UTF-8, is refused."""
    with suppress(FileNotFoundError):
        found = Path(path).lstat()
        text = os.fsencode(path).decode("utf-8", "backslashreplace")
        refused = None if text == path else "has a name that is not UTF-8. Rename it."
        if stat.S_ISLNK(found.st_mode):
            refused = "is a link, which is not followed. Put the file itself there."
        if stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode):
            modified = EPOCH + timedelta(microseconds=found.st_mtime_ns // 1000)
            yield ListedFile(text, f"{found.st_size}:{found.st_mtime_ns}", modified, refused)


def s3_files(client: Any, folder: str) -> Iterator[ListedFile]:
    """Yield the objects below `s3://bucket/prefix`."""
    bucket, _, prefix = folder.removeprefix("s3://").partition("/")
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/"):
        for item in page.get("Contents", []):
            names = item["Key"][len(prefix) + 1 :].split("/")
            if names[-1] and not any(name.startswith(HIDDEN) for name in names):
                path, version = f"s3://{bucket}/{item['Key']}", f"{item['Size']}:{item['ETag']}"
                yield ListedFile(path, version, item["LastModified"].astimezone(UTC))


def fetch(client: Any, file: ListedFile, target: Path) -> None:
    """Copy an object as it was listed; boto3 raises if it is gone or has changed since."""
    bucket, _, key = file.path.removeprefix("s3://").partition("/")
    answer = client.get_object(Bucket=bucket, Key=key, IfMatch=file.version.partition(":")[2])
    with target.open("wb") as copy:
        shutil.copyfileobj(answer["Body"], copy)
