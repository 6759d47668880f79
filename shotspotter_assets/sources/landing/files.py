"""The files of a landing folder, local or on S3: their names, sizes and versions, and which ones are refused unopened."""

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from shotspotter_assets.storage.fingerprints import sha256

HIDDEN: Final = (".", "_")
"""First characters of the names of files and folders that are ignored."""

UNFINISHED: Final = (".part", ".tmp", ".crdownload", ".filepart", ".partial", ".download")
"""Endings of files that a transfer is still writing."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, order=True)
class ListedFile:
    """A file as it was listed."""

    path: str
    size: int = 0
    version: str = ""
    """A short text that changes whenever the file is written."""
    mtime_ns: int = 0
    refused: str | None = None
    """Why the file is not opened, and the remedy; None for a file that may be read."""

    @property
    def modified(self) -> datetime:
        """When the file was last written.

        Raises:
            OverflowError: in a year that no calendar has.
        """
        return EPOCH + timedelta(microseconds=self.mtime_ns // 1000)


class LocalFolder:
    """A folder of this machine, or of a mounted share."""

    is_local: Final = True

    def __init__(self, folder: str) -> None:
        self.folder = str(Path(folder))

    def list(self) -> list[ListedFile]:
        """All files, also of subfolders, by path; none where the folder is missing. Links to folders are not followed.

        Raises:
            OSError: the folder cannot be listed.
        """
        found: list[ListedFile] = []

        def refuse(error: OSError) -> None:
            if error.filename == self.folder:
                raise error
            reason = f"is a folder that cannot be listed ({error.strerror}). Correct its rights."
            found.append(_refused(error.filename, reason))

        root = os.path.realpath(self.folder)
        for within, folders, files in os.walk(self.folder, onerror=refuse) if Path(self.folder).exists() else ():
            folders[:] = [name for name in folders if not name.startswith(HIDDEN)]
            links = [name for name in folders if Path(within, name).is_symlink()]
            for name in [*files, *links]:
                if not name.startswith(HIDDEN):
                    found += _listed(os.path.join(within, name), root)  # noqa: PTH118  # names may not be UTF-8
        return sorted(found)

    def current(self, path: str) -> ListedFile | None:
        """The file as it is now; None where it is gone."""
        return next(iter(_listed(path, os.path.realpath(self.folder))), None)

    def fetch(self, file: ListedFile, _target: Path) -> Path:
        """A local path with the content of the file."""
        return Path(file.path)


class S3Folder:
    """The objects below `s3://bucket/prefix`; `client` is a boto3 client."""

    is_local: Final = False

    def __init__(self, folder: str, client: Callable[[], Any]) -> None:
        self.folder = folder.rstrip("/")
        self._bucket, _, self._prefix = self.folder.removeprefix("s3://").partition("/")
        self._client = client()

    def list(self) -> list[ListedFile]:
        """All objects by key; see `LocalFolder.list`."""
        from botocore.exceptions import BotoCoreError, ClientError

        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=f"{self._prefix}/")
        try:
            found = [item for page in pages for item in page.get("Contents", [])]
        except (ClientError, BotoCoreError) as error:
            raise OSError(str(error)) from None
        below = len(self._prefix)
        hidden = tuple(f"/{mark}" for mark in HIDDEN)
        return sorted(
            ListedFile(
                f"s3://{self._bucket}/{item['Key']}",
                item["Size"],
                f"{item['Size']}:{item['ETag']}",
                int(item["LastModified"].timestamp()) * 10**9,
            )
            for item in found
            if not item["Key"].endswith("/") and not any(mark in item["Key"][below:] for mark in hidden)
        )

    def fetch(self, file: ListedFile, target: Path) -> Path:
        """A local path with the object as it was listed.

        Raises:
            OSError: the object is gone, has changed since, or cannot be read.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        key = file.path.removeprefix(f"s3://{self._bucket}/")
        etag = file.version.partition(":")[2]
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=key, IfMatch=etag)
            with target.open("wb") as copy:
                shutil.copyfileobj(answer["Body"], copy)
        except (ClientError, BotoCoreError) as error:
            raise OSError(str(error)) from None
        return target


def _listed(path: str, root: str) -> Iterator[ListedFile]:
    """A local file, of which only the place, size and time are looked at."""
    with suppress(FileNotFoundError):
        found = Path(path).lstat()
        reason = _refusal_of_link(path, root) if stat.S_ISLNK(found.st_mode) else None
        if _text(path) != path:
            reason = "has a name that is not UTF-8. Rename it."
        if reason is not None:
            yield _refused(path, reason)
            return
        found = Path(path).stat()
        if stat.S_ISREG(found.st_mode):
            yield ListedFile(path, found.st_size, f"{found.st_size}:{found.st_mtime_ns}", found.st_mtime_ns)


def _refused(path: str, reason: str) -> ListedFile:
    return ListedFile(_text(path), version=f"refused:{sha256(reason)[:8]}", refused=reason)


def _refusal_of_link(path: str, root: str) -> str | None:
    target = os.path.realpath(path)
    if target != root and not target.startswith(f"{root}{os.sep}"):
        return "is a link that leaves the landing folder. Put the file itself there, or remove the link."
    if Path(target).is_dir():
        return "is a link to a folder, which is not followed. Put the folder itself there, or remove the link."
    if not Path(target).exists():
        return "is a link that leads nowhere. Put the file itself there, or remove the link."
    return None


def _text(path: str) -> str:
    """The path as text, also where its bytes are not UTF-8."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
