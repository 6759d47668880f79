"""What lies in a landing folder, and what of it is not opened: links that lead out of it, and names that are no text."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pyarrow import fs

from shotspotter_assets.storage.fingerprints import sha256

HIDDEN = (".", "_")
"""Files and folders whose names begin like this are not looked at."""


class ListedFile(NamedTuple):
    """A file as it was listed."""

    path: str
    size: int
    mtime_ns: int
    refused: str | None = None
    """Why it is not opened, and what to do; null for a file that is."""

    @property
    def version(self) -> str:
        """A short text that changes each time that the file is written to."""
        return f"{self.size}:{self.mtime_ns}" if self.refused is None else f"refused:{sha256(self.refused)[:8]}"


def list_files(filesystem: fs.FileSystem, folder: str) -> list[ListedFile]:
    """The files of a folder and its subfolders by path, without hidden ones; none of a folder that is missing.

    Links to folders are not followed, so that none is walked twice.

    Raises:
        OSError: the folder cannot be listed.
    """
    if isinstance(filesystem, fs.LocalFileSystem):
        return sorted(_local_files(Path(folder)))
    infos = filesystem.get_file_info(fs.FileSelector(folder, recursive=True, allow_not_found=True))
    hidden = tuple(f"/{mark}" for mark in HIDDEN)
    return sorted(
        ListedFile(info.path, info.size or 0, info.mtime_ns)
        for info in infos
        if info.type == fs.FileType.File and not any(mark in info.path[len(folder) :] for mark in hidden)
    )


def list_file(filesystem: fs.FileSystem, folder: str, path: str) -> ListedFile | None:
    """One file of the folder as it is now; None where it is no file."""
    if isinstance(filesystem, fs.LocalFileSystem):
        return next(iter(_listed(path, os.path.realpath(folder))), None)
    info = filesystem.get_file_info(path)
    return ListedFile(info.path, info.size or 0, info.mtime_ns) if info.type == fs.FileType.File else None


def _local_files(folder: Path) -> Iterator[ListedFile]:
    root = os.path.realpath(folder)
    folders = [str(folder)] if folder.exists() else []
    while folders:
        within = folders.pop()
        try:
            entries = list(os.scandir(within))
        except OSError as error:
            if within == str(folder):
                raise
            yield ListedFile(
                _text(within), 0, 0, f"is a folder that cannot be listed ({error.strerror}). Correct its rights."
            )
            continue
        for entry in entries:
            if entry.name.startswith(HIDDEN):
                continue
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            else:
                yield from _listed(entry.path, root)


def _listed(path: str, root: str) -> Iterator[ListedFile]:
    """A local file, of which nothing but where it lies is looked at."""
    try:
        found = Path(path).lstat()
        refused = _refusal_of_link(path, root) if stat.S_ISLNK(found.st_mode) else None
        found = Path(path).stat() if refused is None else found
    except FileNotFoundError:
        return
    if _text(path) != path:
        refused = "has a name that is not UTF-8. Rename it."
    if refused is not None or stat.S_ISREG(found.st_mode):
        yield ListedFile(_text(path), found.st_size, found.st_mtime_ns, refused)


def _refusal_of_link(path: str, root: str) -> str | None:
    target = os.path.realpath(path)
    if target != root and not target.startswith(f"{root}{os.sep}"):
        return "is a link that leaves the landing folder. Put the file itself there, or remove the link."
    if Path(target).is_dir():
        return "is a link to a folder, which is not followed. Put the folder itself there, or remove the link."
    return (
        None
        if Path(target).exists()
        else "is a link that leads nowhere. Put the file itself there, or remove the link."
    )


def _text(path: str) -> str:
    """The path as text, also where its bytes are none."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
