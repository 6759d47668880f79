"""The place of a store's files: a local folder, or a prefix of an S3 bucket."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from shotspotter_assets.storage.local_files import LocalFiles

if TYPE_CHECKING:
    from shotspotter_assets.storage.draft import Draft
    from shotspotter_assets.storage.s3_objects import S3Objects

Objects: TypeAlias = "LocalFiles | S3Objects | Draft"
"""Files by their paths below the root of a store."""
_S3_ROOT: Final = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?P<prefix>(?:/[^/]+)*)/?")


def objects_at(root: str, s3_client: Any = None) -> Objects:
    """Return the files below a folder or `s3://bucket/prefix`; raise ValueError for another root, or S3 without a client."""
    if root.strip() and "://" not in root and not root.startswith("s3:"):
        return LocalFiles(Path(root).expanduser().absolute())
    if not (found := _S3_ROOT.fullmatch(root)):
        raise ValueError(
            f"{root!r} is not a store: use a folder such as ./store or /data/shotspotter, or s3://bucket/prefix "
            "(environment variable SHOTSPOTTER_STORE)"
        )
    if s3_client is None:
        raise ValueError(f"the store {root} is on S3 and needs an S3 client")
    from shotspotter_assets.storage.s3_objects import S3Objects

    return S3Objects(found["bucket"], (found["prefix"] or "").strip("/"), s3_client)
